"""Templates and the routes of home, health and static files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from core import brand
from core.errors import screen_message
from core.progress import Progress

Account = Any  # who signed in: it has `name` and `role`; portal does not know auth

STATIC = Path(str(resources.files("portal") / "static"))

_templates = Environment(
    loader=PackageLoader("portal"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(brand=brand, css_variables=brand.css_variables(), logo=brand.logo)


def render(template: str, **values: object) -> str:
    """A page of portal/templates as HTML; `error` is empty and `user` nobody unless given."""
    return _templates.get_template(template).render({"error": "", "user": None, **values})


@dataclass(frozen=True, slots=True)
class Tab:
    """A frontend in the switcher."""

    name: str
    title: str


def portal_routes(
    tabs: Sequence[Tab], progress: Progress, model_name: Callable[[], str], account_of: Callable[[Request], Account],
    lacks_second_factor: Callable[[Request], bool] = lambda request: False, models: Callable[[], Sequence[Any]] = list,
    memory: Callable[[], str] = str,
) -> list[Route | Mount]:  # fmt: skip
    """Home and health. `account_of(request)` is who asks, None for nobody; whoever `lacks_second_factor` is offered one.

    `models()` are the served ones as JSON values, `memory()` what they take of what they may, in a few words or none.
    """

    async def home(request: Request) -> Response:
        asked = request.query_params.get("ui", tabs[0].name)
        if asked not in {tab.name for tab in tabs}:
            return error_page(404, f"There is no frontend named {asked!r} here.")
        conversation = request.query_params.get("c", "")
        return HTMLResponse(
            render(
                "home.html", tabs=tabs, chosen=next(tab for tab in tabs if tab.name == asked), conversation=conversation,
                model=model_name(), memory=memory(), user=account_of(request), offer=lacks_second_factor(request),
            )
        )  # fmt: skip

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        answer: dict[str, Any] = {"ready": progress.ready}
        if account_of(request):  # a stranger learns that it is not ready, not of what
            answer["steps"] = [step_values(name, step) for name, step in progress.steps.items()]
            answer["models"] = models()
        return JSONResponse(answer, 200 if progress.ready else 503, headers=None if progress.ready else {"Retry-After": "1"})

    async def manifest(request: Request) -> Response:
        icon = {"src": "/static/favicon.svg", "type": "image/svg+xml", "sizes": "any"}
        colours = {"theme_color": brand.LIGHT.background, "background_color": brand.LIGHT.background}
        return JSONResponse({"name": brand.NAME, "start_url": "/", "display": "standalone", "icons": [icon], **colours})

    return [
        Route("/", home),
        Route("/manifest.json", manifest),  # browsers ask for it without the cookie
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Mount("/static", _Cached(directory=STATIC), name="static"),
    ]


def step_values(name: str, step: Any) -> dict[str, Any]:
    """A Progress step as JSON."""
    return {
        "name": name, "title": step.title, "state": step.state, "done": step.done, "total": step.total, "unit": step.unit,
    }  # fmt: skip


def waiting_page(progress: Progress, title: str) -> Response:
    """Shown in a frontend's place until it is up; it turns into the frontend by itself."""
    steps = [step_values(name, step) for name, step in progress.steps.items()]
    return HTMLResponse(render("waiting.html", steps=steps, title=title), 503, headers={"Retry-After": "1"})


def error_page(status: int, message: str) -> Response:
    return HTMLResponse(render("error.html", status=status, error=message), status)


async def not_found(request: Request, error: Exception) -> Response:
    return _answer(request, 404, "There is no such page.")


async def not_allowed(request: Request, error: Exception) -> Response:
    """A page that only a button leads to, asked for by its address."""
    return _answer(request, 405, "This address only takes what a button sends.")


def _answer(request: Request, status: int, message: str) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return error_page(status, message)
    return PlainTextResponse(message, status)


async def failed(request: Request, error: Exception) -> Response:
    """What nobody expected: a page with the id under which the log has it."""
    return _answer(request, 500, screen_message(error))


class _Cached(StaticFiles):
    """Files whose address changes with their content; an hour is enough for the few of ours that do not."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "public, max-age=3600"
        return response
