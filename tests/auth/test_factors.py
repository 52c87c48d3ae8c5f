"""Failures, the lock and the reset, across all kinds of factors."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, insert, select

from auth.factors import FAILURES_A_LOCK, LOCK, MOST_FAILURES, UNTIL_RESET
from auth.store import passkeys, users
from tests.auth.house import House


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


def add_passkey(database: Engine, house: House, user: str = "ada") -> None:
    new = {"id": user, "user_id": user, "name": "Key", "credential_id": user.encode(), "public_key": b"", "sign_count": 0}
    with database.begin() as connection:
        connection.execute(insert(passkeys).values(**new, created_at=house.now()))


def fail(house: House, times: int, user: str = "ada") -> list[bool]:
    return [house.auth.factors.failed(user) for _ in range(times)]


def test_enrolled_is_who_has_a_confirmed_app_or_a_passkey(database: Engine, house: House) -> None:
    factors = house.auth.factors
    assert not factors.enrolled("ada")
    house.auth.totp.begin("ada", "Ada")
    assert not factors.enrolled("ada"), "not confirmed"
    house.enrol("ada")
    assert factors.enrolled("ada")
    add_passkey(database, house, "bo")
    assert factors.enrolled("bo")
    assert not factors.enrolled("nobody")


def test_five_failures_in_a_row_lock_for_fifteen_minutes(house: House) -> None:
    factors = house.auth.factors
    assert fail(house, FAILURES_A_LOCK) == [False, False, False, False, True]
    assert factors.locked_until("ada") == house.now() + LOCK
    assert factors.locked_until("bo") is None
    house.now.move(minutes=14, seconds=59)
    assert factors.locked_until("ada")
    house.now.move(seconds=1)
    assert factors.locked_until("ada") is None
    assert fail(house, FAILURES_A_LOCK) == [False, False, False, False, True], "and five more lock again"


def test_a_right_factor_forgives_what_was_counted(house: House) -> None:
    fail(house, FAILURES_A_LOCK - 1)
    house.auth.factors.succeeded("ada")
    assert not any(fail(house, FAILURES_A_LOCK - 1))
    assert fail(house, 1) == [True]


def test_a_hundred_failures_in_a_row_lock_until_a_reset(house: House) -> None:
    factors = house.auth.factors
    for _ in range(MOST_FAILURES):
        factors.failed("ada")
    assert factors.locked_until("ada") == UNTIL_RESET
    house.now.move(days=3650)
    assert factors.locked_until("ada") == UNTIL_RESET
    assert factors.failed("ada"), "and stays so"
    assert factors.locked_until("ada") == UNTIL_RESET
    factors.reset("ada")
    assert factors.locked_until("ada") is None
    assert not factors.failed("ada")


def test_an_account_that_is_gone_does_not_fail(house: House) -> None:
    assert not house.auth.factors.failed("nobody")
    assert house.auth.factors.locked_until("nobody") is None


def test_failures_at_once_are_all_counted_and_one_of_them_locks(any_database: Engine) -> None:
    house = House(any_database)
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.extend(fail(house, 1))) for _ in range(2 * FAILURES_A_LOCK)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 8 + [True] * 2
    with any_database.begin() as connection:
        assert connection.execute(select(users.c.failures).where(users.c.id == "ada")).scalar() == 10


def test_a_reset_removes_all_of_one_persons_factors_and_nothing_of_others(database: Engine, house: House) -> None:
    auth = house.auth
    codes, browsers = {}, {}
    for user in ("ada", "bo"):
        house.enrol(user)
        add_passkey(database, house, user)
        codes[user] = auth.recovery.make(user)
        browsers[user] = auth.browsers.remember(user, "Firefox")
        fail(house, FAILURES_A_LOCK, user)
    auth.totp.begin("ada", "Ada")
    auth.factors.reset("ada")
    assert not auth.factors.enrolled("ada")
    assert not auth.totp.is_pending("ada")
    assert auth.factors.locked_until("ada") is None
    assert not auth.recovery.use("ada", codes["ada"][0])
    assert not auth.browsers.knows("ada", browsers["ada"])
    assert not any(fail(house, FAILURES_A_LOCK - 1)), "the count begins anew"
    assert auth.factors.enrolled("bo")
    assert auth.factors.locked_until("bo")
    assert auth.recovery.use("bo", codes["bo"][0])
    assert auth.browsers.knows("bo", browsers["bo"])
