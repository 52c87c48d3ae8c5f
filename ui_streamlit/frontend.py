"""The Streamlit frontend: its configuration, its theme, and what of Streamlit's routes is reachable."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import brand
from core.errors import screen_message
from core.frontend import ASGIApp, Context, Mounted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from streamlit import App

HERE = Path(__file__).parent
UVICORN_LOGGERS = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error", "websockets")


class StreamlitFrontend:
    """`mount` may be called once in a process, since Streamlit's Runtime is a singleton."""

    name = "streamlit"
    title = "Streamlit"

    def __init__(self) -> None:
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """What `mount` was given. Streamlit itself executes the page's script, so the page must find its service by import."""
        if self._context is None:
            raise RuntimeError("the Streamlit frontend is not mounted")
        return self._context

    def load(self) -> None:
        with _loggers_kept():
            import streamlit  # noqa: F401

    def mount(self, context: Context) -> Mounted:
        import streamlit as st
        from starlette.routing import Router
        from streamlit.web import bootstrap

        import ui_streamlit.page  # noqa: F401  # compiled and imported before the first visitor waits for it

        self._context = context
        with _loggers_kept():
            bootstrap.load_config_options(options())
        app = st.App(HERE / "script.py", on_script_error=show_error)
        return Mounted(app=Router(reachable(app), redirect_slashes=False), lifespan=_lifespan(app))


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Streamlit gives uvicorn's loggers a handler and a level of its own: without this each access line would come twice."""
    loggers = [logging.getLogger(name) for name in UVICORN_LOGGERS]
    before = [(logger, logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


def reachable(app: ASGIApp) -> list[BaseRoute]:
    """What the page asks for, found by watching a browser.

    Streamlit's metrics, uploads, media, components, sign-in, agent API and its page for any unknown path are not among it.
    """
    from starlette.responses import RedirectResponse
    from starlette.routing import Route, WebSocketRoute

    async def favicon(request: Request) -> RedirectResponse:  # Streamlit's index names its own before the page can name ours
        return RedirectResponse("/static/favicon.svg")

    paths = ("/", "/_stcore/health", "/_stcore/host-config", "/static/{path:path}")
    return [
        *(Route(path, app, methods=["GET"]) for path in paths),
        Route("/favicon.png", favicon, methods=["GET"]),
        WebSocketRoute("/_stcore/stream", app),
    ]


@asynccontextmanager
async def _lifespan(app: App) -> AsyncIterator[None]:
    from anyio import to_thread

    # Streamlit lowers AnyIO's thread limit, fit for a server of its own; here the limit belongs to everyone in the process
    limiter = to_thread.current_default_thread_limiter()
    tokens = limiter.total_tokens
    async with app.lifespan()(app):
        limiter.total_tokens = tokens
        yield


def show_error(error: Exception) -> bool:
    """Streamlit's hook for what the page did not expect: a sentence and a way on, never a traceback."""
    import streamlit as st

    from ui_streamlit.answer import plain

    st.error(plain(screen_message(error)))
    st.button("Try again", key="try-again")  # any press runs the page anew
    return True


def options() -> dict[str, Any]:
    """Streamlit's settings, above those of any config.toml that lies about."""
    return {
        "server.headless": True,
        "server.baseUrlPath": "",  # the host mounts the app where it wants it
        "server.fileWatcherType": "none",  # a reload would load a second engine
        "server.trustedUserHeaders": {
            "X-Auth-User": "id",
            "X-Auth-Name": "name",
            "X-Auth-Role": "role",
            "X-Auth-Quota": "quota",
            "X-Auth-Session": "sid",
        },
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.corsAllowedOrigins": [],
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "server.scriptHealthCheckEnabled": False,
        "server.allowRunOnSave": False,
        "server.maxUploadSize": 1,
        "server.maxWidgetStateSize": 2,  # MB a message from a browser may have
        "server.enableWebsocketCompression": False,
        "client.allowedOrigins": [],  # no other site may embed and steer the page
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.showSidebarNavigation": False,
        "client.disableDataExport": True,
        "browser.gatherUsageStats": False,
        "runner.postScriptGC": False,  # 171 to 419 ms of CPU after each rerun, felt as a late last token
        "runner.magicEnabled": False,
        "global.developmentMode": False,
        "global.disableWidgetStateDuplicationWarning": True,  # fields take their values from the session state on purpose
        "secrets.files": [],
        **theme(),
    }


def theme() -> dict[str, Any]:
    """brand.py in Streamlit's own words, light and dark; the system's setting decides."""
    shared: dict[str, Any] = {
        "theme.font": ", ".join(brand.FONT_STACK),
        "theme.headingFont": ", ".join(brand.FONT_STACK),
        "theme.codeFont": ", ".join(brand.MONO_STACK),
        "theme.fontFaces": [{"family": brand.FONT, "url": f"/static/{brand.FONT_FILE}", "weight": "100 900", "style": "normal"}],
        "theme.baseFontSize": brand.FONT_PX,
        "theme.baseRadius": f"{brand.RADIUS_PX}px",
        "theme.buttonRadius": f"{brand.RADIUS_PX}px",
        "theme.showWidgetBorder": True,
        "theme.showSidebarBorder": True,
    }
    for name, palette in (("light", brand.LIGHT), ("dark", brand.DARK)):
        shared |= {
            f"theme.{name}.primaryColor": palette.accent,
            f"theme.{name}.backgroundColor": palette.background,
            f"theme.{name}.secondaryBackgroundColor": palette.surface,
            f"theme.{name}.textColor": palette.text,
            f"theme.{name}.linkColor": palette.accent,
            f"theme.{name}.borderColor": palette.border,
            f"theme.{name}.codeTextColor": palette.text,
            f"theme.{name}.codeBackgroundColor": palette.surface,
            f"theme.{name}.redColor": palette.danger,
            f"theme.{name}.redTextColor": palette.danger,
            f"theme.{name}.redBackgroundColor": palette.surface,
            f"theme.{name}.sidebar.backgroundColor": palette.surface,
            f"theme.{name}.sidebar.secondaryBackgroundColor": palette.background,
            f"theme.{name}.sidebar.borderColor": palette.border,
        }
    return shared
