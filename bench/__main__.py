"""`python -m bench` runs every benchmark, merges what it found into bench/results.json and writes bench/results.md."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import guard, report
from bench.matrix import ROWS, Scope, run_model, tell
from bench.models import SHAPES, parameters

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "portico-bench"
GUARD = (
    f"The least ASGI app there is, bare and behind the guard, asked in turn {guard.REQUESTS} times, "
    f"by {guard.SESSIONS} signed-in browsers."
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--models", help=f"of {', '.join(SHAPES)}; by default those of the device", metavar="5M,30M")
    parser.add_argument("--users", help="by default 1,4,16,32,64, and 1,16,64,256 on a GPU", metavar="1,32")
    parser.add_argument("--rows", default="", help=f"letters of {''.join(ROWS)} (docs/benchmarks.md)", metavar="ae")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row plays at 1 and 32 users, at most")
    parser.add_argument("--short", action="store_true", help="one small model, 1 and 32 users, one round: some three minutes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="torch's threads for every row; by default torch's own choice")
    parser.add_argument("--only", choices=("guard", "engine", "report"), help="one part; report writes the page anew")
    parser.add_argument("--note", default="", help="a word about this run for the page")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the models are kept")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and results.md are")
    return parser.parse_args(arguments)


def scope_of(given: argparse.Namespace) -> tuple[list[str], Scope]:
    """The models and what to run of the matrix. Ends the process over a name that there is not."""
    cuda = given.device == "cuda"
    default = [shape.name for shape in SHAPES.values() if shape.gpu == cuda and shape.name != "tiny"]
    models = given.models.split(",") if given.models else ["5M"] if given.short else default
    if unknown := set(models) - set(SHAPES) or set(given.rows) - set(ROWS):
        sys.exit(f"There is no {', '.join(sorted(unknown))}; the models are {', '.join(SHAPES)}, the rows {''.join(ROWS)}.")
    users = given.users or ("1,32" if given.short else "1,16,64,256" if cuda else "1,4,16,32,64")
    rounds = 1 if given.short else given.rounds
    numbers = tuple(sorted(map(int, users.split(","))))
    return models, Scope(numbers, given.rows, rounds, conversations=not given.short, threads=given.threads, device=given.device)


def make(model: str, cache: Path, device: str) -> Path:
    """The model's folder; made in a process of its own, so that this one stays small beside the contestants."""
    cache.mkdir(parents=True, exist_ok=True)
    code = "import sys; from bench.models import *; make_model(SHAPES[sys.argv[1]], Path(sys.argv[2]), sys.argv[3])"
    subprocess.run([sys.executable, "-c", code, model, str(cache), device], check=True, cwd=HERE.parent)  # noqa: S603 (ours)
    return cache / f"bench-{model}"


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(sys.argv[1:] if arguments is None else arguments)
    models, scope = scope_of(given)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that no contestant is left behind
    data, page = given.out / "results.json", given.out / "results.md"
    results = report.read(data)
    if given.only != "report":
        run = report.new_run(results, given.device, given.note)
    if given.only in (None, "guard"):
        results["guard"] = {"run": run, "what": GUARD, "figures": guard.run()}
    if given.only in (None, "engine"):
        for model in models:
            begun = time.monotonic()
            folder = make(model, given.cache, given.device)
            results["models"][model] = parameters(folder)
            for scenario, users, row, values in run_model(SHAPES[model], folder, scope, given.cache):
                found = {"model": model, "device": given.device, "scenario": scenario, "users": users, "row": row, "run": run}
                report.put(results, found | values)
                report.write(results, data, page)
            tell(f"{model}: {(time.monotonic() - begun) / 60:.1f} minutes")
    report.write(results, data, page)
    tell(f"{page}")


if __name__ == "__main__":
    main()
