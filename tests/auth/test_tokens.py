"""API tokens: made, found, used, revoked."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from auth.sessions import Account, Sessions
from auth.store import token_hash, tokens, users
from auth.tokens import LONGEST, MOST, PREFIX, SCOPES, NotMade, Token, Tokens
from tests.support.auth import Now

ADA = Account("ada", "Ada", "member", 7)
MONTH = timedelta(days=30)


class Desk:
    """Tokens over a database with two people."""

    def __init__(self, database: Engine) -> None:
        self.database, self.now, self.ended = database, Now(), []  # type: ignore[var-annotated]
        self.tokens = self.process()
        for user in (ADA, Account("bo", "Bo", "member")):
            Sessions(database, self.now).create(user)
        self.change("ada", quota=7)

    def process(self) -> Tokens:
        """Tokens as a process of its own sees them."""
        made = Tokens(self.database, self.now)
        made.on_revoke.append(self.ended.append)
        return made

    def make(
        self, account: Account = ADA, name: str = "script", scopes: Any = ("chat",), life: timedelta = MONTH
    ) -> tuple[Token, str]:
        return self.tokens.make(account, name, scopes, self.now() + life)

    def change(self, user: str, **values: Any) -> None:
        with self.database.begin() as connection:
            connection.execute(update(users).where(users.c.id == user).values(**values))


@pytest.fixture
def desk(database: Engine) -> Desk:
    return Desk(database)


def test_a_token_is_made_listed_and_found_on_any_database(any_database: Engine) -> None:
    desk = Desk(any_database)
    made, text = desk.make(scopes=("models", "chat"))
    assert (made.name, made.scopes, made.created_at, made.used_at) == ("script", ("chat", "models"), desk.now(), None)
    assert desk.tokens.all("ada") == [made]
    assert not desk.tokens.all("bo")
    desk.now.move(hours=1)
    session = desk.tokens.find(text)
    assert session
    assert (session.id, session.account, session.level, session.method) == (made.id, ADA, "full", "token")
    assert (session.scopes, session.ends_at) == (frozenset(SCOPES), made.expires_at)
    assert session.verified_at is None, "a program shows no factor"


def test_a_role_or_name_that_changes_changes_with_the_next_look(desk: Desk) -> None:
    text = desk.make()[1]
    assert desk.tokens.find(text)
    desk.change("ada", role="admin", name="Ada L.")
    desk.tokens.refresh()
    found = desk.tokens.find(text)
    assert found
    assert (found.account.role, found.account.name) == ("admin", "Ada L.")


def test_a_token_that_is_known_takes_no_look_into_the_database(desk: Desk) -> None:
    """It is on the event loop, where all others wait for it."""
    text = desk.make()[1]
    first = desk.tokens.find(text)
    asked: list[str] = []
    event.listen(desk.database, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert desk.tokens.find(text) == first
    desk.now.move(seconds=4)
    assert desk.tokens.find(text) == first
    assert not asked
    desk.tokens.refresh()
    desk.now.move(seconds=4)
    asked.clear()
    assert desk.tokens.find(text)
    assert not asked, "the look of a moment ago told that it is good"


def test_what_is_known_is_not_trusted_for_long_should_nobody_look(desk: Desk) -> None:
    """The server looks every two seconds; a database that is away, or a look that hangs, makes nothing good for longer."""
    text = desk.make()[1]
    assert desk.tokens.find(text)
    desk.change("ada", disabled_at=desk.now())
    desk.now.move(seconds=4)
    assert desk.tokens.find(text)
    desk.now.move(seconds=1)
    assert desk.tokens.find(text) is None
    desk.change("ada", disabled_at=None)
    assert desk.tokens.find(text)


def test_a_token_that_is_revoked_while_it_is_looked_up_is_not_kept(desk: Desk) -> None:
    made, text = desk.make()
    serving, reading, found = desk.tokens, threading.Event(), list[Any]()

    def slowly(*given: Any) -> None:
        if "token_hash = " in given[2] and not reading.is_set():
            reading.set()
            revoking.start()
            revoking.join(0.3)  # it cannot end before the look does

    revoking = threading.Thread(target=lambda: found.append(serving.revoke("ada", made.id)))
    event.listen(desk.database, "after_cursor_execute", slowly)
    serving.find(text)
    revoking.join(10)
    assert found == [True]
    assert serving.find(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "portico_", "portico", "x" * 51, "portico_" + "x" * 42, "portico_" + "x" * 44,
     "portico_" + "x" * 42 + "é", "Portico_" + "x" * 43,
     "portico_" + "x" * 42 + "\n", " portico_" + "x" * 43, "portico_" + "x" * 100_000],
)  # fmt: skip
def test_what_is_no_token_is_refused_without_a_query(desk: Desk, text: str) -> None:
    asked: list[str] = []
    event.listen(desk.database, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert desk.tokens.find(text) is None
    assert not asked
    assert desk.tokens.find(PREFIX + "x" * 43) is None
    assert asked


def test_it_ends_on_its_day(desk: Desk) -> None:
    text = desk.make(life=timedelta(days=1))[1]
    desk.now.move(hours=24, seconds=-1)
    assert desk.tokens.find(text)
    desk.now.move(seconds=1)
    assert desk.tokens.find(text) is None
    assert len(desk.tokens.all("ada")) == 1, "its owner sees why it works no more"


def test_revoking_one_is_its_owners_and_takes_effect_at_once(desk: Desk) -> None:
    made, text = desk.make()
    assert not desk.tokens.revoke("bo", made.id)
    assert desk.tokens.find(text)
    assert desk.tokens.revoke("ada", made.id)
    assert desk.tokens.find(text) is None
    assert desk.ended == [made.id]
    assert not desk.tokens.revoke("ada", made.id)


def test_revoking_all_spares_the_others(desk: Desk) -> None:
    texts = [desk.make()[1] for _ in range(3)]
    theirs = desk.make(Account("bo", "Bo", "member"))[1]
    assert desk.tokens.revoke_all("ada") == 3
    assert len(desk.ended) == 3
    assert not any(desk.tokens.find(text) for text in texts)
    assert desk.tokens.find(theirs)


def test_the_tokens_of_whoever_is_shut_out_or_gone_are_dead(desk: Desk) -> None:
    text = desk.make()[1]
    for shut, open_again in (({"disabled_at": desk.now()}, {"disabled_at": None}), ({"role": "guest"}, {"role": "member"})):
        assert desk.tokens.find(text)
        desk.change("ada", **shut)
        desk.tokens.refresh()
        assert desk.tokens.find(text) is None
        desk.change("ada", **open_again)
    assert desk.tokens.find(text)
    with desk.database.begin() as connection:
        connection.execute(users.delete().where(users.c.id == "ada"))
    desk.tokens.refresh()
    assert desk.tokens.find(text) is None


def test_what_another_process_does_counts_with_the_next_look_and_closes_what_is_open(any_database: Engine) -> None:
    desk = Desk(any_database)
    (first, one), (second, two) = desk.make(), desk.make()
    serving = desk.process()
    assert serving.find(one)
    assert serving.find(two)
    serving.refresh()
    assert not desk.ended
    desk.process().revoke("ada", first.id)
    desk.ended.clear()
    serving.refresh()
    assert serving.find(one) is None
    assert desk.ended == [first.id]
    desk.change("ada", disabled_at=desk.now())
    serving.refresh()
    assert desk.ended == [first.id, second.id]
    serving.refresh()
    assert len(desk.ended) == 2, "told once"


def test_the_last_use_is_shown_at_once_and_written_at_most_once_a_minute(desk: Desk) -> None:
    text = desk.make()[1]
    desk.now.move(hours=1)
    assert desk.tokens.find(text)
    assert desk.tokens.all("ada")[0].used_at == desk.now()
    assert desk.process().all("ada")[0].used_at is None
    desk.tokens.refresh()
    assert desk.process().all("ada")[0].used_at == (first := desk.now())
    desk.now.move(seconds=59)
    assert desk.tokens.find(text)
    desk.tokens.refresh()
    assert desk.process().all("ada")[0].used_at == first
    desk.now.move(seconds=1)
    assert desk.tokens.find(text)
    desk.tokens.refresh()
    assert desk.process().all("ada")[0].used_at == desk.now()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"account": Account("guest-1", "Guest", "guest")}, "Guests have no API tokens"),
        ({"name": " "}, "a name"), ({"name": "x" * 101}, "at most 100"), ({"name": "a\0b"}, "a name"),
        ({"scopes": ()}, "at least one thing"), ({"scopes": ("chat", "admin")}, "no scope 'admin'"),
        ({"life": timedelta(0)}, "within the next year"), ({"life": -MONTH}, "within"),
        ({"life": LONGEST + timedelta(seconds=1)}, "within"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_says_what_to_change(desk: Desk, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(NotMade, match=says):
        desk.make(**wrong)
    assert not desk.tokens.all("ada")


def test_there_are_twenty_at_most_under_a_race_too(any_database: Engine) -> None:
    desk = Desk(any_database)
    for _ in range(MOST - 1):
        desk.make()
    refused: list[str] = []

    def one_more() -> None:
        try:
            desk.make()
        except NotMade as error:
            refused.append(str(error))

    threads = [threading.Thread(target=one_more) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.tokens.all("ada")) == MOST
    assert len(refused) == 3
    assert "Revoke one" in refused[0]
    desk.tokens.revoke("ada", desk.tokens.all("ada")[0].id)
    desk.make()


def test_each_text_is_new_long_and_of_one_form(desk: Desk) -> None:
    texts = {desk.make()[1] for _ in range(10)}
    assert len(texts) == 10
    assert all(re.fullmatch(r"portico_[\w-]{43}", text) for text in texts), "256 bits"


def test_only_the_hash_is_stored(desk: Desk) -> None:
    made, text = desk.make()
    with desk.database.begin() as connection:
        row = connection.execute(tokens.select()).one()
    assert row.token_hash == token_hash(text)
    assert made.prefix == text[:12] == row.prefix
    assert text[12:] not in "".join(str(value) for value in row)
