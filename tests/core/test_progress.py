from __future__ import annotations

from core.progress import Progress


def test_steps_go_on_and_each_change_is_told() -> None:
    told: list[bool] = []
    progress = Progress({"a": "First", "b": "Second"}, changed=lambda now: told.append(now.ready))
    progress.begin("a")
    progress.report("a", 5, 10, "B")
    assert (progress.steps["a"].done, progress.steps["a"].total, progress.steps["a"].unit) == (5, 10, "B")
    progress.finish("a")
    assert not progress.ready
    progress.begin("b")
    progress.finish("b")
    assert progress.ready
    assert told == [False] * 4 + [True]
