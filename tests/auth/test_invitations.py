"""Invitations and the guests who come in by them, over the database."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from auth.guests import sweep
from auth.invitations import SETTLING, Invitation, Invitations, NotInvited
from auth.parts import Auth
from auth.sessions import Account
from tests.support.auth import Now, make_auth

HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def auth(any_database: Engine, now: Now) -> Auth:
    return make_auth(any_database, now)


@pytest.fixture
def invitations(auth: Auth) -> Invitations:
    return auth.invitations


def link(auth: Auth, seats: int = 2, quota: int | None = None, lasts: timedelta = HOUR) -> tuple[Invitation, str]:
    return auth.invitations.open_link("Demo", seats, quota, "owner", auth.clock() + lasts)


def come_in(auth: Auth, invitation: Invitation) -> tuple[Account, str]:
    """A guest with an open session, as auth/routes/guests.py lets them in."""
    assert auth.invitations.take_seat(invitation.id)
    account = auth.people.add_guest("Guest", invitation.id, invitation.quota)
    return account, auth.sessions.create(account, method="invitation", ends_at=invitation.expires_at)


def test_a_links_token_finds_it_while_it_is_open_and_is_stored_as_a_hash(auth: Auth, any_database: Engine, now: Now) -> None:
    made, token = link(auth, seats=3, quota=5)
    assert auth.invitations.find(token) == made == auth.invitations.get(made.id)
    assert (made.seats, made.used, made.quota, made.is_link, made.role) == (3, 0, 5, True, "guest")
    assert auth.invitations.find("wrong") is None
    with any_database.begin() as connection:
        assert token not in str(connection.execute(text("select * from invitations")).all())
    now.move(hours=1)
    assert auth.invitations.find(token) is None


def test_seats_are_numbered_and_run_out(auth: Auth) -> None:
    made, token = link(auth, seats=2)
    assert [auth.invitations.take_seat(made.id) for _ in range(4)] == [1, 2, 0, 0]
    found = auth.invitations.find(token)
    assert found is not None, "its guests are in, so it is not over"
    assert found.used == 2


def test_no_seat_is_free_where_a_link_is_over(auth: Auth, now: Now) -> None:
    expired, _ = link(auth)
    revoked, token = link(auth, lasts=2 * HOUR)
    by_email = auth.invitations.invite("ada@example.com", "member", "owner", now() + HOUR)
    assert not auth.invitations.take_seat(by_email.id), "an invitation by email is no link"
    assert auth.invitations.revoke(revoked.id)
    assert not auth.invitations.revoke(revoked.id), "it is over already"
    now.move(hours=1)
    assert not auth.invitations.take_seat(expired.id)
    assert not auth.invitations.take_seat(revoked.id)
    assert not auth.invitations.take_seat("no such")
    assert auth.invitations.find(token) is None


def test_two_who_take_the_last_seat_at_once_are_one_winner(auth: Auth) -> None:
    for _ in range(50):
        made, _ = link(auth, seats=1)
        taken: list[int] = []
        together = threading.Barrier(2)

        def take(made: Invitation = made, together: threading.Barrier = together, taken: list[int] = taken) -> None:
            together.wait()
            taken.append(auth.invitations.take_seat(made.id))

        threads = [threading.Thread(target=take) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [0, 1]


def test_all_lists_the_newest_first_with_those_that_are_over(auth: Auth, now: Now) -> None:
    first, _ = link(auth)
    now.move(hours=2)
    second = auth.invitations.invite(" Ada@Example.com ", "admin", "owner", now() + HOUR)
    assert [one.id for one in auth.invitations.all()] == [second.id, first.id]
    assert (second.email, second.role, second.seats) == ("ada@example.com", "admin", 1)


@pytest.mark.parametrize(
    ("email", "role", "field"),
    [
        ("", "member", "email"), ("ada", "member", "email"), ("a@b@c", "member", "email"), ("a b@c.d", "member", "email"),
        ("x" * 320 + "@y.z", "member", "email"), ("a\0@b.c", "member", "email"), ("ada@example.com", "guest", "role"),
        ("ada@example.com", "root", "role"),
    ],
)  # fmt: skip
def test_a_wrong_invitation_is_refused_with_what_to_change(database: Engine, email: str, role: str, field: str) -> None:
    auth = make_auth(database)
    with pytest.raises(NotInvited) as caught:
        auth.invitations.invite(email, role, "owner", auth.clock() + HOUR)
    assert caught.value.field == field
    assert auth.invitations.all() == []


@pytest.mark.parametrize(
    ("name", "seats", "quota", "lasts", "field"),
    [
        ("", 1, None, HOUR, "name"), ("x" * 101, 1, None, HOUR, "name"), ("a\0", 1, None, HOUR, "name"),
        ("x", 0, None, HOUR, "seats"), ("x", 1001, None, HOUR, "seats"), ("x", 1, 0, HOUR, "quota"),
        ("x", 1, 10**9, HOUR, "quota"), ("x", 1, None, timedelta(0), "days"), ("x", 1, None, timedelta(days=91), "days"),
    ],
)  # fmt: skip
def test_a_wrong_link_is_refused_with_what_to_change(
    database: Engine, name: str, seats: int, quota: int | None, lasts: timedelta, field: str
) -> None:
    auth = make_auth(database, Now())
    with pytest.raises(NotInvited) as caught:
        auth.invitations.open_link(name, seats, quota, "owner", auth.clock() + lasts)
    assert caught.value.field == field
    assert auth.invitations.all() == []


def test_one_address_has_one_open_invitation(auth: Auth, now: Now) -> None:
    first = auth.invitations.invite("ada@example.com", "member", "owner", now() + HOUR)
    with pytest.raises(NotInvited, match="invited already"):
        auth.invitations.invite("ADA@example.com", "admin", "owner", now() + HOUR)
    auth.invitations.revoke(first.id)
    auth.invitations.invite("ada@example.com", "admin", "owner", now() + HOUR)
    now.move(hours=2)
    assert auth.invitations.invite("ada@example.com", "admin", "owner", now() + HOUR)


@pytest.mark.parametrize(
    ("email", "used", "revoked", "hours", "state"),
    [
        ("", 0, False, 0, "open"), ("", 2, False, 0, "full"), ("", 2, False, 1, "expired"), ("", 0, True, 0, "revoked"),
        ("a@b", 0, False, 0, "open"), ("a@b", 2, False, 0, "used"), ("a@b", 2, False, 9, "used"), ("a@b", 0, False, 1, "expired"),
    ],
)  # fmt: skip
def test_the_state_of_an_invitation(email: str, used: int, revoked: bool, hours: int, state: str, now: Now) -> None:
    start: datetime = now()
    one = Invitation("i", email, "n", "guest", 2, used, None, start, start + HOUR, revoked)
    assert one.state(start + hours * HOUR) == state


def test_guests_lapse_with_their_link(auth: Auth, now: Now) -> None:
    short, _ = link(auth)
    long, _ = link(auth, lasts=3 * HOUR)
    ended, _ = link(auth, lasts=3 * HOUR)
    (one, _), (two, _), (three, _) = (come_in(auth, made) for made in (short, long, ended))
    auth.sessions.create(Account("ada", "Ada", "member"))
    assert auth.invitations.lapsed_guests() == []
    auth.invitations.revoke(ended.id)
    assert auth.invitations.lapsed_guests() == [three.id]
    now.move(hours=1)
    assert set(auth.invitations.lapsed_guests()) == {one.id, three.id}
    assert two.id not in auth.invitations.lapsed_guests()


def test_a_guest_who_signed_out_lapses_but_one_who_is_coming_in_does_not(auth: Auth, now: Now) -> None:
    made, _ = link(auth)
    arriving = auth.people.add_guest("Guest", made.id, None)
    assert auth.invitations.lapsed_guests() == [], "the session is opened a moment later"
    auth.sessions.create(arriving, ends_at=made.expires_at)
    now.move(seconds=SETTLING.total_seconds() + 1)
    assert auth.invitations.lapsed_guests() == []
    auth.sessions.revoke_all(arriving.id)
    assert auth.invitations.lapsed_guests() == [arriving.id]


def test_a_guest_whose_account_went_while_they_came_in_does_not_stay(auth: Auth) -> None:
    """A session that is opened after the sweep writes the account down once more, without its invitation and its quota."""
    made, _ = link(auth, quota=1)
    arriving = auth.people.add_guest("Guest", made.id, made.quota)
    auth.people.delete(arriving.id)
    token = auth.sessions.create(arriving, ends_at=made.expires_at)
    sweep(auth, lambda user: None)
    assert auth.sessions.find(token) is None
    sweep(auth, lambda user: None)
    assert auth.people.find(arriving.id) is None


def test_a_sweep_signs_out_and_the_next_one_deletes(auth: Auth, now: Now) -> None:
    """What a page had just begun ends between the two, so nothing is written down after its guest."""
    made, _ = link(auth)
    staying, _ = link(auth, lasts=2 * HOUR)
    guest, token = come_in(auth, made)
    other, other_token = come_in(auth, staying)
    held: list[str] = []
    auth.sessions.on_revoke.append(held.append)
    session = auth.sessions.find(token)
    assert session is not None
    forgotten: list[str] = []
    sweep(auth, forgotten.append)
    assert held == []
    now.move(hours=1)
    sweep(auth, forgotten.append)
    assert held == [session.id], "its streams and websockets are closed"
    assert auth.sessions.find(token) is None
    assert forgotten == []
    sweep(auth, forgotten.append)
    assert forgotten == [guest.id]
    assert auth.people.find(guest.id) is None
    assert auth.people.find(other.id) is not None
    assert auth.sessions.find(other_token) is not None
    sweep(auth, forgotten.append)
    assert forgotten == [guest.id]


def test_an_account_is_kept_until_its_data_could_be_deleted(auth: Auth, now: Now) -> None:
    made, _ = link(auth)
    guest, token = come_in(auth, made)
    auth.invitations.revoke(made.id)
    sweep(auth, lambda user: None)

    def fails(user: str) -> None:
        raise OSError("the database is away")

    with pytest.raises(OSError, match="away"):
        sweep(auth, fails)
    assert auth.people.find(guest.id) is not None
    assert auth.sessions.find(token) is None
    sweep(auth, lambda user: None)
    assert auth.people.find(guest.id) is None
