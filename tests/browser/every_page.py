"""Every page of signing in, of one's account and of the admin, each in the state in which people meet it.

`python -m tests.browser.every_page FOLDER` takes a picture of each: on a phone and a desktop, light and dark.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from limits.chromium import ARGS, chromium_path
from tests.browser.house import ADMIN, House, open_house
from tests.browser.person import People, Person

Seen = tuple[str, Page]


def every_page(house: House, people: People, grace: Person, login: str, downloads: Path) -> Iterator[Seen]:
    """(name, page) of each in turn. `login` is someone's who was never here."""
    yield from _outside(house, people)
    member = people(login)
    yield from _the_way_in(member, downloads)
    yield from _account(member)
    yield from _admin(grace, member)
    yield from _second_factor(member)


def _outside(house: House, people: People) -> Iterator[Seen]:
    nobody = people()
    for name, path in (
        ("sign-in", "/auth/sign-in"), ("sign-in-again", "/auth/sign-in?again"), ("sign-in-printed", "/auth/sign-in?printed"),
        ("link", "/auth/link#x"), ("join-incomplete", "/auth/join"), ("join", "/auth/join?#x"),
        ("callback-refused", "/auth/callback/google?state=x"),
    ):  # fmt: skip
        nobody.open(path)
        yield name, nobody.page
    for path, button in (("/auth/link#x", "Sign in"), ("/auth/join#x", "Come in")):
        nobody = people()
        nobody.open(path)
        nobody.click(button)
        nobody.page.get_by_role("alert").wait_for()
        yield f"{path[6:10].strip('#')}-refused", nobody.page


def _the_way_in(member: Person, downloads: Path) -> Iterator[Seen]:
    member.sign_in_with_provider()
    member.reads("Protect your account with a second step")
    yield "set-up", member.page
    member.page.get_by_role("link", name="Use a passkey instead").click()
    member.reads("Add a passkey")
    yield "passkey-instead", member.page
    member.click("Use an authenticator app instead")
    member.reads("Protect your account with a second step")
    member.type_code("000000", "Confirm")
    member.page.get_by_role("alert").wait_for()
    yield "set-up-wrong", member.page
    member.begin_enrolment()
    yield "recovery-codes", member.page
    member.click("I have kept them")
    member.is_home()


def _account(member: Person) -> Iterator[Seen]:
    member.get_authenticator()
    member.add_passkey("My thumb")
    for name, path in (
        ("account", "/auth/account"), ("account-set-up", "/auth/two-factor/set-up"),
        ("account-passkey", "/auth/two-factor/passkey"), ("account-recovery", "/auth/two-factor/recovery-codes"),
        ("export", "/auth/account/export"), ("token-new", "/auth/account/tokens/new"),
    ):  # fmt: skip
        member.open(path)
        yield name, member.page
    member.page.get_by_label("Name").fill("n" * 100)  # the longest, and nowhere to break it
    for scope in member.page.get_by_role("checkbox").all():
        scope.uncheck()
    member.click("Make the token")
    member.page.get_by_role("alert").wait_for()
    yield "token-refused", member.page
    for scope in member.page.get_by_role("checkbox").all():
        scope.check()
    member.click("Make the token")
    member.reads("Your new API token")
    yield "token", member.page
    member.open("/auth/account")
    for name, button in (("account-rename", "Rename My thumb"), ("account-remove", "Remove the authenticator app")):
        member.click(button)
        member.page.get_by_role("dialog").wait_for()
        yield name, member.page
        member.page.keyboard.press("Escape")
    for name, path in (("no-admin", "/auth/admin"), ("no-such-page", "/nothing")):
        member.open(path)
        yield name, member.page


def _admin(grace: Person, member: Person) -> Iterator[Seen]:
    grace.open("/auth/admin?q=nobody+of+this+name")
    yield "people-none", grace.page
    grace.open("/auth/admin")
    yield "people", grace.page
    grace.page.get_by_role("row").filter(has_text=member.email).get_by_role("link").click()
    grace.reads(member.login.title())
    yield "person", grace.page
    grace.page.get_by_role("link", name="Delete this account").click()
    grace.reads(f"Delete the account of {member.login.title()}?")
    yield "person-delete", grace.page
    grace.click("Go back")
    grace.click("Reset the second factor …")
    grace.reads(f"Reset the second factor of {member.login.title()}?")
    yield "person-reset", grace.page
    grace.open("/auth/admin/audit")
    yield "audit", grace.page
    grace.open("/auth/admin/models")
    yield "models", grace.page
    grace.page.get_by_label("Name").fill("x" * 100)
    grace.page.locator("#reference").fill("./nothing-of-this-name")
    grace.click("Load")
    grace.page.get_by_role("alert").wait_for()
    yield "models-refused", grace.page
    grace.open("/auth/admin/invitations")
    yield "invitations", grace.page
    grace.page.get_by_label("Name").fill("A meetup")
    grace.page.get_by_label("Questions each").fill("20")
    grace.click("Make the link")
    grace.reads("A meetup")
    yield "guest-link", grace.page
    grace.click("Show it full screen")
    grace.page.get_by_role("dialog").wait_for()
    yield "guest-link-full", grace.page
    grace.open("/auth/admin/invitations")
    yield "invitations-one", grace.page
    grace.click("Revoke A meetup")
    grace.reads("Revoke A meetup?")
    yield "invitation-revoke", grace.page
    grace.click("Revoke")
    grace.page.get_by_role("status").wait_for()
    yield "invitations-over", grace.page


def _second_factor(member: Person) -> Iterator[Seen]:
    member.open()
    member.sign_out()
    member.sign_in_with_provider()
    member.reads("Confirm that it is you")
    yield "two-factor", member.page
    member.type_code(member.wrong_code())
    member.page.get_by_text("That code is not right").wait_for()
    yield "two-factor-wrong", member.page
    member.click("Use a recovery code")
    member.reads("Use a recovery code")
    yield "two-factor-recovery", member.page
    member.type_recovery_code()
    member.reads("You are in")
    yield "recovery-code-used", member.page
    member.open()
    member.sign_out()
    member.is_locked_out()
    yield "locked", member.page


def take_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, open_house(Path(data)) as house, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGS)
        with People(house, browser) as people:
            grace = people(ADMIN)
            grace.sign_in_with_provider()
            grace.enrol(Path(data))
            for name, page in every_page(house, people, grace, "hal", Path(data)):
                shoot(page, folder, name)


def shoot(page: Page, folder: Path, name: str) -> None:
    for width, height in ((390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
