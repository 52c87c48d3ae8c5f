"""The first start with a model from the hub: the waiting page counts its bytes, and turns into the frontend by itself."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Frame, Page

from core.settings import BUNDLED_MODEL, FRONTENDS
from tests.browser.conftest import driver
from tests.support.clock import wait_until
from tests.support.hub import model_hub
from tests.support.serve import Served

DOWNLOAD_S = 8  # long enough for a browser on a busy machine to see some of it

# "N of M MB" as [N, M], once N is more than `last`
COUNTED = r"""last => {
  const output = document.querySelector("li[data-name=download] output");
  const [done, total] = (output.textContent.match(/^(\d+) of (\d+) MB$/) ?? []).slice(1).map(Number);
  return done > last && [done, total];
}"""


@pytest.mark.timeout(300)  # a download at a slow line's pace, and then all that a start imports
def test_the_waiting_page_counts_a_downloads_bytes_and_turns_into_the_frontend(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (BUNDLED_MODEL / "model.safetensors").stat().st_size
    with model_hub({"org/slow": BUNDLED_MODEL}, size / DOWNLOAD_S) as (endpoint, asked):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        with Served(tmp_path / "data", "--model", "org/slow", pace=None) as served:
            assert served.link
            cookies = served.session()
            wait_until(lambda: asked, seconds=60, what="the hub to be asked")
            steps = httpx.get(f"{served.url}/readyz", cookies=cookies, timeout=30).json()["steps"]
            states = {step["name"]: step["state"] for step in steps}
            later = dict.fromkeys(("weights", *FRONTENDS), "waiting")
            assert states == {"download": "running", **later}, "a frontend's import holds up the download"

            context = browser.new_context()
            context.add_cookies([{"name": name, "value": value, "url": served.url} for name, value in cookies.items()])
            frames = {name: open_frontend(context.new_page(), served.url, name) for name in FRONTENDS}
            done = -1
            for _ in range(3):
                counted = frames[FRONTENDS[0]].wait_for_function(COUNTED, arg=done, timeout=60_000)
                done, total = counted.json_value()
                assert done <= total == round(size / 1e6)
            for name, frame in frames.items():
                frame.wait_for_selector("#steps", state="detached", timeout=150_000)
                driver(name)(frame).ready()
            context.close()


def open_frontend(page: Page, url: str, name: str) -> Frame:
    """The frame in which the home page holds a frontend, while it still waits."""
    page.goto(f"{url}/?ui={name}")
    frame = page.locator("#frontend").element_handle().content_frame()
    assert isinstance(frame, Frame)
    frame.wait_for_selector("#steps")
    return frame
