"""From the settings to the database and all of auth over it: for the server, the `user` commands and `doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

import auth.store
import core.store
import migrations
from auth.keys import SecretError, new_secret, read_or_make_secrets, secret_is_gone
from auth.oidc import ProviderSettings
from auth.parts import Auth, Options, open_auth
from auth.people import OWNER, Admission
from auth.site import Site
from auth.totp import confirmed_apps
from core.database import open_database, sqlite_file
from core.errors import SettingsError, UserError
from core.settings import Settings, load_settings, unknown_variables

if TYPE_CHECKING:
    from auth.doctor import Finding


def open_doors(settings: Settings, needs_secret: bool = True) -> tuple[Engine, Auth]:
    """The database, brought to its newest revision, and all of auth over it. Raises SettingsError.

    Without `needs_secret` what is sealed cannot be opened, and no secret is read or made.
    """
    database = open_database(settings.database_url)
    try:
        migrations.upgrade(database, [core.store.metadata, auth.store.metadata])
    except DBAPIError as error:
        raise SettingsError(f"The database cannot be used ({error.orig}). Check --database, and that its server runs.") from None
    try:
        secrets = _secrets(settings, database) if needs_secret else [new_secret()]
        return database, open_auth(database, options_of(settings, secrets))
    except SecretError as error:
        raise SettingsError(f"{error} It stands in {secret_file(settings)}, or in PORTICO_SECRET.") from None
    except OSError as error:
        raise SettingsError(f"The server's secret cannot be read or written: {error.filename} ({error.strerror}).") from None


def _secrets(settings: Settings, database: Engine) -> list[str]:
    """The server's secrets. One is made at the first start alone: in place of a lost one it would lock people out."""
    if listed := settings.secrets():
        return listed
    file = secret_file(settings)
    if not file.exists() and confirmed_apps(database):
        raise SettingsError(secret_is_gone(file))
    return read_or_make_secrets(file)


def end_what_the_settings_no_longer_allow(doors: Auth) -> None:
    """At the server's start: whoever was taken off the lists is out; an owner who needs a second factor now must set one up."""
    out = doors.people.apply_lists()
    if doors.options.link_needs_second_factor and not doors.factors.enrolled(OWNER.id):
        out.append(OWNER.id)
    for user_id in out:
        doors.sessions.revoke_all(user_id)
        doors.tokens.revoke_all(user_id)


def secret_file(settings: Settings) -> Path:
    return settings.secret_file or settings.data / "secret"


def options_of(settings: Settings, secrets: list[str]) -> Options:
    """What auth is told by the settings."""
    providers = [
        ProviderSettings(
            name, one.title or name.title(), settings.issuer(name), one.client_id, one.client_secret.get_secret_value(),
            one.algorithm,
        )
        for name, one in settings.oidc.items()
    ]  # fmt: skip
    lists = (settings.allowed_emails, settings.allowed_domains, settings.admins)
    return Options(
        Site.of(settings.url, settings.port), secrets, Admission(*(frozenset(names) for names in lists)), providers=providers,
        link_needs_second_factor=settings.two_factor == "required" or not settings.serves_loopback,
        trusted_proxies=settings.trusted_proxies,
    )  # fmt: skip


def check_up(given: dict[str, Any], config: Path | None) -> Iterator[Finding]:
    """Every finding of `doctor`."""
    # Late, since it takes along what asks providers, and the server's port answers first.
    from auth.doctor import DATABASE, SETTINGS, Setup, check_database, check_settings_file, examine, warning, wrong
    from sizing import check_memory

    try:
        settings = load_settings(given, config)
    except UserError as error:
        yield wrong(SETTINGS, error.message)
        return
    yield check_settings_file(config or Path("portico.toml"))
    for name in unknown_variables(os.environ):
        yield warning(SETTINGS, f"The variable {name} sets nothing: there is no such setting. Is it misspelt?")
    engine = None
    try:
        engine, state, where = look_at_database(settings)
        yield check_database(state, where)
    except UserError as error:
        yield wrong(DATABASE, error.message)
    yield from check_memory(settings)
    options = options_of(settings, settings.secrets())
    yield from examine(Setup(options, settings.host, settings.port, secret_file(settings), engine))
    if engine:
        engine.dispose()


def look_at_database(settings: Settings) -> tuple[Engine | None, str, str]:
    """The database as it is, none if it is not up to date; its state, and what to call it. Raises SettingsError."""
    file = sqlite_file(settings.database_url)
    if file and not file.is_file():
        return None, "missing", str(file)
    try:
        database = open_database(settings.database_url)
        state = migrations.state(database)
    except DBAPIError as error:
        raise SettingsError(f"The database cannot be used ({error.orig}). Check --database, and that its server runs.") from None
    except OSError as error:
        raise SettingsError(f"The database {file} cannot be used ({error.strerror}).") from None
    if state != "newest":
        database.dispose()
    return (database if state == "newest" else None), state, str(file or database.url.render_as_string().partition("?")[0])
