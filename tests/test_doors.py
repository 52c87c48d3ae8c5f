"""What the settings no longer allow ends at the server's start."""

from __future__ import annotations

from sqlalchemy import Engine, insert

from auth.people import OWNER, Admission
from auth.sessions import Account
from auth.store import identities, users, utc_now
from doors import end_what_the_settings_no_longer_allow
from tests.support.auth import make_auth


def test_who_was_taken_off_the_lists_is_out_and_who_is_on_them_stays(database: Engine) -> None:
    auth = make_auth(database, admission=Admission(emails=frozenset({"bo@example.com"})))
    for name in ("ada", "bo"):
        with database.begin() as connection:
            person = {"id": name, "name": name, "email": f"{name}@example.com", "role": "member", "created_at": utc_now()}
            connection.execute(insert(users).values(person))
            known = {"issuer": "https://id.example.com", "subject": name, "user_id": name, "created_at": utc_now()}
            connection.execute(insert(identities).values(known))
    ada, bo = (auth.sessions.create(Account(name, name, "member")) for name in ("ada", "bo"))
    end_what_the_settings_no_longer_allow(auth)
    assert auth.sessions.find(ada) is None
    assert auth.sessions.find(bo) is not None


def test_an_owner_without_a_second_factor_is_out_once_one_is_required(database: Engine) -> None:
    token = make_auth(database).sessions.create(OWNER)
    end_what_the_settings_no_longer_allow(make_auth(database))
    assert make_auth(database).sessions.find(token) is not None
    end_what_the_settings_no_longer_allow(make_auth(database, link_needs_second_factor=True))
    assert make_auth(database).sessions.find(token) is None
