"""The benchmarks in a short form: that they run and hold what they say, not how fast."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bench import client, figures, guard, report, servers, targets
from bench.__main__ import main
from bench.contestants import Crashed
from bench.drive import Tell, drive
from bench.matrix import measure
from bench.plan import Plan, make_plan
from tests.support.serve import Served


def test_the_guard_holds_every_session_and_socket_and_a_revocation_ends_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS", 50)
    figures = guard.run()
    assert figures["sessions held"] == 2000
    assert figures["websockets held open"] == 200
    assert figures["websockets ended by a revocation"] == 200
    assert figures["behind the guard, p50 ms"] > figures["bare app, p50 ms"] > 0


@pytest.mark.timeout(400)
def test_each_contestant_answers_the_same_questions_alike_and_the_page_shows_it(tmp_path: Path) -> None:
    """A process for each of four rows; what they say must be equal, since greedy decoding leaves no choice."""
    main(["--models", "tiny", "--users", "2", "--rows", "aegT", "--rounds", "1", "--only", "engine", *folders(tmp_path)])
    rows = {row["row"]: row for row in report.read(tmp_path / "results.json")["rows"]}
    assert not [row["why"] for row in rows.values() if "why" in row]
    assert {letter: row["tokens"] for letter, row in rows.items()} == dict.fromkeys("aegT", 2 * 64)
    assert rows["e"]["same"] == rows["T"]["same"] == 1
    assert all(row["per_s"] > 0 and row["per_cpu_s"] > 0 and row["peak_mb"] > 100 for row in rows.values())
    assert 0 < rows["e"]["first_p50"] <= rows["e"]["first_p95"]
    page = (tmp_path / "results.md").read_text()
    assert "| (e) Portico's engine |" in page
    assert "**2 users**" in page


def folders(path: Path) -> list[str]:
    return ["--cache", str(path), "--out", str(path)]


def test_a_name_that_there_is_not_ends_with_the_names_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no 7B; the models are tiny, 5M"):
        main(["--models", "7B", *folders(tmp_path)])


def test_a_plan_is_the_same_each_time_and_its_users_arrive_evenly() -> None:
    plan = make_plan(4, 2, 512, ramp_s=2.0, seed=3)
    assert plan == make_plan(4, 2, 512, ramp_s=2.0, seed=3)
    others = (
        make_plan(4, 2, 512, ramp_s=2.0, seed=4),
        make_plan(8, 2, 512, ramp_s=2.0, seed=3),
        make_plan(4, 1, 512, 2.0, seed=3),
    )
    assert all(other.questions[0][0] != plan.questions[0][0] for other in others), (
        "a kept prefix would be known from another plan"
    )
    assert plan.arrivals() == [(0.0, 0), (0.5, 1), (1.0, 2), (1.5, 3)]
    assert all(32 <= len(question) <= 256 for turns in plan.questions for question in turns)


def test_a_conversation_repeats_its_earlier_turns_with_what_was_answered() -> None:
    asked: list[list[str]] = []

    def ask(user: int, turns: list[str], new_tokens: int, tell: Tell) -> None:
        asked.append(turns)
        tell(" w7", "")
        tell(" w8", "")
        tell(None, "")

    outcome = drive(Plan([[[1, 2], [3], [4]]], 0.0, 2, conversation=True), ask)
    assert asked == [["w1 w2"], ["w1 w2", "w7 w8", "w3"], ["w1 w2", "w7 w8", "w3", "w7 w8", "w4"]]
    assert [answer.tokens for answer in outcome.answers] == [2, 2, 2]
    assert not outcome.capped


def test_what_does_not_answer_is_cut_at_the_cap_and_counts_with_the_time_it_had_waited() -> None:
    outcome = drive(Plan([[[1]], [[2]]], 0.1, cap_s=0.3), lambda user, turns, new_tokens, tell: None)
    assert outcome.capped
    found = figures.figures(played(outcome.wall_s, [[], []], asked=[0.0, 0.05], capped=True))
    assert found["tokens"] == 0
    assert 0.25 <= found["first_p50"] <= found["first_p95"] < 1


def test_a_failed_answer_ends_its_user_alone() -> None:
    def ask(user: int, turns: list[str], new_tokens: int, tell: Tell) -> None:
        if user:
            tell(" w1", "")
        tell(None, "" if user else "out of memory")

    outcome = drive(Plan([[[1], [2]], [[3], [4]]], 0.0, 1), ask)
    assert [(answer.user, answer.error) for answer in outcome.answers if answer.error] == [(0, "out of memory")]
    assert sum(answer.user == 1 for answer in outcome.answers) == 2


def played(wall_s: float, times: list[list[float]], asked: list[float], capped: bool = False) -> dict[str, Any]:
    """A round in which each answer got a word at each of its `times`."""
    answers = [
        {"user": user, "turn": 0, "asked": asked[user], "times": seen, "text": "w1 " * len(seen), "done": None, "error": ""}
        for user, seen in enumerate(times)
    ]
    return {"answers": answers, "wall_s": wall_s, "capped": capped, "cpu_s": 2.0, "peak_mb": 300.0}


def test_figures_are_those_of_the_times_that_were_seen() -> None:
    found = figures.figures(played(4.0, [[1.0, 1.1, 1.2], [2.0, 2.1, 2.6]], asked=[0.5, 0.5]))
    assert found["per_s"] == pytest.approx(6 / 4)
    assert found["per_cpu_s"] == pytest.approx(6 / 2)
    assert (found["first_p50"], found["first_p95"]) == pytest.approx((1.5, 1.5))
    assert (found["between_p50"], found["between_p95"]) == pytest.approx((0.1, 0.5))
    merged = figures.median([found | {"per_s": 1.0}, found | {"per_s": 9.0, "peak_mb": 500.0}, found | {"per_s": 2.0}])
    assert (merged["per_s"], merged["peak_mb"], merged["rounds"]) == (2.0, 500.0, 3)


class Scripted:
    """Contestants that need no process: (b) cannot start, (e) answers 2 tokens, (d) one too few."""

    def play(self, row: str, plan: Plan) -> dict[str, Any]:
        if row == "b":
            raise Crashed("no memory")
        found = played(1.0, [[0.1, 0.2][: 1 if row == "d" else 2]], asked=[0.0])
        found["answers"][0]["done"] = 0.2
        return found


def test_a_crash_or_another_amount_of_work_is_a_row_that_says_why_and_the_rest_goes_on() -> None:
    pool: Any = Scripted()
    found = measure(pool, "bde", 2, lambda row, number: make_plan(1, 1, 512, 0.0), "test", 2)
    assert found["b"] == {"why": "no memory"}
    assert found["d"]["why"] == "1 answers were not 2 tokens long"
    assert found["e"]["rounds"] == 2
    rows = [{"model": "tiny", "row": row, **values} for row, values in found.items()]
    assert "| (b) a thread for each request, TextIteratorStreamer | not measured: no memory |" in report.rows_table(rows)


def test_a_target_is_met_or_not_by_its_figures_and_says_when_they_are_of_two_runs() -> None:
    def verdicts(e: float, a: float, run: str) -> str:
        about = {"model": "5M", "device": "cpu", "scenario": "questions", "users": 32}
        rows = [{**about, "row": "e", "per_cpu_s": e, "run": "1"}, {**about, "row": "a", "per_cpu_s": a, "run": run}]
        return targets.table({"rows": rows}).splitlines()[2]

    assert verdicts(500, 100, "1").endswith("| at least 5 | 5 | 500 to 100 | met |")
    assert verdicts(499, 100, "1").endswith("| **not met** |")
    assert verdicts(500, 100, "2").endswith("| met, from two runs |")
    assert targets.table({"rows": []}).count("not measured") == sum(len(target.models) for target in targets.TARGETS)


def test_a_rerun_takes_the_place_of_the_rows_that_it_measured_alone() -> None:
    results = report.read(Path("there-is-none"))
    for row, run in (("a", "1"), ("e", "1"), ("e", "2")):
        report.put(results, {"model": "5M", "device": "cpu", "scenario": "questions", "users": 1, "row": row, "run": run})
    assert [(row["row"], row["run"]) for row in results["rows"]] == [("a", "1"), ("e", "2")]


def test_portico_is_asked_through_its_guard_with_a_token_for_each_user(tmp_path: Path) -> None:
    with Served(tmp_path, "--ui", "streamlit", pace=0.005) as portico:
        url = portico.wait_ready().url
        server = client.OpenAI(url, "Scripted", servers.make_tokens(tmp_path, 3))
        outcome = client.drive(Plan([[[1, 2], [3]], [[4]], [[5]]], 0.1), server)
        assert [answer.error for answer in outcome.answers] == [""] * 4
        assert {answer.text for answer in outcome.answers} == {f"You said: {text}" for text in ("w1 w2", "w3", "w4", "w5")}
        assert all(answer.asked < answer.times[0] <= (answer.done or 0) for answer in outcome.answers)
        refused = client.drive(Plan([[[1]]], 0.0), client.OpenAI(url, "Scripted", ["portico_wrong"]))
        assert "401" in refused.answers[0].error


GRADIO = [["", None], ["w1 ", None], ["w1 w2", None]]


async def gradio(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What Gradio answers to its two calls, chunked as uvicorn does."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    whole = "event: complete\ndata: " + json.dumps(GRADIO[-1]) + "\n\n"
    stream = [f"event: generating\ndata: {json.dumps(value)}\n\n" for value in GRADIO] + [whole]
    parts = ['{"event_id":"abc"}'] if request.startswith("POST") else stream
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for part in parts:
        writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_gradios_whole_texts_become_what_was_new_in_each() -> None:
    server = await asyncio.start_server(gradio, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        texts = [text async for text in client.Gradio(url).texts(0, ["w9"], 2)]
    assert [text for text in texts if text] == ["w1 ", "w2"]
