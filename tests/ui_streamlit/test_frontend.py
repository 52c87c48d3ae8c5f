"""The frontend as the host mounts it, in a process of its own, since Streamlit's Runtime is one for a process."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from core import brand
from ui_streamlit import frontend
from ui_streamlit.frontend import options

ROOT = Path(__file__).parents[2]

MOUNTED = """
import asyncio, json, logging, sys
import ui_streamlit
cheap = "streamlit" not in sys.modules
from anyio import to_thread
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from core.frontend import Context

logging.getLogger("uvicorn.access").setLevel(logging.ERROR)
ui_streamlit.frontend.load()
class Service: tasks = {}
mounted = ui_streamlit.frontend.mount(Context(Service(), None, "/streamlit"))
from contextlib import asynccontextmanager
tokens = []
@asynccontextmanager
async def lifespan(app):
    tokens.append(to_thread.current_default_thread_limiter().total_tokens)
    async with mounted.lifespan:
        tokens.append(to_thread.current_default_thread_limiter().total_tokens)
        yield

from streamlit.web.server.starlette.starlette_websocket import gather_user_info
from starlette.datastructures import Headers
given = {"x-auth-user": "ada", "x-auth-name": "Ada%20L", "x-auth-role": "admin", "x-auth-session": "s1"}
user = gather_user_info(Headers(given))
guest = gather_user_info(Headers({**given, "x-auth-quota": "7"}))

found = {}
with TestClient(Starlette(routes=[Mount("/streamlit", mounted.app)], lifespan=lifespan)) as client:
    for path in sys.argv[1:]:
        answer = client.get("/streamlit" + path, follow_redirects=False)
        found[path] = [answer.status_code, answer.text]
    post = client.post("/streamlit/").status_code
    sockets = {}
    for path, origin in (("/_stcore/stream", "http://testserver"), ("/_stcore/stream", "http://evil.example"), ("/x", "http://testserver")):
        try:
            with client.websocket_connect("/streamlit" + path, headers={"origin": origin}):
                sockets[path + " " + origin] = True
        except WebSocketDisconnect:
            sockets[path + " " + origin] = False
access = logging.getLogger("uvicorn.access")
print(json.dumps({"cheap": cheap, "tokens": tokens, "user": user, "guest": guest, "found": found, "post": post,
                  "sockets": sockets, "logger": [access.level, len(access.handlers)]}))
"""
OPEN = ["/", "/_stcore/health", "/_stcore/host-config"]
CLOSED = [
    "/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/upload_file/a/b", "/_stcore/agent/interact",
    "/_stcore/agent/mcp", "/_stcore/agent/openapi.json", "/_stcore/bidi-components/a/b.js", "/component/a",
    "/media/a.png",
    "/app/static/a", "/auth/login", "/oauth2callback", "/any-page", "/index.html", "/manifest.json", "//evil.example",
]  # fmt: skip


@pytest.fixture(scope="module")
def mounted() -> dict:  # type: ignore[type-arg]
    command = [sys.executable, "-W", "ignore", "-c", MOUNTED, *OPEN, *CLOSED, "/favicon.png"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_importing_the_package_does_not_import_streamlit(mounted: dict) -> None:  # type: ignore[type-arg]
    """The port answers within a second of the start; the library takes longer than that."""
    assert mounted["cheap"]


def test_it_serves_its_first_page_at_its_path(mounted: dict) -> None:  # type: ignore[type-arg]
    assert [mounted["found"][path][0] for path in OPEN] == [200, 200, 200]
    assert 'src="./static/js/' in mounted["found"]["/"][1]


def test_what_the_page_does_not_need_is_not_there(mounted: dict) -> None:  # type: ignore[type-arg]
    """Streamlit's metrics name who is connected, its uploads fill memory, its agent API drives the page without a browser."""
    assert {path: mounted["found"][path][0] for path in CLOSED if mounted["found"][path][0] not in (400, 404)} == {}
    assert mounted["post"] == 405


def test_no_other_site_may_open_the_stream_or_steer_the_page(mounted: dict) -> None:  # type: ignore[type-arg]
    assert mounted["sockets"] == {
        "/_stcore/stream http://testserver": True, "/_stcore/stream http://evil.example": False, "/x http://testserver": False,
    }  # fmt: skip
    assert json.loads(mounted["found"]["/_stcore/host-config"][1])["allowedOrigins"] == []


def test_the_guards_headers_reach_the_page_as_its_user(mounted: dict) -> None:  # type: ignore[type-arg]
    """It is also what keeps a session id from being enough to take a session over: the session is part of the identity."""
    assert mounted["user"] == {"id": "ada", "name": "Ada%20L", "role": "admin", "quota": None, "sid": "s1"}
    assert mounted["guest"]["quota"] == "7"


def test_it_leaves_the_process_as_it_found_it(mounted: dict) -> None:  # type: ignore[type-arg]
    assert mounted["tokens"][0] == mounted["tokens"][1]
    assert mounted["logger"] == [logging.ERROR, 0]


def test_the_icon_is_ours_from_the_first_moment(mounted: dict) -> None:  # type: ignore[type-arg]
    assert mounted["found"]["/favicon.png"][0] == 307


def test_every_option_exists_and_those_that_matter_are_set() -> None:
    from streamlit import config

    assert set(options()) <= set(config._config_options_template)
    wanted = {
        "server.fileWatcherType": "none", "server.enableXsrfProtection": True, "server.enableCORS": True,
        "server.enableAgentApi": False, "server.enableStaticServing": False, "server.baseUrlPath": "",
        "client.showErrorDetails": "none", "client.showErrorLinks": False, "client.toolbarMode": "minimal",
        "client.allowedOrigins": [], "browser.gatherUsageStats": False, "runner.postScriptGC": False,
    }  # fmt: skip
    assert wanted.items() <= {key: value for key, value in options().items() if key in wanted}.items()


def test_the_theme_is_the_brands_in_both_lights_and_contacts_no_other_host() -> None:
    theme = options()
    for name, palette in (("light", brand.LIGHT), ("dark", brand.DARK)):
        assert theme[f"theme.{name}.primaryColor"] == palette.accent
        assert theme[f"theme.{name}.backgroundColor"] == palette.background
    assert theme["theme.fontFaces"][0]["url"] == "/static/inter.woff2"


@pytest.mark.parametrize("name", ["style.css", "page.js"])
def test_style_and_script_name_no_brand_colour_and_no_other_host(name: str) -> None:
    text = (ROOT / "ui_streamlit" / name).read_text()
    colours = {getattr(palette, field) for palette in (brand.LIGHT, brand.DARK) for field in palette.__slots__}
    assert not {colour for colour in colours if colour in text.lower()}
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_it_is_named_as_its_path_is() -> None:
    assert (frontend.name, frontend.title) == ("streamlit", "Streamlit")
