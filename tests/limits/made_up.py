"""A report with made-up figures: good ones, misses, what could not be taken, a story with failures, and pictures.

`python -m tests.limits.made_up FOLDER` writes its page there, and pictures of it on a phone, a desktop and paper.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limits.facts import SCHEMA
from limits.figures import Reading, summarize
from limits.metrics import BY_ID, METRICS

ROOT = Path(__file__).parents[2]
SUBJECTS = (
    ("control", "control", "control", "Control page"), ("gradio-stock", "gradio", "stock", "Gradio, stock"),
    ("gradio-pushed", "gradio", "pushed", "Gradio, pushed"), ("streamlit-stock", "streamlit", "stock", "Streamlit, stock"),
    ("streamlit-pushed", "streamlit", "pushed", "Streamlit, pushed"),
)  # fmt: skip
# One value for each subject, in their order; None: could not be taken.
VALUES: dict[str, tuple[float | None, ...]] = {
    "ttfb": (0.01, 0.03, 0.02, 0.01, 0.02), "fcp": (0.2, 1.1, 0.9, 0.7, 0.6), "lcp": (0.2, 2.7, 1.6, 2.9, 1.9),
    "cls": (0, 0.02, 0, 0.14, 0.01), "ready": (0.25, 2.4, 1.7, 2.2, 1.8), "lighthouse-mobile": (99, 51, 62, 41, None),
    "lighthouse-desktop": (100, 90, 96, 84, 93), "tbt-mobile": (0, 1180, 640, 910, 890), "echo": (24, 96, 60, 140, 80),
    "echo-4x": (61, 410, 180, 530, 260), "paint": (54, 153, 92, 99, 88), "paint-4x": (440, 11_400, 930, 720, 480),
    "long-frames": (1, 14, 2, 22, 3.5), "long-frames-control": (1, 14, 2, 22, 3.5), "cpu-1000": (0.5, 0.95, 0.55, 1.1, 0.95),
    "cpu-1000-control": (1, 1.9, 1.1, 2.2, 1.9),
    "wire-load": (4, 812, 790, 1130, 1126), "wire-js": (1.2, 640, 640, 1013, 1010), "wire-requests": (2, 61, 58, 44, 45),
    "wire-300": (5, 142, 62, 304, 71), "wire-growth": (1.01, 1, 1.02, 4.6, 1.19), "reflow": (0, 3, 0, 0, 0),
    "targets-24": (100, 31, 100, 100, 100), "targets-44": (50, 8, 61, 12, 75), "input-font": (16, 14, 16, 14, 16),
    "safe-areas": (1, 0, 1, 0, 1), "axe-empty": (0, 4, 0, 2, 0), "axe-answered": (0, 6, 1, 3, 0), "axe-dark": (0, 9, 1, 3, 0),
    "nameless": (0, 2, 0, 1, 0), "live-region": (1, 0, 1, 0, 1), "focus-kept": (1, 0, 0, 1, 1), "keyboard": (1, 0, 1, 1, 1),
    "motion": (0, 3, 0, 0, 0), "resilience": (3, 1, 6, 4, 7), "brand": (0, 12, 98, 14, 94), "brand-api": (0, 12, 61, 14, 72),
    "memory-session": (0, 1.2, 1.9, 4.8, 6.1), "cpu-turn": (0.01, 0.6, 0.4, 1.3, 0.8), "edit": (0.3, 4.1, 6.2, 0.9, 2.4),
    "lines": (90, 15, 1012, 15, 866),
}  # fmt: skip
STEPS = {
    "send": ("Ask a question: it stands in the conversation and is answered.", ()),
    "stop": ("Stop an answer: what there is stays, and the model is told.", ("streamlit-stock",)),
    "cut": ("Lose the network in mid-answer: what is on the screen stays.", ("control", "gradio-stock", "streamlit-stock")),
    "scroll": ("Scroll up while it answers, and stay there.", ("gradio-stock", "gradio-pushed")),
    "error": ("See the model fail: a sentence says so, and one can ask again.", ("gradio-stock",)),
}  # fmt: skip


def made_up(folder: Path, runs: int = 3) -> dict[str, Any]:
    """The report as JSON values; its pictures are put into `folder`/pictures."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for file in (ROOT / "docs" / "images").glob("*.png"):
        shutil.copy(file, folder / "pictures" / file.name)
    titles, everyone = ("Before the first question", "An answer with a table and code"), [id for id, *_ in SUBJECTS]
    return {
        "schema": SCHEMA, "made": "2026-11-22T20:00:00Z", "runs": runs,
        "machine": {
            "cpu": "A made-up CPU", "cores": 2, "memory": 24, "versions": {"gradio": "6.31.0", "streamlit": "1.67.0"},
            "python": "3.11.7", "chromium": "156.0", "load": 0.4, "benchmark_index": 1200,
        },
        "subjects": [dict(zip(("id", "frontend", "effort", "title"), one, strict=True)) for one in SUBJECTS],
        "metrics": [asdict(metric) for metric in METRICS],
        "figures": [_figure(id, *one, runs) for id, row in VALUES.items() for one in zip(everyone, row, strict=True)],
        "steps": [_step(id, title, one, one in bad, runs) for id, (title, bad) in STEPS.items() for one in everyone],
        "pictures": [_picture(title, one, width, scheme) for title in titles for width in (390, 1280)
                     for scheme in ("light", "dark") for one in everyone],
        "notes": ["Made up, for the tests of the report."],
    }  # fmt: skip


def _figure(metric: str, subject: str, value: float | None, runs: int) -> dict[str, Any]:
    unit = BY_ID[metric].unit
    why = "" if value is not None else "Lighthouse gave up: the page never came to rest."
    shake = 0 if unit in ("pass", "n", "of 8", "%") else 0.06
    good = None if value is None else BY_ID[metric].passes(value)
    amount = int(value or 0) if unit == "n" and good is False else 0
    found = [f"color-contrast: <button class=\"icon-{number}\" aria-label='x'>" for number in range(amount)]
    values = [None if value is None else value * (1 + shake * (number - (runs - 1) / 2)) for number in range(runs)]
    readings = [
        Reading(metric, one, why, found if number == 0 else (), "streamlit-390-light.png" if why else "")
        for number, one in enumerate(values)
    ]
    return asdict(summarize(subject, readings))


def _step(step: str, title: str, subject: str, bad: bool, runs: int) -> dict[str, Any]:
    passed = [not bad] * runs
    if bad and subject == "gradio-pushed":
        passed[-1] = True
    why = "The page pulled the reader back down with every token." if bad else ""
    picture = f"{subject.split('-')[0]}-1280-light.png" if bad else ""  # the control page has none
    return {"step": step, "title": title, "subject": subject, "passed": passed, "why": why, "picture": picture}


def _picture(title: str, subject: str, width: int, scheme: str) -> dict[str, Any]:
    file = f"{'gradio' if subject == 'control' else subject.split('-')[0]}-{width}-{scheme}.png"
    return {"title": title, "subject": subject, "width": width, "scheme": scheme, "file": file}


def take_pictures(folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    from limits.chromium import ARGS, chromium_path
    from limits.report import summary_markdown, write

    report = made_up(folder)
    page_file = write(report, folder)
    print(f"{page_file}: {page_file.stat().st_size / 1e6:.1f} MB\n{summary_markdown(report)}")
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium_path(), args=ARGS).new_page()
        page.goto(page_file.as_uri())
        for width, height in ((390, 844), (1280, 800)):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.screenshot(path=folder / f"page-{width}-{scheme}.png", full_page=True)
        page.emulate_media(media="print", color_scheme="light")
        page.set_viewport_size({"width": 720, "height": 1000})
        page.screenshot(path=folder / "page-paper.png", full_page=True)
        page.emulate_media(media=None)  # type: ignore[arg-type]
        page.pdf(path=folder / "page.pdf", format="A4", prefer_css_page_size=True)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
