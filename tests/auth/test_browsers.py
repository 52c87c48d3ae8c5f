"""Browsers that are remembered, and forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from auth.store import browsers as table
from tests.auth.house import House


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


def test_a_browser_is_known_for_thirty_days_however_often_it_is_used(house: House) -> None:
    token = house.auth.browsers.remember("ada", "Firefox")
    for _ in range(29):
        house.now.move(days=1)
        assert house.auth.browsers.knows("ada", token)
    house.now.move(hours=23, minutes=59)
    assert house.auth.browsers.knows("ada", token)
    house.now.move(minutes=1)
    assert not house.auth.browsers.knows("ada", token)
    assert house.auth.browsers.all("ada") == []


@pytest.mark.parametrize("token", ["", "x", "é", "y" * 10_000])
def test_no_other_token_is_known(house: House, token: str) -> None:
    mine = house.auth.browsers.remember("ada", "Firefox")
    assert not house.auth.browsers.knows("ada", token)
    assert not house.auth.browsers.knows("bo", mine), "nor is another person in this browser"


def test_only_the_tokens_hash_is_stored(database: Engine, house: House) -> None:
    token = house.auth.browsers.remember("ada", "Firefox")
    with database.begin() as connection:
        assert token not in str(connection.execute(select(table)).all())


def test_its_owner_sees_it_and_when_it_was_last_used(house: House) -> None:
    made = house.now()
    first = house.auth.browsers.remember("ada", "Firefox" * 100)
    house.auth.browsers.remember("ada", "Safari")
    house.auth.browsers.remember("bo", "Chrome")
    house.now.move(days=2)
    house.auth.browsers.knows("ada", first)
    used, unused = house.auth.browsers.all("ada")
    assert (len(used.agent), unused.agent) == (255, "Safari")
    assert (used.created_at, used.used_at, used.expires_at) == (made, house.now(), made + timedelta(days=30))


def test_one_is_forgotten_or_all_of_a_person(house: House) -> None:
    browsers = house.auth.browsers
    tokens = [browsers.remember("ada", "Firefox") for _ in range(3)]
    bos = browsers.remember("bo", "Chrome")
    [gone, *_] = browsers.all("ada")
    assert browsers.forget("bo", gone.id) == 0, "not another's"
    assert browsers.forget("ada", gone.id) == 1
    assert sum(browsers.knows("ada", token) for token in tokens) == 2
    assert browsers.forget("ada") == 2
    assert not any(browsers.knows("ada", token) for token in tokens)
    assert browsers.knows("bo", bos)
