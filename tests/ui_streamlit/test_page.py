"""The page, run as Streamlit runs it, on a real service with a scripted model; no browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from streamlit.runtime import Runtime
from streamlit.testing.v1 import AppTest

import ui_streamlit
from core.engine import LocalEngine
from core.engine.scheduler import Scheduler
from core.frontend import Context
from core.service import InferenceService
from core.store import Store, runs
from core.tasks import Field, Task, chat_task
from core.types import Kind, ModelInfo, SamplingParams, User
from tests.conftest import ADA, BO
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner
from ui_streamlit.answer import plain
from ui_streamlit.page import signed_in

SCRIPT = Path(ui_streamlit.__file__).parent / "script.py"
EXAMPLES = ("What is *2* plus 2?", "Hello")


def make_task() -> Task:
    """The chat task with one field more of each Kind that it has none of."""
    task = chat_task(SamplingParams(), 4096, EXAMPLES)
    more = (
        Field("tone", Kind.CHOICE, "Tone", default="dry", choices=("dry", "warm")),
        Field("loud", Kind.FLAG, "Loud", default=False),
    )
    return replace(task, params=task.params + more, inputs=(*task.inputs, Field("name", Kind.TEXT, "Name", default="")))


@pytest.fixture
def service(database: Engine) -> Iterator[InferenceService]:
    service = InferenceService(Store(database), LocalEngine(ScriptedRunner(["Hel", "lo ", "**you**"])), [make_task()])
    yield service
    service.close()


@pytest.fixture
def page(service: InferenceService, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(ui_streamlit.frontend, "_context", Context(service, lambda scope: ADA, "/streamlit"))
    monkeypatch.setattr(Runtime, "_instance", Runtime._instance)  # AppTest forgets the one that may run
    page = AppTest.from_file(str(SCRIPT), default_timeout=10)
    page.user = {"id": "ada", "name": "Ada%20L", "role": "admin", "sid": "s"}
    return page


def texts(page: AppTest) -> list[str]:
    return [element.value for element in [*page.text, *page.markdown]]


def opened(page: AppTest) -> str:
    """What the URL names; AppTest gives a parameter back as it came, in a list or not."""
    value = page.query_params["c"]
    return value if isinstance(value, str) else value[0]


def said(page: AppTest, text: str) -> AppTest:
    page.chat_input[0].set_value(text).run()
    assert not page.exception
    return page


def test_the_guards_headers_become_a_user() -> None:
    user = signed_in({"id": "ada", "name": "%C3%84da%20L", "role": "admin", "sid": "s"})
    assert user is not None
    assert (user.id, user.name, user.role) == ("ada", "Äda L", "admin")
    assert user.quota is None
    guest = signed_in({"id": "guest-1", "name": "", "role": "guest", "quota": "2", "sid": "s"})
    assert guest is not None
    assert (guest.role, guest.quota) == ("guest", 2)
    assert signed_in({}) is None
    assert signed_in({"id": None, "name": None}) is None


def test_nobody_sees_a_sentence_and_nothing_else(page: AppTest) -> None:
    page.user = {}
    page.run()
    assert [error.value for error in page.error] == ["You are not signed in. Reload the page to sign in."]
    assert not page.chat_input
    assert not page.button
    assert not page.exception


def test_each_kind_has_its_component_with_the_fields_default(page: AppTest) -> None:
    page.run()
    assert {slider.label: slider.value for slider in page.slider}["Temperature"] == 0.7
    assert {slider.label: slider.value for slider in page.slider}["Top-k"] == 0
    assert {box.label: box.value for box in page.number_input} == {"Maximum answer length": 512, "Seed": None}
    assert [(area.label, area.value) for area in page.text_area] == [("System prompt", ""), ("Stop strings", "")]
    assert (page.text_input[0].label, page.text_input[0].value) == ("Name", "")
    assert (page.selectbox[0].label, page.selectbox[0].value, page.selectbox[0].options) == ("Tone", "dry", ["dry", "warm"])
    assert (page.toggle[0].label, page.toggle[0].value) == ("Loud", False)


def test_an_empty_page_offers_the_examples_and_a_press_asks_one(page: AppTest, service: InferenceService) -> None:
    page.run()
    assert opened(page) == "new"
    page.button(key="example-0").click().run()
    assert not page.exception
    (conversation,) = service.conversations(ADA)
    assert opened(page) == conversation.id
    assert "What is *2* plus 2?" in texts(page)


def test_a_message_is_answered_with_the_panels_values_and_its_figures_stand_below(
    page: AppTest, service: InferenceService
) -> None:
    page.run()
    page.text_area[0].set_value("Be brief").run()
    next(box for box in page.number_input if box.label == "Seed").set_value(7).run()
    said(page, "hi *there*")
    assert "hi *there*" in texts(page)
    assert "Hello **you**" in texts(page)
    assert any(caption.value.startswith("3 tokens") or caption.value.startswith("4 tokens") for caption in page.caption)
    (run,) = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    assert (run.values["system"], run.values["seed"], run.values["tone"]) == ("Be brief", 7, "dry")


def test_without_a_link_the_page_opens_the_last_conversation_and_its_settings(page: AppTest, service: InferenceService) -> None:
    run = service.start(ADA, "chat", {"message": "earlier", "system": "Be kind", "temperature": 0.2})
    page.run()
    assert opened(page) == run.conversation_id
    assert "earlier" in texts(page)
    assert page.text_area[0].value == "Be kind"
    assert page.slider[0].value == 0.2


def test_settings_that_the_model_cannot_take_any_more_fall_back_to_their_defaults(
    page: AppTest, service: InferenceService
) -> None:
    run = service.start(ADA, "chat", {"message": "earlier", "max_tokens": 4000})
    (task,) = service.tasks.values()
    params = tuple(replace(field, maximum=100, default=50) if field.name == "max_tokens" else field for field in task.params)
    service.tasks["chat"] = replace(task, params=params)
    page.query_params["c"] = run.conversation_id
    page.run()
    assert not page.exception
    assert next(slider for slider in page.slider if slider.label == "Maximum answer length").value == 50


def test_a_run_of_an_earlier_version_opens_and_is_answered_again_with_the_defaults_of_what_it_lacks(
    page: AppTest, service: InferenceService, database: Engine
) -> None:
    run = service.start(ADA, "chat", {"message": "earlier", "temperature": 0.2})
    wait_until(lambda: (found := Store(database).run(run.id)) and not found.live)
    older = {name: value for name, value in run.values.items() if name not in ("min_p", "stop", "tone")}
    with database.begin() as connection:
        connection.execute(update(runs).values(values=older))
    page.run()
    assert not page.exception
    assert {slider.label: slider.value for slider in page.slider}["Min-p"] == 0
    page.button(key=f"again-{run.id}").click().run()
    assert not page.exception
    assert not page.error
    (again,) = service.conversation(ADA, run.conversation_id).runs
    assert (again.id != run.id, again.values["temperature"], again.values["stop"]) == (True, 0.2, "")


def test_stop_strings_reach_the_run_and_too_many_are_a_sentence(page: AppTest, service: InferenceService) -> None:
    page.run()
    page.text_area[1].set_value("a\nb\nc\nd\ne").run()
    said(page, "hi")
    assert [error.value for error in page.error] == [plain("Stop strings: there are 5, and there may be 4. Leave some out.")]
    assert page.chat_input[0].proto.value == "hi"
    page.text_area[1].set_value("END\n").run()
    said(page, "hi")
    assert not page.error
    (run,) = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    assert run.values["stop"] == "END"


def test_a_full_queue_is_a_sentence_at_the_answer_and_the_question_stays(page: AppTest, service: InferenceService) -> None:
    page.run()
    with_room, full = service._engine, LocalEngine(ScriptedRunner([]), Scheduler(max_waiting=0))
    service._engine = full
    said(page, "and me")
    assert ["The model is busy" in error.value for error in page.error] == [True]
    assert "and me" in texts(page)
    service._engine = with_room
    (run,) = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    page.button(key=f"retry-{run.id}").click().run()
    assert not page.error
    assert "Hello **you**" in texts(page)
    full.close()


@pytest.mark.parametrize("asked", ["deadbeef", "foreign"])
def test_an_unknown_or_foreign_conversation_is_one_sentence_above_a_usable_composer(
    page: AppTest, service: InferenceService, asked: str
) -> None:
    if asked == "foreign":
        asked = service.start(BO, "chat", {"message": "secret"}).conversation_id
    page.query_params["c"] = asked
    page.run()
    assert ["not yours" in error.value for error in page.error] == [True]
    assert "secret" not in texts(page)
    said(page, "hi")
    assert not page.error
    assert [len(service.conversations(user)) for user in (ADA, BO)] == [1, 1 if asked != "deadbeef" else 0]


def test_a_failed_answer_shows_its_sentence_its_text_so_far_and_a_retry_in_place(
    page: AppTest, service: InferenceService
) -> None:
    page.run()
    said(page, "please fail")
    assert ["Something went wrong" in error.value for error in page.error] == [True]
    assert "Hello **you**" in texts(page)
    (failed,) = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    assert page.button(key=f"retry-{failed.id}").label == "Retry"
    page.button(key=f"retry-{failed.id}").click().run()
    assert not page.exception
    (again,) = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    assert again.id != failed.id
    assert page.button(key=f"retry-{again.id}").label == "Retry"


def test_a_guest_asks_no_more_than_the_quota(page: AppTest, service: InferenceService) -> None:
    page.user = {"id": "guest-1", "name": "", "role": "guest", "quota": "1", "sid": "s"}
    page.run()
    said(page, "one")
    assert not page.error
    said(page, "two")
    assert ["You have asked" in error.value for error in page.error] == [True]
    assert page.chat_input[0].proto.value == "two"
    (conversation,) = service.conversations(User("guest-1", ""))
    assert len(service.conversation(User("guest-1", ""), conversation.id).runs) == 1


def test_regenerate_is_offered_for_the_last_answer_alone(page: AppTest, service: InferenceService) -> None:
    page.run()
    said(page, "one")
    said(page, "two")
    first, last = service.conversation(ADA, service.conversations(ADA)[0].id).runs
    assert [button.key for button in page.button if button.label == "Regenerate"] == [f"again-{last.id}"]
    page.button(key=f"again-{last.id}").click().run()
    assert [run.id == first.id for run in service.conversation(ADA, first.conversation_id).runs] == [True, False]


def test_a_refused_message_is_explained_and_stays_in_the_composer(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    page.run()
    said(page, "x" * 100_001)
    assert ["Shorten it" in error.value for error in page.error] == [True]
    assert page.chat_input[0].proto.value == "x" * 100_001
    assert page.chat_input[0].proto.set_value


def test_an_error_nobody_expected_is_a_sentence_with_an_id_and_the_composer_lives(
    page: AppTest, service: InferenceService, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.run()
    with monkeypatch.context() as patch:
        patch.setattr(InferenceService, "start", lambda *args: 1 / 0)
        said(page, "hi")
        assert ["Something went wrong on the server" in error.value for error in page.error] == [True]
        assert page.chat_input[0].proto.value == "hi"
        patch.setattr(InferenceService, "conversation", lambda *args: 1 / 0)
        page.query_params["c"] = "anything"
        page.run()
        assert ["Something went wrong on the server" in error.value for error in page.error] == [True]
        assert page.chat_input
    assert not said(page, "hi").error


def test_clear_deletes_the_conversation_and_opens_an_empty_page(page: AppTest, service: InferenceService) -> None:
    page.run()
    said(page, "one")
    page.button(key="clear-confirmed").click().run()
    assert service.conversations(ADA) == []
    assert opened(page) == "new"
    assert page.button(key="example-0")


def test_the_side_panel_lists_conversations_by_their_titles_and_opens_one(page: AppTest, service: InferenceService) -> None:
    first = service.start(ADA, "chat", {"message": "**first** :red[one]"})
    page.query_params["c"] = "new"
    page.run()
    button = page.button(key=f"open-{first.conversation_id}")
    assert button.label == "\\*\\*first\\*\\* \\:red\\[one\\]"
    button.click().run()
    assert "**first** :red[one]" in texts(page)
    page.button(key="new-chat").click().run()
    assert opened(page) == "new"


def test_models_that_come_and_go_are_choices_on_the_open_page(page: AppTest, service: InferenceService) -> None:
    names = ["first"]
    service._models = lambda: [ModelInfo(name) for name in names]

    def drawn() -> dict[str, str]:
        assert not page.run().exception
        return {one.label: one.value for one in page.selectbox}

    assert "Model" not in drawn()
    page.sidebar.slider[0].set_value(0.25)
    names += ["second", "third"]
    assert drawn()["Model"] == "first"
    assert page.sidebar.slider[0].value == 0.25, "what was set is kept"
    page.selectbox(key="field-model").set_value("second")
    said(page, "Hi")
    asked = service.conversation(ADA, opened(page)).runs[-1]
    assert (asked.model, asked.values["model"]) == ("second", "second")
    wait_until(lambda: not service.conversation(ADA, opened(page)).live_run)
    page.run()
    assert any(one.value.startswith("second") for one in page.caption), "who answered stands under the answer"

    names.remove("second")
    said(page, "Again")
    assert "second is not there any more" in page.error[0].value.replace("\\", "")
    assert len(service.conversation(ADA, opened(page)).runs) == 1, "no other answers in its place without a word"
    assert drawn()["Model"] == "first"
    assert any("second is not there any more" in one.value.replace("\\", "") for one in page.caption), "at the field too"
    page.selectbox(key="field-model").set_value("third").run()
    assert not any("not there any more" in one.value for one in page.caption)
