"""Signing in as people do it: a certified provider, Chromium, every second factor, and what happens when one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.settings import FRONTENDS
from tests.browser.conftest import driver
from tests.browser.house import House
from tests.browser.person import DESKTOP, PHONE, People, Person
from tests.support.clock import wait_until


@pytest.mark.parametrize(("login", "device"), [("ada", DESKTOP), ("bo", PHONE)], ids=["desktop", "phone"])
def test_from_enrolment_by_every_factor_to_a_lock_and_an_admins_reset(
    people: People, grace: Person, login: str, device: dict[str, object], tmp_path: Path
) -> None:
    ada = people(login, **device)
    ada.sign_in_with_provider()
    ada.enrol(tmp_path)
    ada.is_home()
    assert ada.asks("hello") == "You said: hello"
    ada.sign_out()

    keeps_the_tick(ada)
    ada.sign_in_with_code()
    ada.sign_out()

    ada.sign_in_with_recovery_code()
    ada.get_authenticator()
    ada.add_passkey("My thumb")
    ada.sign_out()

    ada.sign_in_with_passkey()
    ada.sign_out()

    ada.is_locked_out()
    resets(grace, ada)

    ada.sign_in_with_provider()
    ada.enrol(tmp_path)
    ada.is_home()


def keeps_the_tick(person: Person) -> None:
    """To remember this browser, from the page of the code to that of the recovery code and back."""
    person.sign_in_with_provider()
    tick = person.page.get_by_role("checkbox", name="Remember this browser")
    tick.check()
    person.click("Use a recovery code")
    person.reads("Use a recovery code")
    expect(tick).to_be_checked()
    tick.uncheck()
    person.click("Back to the code of your app")
    person.reads("Confirm that it is you")
    expect(tick).not_to_be_checked()


def resets(admin: Person, person: Person) -> None:
    admin.open("/auth/admin")
    admin.page.get_by_label("Name or email").fill(person.email)
    admin.click("Show")
    admin.click(person.login.title())
    expect(admin.page.get_by_role("main")).to_contain_text("locked after too many wrong codes")
    admin.click("Reset the second factor …")
    admin.reads(f"Reset the second factor of {person.login.title()}?")
    admin.click("Reset the second factor")
    expect(admin.page.get_by_role("status")).to_contain_text("The second factor is reset")


def test_the_links_page_may_be_loaded_again_until_the_link_is_used(people: People) -> None:
    nobody = people()
    nobody.open("/auth/link")
    incomplete = nobody.page.get_by_text("This address is not complete. Open the whole link from the terminal.")
    expect(incomplete).to_be_visible()
    expect(nobody.page.get_by_role("button", name="Sign in")).to_be_hidden()
    nobody.open("/auth/link?#of-a-link")
    nobody.page.reload()
    expect(incomplete).to_be_hidden()
    with nobody.page.expect_request(lambda request: request.method == "POST") as sent:
        nobody.click("Sign in")
    assert "token=of-a-link" in (sent.value.post_data or "")
    nobody.open("/auth/link")
    expect(incomplete).to_be_visible()


def test_where_one_was_going_is_kept_for_the_link_and_not_past_a_provider(people: People) -> None:
    nobody = people()
    kept = "localStorage.getItem('portico-next')"
    nobody.open("/auth/account")
    nobody.is_at_sign_in()
    assert nobody.page.evaluate(kept) == "/auth/account"
    nobody.click("Continue with Google")
    nobody.page.get_by_placeholder("Enter any login").wait_for()
    nobody.open("/auth/sign-in")
    assert nobody.page.evaluate(kept) is None


def test_someone_who_is_not_on_the_list_reads_so_and_may_come_as_someone_else(people: People) -> None:
    mallory = people("mallory")
    mallory.sign_in_with_provider()
    mallory.reads("You are not signed in")
    expect(mallory.page.get_by_role("alert")).to_contain_text("mallory@example.com is not on this server's list")
    mallory.click("Sign in with another account")
    mallory.pass_provider("cy")
    mallory.reads("Protect your account with a second step")


def test_an_address_that_the_provider_does_not_vouch_for_lets_nobody_in(people: People) -> None:
    someone = people("unverified")
    someone.sign_in_with_provider()
    someone.reads("You are not signed in")
    expect(someone.page.get_by_role("alert")).not_to_contain_text("unverified@example.com")  # an address that may not be theirs


def test_whoever_cancels_at_the_provider_can_try_again_and_come_in_by_their_domain(people: People) -> None:
    ivy = people("ivy@corp.example")
    ivy.open("/auth/sign-in")
    ivy.click("Continue with Google")
    ivy.click("[ Cancel ]")
    ivy.reads("You are not signed in")
    ivy.click("Try again")
    ivy.pass_provider(ivy.login)
    ivy.reads("Protect your account with a second step")


def test_a_token_needs_a_code_after_a_quarter_of_an_hour_and_nothing_typed_is_lost(people: People, tmp_path: Path) -> None:
    di = people("di")
    di.sign_in_with_provider()
    di.enrol(tmp_path)
    di.open("/auth/account")
    di.click("New token")
    di.reads("New API token")  # the factor is fresh
    di.page.get_by_label("Name").fill("notebook on my laptop")
    di.page.get_by_label("It ends after").select_option("7 days")

    di.was_last_asked(minutes=16)
    di.click("Make the token")
    di.reads("Confirm that it is you")
    di.type_code(di.code(), "Continue")
    di.reads("New API token")
    expect(di.page.get_by_label("Name")).to_have_value("notebook on my laptop")
    expect(di.page.get_by_label("It ends after")).to_have_value("7")
    di.click("Make the token")
    di.reads("Your new API token")
    expect(di.page.locator("#token")).to_contain_text("portico_")


def test_a_remembered_browser_is_asked_for_no_code_until_it_is_forgotten(people: People, tmp_path: Path) -> None:
    flo = people("flo")
    flo.sign_in_with_provider()
    flo.enrol(tmp_path)
    flo.is_home()
    flo.sign_out()
    flo.sign_in_with_provider()
    flo.page.get_by_label("Remember this browser").check()
    flo.type_code(flo.code())
    flo.is_home()
    flo.sign_out()
    flo.sign_in_with_provider()
    flo.is_home()

    flo.open("/auth/account")
    flo.page.locator("#browsers").get_by_role("button").click()
    expect(flo.page.get_by_role("status")).to_contain_text("Forgotten")
    flo.sign_out()
    flo.open(f"/?ui={FRONTENDS[-1]}")
    flo.click("Continue with Google")
    flo.reads("Confirm that it is you")
    flo.type_code(flo.code())
    flo.is_home()
    assert f"ui={FRONTENDS[-1]}" in flo.page.url, "where they were going"


def test_whoever_opens_another_address_of_this_machine_is_led_to_the_public_one(people: People, house: House) -> None:
    cy = people("cy")
    cy.page.goto(f"{house.served.url}/auth/sign-in")
    assert house.served.url != house.url
    cy.click("Continue with Google")
    cy.pass_provider("cy")
    cy.reads("Protect your account with a second step")
    assert cy.page.url.startswith(house.url)


def test_a_device_that_is_signed_out_elsewhere_loses_its_open_chat_at_once(people: People, house: House, tmp_path: Path) -> None:
    laptop, phone = people("ed"), people("ed", **PHONE)
    laptop.sign_in_with_provider()
    laptop.enrol(tmp_path)
    phone.app = laptop.app
    phone.sign_in_with_code()
    alone = phone.page.context.new_page()  # outside the home page, which asks every 5 s whether it is still signed in
    chat = driver(FRONTENDS[0]).open(alone, house.url, "new")
    cut: list[str] = []
    alone.on("requestfailed", lambda request: cut.append(request.url))
    chat.send("count to 900")
    chat.wait_until_answering()

    laptop.open("/auth/account")
    devices = laptop.page.locator("#devices").get_by_role("listitem")
    expect(devices).to_have_count(2)
    expect(devices.first).to_contain_text("this device")
    devices.last.get_by_role("button").click()
    expect(laptop.page.get_by_role("status")).to_have_text("That device is signed out.")
    expect(devices).to_have_count(1)
    phone.waits_until(lambda: any("queue/data" in url for url in cut), seconds=2)
    phone.is_at_sign_in()
    laptop.open("/")
    laptop.is_home()


def test_a_new_link_opened_in_the_tab_of_a_spent_one_works(people: People, house: House) -> None:
    owner = people()
    spent = house.served.link
    owner.page.goto(spent)
    owner.click("Sign in")
    owner.is_home()
    owner.sign_out()
    owner.page.goto(spent)
    owner.click("Sign in")
    owner.reads("This link does not work")

    other = people()
    other.open("/auth/sign-in")
    other.click("Print a new link in the terminal")
    expect(other.page.get_by_role("status")).to_contain_text("A new link stands in the terminal now")
    wait_until(lambda: house.served.link != spent)
    owner.page.goto(house.served.link)
    owner.reads("Welcome to Portico")
    owner.click("Sign in")
    owner.is_home()
