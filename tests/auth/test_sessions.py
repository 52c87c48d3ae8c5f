from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.exc import IntegrityError

from auth import challenges
from auth.links import LIFETIME, Links
from auth.people import People
from auth.sessions import ABSOLUTE, FRESH, HALF, IDLE, Account, Session, Sessions
from auth.store import metadata
from auth.store import sessions as rows
from core.database import open_database
from tests.support.auth import Now
from tests.support.races import race

ADA, BO = Account("ada", "Ada", "member"), Account("bo", "Bo", "member")


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def sessions(any_database: Engine, now: Now) -> Sessions:
    return Sessions(any_database, now)


def opened(sessions: Sessions, token: str | None) -> Session:
    found = sessions.find(token or "")
    assert found is not None
    return found


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


def test_a_locked_database_holds_up_nobody_who_is_known_while_another_signs_out(tmp_path: Path, now: Now) -> None:
    database = open_database(f"sqlite:///{tmp_path}/p.db")
    metadata.create_all(database)
    sessions = Sessions(database, now)
    known, leaving = sessions.create(ADA), sessions.create(BO)
    opened(sessions, known)
    out = opened(sessions, leaving)
    with database.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        now.move(minutes=2)
        revoking = threading.Thread(target=sessions.revoke, args=(out.id,))
        revoking.start()
        asked = threading.Thread(target=sessions.find, args=(known,))
        asked.start()
        asked.join(timeout=3)
        assert not asked.is_alive(), "the request waits for the one that signs out"
        other.rollback()
    revoking.join()
    assert sessions.find(leaving) is None
    database.dispose()


def test_when_a_session_was_last_used_is_known_here_at_once_and_in_the_database_after_refresh(
    sessions: Sessions, any_database: Engine, now: Now
) -> None:
    token = sessions.create(ADA)
    opened(sessions, token)
    now.move(minutes=5)
    opened(sessions, token)
    assert sessions.of_user("ada")[0].seen_at == now()
    assert Sessions(any_database, now).of_user("ada")[0].seen_at != now(), "no request writes"
    sessions.refresh()
    assert Sessions(any_database, now).of_user("ada")[0].seen_at == now()


def test_what_another_process_changed_is_seen_after_refresh(sessions: Sessions, any_database: Engine, now: Now) -> None:
    kept, ended, shut_out = sessions.create(ADA), sessions.create(ADA), sessions.create(BO)
    ids = {token: opened(sessions, token).id for token in (kept, ended, shut_out)}
    told: list[str] = []
    sessions.on_revoke.append(told.append)
    elsewhere, people = Sessions(any_database, now), People(any_database, clock=now)
    elsewhere.revoke(ids[ended])
    people.set_role("ada", "admin")
    people.set_disabled("bo", True)
    sessions.refresh()
    assert opened(sessions, kept).account.role == "admin"
    assert sessions.find(ended) is None
    assert sessions.find(shut_out) is None
    assert set(told) == {ids[ended], ids[shut_out]}
    people.set_disabled("bo", False)
    assert sessions.find(shut_out) is None, "what ended stays ended when they may come in again"


def test_whoever_is_shut_out_is_out_also_by_a_session_that_this_process_never_saw(
    sessions: Sessions, any_database: Engine, now: Now
) -> None:
    token = sessions.create(ADA)
    people = People(any_database, clock=now)
    people.set_disabled("ada", True)
    assert sessions.find(token) is None
    sessions.refresh()
    people.set_disabled("ada", False)
    assert sessions.find(token) is None


def test_an_account_that_is_deleted_elsewhere_has_no_session_after_refresh(
    sessions: Sessions, any_database: Engine, now: Now
) -> None:
    token = sessions.create(ADA)
    opened(sessions, token)
    People(any_database, clock=now).delete("ada")
    sessions.refresh()
    assert sessions.find(token) is None


def test_a_refresh_ends_nobody_who_comes_in_meanwhile(sessions: Sessions, any_database: Engine) -> None:
    opened(sessions, sessions.create(BO))
    told: list[str] = []
    sessions.on_revoke.append(told.append)
    tokens: list[str] = []
    coming_in = threading.Thread(target=lambda: sessions.find(tokens[0]))

    def when_the_rows_were_read(*given: object) -> None:
        tokens.append(sessions.create(ADA))
        coming_in.start()
        coming_in.join(timeout=0.3)  # it has to wait for the lock; where there is none, it is done by then

    event.listen(any_database, "after_cursor_execute", when_the_rows_were_read, once=True)
    sessions.refresh()
    coming_in.join()
    assert told == []
    opened(sessions, tokens[0])


def test_of_two_who_step_up_one_session_at_once_one_does(sessions: Sessions) -> None:
    for _ in range(25):
        half = opened(sessions, sessions.create(ADA, "half"))
        tokens = race(lambda half=half: sessions.step_up(half))
        assert sum(token is not None for token in tokens) == 1
        opened(sessions, next(token for token in tokens if token))


def test_a_full_session_steps_up_once_per_factor_that_was_shown(sessions: Sessions, now: Now) -> None:
    """Also one that never showed any, since its browser is remembered."""
    for verified in (True, False):
        session = opened(sessions, sessions.create(ADA, verified=verified))
        now.move(minutes=1)
        assert sessions.step_up(session)
        assert sessions.step_up(session) is None


def test_signing_out_everywhere_lets_nobody_slip_through_by_stepping_up(any_database: Engine, now: Now) -> None:
    """Someone who stands before the second factor while an admin resets it, from another process."""
    sessions, elsewhere = Sessions(any_database, now), Sessions(any_database, now)
    for _ in range(50):
        half = opened(sessions, sessions.create(ADA, "half"))
        gate, tokens = threading.Barrier(2), []  # type: ignore[var-annotated]

        def step_up(half: Session = half, gate: threading.Barrier = gate, tokens: list[str | None] = tokens) -> None:
            gate.wait()
            tokens.append(sessions.step_up(half))

        thread = threading.Thread(target=step_up)
        thread.start()
        gate.wait()
        elsewhere.revoke_all("ada")
        thread.join()
        sessions.refresh()
        assert sessions.of_user("ada") == []
        assert tokens[0] is None or sessions.find(tokens[0]) is None


def test_a_half_session_lasts_ten_minutes_and_a_guests_as_long_as_the_link(sessions: Sessions, now: Now) -> None:
    half, guest = sessions.create(ADA, "half"), sessions.create(BO, ends_at=now() + timedelta(hours=2))
    now.now += HALF - timedelta(seconds=1)
    assert sessions.find(half)
    now.move(seconds=1)
    assert sessions.find(half) is None
    assert opened(sessions, guest).ends_at < now() + timedelta(hours=2)
    now.move(hours=2)
    assert sessions.find(guest) is None


def test_a_session_is_fresh_for_fifteen_minutes_and_never_where_something_stood_in_for_the_factor(
    sessions: Sessions, now: Now
) -> None:
    token = sessions.create(ADA)
    assert sessions.is_fresh(opened(sessions, token))
    assert not sessions.is_fresh(opened(sessions, sessions.create(ADA, verified=False)))
    now.now += FRESH
    assert sessions.is_fresh(opened(sessions, token))
    now.move(seconds=1)
    assert not sessions.is_fresh(opened(sessions, token))
    assert sessions.is_fresh(opened(sessions, sessions.step_up(opened(sessions, token))))


def test_what_is_over_leaves_the_database_when_someone_comes_in(sessions: Sessions, any_database: Engine, now: Now) -> None:
    for _ in range(3):
        sessions.create(ADA, "half")
    over = sessions.create(ADA)
    now.move(hours=2)
    idle = sessions.create(ADA)
    now.now += IDLE - timedelta(hours=1)
    sessions.create(BO)
    with any_database.begin() as connection:
        assert connection.execute(select(func.count()).select_from(rows)).scalar() == 2
    assert sessions.find(idle)
    assert sessions.find(over) is None


def test_a_passkeys_challenge_is_given_out_once_and_not_for_long(sessions: Sessions, now: Now) -> None:
    session = opened(sessions, sessions.create(ADA))
    assert sessions.take_challenge(session) is None
    sessions.set_challenge(session, b"first")
    sessions.set_challenge(session, b"second")
    now.now += challenges.LIFETIME
    assert sorted(map(str, race(lambda: sessions.take_challenge(session)))) == ["None", str(b"second")]
    sessions.set_challenge(session, b"third")
    now.now += challenges.LIFETIME + timedelta(seconds=1)
    assert sessions.take_challenge(session) is None


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


def test_someone_who_was_deleted_on_the_way_in_is_not_written_down_anew(sessions: Sessions, any_database: Engine) -> None:
    with pytest.raises(IntegrityError):
        sessions.create(ADA, known=True)
    with any_database.begin() as connection:
        assert connection.execute(text("select count(*) from users")).scalar() == 0
