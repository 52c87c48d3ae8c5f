"""Side by side without a browser: who may ask, what of the service's rules holds there, and what is said when it refuses."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from app import user_of
from auth.middleware import Guard
from auth.sessions import Account
from core.engine import LocalEngine
from core.engine.scheduler import Scheduler
from core.service import InferenceService
from core.store import Store
from core.tasks import chat_task
from core.types import ModelInfo, SamplingParams, User
from portal.compare import MAX_BODY, compare_routes
from portal.pages import Tab
from tests.support.auth import BASE, make_auth
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner

ADA = Account("ada", "Ada", "member")
BO = Account("bo", "Bo", "member")
TABS = [Tab("gradio", "Gradio"), Tab("streamlit", "Streamlit")]
LONG = ["word "] * 5000


class Site:
    """The guard and the routes over a scripted model, of which one request runs and one may wait."""

    def __init__(self, database: Engine, tabs: list[Tab]) -> None:
        self.auth = make_auth(database)
        self.runner = ScriptedRunner(lambda message: LONG if "long" in message else ["echo: ", message], pace_s=0.002)
        self.models = [ModelInfo("Scripted")]
        engine = LocalEngine(self.runner, Scheduler(max_waiting=1))
        self.service = InferenceService(Store(database), engine, [chat_task(SamplingParams(), 4096)], lambda: self.models)
        self.loaded = True
        self.broken: Exception | None = None
        inner = Starlette(routes=list(compare_routes(tabs, self._service, user_of, self._header)))
        self.guard = Guard(inner, self.auth.sessions, self.auth.site, find_token=self.auth.tokens.find)

    def client(self, account: Account | None = ADA, **headers: str) -> httpx.AsyncClient:
        """A browser in which `account` is signed in."""
        made = httpx.AsyncClient(transport=httpx.ASGITransport(self.guard), base_url=BASE, headers={"origin": BASE, **headers})
        if account:
            made.cookies.set(self.auth.site.cookie(BASE[7:]).name, self.auth.sessions.create(account))
        return made

    def _service(self) -> InferenceService | None:
        if self.broken:
            raise self.broken
        return self.service if self.loaded else None

    def _header(self, request: Any) -> dict[str, Any]:
        return {"model": "Scripted", "memory": "", "user": request.scope["user"].account, "offer": False}


@pytest.fixture
def site(database: Engine) -> Iterator[Site]:
    made = Site(database, TABS)
    yield made
    made.service.close()


@pytest.fixture
async def ada(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as made:
        yield made


async def ask(client: httpx.AsyncClient, message: str, conversation: str = "new", **values: Any) -> httpx.Response:
    return await client.post("/compare/ask", json={"conversation": conversation, "message": message, "values": values})


async def ended(client: httpx.AsyncClient, conversation: str) -> dict[str, Any]:
    """The conversation's state once its last run has ended."""
    while (state := (await client.get("/compare/state", params={"c": conversation})).json())["live"]:
        pass
    return dict(state)


def user(account: Account) -> User:
    return User(account.id, account.name, account.role, account.quota)


async def test_one_message_is_one_run_in_one_conversation_and_the_next_goes_on_in_it(site: Site, ada: httpx.AsyncClient) -> None:
    first = (await ask(ada, "hello")).json()
    assert first["run"]
    assert (await ended(ada, first["conversation"]))["model"].startswith("Scripted · ")
    second = (await ask(ada, "and more", first["conversation"])).json()
    await ended(ada, second["conversation"])
    runs = site.service.conversation(user(ADA), first["conversation"]).runs
    assert [(run.values["message"], run.text) for run in runs] == [("hello", "echo: hello"), ("and more", "echo: and more")]
    assert [run.id for run in runs] == [first["run"], second["run"]]


async def test_the_page_holds_every_frontend_at_the_conversation(site: Site, ada: httpx.AsyncClient) -> None:
    empty = (await ada.get("/compare")).text
    assert 'src="/gradio/?c=new"' in empty
    asked = (await ask(ada, "hello")).json()["conversation"]
    for address in (f"/compare?c={asked}", "/compare"):  # without an address, where one was last
        page = (await ada.get(address)).text
        assert f'src="/gradio/?c={asked}"' in page
        assert f'src="/streamlit/?c={asked}"' in page
    tablet = (await ada.get("/compare?width=tablet")).text
    assert 'value="tablet" data-pixels="768" checked' in tablet
    assert "<script>alert" not in (await ada.get("/compare", params={"c": "<script>alert(1)</script>"})).text


async def test_without_a_session_or_from_another_site_nothing_is_asked(site: Site, ada: httpx.AsyncClient) -> None:
    async with site.client(None) as nobody, site.client(ADA, origin="https://evil.example") as lured:
        assert (await ask(nobody, "hello")).status_code == 401
        assert (await nobody.get("/compare/state")).status_code == 401
        assert (await nobody.get("/compare")).status_code == 401
        assert (await ask(lured, "hello")).status_code == 403
        assert (await lured.post("/compare/stop", json={"run": "x"})).status_code == 403
    assert site.service.conversations(user(ADA)) == []


async def test_what_is_anothers_is_not_there(site: Site, ada: httpx.AsyncClient) -> None:
    theirs = (await ask(ada, "a long secret")).json()
    async with site.client(BO) as bo:
        page = (await bo.get(f"/compare?c={theirs['conversation']}")).text
        assert "does not exist, or it is not yours" in page
        assert theirs["conversation"] not in page
        for answer in (
            await bo.get("/compare/state", params={"c": theirs["conversation"]}),
            await ask(bo, "go on", theirs["conversation"]),
            await bo.post("/compare/stop", json={"run": theirs["run"]}),
        ):
            assert answer.status_code == 404
            assert "does not exist, or it is not yours" in answer.json()["error"]
            assert "secret" not in answer.text
    assert (await ada.get("/compare/state", params={"c": theirs["conversation"]})).json()["live"]


async def test_stop_ends_the_run_and_keeps_its_text(site: Site, ada: httpx.AsyncClient) -> None:
    asked = (await ask(ada, "a long one")).json()
    stopped = await ada.post("/compare/stop", json={"run": asked["run"]})
    assert (stopped.status_code, stopped.json()) == (200, {})
    assert "Stopped" in (await ended(ada, asked["conversation"]))["model"]


async def test_what_the_service_refuses_is_its_own_sentence(site: Site, ada: httpx.AsyncClient) -> None:
    blank = await ask(ada, "  ")
    assert (blank.status_code, blank.json()) == (400, {"error": "Type a message first."})
    assert "may have 100,000" in (await ask(ada, "x" * 100_001)).json()["error"]
    asked = (await ask(ada, "a long one")).json()
    assert "still answering" in (await ask(ada, "too soon", asked["conversation"])).json()["error"]
    assert "must be between" in (await ask(ada, "hello", temperature=99)).json()["error"]
    assert "no input named" in (await ask(ada, "hello", colour="red")).json()["error"]
    await ada.post("/compare/stop", json={"run": asked["run"]})


async def test_a_guest_asks_no_more_than_the_quota(site: Site) -> None:
    link, _ = site.auth.invitations.open_link("Demo", 3, 1, "owner", site.auth.clock() + timedelta(hours=1))
    async with site.client(site.auth.people.add_guest("Zoe", link.id, 1)) as zoe:
        assert "You are a guest, with 1 question in all" in (await zoe.get("/compare")).text
        assert (await ask(zoe, "hello")).status_code == 200
        used = await ask(zoe, "once more")
        assert used.status_code == 429
        assert "You have asked the one question" in used.json()["error"]
    assert len(site.runner.prompts) <= 1


async def test_where_the_queue_is_full_it_says_so(site: Site, ada: httpx.AsyncClient) -> None:
    gate = threading.Event()
    site.runner._answer = lambda message: LONG if gate.wait(10) else []  # nothing ends, and so nobody's turn comes
    answers = [(await ask(ada, "long")).json()]
    while not answers[-1]["error"] and len(answers) < 40:
        answers.append((await ask(ada, "long")).json())
    gate.set()
    for answer in answers[:-1]:
        await ada.post("/compare/stop", json={"run": answer["run"]})
    assert answers[-1]["error"].startswith("The model is busy")
    assert not answers[-1]["live"]


async def test_while_the_model_loads_the_page_is_there_and_a_message_is_kept(site: Site, ada: httpx.AsyncClient) -> None:
    site.loaded = False
    assert 'src="/gradio/?c=abc"' in (await ada.get("/compare?c=abc")).text
    refused = await ask(ada, "hello")
    assert refused.status_code == 503
    assert "still loading" in refused.json()["error"]


async def test_with_one_frontend_there_is_nothing_to_compare(database: Engine) -> None:
    alone = Site(database, TABS[:1])
    async with alone.client() as client:
        page = await client.get("/compare")
        assert page.status_code == 404
        assert "Side by side needs two frontends" in page.text
    alone.service.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 100_000, b"\xff", b'"' + b"x" * MAX_BODY + b'"'])
async def test_what_the_page_never_sends_is_refused_in_a_sentence(ada: httpx.AsyncClient, body: bytes) -> None:
    refused = await ada.post("/compare/ask", content=body)
    assert refused.status_code == 400
    assert refused.json()["error"].endswith(".")


async def test_what_nobody_expected_is_a_sentence_with_an_id(
    site: Site, ada: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    site.broken = RuntimeError("a secret of the server")
    refused = await ask(ada, "hello")
    assert refused.status_code == 500
    assert "error " in refused.json()["error"]
    assert "secret" not in refused.text


async def test_a_conversation_goes_on_with_its_own_settings(site: Site, ada: httpx.AsyncClient) -> None:
    """The frontends' panels keep theirs; what is asked here takes those of the last answer, whoever gave them."""
    asked = {"message": "hello", "system": "Be brief.", "max_tokens": 7}
    run = site.service.start(user(ADA), "chat", asked)
    wait_until(lambda: not site.service.conversation(user(ADA), run.conversation_id).live_run)
    await ask(ada, "go on", run.conversation_id)
    last = site.service.conversation(user(ADA), run.conversation_id).runs[-1]
    assert (last.values["system"], last.values["max_tokens"]) == ("Be brief.", 7)


async def test_several_models_are_a_choice_and_one_that_is_gone_is_told(site: Site, ada: httpx.AsyncClient) -> None:
    site.models = [ModelInfo("Scripted"), ModelInfo("Other")]
    state = (await ada.get("/compare/state", params={"c": "new"})).json()
    assert state["choices"] == [
        {"name": "model", "label": "Model", "options": ["Scripted", "Other"], "value": "Scripted", "gone": ""}
    ]
    assert state["model"] == "", "the choice says it"
    asked = (await ask(ada, "hello", model="Other")).json()
    assert asked["model"].startswith("Other")
    assert asked["choices"][0]["value"] == "Other"
    await ended(ada, asked["conversation"])
    site.models = [ModelInfo("Scripted"), ModelInfo("Third")]
    refused = await ask(ada, "go on", asked["conversation"], model="Other")
    assert refused.json()["error"].startswith("Other is not there any more")
    choice = (await ada.get("/compare/state", params={"c": asked["conversation"]})).json()["choices"][0]
    assert (choice["value"], choice["gone"]) == ("Scripted", "Other is not there any more. Scripted is chosen in its place.")
    assert (await ask(ada, "go on", asked["conversation"], model="Third")).json()["run"] != asked["run"]
