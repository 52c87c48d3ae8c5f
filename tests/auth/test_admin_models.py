"""The models' page: who may open it, what loading and unloading ask for first, and where it says what went wrong."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from auth.people import OWNER
from auth.routes.admin_models import MODELS, NotDone
from auth.sessions import FRESH, Account
from auth.tokens import SCOPES
from core.references import NAME
from shelf import Row
from tests.auth.site import Site
from tests.auth.test_admin import enrol
from tests.support.auth import ScriptedModels
from tests.support.serve import ROOT

ADA = Account("ada", "Ada", "member")
GUEST = Account("guest-1", "Zoe", "guest")
POSTS = (MODELS, MODELS + "/unload", MODELS + "/remove")
WANTED = {"reference": "org/café <b>", "name": "small one"}
NAMES = ("guide", "other", "third", "fifth")
LONG = "a-model-of-a-server-" + "x" * 180


def row(name: str, state: str, **changes: Any) -> Row:
    given = {
        "id": f"model-{name}", "name": name, "reference": f"org/{name}", "state": state, "words": state, "is_default": False,
        "fraction": None, "counted": "", "figures": (), "alone": "", "error": "", "may_load": state in ("unloaded", "failed"),
        "may_unload": state == "ready", "may_remove": state in ("unloaded", "failed"),
    }  # fmt: skip
    return Row(**(given | changes))


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
    """Not for guests, nor for programs, though their token be an admin's with all that one may do."""
    _, token = site.auth.tokens.make(OWNER, "mine", SCOPES, site.now() + timedelta(days=1))
    site.add(GUEST)
    bearer = {"authorization": f"Bearer {token}"}
    async with site.client(ADA) as member, site.client(GUEST) as guest:
        for someone in (member, guest):
            assert (await someone.get(MODELS)).status_code == 403
            for path in POSTS:
                assert (await someone.post(path, data=WANTED)).status_code == 403
    async with site.client() as stranger, site.client(**bearer) as program:
        for someone in (stranger, program):
            assert (await someone.get(MODELS)).headers["location"].startswith("/auth/sign-in?next=")
            for path in POSTS:
                assert (await someone.post(path, data=WANTED)).headers["location"].startswith("/auth/sign-in")
    assert models.asked == []
    assert site.events() == []


async def test_it_shows_each_model_its_progress_and_what_can_be_done_with_it(site: Site) -> None:
    async with site.owner() as owner:
        page = (await owner.get(MODELS)).text
    shown = {name: page.partition(f'<li id="model-{name}"')[2].partition("</li>")[0] for name in NAMES}
    assert "2,048 tokens" in shown["guide"]
    assert ">default<" in shown["guide"]
    assert "/unload" not in shown["guide"], "the last one that is ready, or the default, stays"
    assert "one at a time: its cache cannot be shared." in shown["other"]
    assert f'action="{MODELS}/unload"' in shown["other"]
    assert 'value="org/third"' in shown["third"]
    assert [f'action="{MODELS}/remove"' in shown[name] for name in NAMES] == [False, False, True, True]
    assert re.search(r'<progress max="1" value="0.250"[^>]*></progress><span>10 of 40 MB are here', page)
    assert "It does not fit." in page
    assert "2 models take 2 GB of 8 GB; 6 GB is free." in page


async def test_what_is_done_is_said_and_stands_in_the_log(site: Site, models: ScriptedModels) -> None:
    async with site.owner() as owner:
        assert said(await owner.post(MODELS, data=WANTED, follow_redirects=True)) == [
            "small one is being loaded. Its row shows how far it is."
        ]
        answer = await owner.post(MODELS + "/unload", data={"name": "other"}, follow_redirects=True)
        assert said(answer) == ["other is unloaded. Its memory is free for others."]
        answer = await owner.post(MODELS + "/remove", data={"name": LONG}, follow_redirects=True)
        assert said(answer) == [f"{LONG} is off the list. Its files stay where they are."], "no name is cut"
    assert models.asked == [("load", "org/café <b>", "small one"), ("unload", "other"), ("forget", LONG)]
    assert [(one.event, one.actor_id, dict(one.details)) for one in site.events()] == [
        ("model-loaded", "owner", WANTED), ("model-unloaded", "owner", {"name": "other", "reference": "org/other"}),
        ("model-removed", "owner", {"name": LONG, "reference": f"org/{LONG}"}),
    ]  # fmt: skip


@pytest.mark.parametrize("query", ["reference=org/evil&name=x", "done=unloaded", "note=", "note=guessed"])
async def test_no_address_that_someone_sends_says_or_fills_in_anything(site: Site, query: str) -> None:
    async with site.owner() as owner:
        await owner.post(MODELS + "/unload", data={"name": "other"})  # there is a note, under another key
        page = await owner.get(f"{MODELS}?{query}")
    assert said(page) == []
    assert 'name="reference" value=""' in page.text


async def test_a_note_is_for_the_admin_whose_it_is(site: Site) -> None:
    bo = site.add(Account("bo", "Bo", "admin"))
    async with site.owner() as owner, site.client(bo) as other:
        address = (await owner.post(MODELS + "/unload", data={"name": "other"})).headers["location"]
        assert said(await other.get(address)) == []
        assert len(said(await owner.get(address))) == 1
        assert len(said(await owner.get(address))) == 1, "also when it is loaded again"


async def test_an_old_code_is_asked_for_again_and_what_was_typed_is_kept(site: Site, models: ScriptedModels) -> None:
    code = enrol(site, "owner")
    wanted = {"reference": "/srv/<b>" + "ü" * 900, "name": "small one"}  # in an address, three characters for each byte
    async with site.owner() as owner:
        site.now.move(seconds=FRESH.total_seconds() + 1)
        assert (await owner.get(MODELS)).status_code == 200, "to look at them changes nothing"
        asked = await owner.post(MODELS, data=wanted)
        assert asked.headers["location"].startswith("/auth/two-factor?next=")
        page = await comes_back(owner, asked, code)
    assert models.asked == []
    assert f'value="{wanted["reference"]}"' in html.unescape(page.text)
    assert 'value="small one"' in page.text
    assert said(page) == ["Not loaded yet. Check what stands here before you press Load."]


@pytest.mark.parametrize(("path", "button"), [("/unload", "Unload"), ("/remove", "Remove")])
async def test_who_comes_back_reads_that_nothing_was_done_to_the_model_yet(
    site: Site, models: ScriptedModels, path: str, button: str
) -> None:
    code = enrol(site, "owner")
    async with site.owner() as owner:
        site.now.move(seconds=FRESH.total_seconds() + 1)
        page = await comes_back(owner, await owner.post(MODELS + path, data={"name": "other"}), code)
    assert models.asked == []
    assert said(page) == [f"Nothing was done to other yet. Press {button} once more."]


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
        for path in ("/unload", "/remove"):
            answer = await owner.post(MODELS + path, data={"name": "other"})
            assert answer.status_code == 303, "so that loading the page again sends nothing"
            page = await owner.get(answer.headers["location"])
            assert 'role="alert">other: It is answering 2 people.' in page.text
    assert site.events() == []


async def test_what_is_there_already_is_no_event(site: Site, models: ScriptedModels) -> None:
    models.refuses = NotDone("reference", "This model is ready already, as other.")
    async with site.owner() as owner:
        page = await owner.post(MODELS, data={"reference": "org/other"})
    assert 'id="reference-error" role="alert">This model is ready already' in page.text
    assert site.events() == []


def test_the_field_for_a_name_takes_no_more_than_a_name_may_have() -> None:
    template = ROOT.joinpath("portal/templates/admin_models.html").read_text()
    assert re.search(r'name="name" value="[^"]*" maxlength="64"', template)
    assert NAME.fullmatch("x" * 64)
    assert not NAME.fullmatch("x" * 65)


async def comes_back(admin: httpx.AsyncClient, asked: httpx.Response, code: str) -> httpx.Response:
    """The page after the second factor, and after the one that says how many codes are left."""
    target = httpx.URL(asked.headers["location"]).params["next"]
    back = await admin.post("/auth/two-factor", data={"method": "recovery", "code": code, "next": target})
    return await admin.get(httpx.URL(back.headers["location"]).params["next"])


def said(page: httpx.Response) -> list[str]:
    """What the page's notices say."""
    return re.findall(r'<p class="notice" role="status">(.*?)</p>', page.text)
