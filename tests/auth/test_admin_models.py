"""The models' page: who may open it, what loading and unloading ask for first, and where it says what went wrong."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from auth.people import OWNER
from auth.routes.admin_models import MODELS, NotDone
from auth.sessions import FRESH, Account
from shelf import Row
from tests.auth.site import Site
from tests.auth.test_admin import enrol

ADA = Account("ada", "Ada", "member")
WANTED = {"reference": "org/café <b>", "name": "small one"}


def row(name: str, state: str, **changes: Any) -> Row:
    given = {
        "id": f"model-{name}", "name": name, "reference": f"org/{name}", "state": state, "words": state, "is_default": False,
        "fraction": None, "counted": "", "figures": (), "alone": "", "error": "", "may_load": state in ("unloaded", "failed"),
        "may_unload": state == "ready",
    }  # fmt: skip
    return Row(**(given | changes))


class ScriptedModels:
    """Stands at the seam for the engine; `asked` is what was asked of it, `refuses` how it refuses."""

    def __init__(self, *rows: Row) -> None:
        self.given, self.asked, self.refuses = rows, [], None  # type: ignore[var-annotated]

    def rows(self) -> tuple[Row, ...]:
        return self.given

    def memory(self) -> Any:
        return {"taken": 2, "limit": 8, "sentence": "2 models take 2 GB of 8 GB; 6 GB is free.", "help": "Help."}

    def load(self, reference: str, name: str) -> None:
        self._ask("load", reference, name)

    def unload(self, name: str) -> str:
        self._ask("unload", name)
        return f"org/{name}"

    def _ask(self, *what: str) -> None:
        if self.refuses:
            raise self.refuses
        self.asked.append(what)


@pytest.fixture
def models() -> ScriptedModels:
    return ScriptedModels(
        row("guide", "ready", is_default=True, figures=(("Context", "2,048 tokens"),), may_unload=False),
        row("other", "ready", alone="its cache cannot be shared."), row("third", "unloaded"),
        row("fourth", "getting", fraction=0.25, counted="10 of 40 MB are here"), row("fifth", "failed", error="It does not fit."),
    )  # fmt: skip


@pytest.fixture
def site(database: Engine, models: ScriptedModels) -> Site:
    made = Site(database, models=models)
    made.add(OWNER)
    made.add(ADA)
    return made


async def test_it_is_for_admins_alone(site: Site, models: ScriptedModels) -> None:
    async with site.client(ADA) as member, site.client() as stranger:
        assert (await member.get(MODELS)).status_code == 403
        assert (await stranger.get(MODELS)).headers["location"].startswith("/auth/sign-in?next=")
        for path in (MODELS, MODELS + "/unload"):
            assert (await member.post(path, data=WANTED)).status_code == 403
            assert (await stranger.post(path, data=WANTED)).headers["location"].startswith("/auth/sign-in")
    assert models.asked == []
    assert site.events() == []


async def test_it_shows_each_model_its_progress_and_what_can_be_done_with_it(site: Site) -> None:
    async with site.owner() as owner:
        page = (await owner.get(MODELS)).text
    shown = {name: page.partition(f'<li id="model-{name}"')[2].partition("</li>")[0] for name in ("guide", "other", "third")}
    assert "2,048 tokens" in shown["guide"]
    assert ">default<" in shown["guide"]
    assert "/unload" not in shown["guide"], "the last one that is ready, or the default, stays"
    assert "one at a time: its cache cannot be shared." in shown["other"]
    assert f'action="{MODELS}/unload"' in shown["other"]
    assert 'value="org/third"' in shown["third"]
    assert re.search(r'<progress max="1" value="0.250"[^>]*></progress><span>10 of 40 MB are here', page)
    assert "It does not fit." in page
    assert "2 models take 2 GB of 8 GB; 6 GB is free." in page


async def test_loading_and_unloading_are_done_and_stand_in_the_log(site: Site, models: ScriptedModels) -> None:
    async with site.owner() as owner:
        assert (await owner.post(MODELS, data=WANTED)).headers["location"] == MODELS
        answer = await owner.post(MODELS + "/unload", data={"name": "other"})
        assert "is unloaded" in (await owner.get(answer.headers["location"])).text
    assert models.asked == [("load", "org/café <b>", "small one"), ("unload", "other")]
    assert [(one.event, one.actor_id, dict(one.details)) for one in site.events()] == [
        ("model-loaded", "owner", WANTED), ("model-unloaded", "owner", {"name": "other", "reference": "org/other"}),
    ]  # fmt: skip


async def test_an_old_code_is_asked_for_again_and_what_was_typed_is_kept(site: Site, models: ScriptedModels) -> None:
    code = enrol(site, "owner")
    async with site.owner() as owner:
        site.now.move(seconds=FRESH.total_seconds() + 1)
        assert (await owner.get(MODELS)).status_code == 200, "to look at them changes nothing"
        asked = await owner.post(MODELS + "/unload", data={"name": "other"})
        assert asked.headers["location"] == "/auth/two-factor?next=%2Fauth%2Fadmin%2Fmodels"
        asked = await owner.post(MODELS, data=WANTED)
        assert models.asked == []
        target = httpx.URL(asked.headers["location"]).params["next"]
        back = await owner.post("/auth/two-factor", data={"method": "recovery", "code": code, "next": target})
        page = html.unescape((await owner.get(httpx.URL(back.headers["location"]).params["next"])).text)
    assert 'value="org/café <b>"' in page
    assert 'value="small one"' in page
    assert "press Load" in page


@pytest.mark.parametrize("field", ["reference", "name"])
async def test_a_refusal_stands_at_its_field_and_what_was_typed_is_kept(site: Site, models: ScriptedModels, field: str) -> None:
    models.refuses = NotDone(field, "That cannot be. Choose another.")
    async with site.owner() as owner:
        page = await owner.post(MODELS, data=WANTED)
    assert page.status_code == 400
    assert f'id="{field}-error" role="alert">That cannot be. Choose another.' in page.text
    assert page.text.count("aria-invalid") == 1 + page.text.count("[aria-invalid")
    assert 'value="org/café &lt;b&gt;"' in page.text
    assert 'value="small one"' in page.text
    assert site.events() == []


async def test_nothing_typed_is_asked_for_and_a_model_in_use_stays(site: Site, models: ScriptedModels) -> None:
    async with site.owner() as owner:
        page = await owner.post(MODELS, data={"reference": "  ", "name": "x"})
        assert (page.status_code, models.asked) == (400, [])
        assert 'id="reference-error" role="alert">Give a hub id' in page.text
        models.refuses = NotDone("", "It is answering 2 people. Wait until they have their answers.")
        page = await owner.post(MODELS + "/unload", data={"name": "other"})
    assert page.status_code == 409
    assert 'role="alert">other: It is answering 2 people.' in page.text
    assert site.events() == []
