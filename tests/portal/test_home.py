"""Home's header: who sees which links, and who is offered a second factor."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from auth.sessions import Account
from core.progress import Progress
from portal.pages import Tab, portal_routes


async def home(role: str, lacks_second_factor: bool) -> str:
    account = Account("ada", "Ada", role)
    routes = portal_routes(
        [Tab("gradio", "Gradio")], Progress({"x": "X"}), lambda: "model", lambda request: account,
        lambda request: lacks_second_factor,
    )  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://x.test") as client:
        return (await client.get("/")).text


@pytest.mark.parametrize(("role", "account", "admin"), [("admin", True, True), ("member", True, False), ("guest", False, False)])
async def test_each_role_has_its_links(role: str, account: bool, admin: bool) -> None:
    page = await home(role, False)
    assert ('href="/auth/account"' in page, 'href="/auth/admin"' in page) == (account, admin)
    assert 'action="/auth/sign-out"' in page
    assert "Protect your account" not in page


async def test_a_second_factor_is_offered_to_whoever_has_none() -> None:
    page = await home("admin", True)
    assert "Protect your account" in page
    assert "Two-step sign-in is off" in page
