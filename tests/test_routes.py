"""The route walk: without a session nothing of the assembled app answers, but for the short list below."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from auth.routes import HALF
from tests.support.serve import ROOT

OPEN = {
    ("GET", "/auth/link"), ("GET", "/auth/sign-in"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/static/"),
    ("GET", "/manifest.json"), ("HEAD", "/manifest.json"),
    ("HEAD", "/auth/link"), ("HEAD", "/auth/sign-in"), ("HEAD", "/healthz"), ("HEAD", "/readyz"),
    ("GET", "/auth/join"), ("HEAD", "/auth/join"),  # a page with a button; the POST wants a link's token
    ("GET", "/auth/oidc/x"), ("HEAD", "/auth/oidc/x"), ("GET", "/auth/callback/x"), ("HEAD", "/auth/callback/x"),
    ("POST", "/auth/sign-in"),  # prints a link in the terminal; POST /auth/link without one is refused
}  # fmt: skip


@pytest.fixture(scope="module")
def walked() -> list[dict[str, object]]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.walk"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, object]] = json.loads(ran.stdout)
    return found


def test_the_walk_reaches_both_frontends_and_our_own_pages(walked: list[dict[str, object]]) -> None:
    paths = {(one["method"], one["path"]) for one in walked}
    assert {("GET", "/"), ("POST", "/auth/sign-out"), ("WEBSOCKET", "/streamlit/_stcore/stream")} <= paths
    assert any(str(path).startswith("/gradio/gradio_api/queue/") for _, path in paths)
    assert len(paths) > 60


def test_every_route_without_a_session_is_refused_but_the_short_list(walked: list[dict[str, object]]) -> None:
    """CHECKLIST 46: every route of the assembled app answers 401, 403 or a redirect to sign-in, but for the list above."""
    answered = {(one["method"], one["path"]) for one in walked if one["status"] not in (401, 403, 4401)}
    redirected = {(one["method"], one["path"]) for one in walked if str(one["location"]).startswith("/auth/sign-in?next=")}
    assert answered - redirected == OPEN


def test_a_half_signed_in_session_reaches_the_second_factor_pages_alone(walked: list[dict[str, object]]) -> None:
    """CHECKLIST 29, 30: it gets no more than nobody does, over the whole assembled app, but for the list that names its pages."""
    for one in walked:
        path = str(one["path"])
        if not (path in HALF or path.startswith("/auth/two-factor/")):
            assert one["half"] in (401, 403, 4401, one["status"]), one


def test_every_websocket_without_a_session_is_refused(walked: list[dict[str, object]]) -> None:
    """CHECKLIST 46: websockets too."""
    sockets = [one for one in walked if one["method"] == "WEBSOCKET"]
    assert sockets
    assert all(one["status"] == 4401 for one in sockets)
