"""An audience comes in by a link: no account, only the chat, as many questions as the admin allows, and out when it ends."""

from __future__ import annotations

from playwright.sync_api import expect
from sqlalchemy import func, select, update

from auth.invitations import SETTLING
from auth.store import users, utc_now
from tests.browser.house import House
from tests.browser.person import PHONE, People, Person
from tests.support.clock import wait_until


def test_guests_come_by_a_link_chat_to_their_quota_and_are_out_when_it_is_revoked(
    house: House, people: People, grace: Person, frontend: str
) -> None:
    name = f"Demo at the {frontend} meetup"
    link = opens_a_link(grace, name, seats=2, quota=2)

    zoe = people(**PHONE)
    zoe.page.goto(link)
    comes_in(zoe, "Zoe")
    zoe.open(f"/?ui={frontend}")
    assert zoe.asks("hello", frontend) == "You said: hello"
    assert zoe.asks("again", frontend) == "You said: again"
    chat = zoe.chat(frontend)
    chat.send("once more")
    assert "You have asked all 2 questions" in chat.error()
    sees_only_the_chat(zoe)

    yan, late = people(), people()
    yan.page.goto(link)
    comes_in(yan)
    late.page.goto(link)
    late.click("Come in")
    expect(late.page.get_by_role("alert")).to_contain_text("All places of this guest link are taken")

    yan.open(f"/?ui={frontend}")
    yan.chat(frontend).send("count to 900")
    revokes(grace, name)
    for guest in (zoe, yan):
        expect(guest.page.get_by_role("heading", name="Your visit is over")).to_be_visible()
    late.page.goto(link)
    late.click("Come in")
    expect(late.page.get_by_role("alert")).to_contain_text("This guest link does not work")
    wait_until(lambda: not guests(house), what="the guests to vanish")


def test_a_guest_who_signs_out_is_forgotten(house: House, people: People, grace: Person) -> None:
    link = opens_a_link(grace, "A quiet hour", seats=1, quota=None)
    will = people()
    will.page.goto(link)
    comes_in(will)
    with house.database() as database, database.begin() as connection:  # whoever has just come is left to settle
        connection.execute(update(users).where(users.c.role == "guest").values(created_at=utc_now() - SETTLING))
    will.sign_out()
    wait_until(lambda: not guests(house), what="the guest to vanish")
    revokes(grace, "A quiet hour")


def opens_a_link(admin: Person, name: str, seats: int, quota: int | None) -> str:
    admin.open("/auth/admin/invitations")
    form = admin.page.get_by_role("region", name="A link for an audience")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Seats").fill(str(seats))
    form.get_by_label("Questions each").fill(str(quota or ""))
    admin.click("Make the link")
    admin.reads(name)
    expect(admin.page.get_by_role("img", name="QR code of the link").first).to_be_visible()
    return admin.page.get_by_label("Link", exact=True).input_value()


def comes_in(guest: Person, name: str = "") -> None:
    guest.reads("Welcome to Portico")
    assert "#" not in guest.page.url, "the token leaves the address bar"
    guest.page.get_by_label("What should we call you?").fill(name)
    guest.click("Come in")
    guest.is_home()


def sees_only_the_chat(guest: Person) -> None:
    for name in ("Account", "Admin"):
        expect(guest.page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    other = guest.page.context.new_page()
    for path in ("/auth/account", "/auth/admin", "/auth/two-factor/set-up"):
        response = other.goto(guest.house.url + path)
        assert response is not None
        assert response.status == 403, path
        expect(other.get_by_role("heading", level=1)).to_have_text("That did not work")
    other.close()


def revokes(admin: Person, name: str) -> None:
    admin.open("/auth/admin/invitations")
    admin.click(f"Revoke {name}")
    admin.reads(f"Revoke {name}?")
    admin.click("Revoke")
    expect(admin.page.get_by_role("status")).to_have_text("The invitation is revoked.")


def guests(house: House) -> int:
    """How many there are."""
    with house.database() as database, database.begin() as connection:
        return connection.execute(select(func.count()).where(users.c.role == "guest")).scalar_one()
