"""Several models at once: an admin loads one from the browser, everyone who is signed in can choose it, and it leaves again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Locator, Page, expect

from core.settings import FRONTENDS
from limits.axe import overflow, violations
from tests.browser.conftest import driver
from tests.browser.house import ADMIN, House, open_house
from tests.browser.person import People, Person
from tests.support.models import make_chat_model

LOADING_MS = 90_000
MODELS = "/auth/admin/models"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models lie: `first`, which the server begins with, and `second`."""
    made = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second")):
        make_chat_model(made / name, seed=seed)
    return made


@pytest.fixture(scope="module")
def house(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house"), "--model", str(folder / "first"), pace=None) as running:
        yield running


@pytest.fixture(scope="module")
def grace(house: House, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with People(house, browser) as made:
        admin = made(ADMIN)
        admin.sign_in_with_provider()
        admin.enrol(tmp_path_factory.mktemp("grace"))
        admin.is_home()
        yield admin


def row(person: Person, name: str) -> Locator:
    return person.page.locator("#models > li").filter(has=person.page.get_by_role("heading", name=name))


def frame_of(page: Page, house: House, name: str) -> Frame:
    page.goto(f"{house.url}/?ui={name}&c=new")
    frame = page.locator("#frontend").element_handle().content_frame()
    assert isinstance(frame, Frame)
    return frame


def asks_for(person: Person, reference: object, name: str = "") -> None:
    person.page.locator("#reference").fill(str(reference))
    person.page.locator("#name").fill(name)
    person.click("Load")


@pytest.mark.timeout(400)
def test_an_admin_loads_a_model_and_everyone_can_choose_it_until_it_is_unloaded(
    house: House, people: People, grace: Person, folder: Path
) -> None:
    chats = {name: driver(name)(frame_of(grace.page.context.new_page(), house, name)).ready() for name in FRONTENDS}
    for chat in chats.values():
        chat.open_settings()
        assert not chat.has_field("Model"), "there is nothing to choose yet"

    grace.open("/")
    grace.page.get_by_role("link", name="first", exact=True).click()
    grace.reads("Models")
    expect(row(grace, "first")).to_contain_text("ready")
    expect(row(grace, "first").get_by_role("button")).to_have_count(0)  # the only one cannot leave

    grace.was_last_asked(minutes=16)
    asks_for(grace, folder / "second", "other")
    grace.reads("Confirm that it is you")
    grace.type_code(grace.code(), "Continue")
    grace.reads("Models")
    expect(grace.page.locator("#reference")).to_have_value(str(folder / "second"))
    expect(grace.page.get_by_role("status").filter(has_text="Not loaded yet")).to_be_visible()
    seen = watched(grace.page)
    grace.click("Load")
    expect(grace.page.get_by_role("status").filter(has_text="other is being loaded")).to_be_visible()
    expect(row(grace, "other")).to_contain_text("ready", timeout=LOADING_MS)
    assert any("being" in text and "ready" not in text for text in seen), "progress is seen"
    assert seen[-1].endswith("ready"), seen

    for name, before in chats.items():
        chat = driver(name)(frame_of(grace.page.context.new_page(), house, name)).ready()
        assert chat.choose("Model", "other") == ["first", "other"]
        chat.send("Who are you?")
        chat.wait_until_done()
        assert chat.error() is None
        before.root.page.close()
        chats[name] = chat
    with house.database() as database:
        used = database.connect().exec_driver_sql("select model from runs").scalars().all()
    assert used == ["other", "other"]

    expect(row(grace, "first").get_by_role("button")).to_have_count(0)  # nor the default
    row(grace, "other").get_by_role("button", name="Unload").click()
    expect(grace.page.get_by_role("status").filter(has_text="is unloaded")).to_be_visible()
    expect(row(grace, "other")).to_contain_text("not loaded")
    for chat in chats.values():
        chat.composer.fill("Then who?")
        chat.composer.press("Enter")
        refused = chat.root.get_by_text("other is not there any more; first answers now.")
        expect(refused).to_be_visible()
        assert chat.draft() == "Then who?", "nothing typed is lost"
        assert not chat.has_field("Model")
        chat.send("Then who?")
        expect(refused).to_be_hidden()
        chat.wait_until_done()
        assert chat.error() is None
    with house.database() as database:
        used = database.connect().exec_driver_sql("select model from runs order by created_at").scalars().all()
    assert used[2:] == ["first", "first"]


def watched(page: Page) -> list[str]:
    """What its row says, whenever that changes, also across loads of the page."""
    seen: list[str] = []
    page.expose_function("portico_saw", lambda said: seen.append(said))
    page.add_init_script(
        """new MutationObserver(() => {
             const row = [...document.querySelectorAll("#models > li")].find(one => one.textContent.includes("other"));
             const said = row ? [...row.querySelectorAll(".tag, .progress span")].map(one => one.textContent).join(" ") : "";
             if (said && said !== window.last) window.portico_saw(window.last = said);
           }).observe(document, {subtree: true, childList: true});"""
    )
    return seen


def test_what_cannot_be_loaded_says_so_at_its_field_or_in_its_row(grace: Person, tmp_path: Path, folder: Path) -> None:
    grace.was_last_asked(minutes=0)
    grace.open(MODELS)
    asks_for(grace, tmp_path / "nothing", "kept")
    expect(grace.page.get_by_role("alert")).to_contain_text("no such folder")
    expect(grace.page.locator("#reference")).to_be_focused()
    expect(grace.page.locator("#name")).to_have_value("kept")
    asks_for(grace, folder / "second", "first")
    expect(grace.page.get_by_role("alert")).to_contain_text("There is a model named 'first' already")
    expect(grace.page.locator("#name")).to_be_focused()


def test_the_page_is_for_admins_alone(house: House, people: People) -> None:
    bo = people("bo")
    cookies = house.served.session("bo").items()
    bo.page.context.add_cookies([{"name": name, "value": value, "url": house.url} for name, value in cookies])
    bo.open(MODELS)
    expect(bo.page.get_by_role("main")).to_contain_text("for administrators")
    bo.open("/")
    bo.is_home()
    expect(bo.page.get_by_role("link", name="first", exact=True)).to_have_count(0)
    expect(bo.page.get_by_text("Models take")).to_be_visible()


def test_it_is_usable_on_a_phone_in_the_dark_and_by_keyboard(grace: Person) -> None:
    grace.open(MODELS)
    for width, scheme in ((1280, "light"), (390, "dark"), (320, "dark")):
        grace.page.set_viewport_size({"width": width, "height": 800})
        grace.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        assert violations(grace.page) == []
        assert overflow(grace.page) <= 0
    grace.page.locator("#reference").focus()
    grace.page.keyboard.type("nothing at all")
    grace.page.keyboard.press("Enter")
    expect(grace.page.get_by_role("alert")).to_contain_text("no such folder")
