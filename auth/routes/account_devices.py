"""Signing out one's other devices, and forgetting browsers that are remembered."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Pages, session_of
from auth.words import device


def device_routes(auth: Auth, pages: Pages) -> list[Route]:
    """What the lists of devices and of remembered browsers post. No fresh factor: whoever signs out loses nothing by haste."""

    async def end_session(request: Request) -> Response:
        mine = {one.id: one for one in auth.sessions.of_user(session_of(request).account.id)}
        ended = mine.get(request.path_params["id"])
        if ended is None:
            return _back("session-gone", "devices")
        auth.sessions.revoke(ended.id)
        pages.record(request, "session-ended", device=device(ended.agent))
        return _back("session-ended", "devices")

    async def end_others(request: Request) -> Response:
        session = session_of(request)
        count = auth.sessions.revoke_all(session.account.id, but=session.id)
        pages.record(request, "sessions-ended", count=str(count))
        return _back("sessions-ended", "devices")

    async def forget_browser(request: Request) -> Response:
        if auth.browsers.forget(session_of(request).account.id, request.path_params["id"]):
            pages.record(request, "browser-forgotten", count="1")
        return _back("browser-forgotten", "browsers")

    async def forget_browsers(request: Request) -> Response:
        if count := auth.browsers.forget(session_of(request).account.id):
            pages.record(request, "browser-forgotten", count=str(count))
        return _back("browsers-forgotten", "browsers")

    return [
        Route("/auth/account/sessions/{id}/end", end_session, methods=["POST"]),
        Route("/auth/account/sessions/end-others", end_others, methods=["POST"]),
        Route("/auth/account/browsers/{id}/forget", forget_browser, methods=["POST"]),
        Route("/auth/account/browsers/forget-all", forget_browsers, methods=["POST"]),
    ]


def _back(done: str, section: str) -> Response:
    return RedirectResponse(f"/auth/account?done={done}#{section}", 303)
