from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.engine import LocalEngine
from core.engine.router import Router
from core.engine.scheduler import Scheduler
from core.errors import BadInput, Interrupted, ModelError, NotFound, NotTheLast, QuotaUsed, StillAnswering
from core.service import InferenceService
from core.store import Run, Store
from core.tasks import chat_task
from core.types import Delta, Failed, Finished, Message, ModelInfo, SamplingParams, User
from tests.conftest import ADA, BO
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner
from tests.support.source import ScriptedSource


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner(lambda message: ["long "] * 2000 if "long" in message else ["echo: ", message], pace_s=0.002)


@pytest.fixture
def service(database: Engine, runner: ScriptedRunner) -> Iterator[InferenceService]:
    made = InferenceService(Store(database), LocalEngine(runner), [chat_task(SamplingParams(), 4096)])
    yield made
    made.close()


def ask(service: InferenceService, message: str, conversation: str = "", **values: object) -> Run:
    return service.start(ADA, "chat", {"message": message, **values}, conversation)  # type: ignore[dict-item]


def end(service: InferenceService, run: Run) -> Run:
    """Wait for the run's end; the run as it then stands."""
    for _ in service.watch(ADA, run.id):
        pass
    return next(one for one in service.conversation(ADA, run.conversation_id).runs if one.id == run.id)


def test_a_conversation_goes_on_with_all_that_was_said(service: InferenceService, runner: ScriptedRunner) -> None:
    first = end(service, ask(service, "hello", system="Be brief."))
    assert (first.text, first.status, first.reason) == ("echo: hello", "finished", "stop")
    end(service, ask(service, "more", first.conversation_id, system="Be brief."))
    assert [(message.role, message.content) for message in runner.prompts[-1]] == [
        ("system", "Be brief."), ("user", "hello"), ("assistant", "echo: hello"), ("user", "more"),
    ]  # fmt: skip
    assert [one.title for one in service.conversations(ADA)] == ["hello"]


def test_a_run_records_what_is_needed_to_repeat_it(service: InferenceService) -> None:
    run = end(service, ask(service, "hello", temperature=0.3))
    assert run.model == "Scripted"
    assert run.seed is not None
    assert run.values["temperature"] == 0.3
    assert "torch" in run.versions
    assert end(service, ask(service, "hello", seed=7)).seed == 7


def test_a_run_outlives_its_watchers(service: InferenceService) -> None:
    run = ask(service, "hello")
    service.watch(ADA, run.id).close()
    wait_until(lambda: service.conversation(ADA, run.conversation_id).runs[0].status == "finished")
    assert Delta("echo: hello") in [*service.watch(ADA, run.id)]


def test_cancel_keeps_the_partial_text(service: InferenceService) -> None:
    run = ask(service, "long")
    stream = service.watch(ADA, run.id)
    seen = 0
    for event in stream:
        seen += len(event.text) if isinstance(event, Delta) else 0
        if seen > 20:
            service.cancel(ADA, run.id)
    ended = end(service, run)
    assert (ended.status, ended.reason) == ("finished", "cancelled")
    assert len(ended.text) >= seen
    service.cancel(ADA, run.id)  # an ended run is left alone


def test_one_message_at_a_time(service: InferenceService) -> None:
    run = ask(service, "long")
    with pytest.raises(StillAnswering):
        ask(service, "again", run.conversation_id)
    with pytest.raises(StillAnswering):
        service.answer_again(ADA, run.id)
    service.cancel(ADA, run.id)
    end(service, run)
    assert end(service, ask(service, "again", run.conversation_id)).status == "finished"


def test_answering_again_takes_the_place_of_the_old_answer(service: InferenceService, runner: ScriptedRunner) -> None:
    first = end(service, ask(service, "one"))
    second = end(service, ask(service, "two", first.conversation_id))
    again = end(service, service.answer_again(ADA, second.id, {"temperature": 0.1}))
    shown = service.conversation(ADA, first.conversation_id).runs
    assert [one.id for one in shown] == [first.id, again.id]
    assert again.values == {**second.values, "temperature": 0.1}
    assert [message.content for message in runner.prompts[-1]] == ["one", "echo: one", "two"]
    assert service.watch(ADA, second.id), "the old answer is kept"


def test_a_page_that_missed_what_was_said_since_asks_nothing_again(service: InferenceService) -> None:
    first = end(service, ask(service, "one"))
    second = end(service, ask(service, "two", first.conversation_id))
    with pytest.raises(NotTheLast):
        service.answer_again(ADA, first.id)
    again = end(service, service.answer_again(ADA, second.id))
    once_more = end(service, service.answer_again(ADA, second.id))  # a tab that shows the answer before last
    assert [one.id for one in service.conversation(ADA, first.conversation_id).runs] == [first.id, once_more.id]
    assert again.id != once_more.id


def test_two_tabs_that_send_at_once_start_one_run(service: InferenceService) -> None:
    first = end(service, ask(service, "one"))
    refused: list[Exception] = []
    together = threading.Barrier(2)

    def send() -> None:
        together.wait()
        try:
            ask(service, "long", first.conversation_id)
        except StillAnswering as error:
            refused.append(error)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert len(service.conversation(ADA, first.conversation_id).runs) == 2


def test_characters_that_no_database_takes_are_left_out(service: InferenceService) -> None:
    run = end(service, ask(service, "a\0b\ud800c"))
    assert run.text == "echo: abc"
    with pytest.raises(NotFound):
        service.conversation(ADA, "c\0")


def test_a_failed_run_is_answered_again_and_the_conversation_lives(service: InferenceService) -> None:
    failed = end(service, ask(service, "fail with long text"))
    assert failed.status == "failed"
    assert failed.error
    assert isinstance([*service.watch(ADA, failed.id)][-1], Failed)
    assert end(service, ask(service, "go on", failed.conversation_id)).text == "echo: go on"


def test_two_users_never_meet(service: InferenceService) -> None:
    run = ask(service, "secret")
    end(service, run)
    for reach in (
        lambda: service.watch(BO, run.id),
        lambda: service.cancel(BO, run.id),
        lambda: service.answer_again(BO, run.id),
        lambda: service.conversation(BO, run.conversation_id),
        lambda: service.delete_conversation(BO, run.conversation_id),
        lambda: service.start(BO, "chat", {"message": "x"}, run.conversation_id),
        lambda: service.watch(BO, "no such run"),
    ):
        with pytest.raises(NotFound):
            reach()
    assert service.conversations(BO) == []
    assert service.last_conversation(BO) is None


def test_a_guest_asks_as_many_questions_as_the_quota_says(service: InferenceService) -> None:
    guest, other = User("guest-1", "Guest", "guest", quota=3), User("guest-2", "Guest", "guest", quota=1)

    def ask_as(user: User, message: str = "hi", conversation: str = "") -> Run:
        run = service.start(user, "chat", {"message": message}, conversation)
        for _ in service.watch(user, run.id):
            pass
        return run

    first = ask_as(guest)
    with pytest.raises(BadInput):
        ask_as(guest, " ")  # nothing was asked by this, so it counts for nothing
    again = service.answer_again(guest, first.id)
    for _ in service.watch(guest, again.id):
        pass
    service.delete_conversation(guest, first.conversation_id)
    last = ask_as(guest)
    for refused in (
        lambda: ask_as(guest),
        lambda: ask_as(guest, "x", last.conversation_id),
        lambda: service.answer_again(guest, last.id),
    ):
        with pytest.raises(QuotaUsed, match="all 3 questions"):
            refused()
    assert len(service.conversations(guest)) == 1, "what was deleted was asked all the same"
    ask_as(other)
    with pytest.raises(QuotaUsed):
        ask_as(other)
    assert ask_as(ADA), "who has no quota asks on"


def test_who_is_forgotten_while_they_are_answered_leaves_nothing(service: InferenceService, database: Engine) -> None:
    guest = User("guest-1", "Guest", "guest", quota=9)
    runs = [service.start(guest, "chat", {"message": f"long {number}", "max_tokens": 2000}) for number in range(2)]
    _, unwritten = service.complete(guest, "chat", [Message("user", "long")], {"max_tokens": 2000})
    mine = ask(service, "long", max_tokens=2000)
    wait_until(lambda: service.conversation(guest, runs[0].conversation_id).runs[0].text)  # the others run, or wait
    streams = [unwritten, *(service.watch(guest, run.id) for run in runs)]
    service.forget(guest.id)
    for stream in streams:
        last = [*stream][-1]
        assert isinstance(last, Finished)
        assert last.reason == "cancelled"
    store = Store(database)
    wait_until(lambda: not service._runs.live_of(guest.id))
    assert store.export(guest.id) == {"conversations": []}
    assert [store.run(run.id) for run in runs] == [None, None], "nothing is written down after them"
    assert service.conversation(ADA, mine.conversation_id).live_run, "others are answered on"
    service.cancel(ADA, mine.id)
    service.forget("nobody")


def test_bad_input_starts_nothing(service: InferenceService) -> None:
    with pytest.raises(BadInput):
        ask(service, " ")
    with pytest.raises(BadInput):
        service.start(ADA, "no such task", {"message": "x"})
    assert service.conversations(ADA) == []


def test_a_conversation_is_deleted_while_it_is_answered(service: InferenceService) -> None:
    run = ask(service, "long")
    stream = service.watch(ADA, run.id)
    service.delete_conversation(ADA, run.conversation_id)
    assert isinstance([*stream][-1], Finished)
    assert service.conversations(ADA) == []


def test_who_comes_back_finds_the_last_conversation_and_its_running_answer(service: InferenceService) -> None:
    end(service, ask(service, "first"))
    run = ask(service, "long")
    wait_until(lambda: service.conversation(ADA, run.conversation_id).runs[0].text)
    found = service.last_conversation(ADA)
    assert found is not None
    assert found.live_run is not None
    assert found.live_run.id == run.id
    assert found.live_run.text.startswith("long ")


def test_after_a_crash_a_run_says_so_and_keeps_its_text(database: Engine, runner: ScriptedRunner) -> None:
    store = Store(database)
    store.add_run(Run("r", "c", "ada", "chat", "m", {"message": "hi"}, status="running", text="half"), "hi")
    service = InferenceService(store, LocalEngine(runner), [chat_task(SamplingParams(), 4096)])
    run = service.conversation(ADA, "c").runs[0]
    assert (run.status, run.error, run.text) == ("failed", Interrupted().message, "half")
    service.close()


def test_a_long_first_message_makes_a_short_title(service: InferenceService) -> None:
    run = ask(service, "word \n " * 40)
    end(service, run)
    title = service.conversations(ADA)[0].title
    assert len(title) <= 60
    assert "\n" not in title
    assert title.endswith("…")


def test_a_completion_reads_the_turns_it_is_given_and_leaves_nothing(service: InferenceService, runner: ScriptedRunner) -> None:
    """For programs that keep their own history: the API."""
    messages = [Message("system", "Be\0 brief."), Message("user", "one"), Message("user", "two"), Message("user", "three")]
    run, stream = service.complete(ADA, "chat", messages, {"temperature": 0.5, "seed": 7})
    events = [*stream]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "echo: three"
    assert isinstance(events[-1], Finished)
    assert (run.user_id, run.seed, run.values["temperature"]) == ("ada", 7, 0.5)
    assert runner.prompts[-1] == [Message("system", "Be brief."), *messages[1:]], "as they are: none is dropped or moved"
    assert service.conversations(ADA) == []
    with pytest.raises(NotFound):
        service.watch(ADA, run.id)


def test_a_completion_is_watched_and_cancelled_by_its_owner_alone_while_it_lasts(service: InferenceService) -> None:
    run, stream = service.complete(ADA, "chat", [Message("user", "long")], {})
    with pytest.raises(NotFound):
        service.watch(BO, run.id)
    with pytest.raises(NotFound):
        service.cancel(BO, run.id)
    with service.watch(ADA, run.id) as second:
        assert next(second)
    with pytest.raises(NotFound):
        service.answer_again(ADA, run.id)
    service.cancel(ADA, run.id)
    *_, last = stream
    assert isinstance(last, Finished)
    assert last.reason == "cancelled"


def test_a_completion_counts_and_what_is_wrong_with_it_counts_nothing(service: InferenceService, runner: ScriptedRunner) -> None:
    guest = User("guest-1", "Guest", "guest", quota=1)
    hello = Message("user", "hello")
    for messages, values, field in (
        ([], {}, "messages"), ([Message("assistant", "hi")], {}, "messages"), ([Message("user", " ")], {}, "message"),
        ([Message("user", "x" * 100_001)], {}, "messages"), ([hello], {"temperature": 9}, "temperature"),
        ([hello], {"colour": 1}, "colour"),
    ):  # fmt: skip
        with pytest.raises(BadInput) as refused:
            service.complete(guest, "chat", messages, values)
        assert refused.value.field == field
    with pytest.raises(BadInput):
        service.complete(guest, "draw", [hello], {})
    assert not runner.prompts
    assert isinstance([*service.complete(guest, "chat", [hello], {})[1]][-1], Finished)
    with pytest.raises(QuotaUsed):
        service.complete(guest, "chat", [hello], {})


def test_a_completion_that_is_refused_says_by_a_code_why(database: Engine) -> None:
    engine = LocalEngine(ScriptedRunner(["word "] * 5000, pace_s=0.01), Scheduler(max_waiting=0))
    service = InferenceService(Store(database), engine, [chat_task(SamplingParams(), 4096)])
    busy = [*service.complete(ADA, "chat", [Message("user", "x")], {})[1]][-1]
    assert isinstance(busy, Failed)
    assert busy.code == "busy"
    service.close()
    stopped = [*service.complete(ADA, "chat", [Message("user", "x")], {})[1]][-1]
    assert isinstance(stopped, Failed)
    assert stopped.code == "interrupted"


def test_a_guest_who_is_turned_away_keeps_the_question(database: Engine) -> None:
    guest = User("guest-1", "Guest", "guest", quota=1)
    full = InferenceService(
        Store(database), LocalEngine(ScriptedRunner(["a"]), Scheduler(max_waiting=0)), [chat_task(SamplingParams(), 4096)]
    )
    for _ in range(3):
        run = full.start(guest, "chat", {"message": "hi"})
        assert "busy" in full.watch(guest, run.id).__next__().message  # type: ignore[union-attr]
    full.close()
    free = InferenceService(Store(database), LocalEngine(ScriptedRunner(["a"])), [chat_task(SamplingParams(), 4096)])
    free.start(guest, "chat", {"message": "hi"})
    with pytest.raises(QuotaUsed):
        free.start(guest, "chat", {"message": "again"})
    free.close()


def test_a_guest_who_is_turned_away_after_a_while_keeps_the_question_too(database: Engine) -> None:
    """The model that the guest waits for does not come back."""
    source = ScriptedSource(a=600, b=600)
    router = Router(source, 1000, keep_s=0)
    router.start([("", "a"), ("", "b")])
    wait_until(lambda: len(router.askable()) == 2)
    service = InferenceService(Store(database), router, [chat_task(SamplingParams(), 4096)], router.askable)
    guest = User("guest-1", "Guest", "guest", quota=1)
    source.gate.clear()
    source.broken["b"] = ModelError("b is damaged.")
    run = service.start(guest, "chat", {"message": "hi", "model": "b"})
    source.gate.set()
    *_, last = service.watch(guest, run.id)
    assert isinstance(last, Failed)
    assert "could not be loaded" in last.message
    assert isinstance([*service.watch(guest, service.start(guest, "chat", {"message": "hi", "model": "a"}).id)][-1], Finished)
    with pytest.raises(QuotaUsed):
        service.start(guest, "chat", {"message": "again"})
    service.close()


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router(ScriptedSource(a=300, b=300, c=300), 800, keep_s=0)
    made.start([("", "a"), ("", "b")])
    wait_until(lambda: len(made.askable()) == 2)
    yield made
    made.close()


@pytest.fixture
def several(database: Engine, router: Router) -> Iterator[InferenceService]:
    made = InferenceService(Store(database), router, [chat_task(SamplingParams(), 4096)], router.askable)
    yield made
    made.close()


def choices(service: InferenceService) -> tuple[str, ...]:
    return next((field.choices for field in service.tasks["chat"].fields if field.name == "model"), ())


def test_with_several_models_a_task_has_a_choice_of_those_that_can_be_asked(several: InferenceService, router: Router) -> None:
    assert choices(several) == ("a", "b")
    router.load("c")
    wait_until(lambda: [entry.state for entry in router.entries()] == ["unloaded", "ready", "ready"])
    assert choices(several) == ("a", "b", "c"), "the default has left for c, and comes back when it is asked"
    router.unload("c")
    assert choices(several) == ("a", "b")
    run = end(several, ask(several, "hi", model="b"))
    assert (run.model, run.text) == ("b", "b: hi")
    run = end(several, ask(several, "hi"))
    assert (run.model, run.text, run.values["model"]) == ("a", "a: hi", "a")
    with pytest.raises(BadInput, match="Model must be one of a, b"):
        ask(several, "hi", model="c")


def test_with_one_model_there_is_nothing_to_choose_and_it_may_be_named_all_the_same(
    several: InferenceService, router: Router
) -> None:
    router.unload("b")
    assert choices(several) == ()
    run = end(several, ask(several, "hi", model="a"))
    assert (run.model, run.text) == ("a", "a: hi")
    assert end(several, ask(several, "hi")).model == "a"
    with pytest.raises(BadInput, match="a answers now"):
        ask(several, "hi", model="b")


def test_a_conversation_outlives_its_model(several: InferenceService, router: Router) -> None:
    first = end(several, ask(several, "hi", model="b"))
    assert end(several, several.answer_again(ADA, first.id)).model == "b", "the same model answers again"
    assert end(several, several.answer_again(ADA, first.id, {"model": "a"})).model == "a", "or another, if that is wanted"
    second = end(several, ask(several, "more", first.conversation_id, model="b"))
    router.unload("b")
    assert [run.model for run in several.conversation(ADA, first.conversation_id).runs] == ["a", "b"]
    again = end(several, several.answer_again(ADA, second.id))
    assert (again.model, again.figures.split(" · ")[0]) == ("a", "a"), "another answers, and says so"
    assert end(several, ask(several, "on", first.conversation_id)).model == "a"


def test_no_other_model_answers_again_without_being_chosen(several: InferenceService, router: Router) -> None:
    router.load("c")
    wait_until(lambda: choices(several) == ("a", "b", "c"))
    asked = end(several, ask(several, "hi", model="b"))
    wait_until(lambda: not router.busy)
    router.unload("b")
    for values in (None, {"temperature": 0.1}):  # such as a page sends that has no choice of models yet
        with pytest.raises(BadInput, match="b is not there any more") as refused:
            several.answer_again(ADA, asked.id, values)
        assert refused.value.field == "model"
    assert end(several, several.answer_again(ADA, asked.id, {"model": "c"})).model == "c"


def test_the_longest_context_bounds_an_answer(database: Engine) -> None:
    models = [ModelInfo("a", context=1000), ModelInfo("b", context=9000)]
    service = InferenceService(
        Store(database), LocalEngine(ScriptedRunner(["x"])), [chat_task(SamplingParams(), 1000)], lambda: models
    )
    longest = next(field for field in service.tasks["chat"].fields if field.name == "max_tokens")
    assert (longest.maximum, longest.default) == (8999, 500)
    service.close()


def test_a_program_asks_the_model_that_it_names(several: InferenceService) -> None:
    run, stream = several.complete(ADA, "chat", [Message("user", "hi")], {"model": "b"})
    assert "".join(event.text for event in stream if isinstance(event, Delta)) == "b: hi"
    assert run.model == "b"
