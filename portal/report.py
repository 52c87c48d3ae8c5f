"""The limits lab's report, for whoever is signed in: the file that the lab wrote, or how to have it written."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from portal.pages import error_page, render


def report_routes(folder: Path) -> list[Route]:
    """`folder` is where the lab writes index.html and report.json. The page links to the latter by its name alone."""

    async def report(request: Request) -> Response:
        page = folder / "index.html"
        if not page.is_file():
            return HTMLResponse(render("report_missing.html"), 404)
        return FileResponse(page)

    async def data(request: Request) -> Response:
        file = folder / "report.json"
        return FileResponse(file) if file.is_file() else error_page(404, "There is no report of the limits lab yet.")

    return [Route("/compare/report", report), Route("/compare/report.json", data)]
