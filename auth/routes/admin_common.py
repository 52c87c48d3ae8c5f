"""What the admin pages share: who may open them, and reading what was typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from auth.routes.common import Pages, small_form

Handler = Callable[[Request], Awaitable[Response]]


def for_admins(pages: Pages, handler: Handler, fresh: bool = False) -> Handler:
    """`handler` for admins alone; with `fresh`, its page is for those who showed who they are within 15 minutes.

    A page with a form asks before it is filled in, so that its answer is seldom too late; where a form is, its POST asks again.
    """

    @wraps(handler)
    async def checked(request: Request) -> Response:
        if request.method == "POST":
            await small_form(request)  # first, since whoever sends it slowly may be no admin any more when it is there
        if await run_in_threadpool(pages.role_now, request) != "admin":
            return pages.refuse(request, 403, "This page is for administrators. Ask one of them for what you need.")
        if fresh and (ask := pages.ask_anew(request, _address(request))):
            return ask
        return await handler(request)

    return checked


def plain(text: str, most: int = 100) -> str:
    """What was typed as one line: without control characters, which no database and no log should meet, and not too long."""
    return "".join(char for char in text if char.isprintable()).strip()[:most].strip()


def number(text: str) -> int | None:
    """A whole number that was typed; None if it is none, or larger than any that we ask for."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def with_query(path: str, **values: str) -> str:
    """`path` with those of the values that are not empty."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
