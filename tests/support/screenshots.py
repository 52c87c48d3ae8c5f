"""Takes the README's pictures: the bundled model in a real Chromium, the same conversation in each frontend.

`python -m tests.support.screenshots [FOLDER]` writes them, to docs/images by default.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from core.settings import FRONTENDS
from limits.chromium import ARGS, chromium_path
from tests.support.serve import ROOT, Served

QUESTIONS = ("What can you do?", "What is 348 + 275?")
SIZES = {"1280": (1280, 800), "390": (390, 844)}


def take(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, Served(Path(data), pace=None) as served, sync_playwright() as playwright:
        served.wait_ready()
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGS)
        page = browser.new_page()
        page.goto(served.link)
        page.get_by_role("button", name="Sign in").click()
        chat = driver(FRONTENDS[0]).open(page, served.url, "new")
        for question in QUESTIONS:
            chat.send(question)
            chat.wait_until_done()
        conversation = page.url.rpartition("c=")[2]
        for name in FRONTENDS:
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    page.set_viewport_size({"width": width, "height": height})
                    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                    page.goto(f"{served.url}/?ui={name}&c={conversation}")
                    shoot(page, name, folder / f"{name}-{size}-{scheme}.png")
        browser.close()


def shoot(page: Page, name: str, file: Path) -> None:
    frame = page.frame(url=lambda url: f"/{name}/" in url)
    assert frame
    driver(name)(frame).ready()
    page.wait_for_timeout(1000)  # fonts and the last animation; nobody's verdict hangs on it
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)


def driver(name: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"limits.drivers.{name}").Driver


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
