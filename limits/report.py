"""The report: report.json, and index.html, which is one file with its pictures and needs neither a network nor a script.

`python -m limits.report FOLDER` makes the page again from the report.json that is there.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from core import brand
from limits import wording
from limits.album import album
from limits.charts import CHARTED, bars, meter
from limits.facts import AREAS, Facts
from limits.metrics import Metric
from limits.verdict import headline, judge

HERE = Path(__file__).parent
FONT_FILE = HERE.parent / "portal" / "static" / brand.FONT_FILE
SHOWN_FOUND = 6  # of the elements that make a figure bad; report.json has them all
SUMMARY = (
    "lighthouse-mobile", "echo-4x", "paint", "paint-4x", "wire-load", "wire-growth", "targets-24", "axe-answered", "live-region",
    "resilience", "brand", "lines",
)  # fmt: skip

_templates = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def write(report: dict[str, Any], folder: Path) -> Path:
    """Write report.json and index.html; back with the latter. The files that the report names lie in the folder's `pictures`."""
    Facts(report)  # another schema is refused before anything is written over
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")  # first: an hour's figures outlive a page that fails
    (folder / "index.html").write_text(render(report, folder / "pictures"), encoding="utf-8")
    return folder / "index.html"


def render(report: dict[str, Any], pictures: Path) -> str:
    """The page as HTML. Raises ValueError for a report of another schema."""
    facts = Facts(report)
    shots = album(
        pictures,
        [one["picture"] for kind in ("steps", "figures") for one in report[kind]] + [one["file"] for one in report["pictures"]],
    )
    return _templates.get_template("report.html.jinja").render(
        facts=facts, report=report, verdict=judge(facts), areas=AREAS, wording=wording, shots=shots,
        charts=_charts(facts), meter=lambda *values: Markup(meter(*values)),
        failures=_failures(facts), walls=_walls(report), found=_found(facts),
        untaken=_untaken(facts), shown_found=SHOWN_FOUND, named=_named(facts),
        made=datetime.fromisoformat(report["made"]), notes=report["notes"], machine=_machine(report["machine"]),
        brand=brand, css=_css(), logo=Markup(brand.logo(size=26)),
    )  # fmt: skip


def summary_markdown(report: dict[str, Any]) -> str:
    """The README's part: the headline, and a table of the figures that say most."""
    facts = Facts(report)
    metrics = [metric for id in SUMMARY if (metric := facts.metric(id))]
    lines = [
        headline(facts),
        "",
        "| | good | " + " | ".join(one.title for one in facts.subjects) + " |",
        "|---|---|" + "---:|" * len(facts.subjects),
    ]
    for metric in metrics:
        cells = [_cell(facts, metric, one) for one in facts.subjects]
        lines.append(f"| {wording.title(metric)} | {wording.threshold(metric) or 'told'} | " + " | ".join(cells) + " |")
    return "\n".join(lines).replace(wording.SPACE, " ") + "\n"


def _cell(facts: Facts, metric: Metric, subject: Any) -> str:
    figure = facts.figure(metric, subject)
    if figure is None or figure.median is None:
        return "not taken"
    mark = {True: "✓ ", False: "✗ ", None: ""}[figure.good]
    text = wording.quantity(figure.median, metric.unit)
    return f"{mark}**{text}**" if figure.good is False else mark + text


def _named(facts: Facts) -> Callable[[str], Markup]:
    """Sets a frontend's name at the beginning of a sentence or of a part of one in bold."""
    names = "|".join(sorted({re.escape(one.name) for one in facts.subjects}, key=len, reverse=True))

    def named(sentence: str) -> Markup:
        return Markup(re.sub(rf"(^|; )({names})\b", r"\1<b>\2</b>", str(escape(sentence))))

    return named


def _charts(facts: Facts) -> list[tuple[Metric, Markup]]:
    drawn = ((metric, bars(facts, metric)) for id in CHARTED if (metric := facts.metric(id)))
    return [(metric, Markup(svg)) for metric, svg in drawn if svg]


def _failures(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """By title the steps that failed in a round or more, each with the subjects that did."""
    steps = [[by[one.id] for one in facts.subjects if one.id in by] for by in facts.steps.values()]
    return {row[0]["title"]: failed for row in steps if (failed := [one for one in row if not all(one["passed"])])}


def _walls(report: dict[str, Any]) -> list[tuple[str, int, str, dict[str, str]]]:
    """(title, width, scheme, file by subject) of what lies side by side."""
    walls: dict[tuple[str, int, str], dict[str, str]] = {}
    for one in report["pictures"]:
        walls.setdefault((one["title"], one["width"], one["scheme"]), {})[one["subject"]] = one["file"]
    titles = list(dict.fromkeys(title for title, _, _ in walls))
    return [(*key, walls[key]) for key in sorted(walls, key=lambda key: (titles.index(key[0]), -key[1], key[2] != "light"))]


def _found(facts: Facts) -> list[tuple[Metric, list[tuple[Any, Any]]]]:
    """By metric: (subject, figure) of those that are not good and have more to say: what makes them so, or a picture."""
    rows = [(metric, [(one, facts.figure(metric, one)) for one in facts.subjects]) for metric in facts.metrics]
    bad = [
        (metric, [(one, read) for one, read in row if read and (read.found or read.picture) and read.good is not True])
        for metric, row in rows
    ]
    return [(metric, row) for metric, row in bad if row]


def _untaken(facts: Facts) -> dict[tuple[str, str], list[str]]:
    """What lacks, by who lacks it and why: one failure takes several figures with it."""
    why: dict[tuple[str, str], list[str]] = {}
    for metric in facts.metrics:
        for one in facts.subjects:
            if (read := facts.figure(metric, one)) and read.median is None:
                why.setdefault((one.title, read.why or "No run says why."), []).append(wording.name(metric))
    return why


def _machine(machine: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of the machine, a line each; a mapping becomes a list."""
    known = {
        "cpu": "CPU", "cores": "Cores", "memory": "Memory, GiB", "system": "System", "python": "Python", "chromium": "Chromium",
        "versions": "Packages", "load": "Load before", "load_after": "Load after",
        "benchmark_index": "Lighthouse's benchmark index",
    }  # fmt: skip

    def text(value: Any) -> str:
        return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, dict) else str(value)

    return [(known.get(name, name.replace("_", " ").capitalize()), text(value)) for name, value in machine.items()]


def _css() -> Markup:
    font = base64.b64encode(FONT_FILE.read_bytes()).decode()
    face = f"@font-face{{font-family:{brand.FONT};src:url(data:font/woff2;base64,{font}) format('woff2');font-weight:100 900}}"
    light = "".join(f"--{name.replace('_', '-')}:{getattr(brand.LIGHT, name)};" for name in brand.Palette.__slots__)
    own = (HERE / "report.css").read_text(encoding="utf-8")
    paper = f"@media print{{:root{{color-scheme:light;{light}--good:#256a41}}}}"
    return Markup(face + brand.css_variables() + own + paper)


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    print(write(json.loads((_folder / "report.json").read_text(encoding="utf-8")), _folder))
