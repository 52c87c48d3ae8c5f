from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from auth.links import LIFETIME, Links
from auth.sessions import ABSOLUTE, IDLE, Account, Sessions
from auth.store import metadata
from core.database import open_database

ADA = Account("ada", "Ada", "member")


class Now:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def sessions(any_database: Engine, now: Now) -> Sessions:
    return Sessions(any_database, now)


def test_a_token_opens_its_session_and_no_other_does(sessions: Sessions) -> None:
    found = sessions.find(sessions.create(ADA))
    assert found is not None
    assert found.account == ADA
    for wrong in ("", "x", "chosen-by-a-client", found.id):
        assert sessions.find(wrong) is None


def test_sessions_outlive_the_process(sessions: Sessions, any_database: Engine, now: Now) -> None:
    token = sessions.create(ADA)
    assert Sessions(any_database, now).find(token) is not None


def test_only_a_hash_of_the_token_is_stored(sessions: Sessions, any_database: Engine) -> None:
    token = sessions.create(ADA)
    with any_database.begin() as connection:
        rows = str(connection.execute(text("select * from sessions")).all())
    assert token not in rows


def test_a_revoked_session_opens_nothing_and_is_told(sessions: Sessions) -> None:
    token = sessions.create(ADA)
    session = sessions.find(token)
    assert session is not None
    told: list[str] = []
    sessions.on_revoke.append(told.append)
    sessions.revoke(session.id)
    assert sessions.find(token) is None
    assert told == [session.id]


def test_idle_and_absolute_timeouts(sessions: Sessions, now: Now) -> None:
    token = sessions.create(ADA)
    now.now += IDLE
    assert sessions.find(token) is not None, "use renews the idle timeout"
    now.now += IDLE + timedelta(seconds=1)
    assert sessions.find(token) is None
    busy = sessions.create(ADA)
    start = now.now
    while now.now - start <= ABSOLUTE:
        assert sessions.find(busy) is not None
        now.now += IDLE / 2
    assert sessions.find(busy) is None


def test_a_locked_database_holds_up_no_request(tmp_path: Path, now: Now) -> None:
    database = open_database(f"sqlite:///{tmp_path}/p.db")
    metadata.create_all(database)
    sessions = Sessions(database, now)
    token = sessions.create(ADA)
    assert sessions.find(token)
    with database.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        now.now += timedelta(minutes=2)
        asked = threading.Thread(target=sessions.find, args=(token,))
        asked.start()
        asked.join(timeout=3)
        assert not asked.is_alive(), "the request waits for the writer"
        other.rollback()
    database.dispose()


def test_a_link_works_once_and_not_for_long(any_database: Engine, now: Now) -> None:
    links = Links(any_database, now)
    token = links.create()
    assert not links.use("wrong")
    assert links.use(token)
    assert not links.use(token)
    late = links.create()
    now.now += LIFETIME
    assert not links.use(late)


def test_a_new_link_ends_the_one_before(any_database: Engine) -> None:
    links = Links(any_database)
    old, new = links.create(), links.create()
    assert not links.use(old)
    assert links.use(new)


def test_two_who_use_one_link_at_once_are_one_winner(any_database: Engine) -> None:
    links = Links(any_database)
    for _ in range(50):
        token = links.create()
        results: list[bool] = []
        together = threading.Barrier(2)

        def use(token: str = token, together: threading.Barrier = together, results: list[bool] = results) -> None:
            together.wait()
            results.append(links.use(token))

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, True]
