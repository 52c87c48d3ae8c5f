"""Codes by time, against the clock that the test moves. pyotp stands for the authenticator app."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from sqlalchemy import Engine, select, update

from auth.keys import SecretError, Vault
from auth.sessions import Account, Sessions
from auth.store import totp as table
from auth.totp import Totp
from tests.support.auth import Now

OLD, NEW = "o" * 32, "n" * 32


class Phone:
    """Authenticator apps of two people, and the server's side of them."""

    def __init__(self, database: Engine) -> None:
        self.database, self.now = database, Now()
        self.totp = Totp(database, Vault([OLD]), self.now)
        for user in ("ada", "bo"):
            Sessions(database, self.now).create(Account(user, user, "member"))

    def enrol(self, user: str = "ada") -> str:
        secret = self.totp.begin(user, user).secret
        assert self.totp.confirm(user, self.code(secret))
        self.now.move(seconds=30)
        return secret

    def code(self, secret: str, steps: int = 0) -> str:
        return pyotp.TOTP(secret).at(self.now(), counter_offset=steps)


@pytest.fixture
def phone(database: Engine) -> Phone:
    return Phone(database)


def test_the_address_in_the_qr_code_names_the_site_and_the_account(phone: Phone) -> None:
    enrolment = phone.totp.begin("ada", "ada@example.com", "Portico (demo.example.com)")
    parts = urlsplit(enrolment.uri)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == "/Portico (demo.example.com):ada@example.com"
    assert parse_qs(parts.query) == {"secret": [enrolment.secret], "issuer": ["Portico (demo.example.com)"]}


def test_the_secret_stays_the_same_until_it_is_confirmed_or_an_hour_old(phone: Phone) -> None:
    first = phone.totp.begin("ada", "Ada")
    phone.now.move(minutes=59)
    assert phone.totp.begin("ada", "Ada") == first
    assert phone.totp.begin("bo", "Bo").secret != first.secret
    phone.now.move(minutes=1)
    second = phone.totp.begin("ada", "Ada")
    assert second.secret != first.secret
    assert not phone.totp.confirm("ada", phone.code(first.secret)), "too old"
    assert phone.totp.confirm("ada", phone.code(second.secret))
    assert phone.totp.begin("ada", "Ada").secret != second.secret


def test_what_anybody_gave_up_is_deleted_when_the_next_one_begins(phone: Phone) -> None:
    confirmed = phone.enrol("ada")
    phone.totp.begin("ada", "Ada")
    phone.now.move(minutes=61)
    phone.totp.begin("bo", "Bo")
    with phone.database.begin() as connection:
        kept = connection.execute(select(table.c.user_id, table.c.confirmed_at.is_not(None)).order_by(table.c.user_id)).all()
    assert [tuple(row) for row in kept] == [("ada", True), ("bo", False)]
    assert phone.totp.check("ada", phone.code(confirmed))


def test_it_is_no_factor_before_a_code_of_it_was_given(phone: Phone) -> None:
    enrolment = phone.totp.begin("ada", "Ada")
    assert not phone.totp.has("ada")
    assert not phone.totp.check("ada", phone.code(enrolment.secret))
    assert not phone.totp.confirm("ada", "000000" if phone.code(enrolment.secret) != "000000" else "000001")
    assert phone.totp.is_pending("ada")
    assert phone.totp.confirm("ada", phone.code(enrolment.secret))
    assert phone.totp.has("ada")
    assert not phone.totp.is_pending("ada")
    assert not phone.totp.has("bo")


def test_the_code_that_confirmed_is_used_up(phone: Phone) -> None:
    secret = phone.totp.begin("ada", "Ada").secret
    code = phone.code(secret)
    assert phone.totp.confirm("ada", code)
    assert not phone.totp.check("ada", code)
    phone.now.move(seconds=30)
    assert phone.totp.check("ada", phone.code(secret))


@pytest.mark.parametrize(("steps", "taken"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (3, False)])
def test_a_code_may_be_one_step_off(phone: Phone, steps: int, taken: bool) -> None:
    secret = phone.enrol()
    phone.now.move(minutes=10)
    assert phone.totp.check("ada", phone.code(secret, steps)) is taken


def test_a_code_older_than_the_last_one_taken_is_refused(phone: Phone) -> None:
    secret = phone.enrol()
    phone.now.move(minutes=10)
    assert phone.totp.check("ada", phone.code(secret))
    assert not phone.totp.check("ada", phone.code(secret)), "twice"
    assert not phone.totp.check("ada", phone.code(secret, -1)), "an older one"
    assert phone.totp.check("ada", phone.code(secret, +1))


@pytest.mark.parametrize(
    "form", ["{}", " {} ", "{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}", "{0[0]} {0[1]} {0[2]}-{0[3]}{0[4]}{0[5]}\n"]
)
def test_a_code_may_be_typed_with_spaces(phone: Phone, form: str) -> None:
    secret = phone.enrol()
    assert phone.totp.check("ada", form.format(phone.code(secret)))


def test_a_code_may_be_typed_full_width(phone: Phone) -> None:
    secret = phone.enrol()
    assert phone.totp.check("ada", "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in phone.code(secret)))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "12345é", "0" * 10_000, "\0" * 6])
def test_anything_else_is_refused(phone: Phone, code: str) -> None:
    secret = phone.enrol()
    assert not phone.totp.check("ada", code)
    assert not phone.totp.check("ada", phone.code(secret)[:5])
    assert not phone.totp.check("ada", phone.code(secret) + "0")


def test_another_persons_code_is_refused(phone: Phone) -> None:
    phone.enrol("ada")
    bos = phone.enrol("bo")
    assert not phone.totp.check("ada", phone.code(bos))
    assert not phone.totp.check("nobody", phone.code(bos))


def test_a_new_secret_takes_the_place_of_the_one_before(phone: Phone) -> None:
    old = phone.enrol()
    new = phone.totp.begin("ada", "Ada").secret
    assert phone.totp.check("ada", phone.code(old)), "until the new one is confirmed"
    phone.now.move(minutes=1)
    assert phone.totp.confirm("ada", phone.code(new))
    phone.now.move(minutes=1)
    assert not phone.totp.check("ada", phone.code(old))
    assert phone.totp.check("ada", phone.code(new))
    with phone.database.begin() as connection:
        assert len(connection.execute(select(table.c.id)).all()) == 1


def test_removing_takes_what_waits_as_well(phone: Phone) -> None:
    secret = phone.enrol()
    waiting = phone.totp.begin("ada", "Ada").secret
    phone.totp.remove("ada")
    assert not phone.totp.has("ada")
    assert not phone.totp.check("ada", phone.code(secret))
    assert not phone.totp.confirm("ada", phone.code(waiting))


def test_a_secret_that_an_old_key_sealed_is_sealed_anew_when_it_is_used(phone: Phone) -> None:
    secret = phone.enrol()
    rotated = Totp(phone.database, Vault([NEW, OLD]), phone.now)
    with pytest.raises(SecretError):
        Totp(phone.database, Vault([NEW]), phone.now).check("ada", phone.code(secret))
    assert rotated.check("ada", phone.code(secret))
    phone.now.move(seconds=30)
    assert Totp(phone.database, Vault([NEW]), phone.now).check("ada", phone.code(secret)), "the old key is needed no more"


def test_what_waits_under_a_lost_key_is_begun_anew(phone: Phone) -> None:
    lost = phone.totp.begin("ada", "Ada")
    other = Totp(phone.database, Vault([NEW]), phone.now)
    assert not other.is_pending("ada")
    assert other.begin("ada", "Ada").secret != lost.secret


def test_a_secret_that_is_moved_to_another_row_is_no_good(phone: Phone) -> None:
    bos = phone.enrol("bo")
    phone.enrol("ada")
    with phone.database.begin() as connection:
        sealed = connection.execute(select(table.c.secret).where(table.c.user_id == "bo")).scalar_one()
        connection.execute(update(table).where(table.c.user_id == "ada").values(secret=sealed))
    with pytest.raises(SecretError):
        phone.totp.check("ada", phone.code(bos))
