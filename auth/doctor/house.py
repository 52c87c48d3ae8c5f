"""What this machine keeps: the server's secret, what is sealed with it, and who may come in."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from auth.doctor.finding import Finding, note, ok, warning, wrong
from auth.invitations import Invitations
from auth.keys import SecretError, Vault, read_secrets, secret_is_gone
from auth.parts import Options
from auth.people import People
from auth.store import Clock
from auth.totp import confirmed_apps

SETTINGS, DATABASE, SECRET, DOOR = "Settings", "Database", "The server's secret", "Who may come in"
NO_WORKSPACE = {"gmail.com", "googlemail.com"}


def check_settings_file(file: Path) -> Finding:
    """The file of settings, which may hold secrets."""
    if not file.is_file():
        return ok(SETTINGS, f"There is no {file}, so they come from the command line, the environment and the defaults.")
    holds_secrets = re.search(r"secret", file.read_text(encoding="utf-8", errors="replace"))
    if holds_secrets and stat.S_IMODE(file.stat().st_mode) & 0o077:
        return warning(SETTINGS, f"{file} holds a secret, and other users of this machine can read it. Run: chmod 600 {file}")
    return ok(SETTINGS, f"{file} is read.")


def check_database(state: str, where: str) -> Finding:
    """`state` as migrations.state names it, or "missing"."""
    texts = {
        "missing": note(DATABASE, f"{where} is made at the first start."),
        "empty": note(DATABASE, f"{where} is empty; the first start makes its tables."),
        "old": warning(DATABASE, f"{where} is an older Portico's. The next start brings it up to date; keep a copy of it."),
        "newer": wrong(DATABASE, f"{where} was made by a newer Portico. Install that one, or give another with --database."),
    }
    return texts.get(state) or ok(DATABASE, f"{where} answers and is up to date.")


def check_secret_file(file: Path, engine: Engine | None = None) -> tuple[list[str], Finding]:
    """The secrets in `file`, and whether it is for its owner alone; or whether it was lost."""
    try:
        about = file.stat()
        secrets = read_secrets(file)
    except FileNotFoundError:
        if engine and confirmed_apps(engine):
            return [], wrong(SECRET, secret_is_gone(file))
        return [], note(SECRET, f"{file} is made at the first start.")
    except PermissionError as error:
        return [], wrong(SECRET, f"{file} cannot be read ({error.strerror}). Run doctor as the user who runs the server.")
    except OSError as error:
        return [], wrong(SECRET, f"{file} cannot be read ({error.strerror}). A secret is a line of text in a file.")
    except SecretError as error:
        return [], wrong(SECRET, str(error))
    if stat.S_IMODE(about.st_mode) & 0o077:
        return secrets, wrong(SECRET, f"{file} can be read by other users of this machine. Run: chmod 600 {file}")
    written = datetime.fromtimestamp(about.st_mtime, UTC)
    return secrets, ok(SECRET, f"{file} is for its owner alone; it was written on {written:%Y-%m-%d}.")


def check_secrets(secrets: Sequence[str], engine: Engine | None) -> Iterator[Finding]:
    """Whether the secrets are long enough, and open what is sealed."""
    try:
        vault = Vault(secrets)
    except SecretError as error:
        yield wrong(SECRET, f"{error} Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'")
        return
    if engine is None:
        return
    rows = confirmed_apps(engine)
    closed = sum(not _opens(vault, sealed, row_id) for row_id, sealed in rows)
    old = sum(not vault.is_current(sealed) for _, sealed in rows) - closed
    if closed:
        yield wrong(
            SECRET, f"{_count(closed, 'authenticator app')} cannot be read with it. List the old secret after the new one."
        )
    if old:
        needs = "needs an old secret: keep that until it was" if old == 1 else "need an old secret: keep that until they were"
        yield ok(SECRET, f"{_count(old, 'authenticator app')} still {needs} used.")
    elif len(secrets) > 1 and not closed:
        yield ok(SECRET, "Nothing needs the old secrets any more. They can be taken off the list.")


def _opens(vault: Vault, sealed: bytes, row_id: str) -> bool:
    try:
        vault.open(sealed, row_id)
    except SecretError:
        return False
    return True


def check_door(options: Options, engine: Engine | None, clock: Clock) -> Iterator[Finding]:
    """Who is let in, in words, and whether that is likely what was meant."""
    lists, link = options.admission, _link(options)
    if not options.providers:
        yield ok(DOOR, f"No provider is set, so the terminal's link and invitations for guests are the ways in. {link}")
        if lists.emails or lists.domains or lists.admins:
            yield warning(
                DOOR, "Emails and domains are listed, but without a provider nobody can show theirs. Set one under oidc."
            )
        return
    yield ok(DOOR, link)
    invited, admins = _waiting(engine, clock), _admins(engine)
    listed = [*sorted(lists.admins | lists.emails), *(f"everyone of {domain}" for domain in sorted(lists.domains))]
    if listed or invited:
        also = [f"{_count(invited, 'open invitation')}"] if invited else []
        yield ok(DOOR, f"By a provider: {', '.join(listed + also)}.")
    else:
        yield warning(
            DOOR,
            "Nobody new is let in by a provider. Name yourself in admins and others in allowed_emails or allowed_domains, "
            "or invite them: python app.py user invite EMAIL",
        )
    if not lists.admins and not admins:
        yield warning(DOOR, "No admin is named, so the holder of the terminal's link is the only one. Name yourself in admins.")
    if lists.domains & NO_WORKSPACE:
        yield warning(
            DOOR, "Google vouches for no domain of private accounts such as gmail.com. List their emails in allowed_emails."
        )


def _link(options: Options) -> str:
    factor = "needs a second factor" if options.link_needs_second_factor else "may add a second factor"
    return f"The terminal's link lets in its one owner, an admin, who {factor}; it works on this machine alone."


def _waiting(engine: Engine | None, clock: Clock) -> int:
    """Open invitations by email."""
    if engine is None:
        return 0
    return sum(not one.is_link and one.state(clock()) == "open" for one in Invitations(engine, clock).all())


def _admins(engine: Engine | None) -> int:
    """Admins beside the link's owner."""
    if engine is None:
        return 0
    return sum(one.role == "admin" and one.id != "owner" and not one.disabled for one in People(engine).all())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
