"""Who comes in, as what, and who stays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from auth.admission import _higher
from auth.invitations import Invitations
from auth.people import Account, Admission, Identity, NotAdmitted, People
from auth.sessions import Sessions
from auth.store import identities, invitations, users
from tests.support.auth import Now
from tests.support.races import race

RACES = 50
ADA = Identity("https://id.example", "ada-1", "Ada Lovelace", "ada@example.com", "example.com")
BO = Identity("https://id.example", "bo-1", "Bo", "bo@elsewhere.example", "elsewhere.example")
NOBODY = Admission()
LISTED = Admission(emails=frozenset({"ada@example.com"}))
ADMINS = Admission(admins=frozenset({"ada@example.com"}))


def people(database: Engine, admission: Admission, now: Now | None = None) -> People:
    return People(database, admission, now or Now())


def invite(database: Engine, email: str = "ada@example.com", role: str = "member", now: Now | None = None) -> str:
    return Invitations(database, now or Now()).invite(email, role, "owner", (now or Now())() + timedelta(days=7)).id


def count(database: Engine, table: Any = users) -> int:
    with database.begin() as connection:
        return len(connection.execute(select(table)).all())


# The lists.


@pytest.mark.parametrize(
    ("admission", "identity", "role"),
    [(LISTED, ADA, "member"), (LISTED, replace(ADA, email="ADA@Example.COM"), "member"), (ADMINS, ADA, "admin"),
     (Admission(domains=frozenset({"example.com"})), ADA, "member"),
     (Admission(domains=frozenset({"example.com"})), replace(ADA, email="", domain="EXAMPLE.com"), "member"),
     (Admission(domains=frozenset({"example.com"}), admins=ADMINS.admins), ADA, "admin"),
     (LISTED, BO, None), (ADMINS, BO, None), (NOBODY, ADA, None), (LISTED, replace(ADA, email=""), None),
     (Admission(emails=frozenset({"example.com"})), ADA, None), (Admission(domains=frozenset({"ada@example.com"})), ADA, None),
     (Admission(domains=frozenset({"example.com"})), replace(ADA, domain=""), None),
     (Admission(domains=frozenset({"example.com"})), replace(ADA, domain="sub.example.com"), None)],
)  # fmt: skip
def test_the_lists_let_in_and_give_the_role(database: Engine, admission: Admission, identity: Identity, role: str | None) -> None:
    door = people(database, admission)
    if role is None:
        with pytest.raises(NotAdmitted):
            door.admit(identity)
        assert count(database) == 0
    else:
        account = door.admit(identity).account
        assert (account.name, account.role) == ("Ada Lovelace", role)
        assert door.find(account.id) == door.find("ada@example.com") or not identity.email


def test_who_is_refused_reads_what_to_do(database: Engine) -> None:
    with pytest.raises(NotAdmitted, match=r"The address bo@elsewhere\.example is not on this server's list\. Ask"):
        people(database, LISTED).admit(BO)
    with pytest.raises(NotAdmitted, match="without an email address that its provider has verified"):
        people(database, LISTED).admit(replace(BO, email="", domain=""))


def test_a_person_is_issuer_and_subject(any_database: Engine) -> None:
    door = people(any_database, LISTED)
    ada = door.admit(ADA).account.id
    assert door.admit(replace(ADA, name="Ada King")).account == Account(ada, "Ada King", "member")
    assert door.admit(replace(ADA, name="")).account.name == "Ada King", "a name that is not given stays"
    others = [door.admit(replace(ADA, **{part: "https://x.example"})).account.id for part in ("issuer", "subject")]
    assert len({ada, *others}) == 3
    assert count(any_database) == count(any_database, identities) == 3


def test_a_name_that_was_taken_off_the_lists_is_out(any_database: Engine) -> None:
    ada = people(any_database, LISTED).admit(ADA).account.id
    off = people(any_database, NOBODY)
    with pytest.raises(NotAdmitted):
        off.admit(ADA)
    assert off.apply_lists() == [ada], "and those who are signed in are found at the start"
    assert people(any_database, LISTED).apply_lists() == []
    assert people(any_database, LISTED).admit(ADA).account.id == ada, "on the list again, they are who they were"


def test_the_start_goes_by_the_domain_that_was_vouched_for(database: Engine) -> None:
    """At Google a domain's people may have emails of another one."""
    hosted = Admission(domains=frozenset({"example.com"}))
    people(database, hosted).admit(replace(ADA, email="ada@alias.example"))
    assert people(database, hosted).apply_lists() == []
    assert len(people(database, Admission(domains=frozenset({"alias.example"}))).apply_lists()) == 1


def test_the_start_leaves_the_owner_and_guests_alone(database: Engine) -> None:
    door, now = people(database, NOBODY), Now()
    made, _ = Invitations(database, now).open_link("Demo", 5, None, "owner", now() + timedelta(days=1))
    door.add_guest("Guest", made.id, 5)
    assert door.apply_lists() == []


# Admins.


def test_an_admin_by_the_list_is_one_for_as_long_as_they_are_on_it(any_database: Engine) -> None:
    both = Admission(emails=LISTED.emails, admins=ADMINS.admins)
    assert people(any_database, LISTED).admit(ADA).account.role == "member"
    assert people(any_database, both).admit(ADA).account.role == "admin"
    assert people(any_database, both).admit(ADA).account.role == "admin"
    assert people(any_database, LISTED).admit(ADA).account.role == "member"


@pytest.mark.parametrize("first", [ADMINS, LISTED], ids=["an admin at first", "a member at first"])
def test_whoever_is_off_the_list_of_admins_is_none_from_the_next_start_on(any_database: Engine, first: Admission) -> None:
    for admission in (first, ADMINS):
        ada = people(any_database, admission).admit(ADA).account.id
    after = people(any_database, LISTED)
    assert after.apply_lists() == []
    assert role_of(after, ada) == "member"
    assert people(any_database, ADMINS).apply_lists() == []
    assert role_of(after, ada) == "member", "who is put on the list is an admin at their next sign-in"


def test_an_admin_by_an_admins_hand_stays_one(any_database: Engine) -> None:
    for order in ((LISTED, ADMINS), (ADMINS, LISTED)):
        identity = replace(ADA, subject=str(order))
        door = people(any_database, order[0])
        account = door.admit(identity).account
        door.set_role(account.id, "admin")
        for admission in (*order, ADMINS, LISTED):
            assert people(any_database, admission).admit(identity).account.role == "admin"
        assert people(any_database, LISTED).apply_lists() == []
        assert role_of(door, account.id) == "admin"


def test_an_admin_by_the_list_whom_another_made_a_member_is_one_again_by_the_list(database: Engine) -> None:
    door = people(database, ADMINS)
    ada = door.admit(ADA).account.id
    door.set_role(ada, "member")
    assert role_of(door, ada) == "member"
    assert door.admit(ADA).account.role == "admin"
    assert people(database, LISTED).admit(ADA).account.role == "member"


def role_of(door: People, user_id: str) -> str:
    found = door.find(user_id)
    assert found
    return found.role


# Invitations.


@pytest.mark.parametrize("role", ["admin", "member"])
def test_an_invitation_lets_in_once_and_for_good(any_database: Engine, role: str) -> None:
    made, door = invite(any_database, "Ada@example.com", role), people(any_database, NOBODY)
    first = door.admit(ADA)
    assert (first.invitation_id, first.account.role) == (made, role)
    again = door.admit(replace(ADA, email="new@example.com"))
    assert (again.invitation_id, again.account.id, again.account.role) == ("", first.account.id, role)
    assert door.apply_lists() == []
    with pytest.raises(NotAdmitted):
        door.admit(replace(ADA, subject="eve-1"))
    assert count(any_database) == 1


@pytest.mark.parametrize("fault", ["another's", "expired", "revoked", "not vouched for"])
def test_an_invitation_that_is_none_lets_nobody_in(any_database: Engine, fault: str) -> None:
    now = Now()
    made = invite(any_database, "bo@example.com" if fault == "another's" else "ada@example.com", now=now)
    if fault == "expired":
        now.move(days=7)
    if fault == "revoked":
        Invitations(any_database, now).revoke(made)
    with pytest.raises(NotAdmitted):
        people(any_database, NOBODY, now).admit(replace(ADA, email="") if fault == "not vouched for" else ADA)
    assert used(any_database) == 0


def test_a_link_for_guests_is_no_invitation_for_an_email(database: Engine) -> None:
    Invitations(database, Now()).open_link("Demo", 5, None, "owner", Now()() + timedelta(days=1))
    with pytest.raises(NotAdmitted):
        people(database, NOBODY).admit(ADA)


def test_of_a_list_and_an_invitation_the_higher_role_counts(database: Engine) -> None:
    """A colleague whose whole domain may come in is invited as an admin."""
    invite(database, role="admin")
    account = people(database, LISTED).admit(ADA).account
    assert account.role == "admin"
    invite(database, "bo@elsewhere.example", "member")
    assert people(database, Admission(admins=frozenset({BO.email}))).admit(BO).account.role == "admin"
    assert people(database, NOBODY).admit(BO).account.role == "member", "off the list, it is the invitation's that stays"
    assert [_higher(one, other) for one, other in (("guest", "member"), ("admin", "member"), ("guest", "guest"))] == [
        "member", "admin", "guest",
    ]  # fmt: skip


def test_one_who_was_taken_off_the_lists_may_be_invited(any_database: Engine) -> None:
    ada = people(any_database, LISTED).admit(ADA).account.id
    made = invite(any_database, role="admin")
    admitted = people(any_database, NOBODY).admit(ADA)
    assert (admitted.account.id, admitted.account.role, admitted.invitation_id) == (ada, "admin", made)
    assert people(any_database, NOBODY).apply_lists() == []


def test_an_invitation_is_not_used_up_by_one_who_comes_in_anyway(database: Engine) -> None:
    people(database, LISTED).admit(ADA)
    invite(database)
    assert people(database, LISTED).admit(ADA).invitation_id == ""
    assert used(database) == 0


def used(database: Engine) -> int:
    with database.begin() as connection:
        return sum(row.used for row in connection.execute(select(invitations)).all())


# Shut out, deleted.


def test_one_who_is_disabled_stays_out_whatever_lets_them_in(any_database: Engine) -> None:
    door = people(any_database, ADMINS)
    ada = door.admit(ADA).account.id
    door.set_disabled(ada, True)
    invite(any_database)
    with pytest.raises(NotAdmitted, match="closed this account"):
        door.admit(ADA)
    assert used(any_database) == 0
    door.set_disabled(ada, False)
    assert door.admit(ADA).account.id == ada


def test_one_who_was_deleted_is_new_if_something_lets_them_in(any_database: Engine) -> None:
    door = people(any_database, LISTED)
    ada = door.admit(ADA).account.id
    door.set_role(ada, "admin")
    door.delete(ada)
    assert count(any_database, identities) == 0
    new = door.admit(ADA).account
    assert (new.id == ada, new.role) == (False, "member")


def test_one_who_came_by_an_invitation_and_was_deleted_needs_another(database: Engine) -> None:
    invite(database)
    door = people(database, NOBODY)
    door.delete(door.admit(ADA).account.id)
    with pytest.raises(NotAdmitted):
        door.admit(ADA)


# Races.


def test_one_new_person_in_two_tabs_is_one_account(any_database: Engine) -> None:
    """Fifty times, by a list."""
    door = people(any_database, LISTED)
    for number in range(RACES):
        identity = replace(ADA, subject=str(number))
        one, other = race(lambda identity=identity: door.admit(identity).account)  # type: ignore[misc]
        assert one == other
    assert count(any_database) == count(any_database, identities) == RACES


def test_one_invited_person_in_two_tabs_is_one_account(any_database: Engine) -> None:
    """Fifty times, by an invitation with one seat: both tabs get in, and it is used once."""
    door = people(any_database, NOBODY)
    for number in range(RACES):
        identity = replace(ADA, subject=str(number), email=f"{number}@example.com")
        made = invite(any_database, identity.email)
        one, other = race(lambda identity=identity: door.admit(identity))  # type: ignore[misc]
        assert one.account == other.account
        assert sorted((one.invitation_id, other.invitation_id)) == ["", made]
    assert used(any_database) == count(any_database) == RACES


def test_two_people_with_one_invitation_have_one_winner(any_database: Engine) -> None:
    """Fifty times: two subjects whose provider vouches for one email."""
    door = people(any_database, NOBODY)
    for number in range(RACES):
        invite(any_database, f"{number}@example.com")
        who = iter([replace(ADA, subject=f"{number} {side}", email=f"{number}@example.com") for side in "ab"])

        def come(who: Any = who) -> str:
            try:
                return door.admit(next(who)).account.id
            except NotAdmitted:
                return ""

        assert sorted(map(bool, race(come))) == [False, True]
    assert used(any_database) == count(any_database) == RACES


@pytest.mark.parametrize("what", ["disabled", "demoted", "deleted"])
def test_what_an_admin_does_at_the_moment_of_a_sign_in_is_not_undone_by_it(database: Engine, what: str) -> None:
    door = people(database, LISTED)
    ada = door.admit(ADA).account.id
    door.set_role(ada, "admin")
    acts: dict[str, Callable[[], None]] = {
        "disabled": lambda: door.set_disabled(ada, True),
        "demoted": lambda: door.set_role(ada, "member"),
        "deleted": lambda: door.delete(ada),
    }
    once = iter([acts[what]])

    def before(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if statement.startswith("UPDATE users SET name") and (act := next(once, None)):
            act()

    event.listen(database, "before_cursor_execute", before)
    try:
        if what == "disabled":
            with pytest.raises(NotAdmitted, match="closed this account"):
                door.admit(ADA)
        else:
            account = door.admit(ADA).account
            assert (account.role, account.id == ada) == ("member", what == "demoted")
    finally:
        event.remove(database, "before_cursor_execute", before)


# A hint for the provider's choice of accounts.


@pytest.mark.parametrize(
    ("admission", "invited", "hint"),
    [(Admission(domains=frozenset({"example.com"})), "", "example.com"),
     (Admission(domains=frozenset({"example.com"}), admins=ADMINS.admins), "Bo@EXAMPLE.com", "example.com"),
     (Admission(domains=frozenset({"example.com"})), "bo@elsewhere.example", ""),
     (Admission(domains=frozenset({"example.com"}), emails=frozenset({BO.email})), "", ""),
     (Admission(domains=frozenset({"example.com", "example.org"})), "", ""), (LISTED, "", "")],
)  # fmt: skip
def test_a_domain_is_hinted_at_only_if_it_keeps_nobody_out(
    database: Engine, admission: Admission, invited: str, hint: str
) -> None:
    if invited:
        invite(database, invited)
    assert people(database, admission).only_domain() == hint


def test_of_two_admins_who_demote_each_other_at_once_one_stays(any_database: Engine) -> None:
    people, sessions = People(any_database), Sessions(any_database)
    for name in ("ada", "bo"):
        sessions.create(Account(name, name, "admin"))
    for _ in range(50):
        for name in ("ada", "bo"):
            people.set_role(name, "admin")
        names = iter(("ada", "bo"))
        done = race(lambda names=names: people.demote(next(names)))  # type: ignore[misc]
        assert sorted(done) == [False, True]
        assert [one.role for one in people.all()].count("admin") == 1
