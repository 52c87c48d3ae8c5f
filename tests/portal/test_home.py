"""Home's header: who sees which links, and who is offered a second factor."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from auth.sessions import Account
from core.progress import Progress
from portal.pages import Tab, portal_routes


async def home(role: str, lacks_second_factor: bool, memory: str = "") -> str:
    account = Account("ada", "Ada", role)
    routes = portal_routes(
        [Tab("gradio", "Gradio")], Progress({"x": "X"}), lambda: "model", lambda request: account,
        lambda request: lacks_second_factor, memory=lambda: memory,
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


@pytest.mark.parametrize(("role", "leads"), [("admin", True), ("member", False), ("guest", False)])
async def test_the_memory_of_the_models_is_shown_and_leads_an_admin_to_them(role: str, leads: bool) -> None:
    page = await home(role, False, "85 MB of 8.0 GB")
    assert ">Models take 85 MB of 8.0 GB</span>" in page
    assert ('<a class="model" href="/auth/admin/models"' in page) == leads
    assert 'class="memory"' not in await home(role, False), "none is counted where another machine has the model"
