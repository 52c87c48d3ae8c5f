"""The route walk: without a session nothing of the assembled app answers, but for the short list below."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.serve import ROOT

OPEN = {
    ("GET", "/auth/link"), ("GET", "/auth/sign-in"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/static/"),
    ("GET", "/manifest.json"), ("HEAD", "/manifest.json"),
    ("HEAD", "/auth/link"), ("HEAD", "/auth/sign-in"), ("HEAD", "/healthz"), ("HEAD", "/readyz"),
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
    answered = {(one["method"], one["path"]) for one in walked if one["status"] not in (401, 403, 4401)}
    redirected = {(one["method"], one["path"]) for one in walked if str(one["location"]).startswith("/auth/sign-in?next=")}
    assert answered - redirected == OPEN


def test_every_websocket_without_a_session_is_refused(walked: list[dict[str, object]]) -> None:
    sockets = [one for one in walked if one["method"] == "WEBSOCKET"]
    assert sockets
    assert all(one["status"] == 4401 for one in sockets)
