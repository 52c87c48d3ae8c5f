"""Passkeys, against an authenticator in software that can lie: what must be refused is refused."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, select

from auth.passkeys import MOST, Passkeys
from auth.sessions import Account, Sessions
from auth.store import passkeys as table
from tests.auth.authenticator import PRESENT, Authenticator
from tests.support.auth import Now

ORIGIN = "https://demo.example.com"
LOCAL = "http://localhost:7860"


class Desk:
    """Passkeys over a database with two people."""

    def __init__(self, database: Engine, origin: str = ORIGIN) -> None:
        self.database, self.origin, self.now = database, origin, Now()
        self.passkeys = Passkeys(database, self.now)
        for user in ("ada", "bo"):
            Sessions(database, self.now).create(Account(user, user.title(), "member"))

    def enrol(self, user: str = "ada", device: Authenticator | None = None, **lies: Any) -> Authenticator | None:
        """A device that is `user`'s now, or None if it was refused."""
        device = device or Authenticator(self.origin)
        options, challenge = self.passkeys.registration(user, user.title(), self.origin)
        answer = device.create(options, **lies)
        return device if self.passkeys.register(user, "Key", answer, challenge, self.origin) else None

    def sign_in(self, device: Authenticator, user: str = "ada", **lies: Any) -> bool:
        options, challenge = self.passkeys.authentication(user, self.origin)
        return self.passkeys.check(user, device.get(options, **lies), challenge, self.origin)


@pytest.fixture
def desk(database: Engine) -> Desk:
    return Desk(database)


def enrolled(desk: Desk, user: str = "ada") -> Authenticator:
    device = desk.enrol(user)
    assert device
    return device


@pytest.mark.parametrize(
    ("origin", "possible"),
    [
        (ORIGIN, True), ("https://demo.example.com:8443", True), (LOCAL, True), ("http://localhost", True),
        ("http://127.0.0.1:7860", False), ("http://[::1]:7860", False), ("https://192.0.2.7", False),
        ("https://[2001:db8::1]", False),
        ("http://demo.example.com", False), ("http://localhost.evil.example", False), ("null", False), ("", False),
    ],
)  # fmt: skip
def test_browsers_do_passkeys_under_https_with_a_name_and_at_localhost(origin: str, possible: bool) -> None:
    assert Passkeys.possible(origin) is possible


def test_a_passkey_is_added_and_shown_on_any_database(any_database: Engine) -> None:
    desk = Desk(any_database)
    device = enrolled(desk)
    made = desk.now()
    desk.now.move(minutes=1)
    assert desk.sign_in(device)
    assert desk.sign_in(device), "as often as its owner likes"
    (passkey,) = desk.passkeys.all("ada")
    assert (passkey.name, passkey.created_at, passkey.used_at) == ("Key", made, desk.now())
    assert not desk.passkeys.all("bo")


def test_at_localhost_the_port_belongs_to_the_origin_and_not_to_the_name(database: Engine) -> None:
    desk = Desk(database, LOCAL)
    device = enrolled(desk)
    assert desk.sign_in(device)
    device.origin = "http://localhost:8501"
    assert not desk.sign_in(device)


def test_the_options_say_who_without_saying_anything_of_them(desk: Desk) -> None:
    device = enrolled(desk)
    options = json.loads(desk.passkeys.registration("ada", "Ada", ORIGIN)[0])
    assert options["rp"] == {"name": "Portico", "id": "demo.example.com"}
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert len(options["excludeCredentials"]) == 1, "the same device is not added twice"
    assert "ada" not in device.handle.decode("latin-1")
    assert device.handle != enrolled(desk, "bo").handle
    asked = json.loads(desk.passkeys.authentication("ada", ORIGIN)[0])
    assert [one["id"] for one in asked["allowCredentials"]] == [one["id"] for one in options["excludeCredentials"]]
    assert len(asked["challenge"]) >= 43, "256 bits or more"


def test_the_handle_stays_the_same_for_a_person_and_differs_between_servers(desk: Desk, tmp_path: Any) -> None:
    def handle(of: Desk) -> str:
        return str(json.loads(of.passkeys.registration("ada", "Ada", ORIGIN)[0])["user"]["id"])

    before = handle(desk)
    assert handle(desk) == before
    with desk.database.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET created_at = '2020-01-01 00:00:00.000000'")
    assert handle(desk) != before


LIES = {
    "another site": {"client_data": {"origin": "https://demo.example.com.evil.example"}},
    "http in place of https": {"client_data": {"origin": "http://demo.example.com"}},
    "another port": {"client_data": {"origin": "https://demo.example.com:444"}},
    "a frame of another site": {"client_data": {"crossOrigin": True}},
    "another challenge": {"client_data": {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
    "no challenge": {"client_data": {"challenge": ""}},
    "the other ceremony": {"client_data": {"type": "payment.get"}},
    "a name that is not ours": {"rp_id": "example.com"},
    "nobody was there": {"flags": 0},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_no_new_passkey_is_kept_with(desk: Desk, lie: dict[str, Any]) -> None:
    assert desk.enrol(**lie) is None
    assert not desk.passkeys.all("ada")


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_no_passkey_is_taken_with(desk: Desk, lie: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    device = enrolled(desk)
    assert not desk.sign_in(device, **lie)
    assert "a passkey was refused for ada" in caplog.text
    assert desk.sign_in(device), "and the right answer still is"


def test_a_key_without_a_pin_will_do(desk: Desk) -> None:
    device = desk.enrol(flags=PRESENT)
    assert device
    assert desk.sign_in(device, flags=PRESENT)


def test_a_wrong_signature_is_refused(desk: Desk) -> None:
    known = enrolled(desk)
    forger = Authenticator(ORIGIN, known.credential_id)
    forger.handle, forger.count = known.handle, 10
    assert not desk.sign_in(forger)


def test_an_answer_is_good_for_its_own_challenge_alone(desk: Desk) -> None:
    device = enrolled(desk)
    options, challenge = desk.passkeys.authentication("ada", ORIGIN)
    answer = device.get(options)
    assert desk.passkeys.check("ada", answer, challenge, ORIGIN)
    later = desk.passkeys.authentication("ada", ORIGIN)[1]
    assert not desk.passkeys.check("ada", answer, later, ORIGIN), "replayed"


def test_another_persons_passkey_opens_nothing(desk: Desk) -> None:
    enrolled(desk)
    theirs = enrolled(desk, "bo")
    assert not desk.sign_in(theirs, "ada")
    assert not desk.sign_in(theirs, "ada", handle=b"")
    assert desk.sign_in(theirs, "bo")


def test_an_answer_that_names_another_person_is_refused(desk: Desk) -> None:
    device = enrolled(desk)
    assert not desk.sign_in(device, handle=enrolled(desk, "bo").handle)
    assert desk.sign_in(device, handle=b""), "security keys name nobody"


@pytest.mark.parametrize("back_by", [0, 1, 3])
def test_a_count_that_stands_still_or_goes_back_is_a_copied_key(
    desk: Desk, back_by: int, caplog: pytest.LogCaptureFixture
) -> None:
    device = enrolled(desk)
    for _ in range(3):
        assert desk.sign_in(device)
    assert not desk.sign_in(device, count=4 - back_by)
    assert "sign count" in caplog.text
    assert desk.sign_in(device, count=50)
    assert not desk.sign_in(device, count=49)


def test_a_passkey_that_counts_nothing_is_taken_and_may_never_begin_to_say_less(desk: Desk) -> None:
    device = desk.enrol(device=Authenticator(ORIGIN, counts=False))
    assert device
    assert desk.sign_in(device)
    assert desk.sign_in(device)
    assert desk.sign_in(device, count=7)
    assert not desk.sign_in(device), "one that has counted counts"


def test_of_two_answers_with_one_count_the_first_wins(desk: Desk) -> None:
    """A key and its copy, at the same moment."""
    device = enrolled(desk)
    for round_ in range(50):
        asked = [desk.passkeys.authentication("ada", ORIGIN) for _ in range(2)]
        answers = [(device.get(options, count=10 + round_), challenge) for options, challenge in asked]
        together, taken = threading.Barrier(2), []

        def show(answer: str, challenge: bytes, together: threading.Barrier = together, taken: list[bool] = taken) -> None:
            together.wait()
            taken.append(desk.passkeys.check("ada", answer, challenge, ORIGIN))

        threads = [threading.Thread(target=show, args=answer) for answer in answers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False, True]


NO_ANSWERS: list[Any] = [
    None, [], {}, {"rawId": 1, "response": {}}, {"rawId": "é", "response": {"clientDataJSON": "e30"}},
    {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "eyJ0eXBlIjoxfQ", "signature": ""}},
    {"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "eyJ0eXBlIjoxLCJjaGFsbGVuZ2UiOjEsIm9yaWdpbiI6MX0"}},
    {"rawId": "AA", "response": {"clientDataJSON": "eyJ0eXBlIjoiIiwiY2hhbGxlbmdlIjoiIiwib3JpZ2luIjoiIn0", "userHandle": 7}},
]  # fmt: skip


@pytest.mark.parametrize("answer", ["", "[" * 5000, *map(json.dumps, NO_ANSWERS)], ids=range(len(NO_ANSWERS) + 2))
def test_what_is_no_answer_is_refused(desk: Desk, answer: str) -> None:
    enrolled(desk)
    assert not desk.passkeys.check("ada", answer, b"challenge", ORIGIN)
    assert not desk.passkeys.register("ada", "Key", answer, b"challenge", ORIGIN)


def test_a_mangled_answer_is_refused_wherever_it_is_mangled(desk: Desk) -> None:
    device = enrolled(desk)
    options, challenge = desk.passkeys.authentication("ada", ORIGIN)
    answer = device.get(options)
    for name, value in json.loads(answer)["response"].items():
        for place in range(0, len(value) - 4, 7):  # not the last few, which may be padding
            mangled = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
            assert not desk.passkeys.check("ada", answer.replace(value, mangled), challenge, ORIGIN), (name, place)
    assert desk.passkeys.check("ada", answer, challenge, ORIGIN)


def test_a_credential_is_registered_once_whoever_brings_it(desk: Desk) -> None:
    device = enrolled(desk)
    assert desk.enrol("ada", device) is None
    assert desk.enrol("bo", device) is None
    assert len(desk.passkeys.all("ada")) == 1


def test_a_credential_id_that_is_too_long_is_refused(desk: Desk) -> None:
    assert desk.enrol(device=Authenticator(ORIGIN, b"x" * 1024)) is None


def test_there_are_ten_at_most_under_a_race_too(any_database: Engine) -> None:
    desk = Desk(any_database)
    for _ in range(MOST - 1):
        enrolled(desk)
    threads = [threading.Thread(target=desk.enrol) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.passkeys.all("ada")) == MOST
    assert enrolled(desk, "bo"), "each their own"


def test_their_owner_renames_and_removes_them_and_nobody_else_does(desk: Desk) -> None:
    device = enrolled(desk)
    (passkey,) = desk.passkeys.all("ada")
    assert not desk.passkeys.rename("bo", passkey.id, "Mine")
    assert not desk.passkeys.remove("bo", passkey.id)
    assert desk.passkeys.rename("ada", passkey.id, "  My \0 phone\n" + "x" * 200)
    assert desk.passkeys.all("ada")[0].name == ("My phone " + "x" * 200)[:100]
    assert desk.passkeys.rename("ada", passkey.id, " ")
    assert desk.passkeys.all("ada")[0].name == "Passkey"
    assert desk.passkeys.remove("ada", passkey.id)
    assert not desk.sign_in(device)
    assert not desk.passkeys.remove("ada", passkey.id)


def test_no_private_matter_stands_in_the_database_or_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    device = enrolled(desk)
    options, challenge = desk.passkeys.authentication("ada", ORIGIN)
    desk.passkeys.check("ada", device.get(options, flags=0), challenge, ORIGIN)
    assert json.loads(options)["challenge"] not in caplog.text
    with desk.database.begin() as connection:
        row = connection.execute(select(table)).one()
    assert set(row._mapping) == {"id", "user_id", "name", "credential_id", "public_key", "sign_count", "created_at", "used_at"}
