"""`python app.py user ...`: what each command does, says and refuses, by itself and beside a running server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from app import cli
from auth.parts import Auth
from auth.people import OWNER, Admission, Identity, NotAdmitted
from auth.who import Account
from core.database import open_database
from migrations import upgrade
from tests.support.auth import make_auth
from tests.support.clock import wait_until
from tests.support.serve import Served

ADA, BO, ROOT = "ada@example.com", "bo@example.com", "root@example.com"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a database, as the first start leaves it."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("PORTICO_"):
            monkeypatch.delenv(name)
    (tmp_path / "portico.toml").write_text(
        f'admins = ["{ROOT}"]\nallowed_emails = ["{ADA}", "{BO}"]\n'
        '[oidc.google]\nclient_id = "a"\nclient_secret = "b"\n[oidc.okta]\nclient_id = "a"\nclient_secret = "b"\n'
        'issuer = "https://example.okta.com"'
    )
    return tmp_path / ".data"


@pytest.fixture
def doors(data: Path) -> Iterator[Auth]:
    """What the server sees."""
    engine = open_database(f"sqlite:///{data}/portico.db")
    upgrade(engine, [])
    lists = Admission(frozenset({ADA, BO}), admins=frozenset({ROOT}))
    doors = make_auth(engine, admission=lists)
    for email in (ADA, BO, ROOT):
        doors.people.admit(Identity("https://issuer", email, email.partition("@")[0].title(), email, ""))
    yield doors
    engine.dispose()


def user(*words: str) -> str:
    """What a command said that did what it was asked."""
    ran = CliRunner().invoke(cli, ["user", *words])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def refused(*words: str, status: int = 1) -> str:
    """The one sentence of a command that could not do it."""
    ran = CliRunner().invoke(cli, ["user", *words])
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == status, ran.output
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    return ran.stderr


def the(doors: Auth, email: str) -> Account:
    person = doors.people.find(email)
    assert person
    return person.account


def events(doors: Auth) -> list[tuple[str, str, str]]:
    return [(one.event, one.actor, one.details.get("name", "")) for one in doors.audit.entries()]


def test_list_shows_everyone_in_columns_that_no_pipe_cuts(doors: Auth) -> None:
    doors.sessions.create(the(doors, ADA))
    doors.people.set_disabled(the(doors, BO).id, True)
    lines = user("list").splitlines()
    assert lines[0].split() == ["NAME", "EMAIL", "ROLE", "SECOND", "FACTOR", "SIGNED", "IN", "STATE", "ID"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["Ada"].split()[1:] == [ADA, "member", "no", "1", "device", "open", the(doors, ADA).id]
    assert "shut out" in rows["Bo"]
    assert "admin" in rows["Root"]
    assert (
        len({line.index(the(doors, email).id) for line, email in zip(sorted(rows.values()), (ADA, BO, ROOT), strict=True)}) == 1
    )


def test_list_names_the_invited_and_says_when_there_is_nobody(data: Path) -> None:
    engine = open_database(f"sqlite:///{data}/portico.db")
    upgrade(engine, [])
    engine.dispose()
    assert user("list").startswith("Nobody yet")
    user("invite", "eve@example.com")
    assert "eve@example.com  member" in user("list")


def test_what_a_provider_calls_someone_cannot_command_the_terminal(doors: Auth) -> None:
    doors.sessions.create(Account("x", "Eve\x1b[2J\nroot", "member"))
    assert "Eve?[2J?root" in user("list")
    assert "\x1b" not in user("role", "x", "admin")


def test_an_invitation_lets_in_whom_no_list_names(doors: Auth) -> None:
    said = user("invite", "Eve@Example.com", "--role", "admin", "--days", "3")
    assert "eve@example.com may come in as an admin, until" in said
    assert "Tell them to open http://127.0.0.1:7860 and to sign in with Google or Okta." in said
    [made] = doors.invitations.all()
    assert timedelta(days=2, hours=23) < made.expires_at - made.created_at <= timedelta(days=3)
    assert doors.people.admit(Identity("i", "s", "Eve", "eve@example.com", "")).account.role == "admin"
    assert events(doors)[0] == ("invited", "terminal", "eve@example.com")


def test_an_invitation_without_a_provider_says_what_is_missing(doors: Auth, tmp_path: Path) -> None:
    (tmp_path / "portico.toml").unlink()
    said = user("invite", "eve@example.com")
    assert "name no provider" in said
    assert "give its --config here" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["eve"], "whole email address"),
        (["eve@example.com", "--role", "guest"], "Choose admin or member."),
        (["eve@example.com", "--days", "0"], "lasts between 1 and 90 days"),
        (["eve@example.com", "--days", "-3"], "lasts between 1 and 90 days"),
        (["eve@example.com", "--days", "91"], "lasts between 1 and 90 days"),
        (["eve@example.com", "--days", "999999999"], "lasts between 1 and 90 days"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused_in_a_sentence(doors: Auth, words: list[str], says: str) -> None:
    assert says in refused("invite", *words)
    assert doors.invitations.all() == []


def test_who_is_invited_already_is_told_with_the_command_that_takes_it_back(doors: Auth) -> None:
    user("invite", "Eve@example.com")
    assert "`python app.py user revoke eve@example.com`" in refused("invite", "eve@example.com")
    said = user("revoke", "Eve@Example.com")
    assert said == "The invitation for eve@example.com is taken back. They have no account, so there is nothing else to end.\n"
    assert events(doors)[0] == ("invitation-revoked", "terminal", "eve@example.com")
    with pytest.raises(NotAdmitted):
        doors.people.admit(Identity("i", "s", "Eve", "eve@example.com", ""))
    assert "nobody with the email" in refused("revoke", "eve@example.com"), "it is over"
    user("invite", "eve@example.com")


def test_revoke_takes_back_the_invitation_of_one_who_is_here_too(doors: Auth) -> None:
    token = doors.sessions.create(the(doors, ADA))
    user("invite", ADA, "--role", "admin")
    said = user("revoke", ADA, "--disable")
    assert "signed out everywhere, and shut out.\nThe invitation for ada@example.com is taken back." in said
    assert make_auth_of(doors).sessions.find(token) is None
    assert [one.state(doors.clock()) for one in doors.invitations.all()] == ["revoked"]


def test_an_invitation_hides_nobody_from_revoke(doors: Auth) -> None:
    """Two accounts of one email: which is meant must be said, and nothing is done by halves."""
    doors.people.admit(Identity("https://other", "x", "Ada", ADA, ""))
    user("invite", ADA)
    assert "or there are several" in refused("revoke", ADA)
    assert [one.state(doors.clock()) for one in doors.invitations.all()] == ["open"]


def test_no_command_makes_a_secret(doors: Auth, data: Path) -> None:
    user("list")
    user("invite", "eve@example.com")
    user("reset-2fa", ADA)
    assert not (data / "secret").exists()


def test_a_role_is_changed_by_email_or_id_and_audited(doors: Auth) -> None:
    assert user("role", ADA, "admin") == "Ada (ada@example.com) is an admin now.\n"
    assert the(doors, ADA).role == "admin"
    assert "is a member now" in user("role", the(doors, ADA).id, "member")
    assert the(doors, ADA).role == "member"
    newest = doors.audit.entries()[0]
    assert (newest.event, newest.actor, newest.actor_id, newest.subject_id) == (
        "role-changed",
        "terminal",
        "",
        the(doors, ADA).id,
    )
    assert newest.details == {"name": "Ada", "role": "member", "before": "admin"}


def test_who_the_settings_name_an_admin_will_be_one_again(doors: Auth) -> None:
    user("role", ADA, "admin")
    assert "The setting admins names them" in user("role", ROOT, "member")


def test_roles_that_cannot_be_are_refused(doors: Auth) -> None:
    doors.sessions.create(OWNER)
    assert "Choose admin or member." in refused("role", ADA, "king")
    assert "always an admin" in refused("role", "owner", "member")
    assert the(doors, "owner").role == "admin"


def test_nobody_of_that_name_is_told_with_what_helps(doors: Auth) -> None:
    for command in (["role", "eve", "admin"], ["reset-2fa", "eve"], ["revoke", "eve"], ["enable", "eve"]):
        assert "`user list` shows everyone's id" in refused(*command)
    assert events(doors) == []


def test_a_lost_phone_is_forgotten_with_all_that_was_open(doors: Auth) -> None:
    ada = the(doors, ADA)
    token, browser = doors.sessions.create(ada), doors.browsers.remember(ada.id, "phone")
    doors.recovery.make(ada.id)
    assert "no second factor any more" in user("reset-2fa", ADA)
    assert make_auth_of(doors).sessions.find(token) is None
    assert not doors.browsers.knows(ada.id, browser)
    assert doors.recovery.left(ada.id) == 0
    assert events(doors)[0] == ("factors-reset", "terminal", "Ada")


def test_the_owner_may_lose_a_phone_too(doors: Auth) -> None:
    doors.sessions.create(OWNER)
    assert "Owner (owner) has no second factor any more" in user("reset-2fa", "owner")


def test_revoke_ends_sessions_remembered_browsers_and_tokens_and_lets_in_again(doors: Auth) -> None:
    ada = the(doors, ADA)
    session, browser = doors.sessions.create(ada), doors.browsers.remember(ada.id, "phone")
    _, token = doors.tokens.make(ada, "script", ["chat"], doors.clock() + timedelta(days=1))
    assert "They may sign in again." in user("revoke", ADA)
    fresh = make_auth_of(doors)
    assert fresh.sessions.find(session) is None
    assert fresh.tokens.find(token) is None
    assert not doors.browsers.knows(ada.id, browser)
    assert events(doors)[0] == ("signed-out-everywhere", "terminal", "Ada")
    assert doors.people.admit(Identity("https://issuer", ADA, "Ada", ADA, ""))


def test_who_is_shut_out_stays_out_until_enabled(doors: Auth) -> None:
    ada = the(doors, ADA)
    token = doors.sessions.create(ada)
    assert "and shut out." in user("revoke", ADA, "--disable")
    assert make_auth_of(doors).sessions.find(token) is None
    with pytest.raises(Exception, match="closed this account"):
        doors.people.admit(Identity("https://issuer", ADA, "Ada", ADA, ""))
    user("enable", ADA)
    assert doors.people.admit(Identity("https://issuer", ADA, "Ada", ADA, ""))
    assert [event for event, *_ in events(doors)] == ["user-enabled", "user-disabled"]
    assert "is not shut out" in refused("enable", ADA)


def test_the_owner_is_never_shut_out(doors: Auth) -> None:
    token = doors.sessions.create(OWNER)
    assert "never shut out" in refused("revoke", "owner", "--disable")
    assert make_auth_of(doors).sessions.find(token), "nothing was done by halves"
    user("revoke", "owner")
    assert make_auth_of(doors).sessions.find(token) is None


def test_a_guest_is_signed_out_and_nothing_else(doors: Auth) -> None:
    made, _ = doors.invitations.open_link("Demo", 3, None, "", doors.clock() + timedelta(days=1))
    guest = doors.people.add_guest("Guest 1", made.id, None)
    token = doors.sessions.create(guest)
    assert "comes and goes with their link" in refused("role", guest.id, "admin")
    assert "comes and goes with their link" in refused("revoke", guest.id, "--disable")
    user("revoke", guest.id)
    assert make_auth_of(doors).sessions.find(token) is None


def test_a_place_without_a_database_is_told_and_nothing_is_made_there(data: Path) -> None:
    assert "start the server once" in refused("list", "--data", "elsewhere", status=2)
    assert not Path("elsewhere").exists()
    assert "no file none.toml" in refused("list", "--config", "none.toml", status=2)
    assert "this is no database URL" in refused("list", "--database", "nonsense", status=2)


def test_a_command_without_its_words_is_no_crash() -> None:
    for words in (["role", ADA], ["invite"], ["fly"]):
        ran = CliRunner().invoke(cli, ["user", *words])
        assert ran.exit_code == 2
        assert isinstance(ran.exception, SystemExit)


def test_on_postgresql_as_well(any_database: Engine, data: Path, postgres_url: str) -> None:
    url = any_database.url.render_as_string(hide_password=False)
    doors = make_auth(any_database, admission=Admission(frozenset({ADA, BO})))
    for email in (ADA, BO):
        doors.people.admit(Identity("https://issuer", email, "Ada", email, ""))
    where = ["--database", url, "--data", str(data.parent)]
    user("invite", "eve@example.com", *where)
    for command in (["role", ADA, "admin"], ["reset-2fa", ADA], ["revoke", ADA, "--disable"], ["enable", ADA]):
        user(*command, *where)
    assert "eve@example.com" in user("list", *where)
    assert len(doors.audit.entries()) == 5


def make_auth_of(doors: Auth) -> Auth:
    """The same database, seen without what a process keeps in memory."""
    return make_auth(doors.sessions._engine)


def test_a_running_server_follows_within_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Served(tmp_path / "data", "--ui", "streamlit") as served:
        assert served.link  # its database is there
        client = httpx.Client(base_url=served.url, cookies=served.session("ada"), headers={"accept": "text/html"})
        wait_until(lambda: client.get("/auth/account").status_code == 200)
        assert "/auth/admin" not in client.get("/").text
        user("role", "ada", "admin", "--data", str(tmp_path / "data"))
        wait_until(lambda: client.get("/auth/admin").status_code != 403, 6, 0.1, "the role")
        user("revoke", "ada", "--disable", "--data", str(tmp_path / "data"))
        wait_until(lambda: client.get("/auth/account").status_code == 303, 6, 0.1, "the end of the session")
        client.close()
