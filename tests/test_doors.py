"""What the settings no longer allow ends at the server's start."""

from __future__ import annotations

from pathlib import Path

import pyotp
import pytest
from sqlalchemy import Engine, insert

from auth.people import OWNER, Admission
from auth.sessions import Account
from auth.store import identities, users, utc_now
from core.errors import SettingsError
from core.settings import load_settings
from doors import end_what_the_settings_no_longer_allow, open_doors
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


def test_a_lost_secret_is_not_replaced_as_long_as_something_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORTICO_SECRET", raising=False)
    tmp_path.joinpath("data").mkdir()
    settings, secret = load_settings({"data": tmp_path / "data"}), tmp_path / "data/secret"
    engine, auth = open_doors(settings)
    auth.sessions.create(OWNER)
    begun = auth.totp.begin(OWNER.id, "Owner")
    first = secret.read_text()
    secret.unlink()
    engine.dispose()
    engine, auth = open_doors(settings)
    assert secret.read_text() != first, "what was never confirmed is no loss"
    begun = auth.totp.begin(OWNER.id, "Owner")
    assert auth.totp.confirm(OWNER.id, pyotp.TOTP(begun.secret).now())
    engine.dispose()
    secret.unlink()
    with pytest.raises(SettingsError, match=r"secret is gone: .*Put your copy of it back.*any 32 characters.*reset-2fa"):
        open_doors(settings)
    assert not secret.exists()
    secret.write_text("n" * 32)
    engine, _ = open_doors(settings)
    engine.dispose()


def test_who_needs_no_secret_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("data").mkdir()
    engine, _ = open_doors(load_settings({"data": tmp_path / "data"}), needs_secret=False)
    engine.dispose()
    assert not tmp_path.joinpath("data/secret").exists()
