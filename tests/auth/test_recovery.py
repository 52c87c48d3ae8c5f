"""Recovery codes: made, used up, replaced."""

from __future__ import annotations

import re
import threading

import pytest
from sqlalchemy import Engine, select

from auth.store import recovery_codes
from tests.auth.house import House


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


def test_ten_codes_in_groups_of_four(house: House) -> None:
    codes = house.auth.recovery.make("ada")
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){5}[A-Z2-7]{4}", code) for code in codes)
    assert house.auth.recovery.left("ada") == 10
    assert house.auth.recovery.left("bo") == 0


def test_each_is_good_once(house: House) -> None:
    codes = house.auth.recovery.make("ada")
    for left, code in enumerate(reversed(codes)):
        assert house.auth.recovery.left("ada") == 10 - left
        assert house.auth.recovery.use("ada", code)
        assert not house.auth.recovery.use("ada", code)
    assert house.auth.recovery.left("ada") == 0


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f"  {code.replace('-', ' ')}\n",
        lambda code: code.replace("O", "0"),
    ],
)
def test_it_may_be_spaced_and_cased_in_any_way(house: House, typed: object) -> None:
    assert callable(typed)
    assert house.auth.recovery.use("ada", typed(house.auth.recovery.make("ada")[3]))


@pytest.mark.parametrize("code", ["", "-", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA", "x" * 10_000, "é", "\0"])
def test_anything_else_is_refused(house: House, code: str) -> None:
    codes = house.auth.recovery.make("ada")
    assert not house.auth.recovery.use("ada", code)
    assert not house.auth.recovery.use("ada", codes[0][:-1])
    assert house.auth.recovery.left("ada") == 10


def test_another_persons_code_is_refused_and_stays_good(house: House) -> None:
    code = house.auth.recovery.make("ada")[0]
    house.auth.recovery.make("bo")
    assert not house.auth.recovery.use("bo", code)
    assert house.auth.recovery.use("ada", code)


def test_new_codes_take_the_place_of_those_before(house: House) -> None:
    before = house.auth.recovery.make("ada")
    house.auth.recovery.use("ada", before[0])
    after = house.auth.recovery.make("ada")
    assert not set(before) & set(after)
    assert house.auth.recovery.left("ada") == 10
    assert not house.auth.recovery.use("ada", before[1])


def test_asked_for_twice_at_once_there_are_ten_still(any_database: Engine) -> None:
    house = House(any_database)
    for _ in range(10):
        threads = [threading.Thread(target=house.auth.recovery.make, args=("ada",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with any_database.begin() as connection:
            assert len(connection.execute(select(recovery_codes)).all()) == 10
