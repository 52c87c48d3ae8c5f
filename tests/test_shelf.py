"""What people are shown of the models, over the real Router; its models come from a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from auth.routes.admin_models import NotDone
from core.engine import LocalEngine
from core.engine.room import Found, Report
from core.engine.router import Router
from core.engine.served import Entry
from core.errors import ModelNotFound, UserError
from core.sources import LocalModels
from core.types import ModelInfo
from shelf import Shelf, counted, figures, many, row, words
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner

MEGA = 10**6


class Scripted:
    """Each model weighs 100 MB, those whose reference has "large" in it 900; "nothing" is not there, "broken" has bad files."""

    def identify(self, reference: str) -> tuple[str, str, int]:
        if "nothing" in reference:
            raise ModelNotFound(reference, "there is no such folder.")
        return reference, reference, self._weigh(reference)

    def find(self, reference: str, report: Report) -> Found:
        report(5 * MEGA, 10 * MEGA)
        if "broken" in reference:
            raise ModelNotFound(reference, "its files are damaged.")
        return Found(lambda cache, told: LocalEngine(ScriptedRunner(["hi"])), self._weigh(reference))

    def _weigh(self, reference: str) -> int:
        return (900 if "large" in reference else 100) * MEGA


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router(Scripted(), budget=1_600 * MEGA, base=600 * MEGA)
    made.start([("", "org/first")])
    yield made
    made.close()


@pytest.fixture
def shelf(router: Router) -> Shelf:
    return Shelf(lambda: router)


def states(shelf: Shelf) -> dict[str, str]:
    return {row.name: row.state for row in shelf.rows()}


def test_before_the_engine_is_there_nothing_is_shown_and_nothing_done() -> None:
    shelf = Shelf(lambda: None)
    assert (shelf.rows(), shelf.states(), shelf.memory(), shelf.short()) == ([], [], None, "")
    with pytest.raises(NotDone, match="still starting"):
        shelf.load("org/second", "")


def test_models_come_and_go_and_come_again_under_their_own_names(shelf: Shelf) -> None:
    (first,) = shelf.rows()
    assert (first.name, first.is_default, first.may_load, first.may_unload) == ("org/first", True, False, False)
    assert shelf.load("org/second", "") == "org/second"
    wait_until(lambda: states(shelf)["org/second"] == "ready")
    assert [row.may_unload for row in shelf.rows()] == [False, True], "the default stays: the pages name it"
    assert shelf.unload("org/second") == "org/second"
    second = shelf.rows()[1]
    assert (second.state, second.words, second.may_load, second.may_remove) == ("unloaded", "not loaded", True, True)
    shelf.load(second.reference, second.name)  # as its row's button does
    wait_until(lambda: states(shelf)["org/second"] == "ready")


def test_a_refusal_names_its_field(shelf: Shelf) -> None:
    for reference, name, field in (("nothing", "", "reference"), ("org/second", "a b", "name"), ("other", "org/first", "name")):
        with pytest.raises(NotDone) as refused:
            shelf.load(reference, name)
        assert refused.value.field == field
    with pytest.raises(NotDone, match="org/first") as refused:
        shelf.unload("org/first")
    assert refused.value.field == ""


def test_what_fails_later_stands_in_its_row(shelf: Shelf) -> None:
    shelf.load("broken", "")
    wait_until(lambda: states(shelf)["broken"] == "failed")
    row = shelf.rows()[1]
    assert "its files are damaged" in row.error
    assert row.may_load
    assert row.may_remove
    assert not row.in_progress


def test_what_is_there_already_is_said_in_place_of_loading_it(shelf: Shelf) -> None:
    with pytest.raises(NotDone, match="ready already, as org/first") as refused:
        shelf.load("org/first", "")
    assert refused.value.field == "reference"


def test_what_is_wrong_with_no_field_is_said_above_them() -> None:
    """A bound on how many are fetched at a time, say."""

    class Bounded(Router):
        def load(self, reference: str, name: str = "") -> Entry:
            raise UserError("Two are being fetched already.")

    router = Bounded(Scripted())
    router.start([("", "org/first")])
    for reference, name in (("org/second", ""), ("org/second", "mine"), ("org/first", "org/first")):
        with pytest.raises(NotDone, match="Two are") as refused:
            Shelf(lambda: router).load(reference, name)
        assert refused.value.field == ""
    router.close()


def test_a_model_is_taken_off_the_list() -> None:
    class Forgetful(Router):
        """As the Router does it."""

        def forget(self, name: str) -> None:
            if name == self.default:
                raise UserError(f"{name!r} is the default.")
            self.forgotten = name

    router = Forgetful(Scripted())
    router.start([("", "org/first")])
    shelf = Shelf(lambda: router)
    shelf.load("broken", "mine")
    wait_until(lambda: states(shelf)["mine"] == "failed")
    assert (shelf.forget("mine"), router.forgotten) == ("broken", "mine")
    with pytest.raises(NotDone, match="is the default"):
        shelf.forget("org/first")
    assert not shelf.rows()[0].may_remove
    router.close()


def test_a_row_keeps_its_id_whatever_goes_before_it() -> None:
    entries = [Entry(name, name, "ready") for name in ("a", "b", "org/c d")]
    ids = [row(one, False).id for one in entries]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"model-[0-9a-f]{8}", one) for one in ids)
    assert row(entries[1], True).id == ids[1]


def test_a_folder_that_cannot_be_looked_at_is_said_at_the_field(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "identify", LocalModels(8 * 10**9, nullcontext).identify)
    for reference in ("~nobody-of-this-name/x", "/" + "x" * 300):
        with pytest.raises(NotDone, match="there is no such folder") as refused:
            shelf.load(reference, "")
        assert refused.value.field == "reference"


def test_memory_is_told_in_words_and_follows_what_is_loaded(shelf: Shelf) -> None:
    memory = shelf.memory()
    assert memory
    assert (memory.taken, memory.limit) == (100 * MEGA, 1_000 * MEGA)
    assert memory.sentence == "1 model takes 100 MB, and 900 MB is free for others."
    assert shelf.short() == "100 MB of 1 GB", "the limit that the models' page has, too"
    shelf.load("large", "")
    wait_until(lambda: states(shelf) == {"org/first": "ready", "large": "ready"})
    assert shelf.short() == "1 GB of 1 GB"
    shelf.unload("large")
    assert shelf.short() == "100 MB of 1 GB"


def test_no_memory_is_shown_where_it_is_another_machines() -> None:
    router = Router(Scripted())
    router.start([("", "org/first")])
    assert (Shelf(lambda: router).memory(), Shelf(lambda: router).short()) == (None, "")
    router.close()


def test_ready_tells_how_far_each_is_and_why_one_runs_alone(router: Router) -> None:
    (told,) = Shelf(lambda: router).states()
    assert told == {"name": "org/first", "state": "ready", "done": 0, "total": 0, "unit": "", "alone": ""}


def test_ready_tells_nobody_where_a_folder_lies() -> None:
    router = Router(Scripted())
    router.start([("", "org/first"), ("", "/srv/models/nothing"), ("mine", "./nothing")])
    shelf = Shelf(lambda: router)
    assert [one["name"] for one in shelf.states()] == ["org/first", "nothing", "mine"]
    assert "/srv" not in str(shelf.states())
    router.close()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry("a", "/a", "getting"), "being looked at"), (Entry("a", "org/a", "getting", 0, 40 * MEGA, "B"), "being fetched"),
        (Entry("a", "a", "loading"), "being loaded"), (Entry("a", "a", "ready"), "ready"),
    ],
)  # fmt: skip
def test_a_state_in_words(entry: Entry, said: str) -> None:
    assert words(entry) == said


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry("a", "a", "getting", 10 * MEGA, 40 * MEGA, "B"), "10 of 40 MB are here"),
        (Entry("a", "a", "loading", 3, 1_200), "3 of 1,200 tensors are loaded"),
        (Entry("a", "a", "getting"), "Looking at it first"),
        (Entry("a", "a", "loading"), "Its turn comes in a moment"),
    ],
)
def test_progress_in_words(entry: Entry, words: str) -> None:
    assert counted(entry) == words


def test_figures_leave_out_what_is_not_known() -> None:
    assert figures(Entry("a", "a", "unloaded")) == ()
    assert figures(Entry("a", "a", "unloaded", needs=80_000)) == (("Memory", "under 1 MB"),)
    info = ModelInfo("a", context=2048, parameters=5_200_000, dtype="bfloat16", device="cuda")
    shown = dict(figures(Entry("a", "a", "ready", info=info, needs=85 * MEGA, busy=2)))
    assert shown == {
        "Parameters": "5.2 million", "Computed in": "bfloat16 on cuda", "Context": "2,048 tokens", "Memory": "85 MB",
        "Requests in hand": "2",
    }  # fmt: skip
    assert "Parameters" not in dict(figures(Entry("a", "a", "ready", info=ModelInfo("a"))))


@pytest.mark.parametrize(("number", "words"), [(420, "420"), (36_800, "36.8 thousand"), (3_090_000_000, "3.09 billion")])
def test_numbers_of_parameters_for_people(number: int, words: str) -> None:
    assert many(number) == words
