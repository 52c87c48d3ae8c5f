"""The lab's report at /compare/report: the file as it is, or the command that makes it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from portal.report import report_routes


async def ask(folder: Path, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=report_routes(folder)))
    async with httpx.AsyncClient(transport=transport, base_url="http://portico.test") as client:
        return await client.get(path)


async def test_the_report_and_its_data_are_served_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>The verdict</h1>", encoding="utf-8")
    (tmp_path / "report.json").write_text('{"schema": 1}', encoding="utf-8")
    page = await ask(tmp_path, "/compare/report")
    assert (page.status_code, page.text) == (200, "<h1>The verdict</h1>")
    assert page.headers["content-type"].startswith("text/html")
    assert (await ask(tmp_path, "/compare/report.json")).json() == {"schema": 1}


@pytest.mark.parametrize("path", ["/compare/report", "/compare/report.json"])
async def test_without_a_report_the_page_says_so(tmp_path: Path, path: str) -> None:
    page = await ask(tmp_path / "nowhere", path)
    assert page.status_code == 404
    assert "There is no report" in page.text


async def test_without_a_report_the_page_says_how_to_have_one(tmp_path: Path) -> None:
    assert "<code>make limits</code>" in (await ask(tmp_path, "/compare/report")).text
