"""`python app.py user ...`: who may come in and who is shut out, from the terminal of the machine, beside a running server.

What is changed here the server sees within two seconds. app.py puts into `ctx.obj` what opens the database of auth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from auth.words import printable

# Only what the command line needs is imported above: `serve` reads it too, and its port answers first.
if TYPE_CHECKING:
    from auth.parts import Auth
    from auth.people import Person

OpenAuth = Callable[[Path | None, Path | None, str | None], AbstractContextManager["Auth"]]

User = Annotated[str, typer.Argument(help="An email, or an id as `user list` shows it.", metavar="USER")]
Config = Annotated[Path | None, typer.Option(help="The file with the server's settings.", metavar="portico.toml")]
Data = Annotated[Path | None, typer.Option(help="The server's data folder.", metavar="DIR")]
Database = Annotated[str | None, typer.Option(help="The server's database, if it is not in the data folder.", metavar="URL")]

TERMINAL = "terminal"  # who did it, in the audit log

people = typer.Typer(
    no_args_is_help=True, help="List, invite and change people; also while the server runs, which follows within two seconds."
)


@people.command("list")
def list_people(ctx: typer.Context, config: Config = None, data: Data = None, database: Database = None) -> None:
    """Show everyone who has an account, and who is invited."""
    with _opened(ctx, config, data, database) as auth:
        everyone = auth.people.all()
        rows = [_row(auth, person) for person in everyone]
        invited = [one for one in auth.invitations.all() if not one.is_link and one.state(auth.clock()) == "open"]
    if not rows and not invited:
        typer.echo("Nobody yet: an account is made when someone signs in for the first time.")
    if rows:
        _table(("NAME", "EMAIL", "ROLE", "SECOND FACTOR", "SIGNED IN", "STATE", "ID"), rows)
    if invited:
        typer.echo("\nInvited, not here yet:" if rows else "Invited, not here yet:")
        _table(("EMAIL", "ROLE", "UNTIL"), [(one.email, one.role, f"{one.expires_at:%Y-%m-%d %H:%M} UTC") for one in invited])


@people.command()
def invite(
    ctx: typer.Context,
    email: Annotated[str, typer.Argument(help="The email address with which they will sign in.", metavar="EMAIL")],
    role: Annotated[str, typer.Option(help="What they will be.", metavar="member|admin")] = "member",
    days: Annotated[int, typer.Option(help="How long the invitation stands.", metavar="DAYS")] = 7,
    config: Config = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Let the person in whose provider vouches for this email; no mail is sent."""
    from auth.invitations import NotInvited
    from auth.words import exact

    with _opened(ctx, config, data, database) as auth:
        try:
            made = auth.invitations.invite(email, role, TERMINAL, auth.clock() + timedelta(days=min(max(days, 0), 10_000)))
        except NotInvited as error:
            _stop(str(error))
        ends = exact(made.expires_at)
        auth.audit.record("invited", actor=TERMINAL, subject_id=made.id, name=made.email, role=made.role, ends=ends)
        titles = [provider.settings.title for provider in auth.providers.values()]
        public = auth.site.public
    typer.echo(f"{made.email} may come in as {_article(role)}, until {ends}.")
    if titles:
        typer.echo(f"Tell them to open {public} and to sign in with {' or '.join(titles)}.")
    else:
        typer.echo(
            "But these settings name no provider to sign in with, and without one nobody can show their email. If the server "
            "has other settings, give its --config here; else docs/sign-in.md tells how to set one."
        )


@people.command()
def role(
    ctx: typer.Context,
    user: User,
    new_role: Annotated[str, typer.Argument(help="What they will be.", metavar="admin|member")],
    config: Config = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Make someone an admin, or a member again."""
    with _opened(ctx, config, data, database) as auth:
        person = _found(auth, user)
        _act(auth, person, "role", {"role": new_role})
        named = person.email.lower() in auth.options.admission.admins
    typer.echo(f"{_called(person)} is {_article(new_role)} now.")
    if named and new_role != "admin":
        typer.echo("The setting admins names them, so they will be an admin again at their next sign-in. Take them off it too.")


@people.command("reset-2fa")
def reset_2fa(ctx: typer.Context, user: User, config: Config = None, data: Data = None, database: Database = None) -> None:
    """Remove someone's second factors, when a phone is lost; signs them out everywhere."""
    with _opened(ctx, config, data, database) as auth:
        person = _found(auth, user)
        _act(auth, person, "reset")
    typer.echo(f"{_called(person)} has no second factor any more and is signed out everywhere.")
    typer.echo("Whoever signs in next as them sets up a new one: make sure that it is they who asked for this.")


@people.command()
def revoke(
    ctx: typer.Context,
    user: User,
    disable: Annotated[bool, typer.Option("--disable", help="Shut them out as well: no sign-in is let in any more.")] = False,
    config: Config = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Sign someone out everywhere at once, end their API tokens, and take back an open invitation of theirs."""
    with _opened(ctx, config, data, database) as auth:
        if _only_invited(auth, user) and (taken_back := _take_back(auth, user)):
            typer.echo(f"{taken_back} They have no account, so there is nothing else to end.")
            return
        person = _found(auth, user)
        if person.role == "guest" and not disable:
            auth.sessions.revoke_all(person.id)
            auth.audit.record("signed-out-everywhere", actor=TERMINAL, subject_id=person.id, name=person.name)
        else:
            _act(auth, person, "shut-out" if disable else "sign-out")
        auth.tokens.revoke_all(person.id)
        taken_back = _take_back(auth, person.email)
    typer.echo(f"{_called(person)} is signed out everywhere" + (", and shut out." if disable else "."))
    if taken_back:
        typer.echo(taken_back)
    if not disable and person.role != "guest":
        typer.echo("They may sign in again. To shut them out, add --disable.")


@people.command()
def enable(ctx: typer.Context, user: User, config: Config = None, data: Data = None, database: Database = None) -> None:
    """Let someone sign in again who was shut out."""
    with _opened(ctx, config, data, database) as auth:
        person = _found(auth, user)
        if not person.disabled:
            _stop(f"{_called(person)} is not shut out, so there is nothing to do.")
        _act(auth, person, "let-in")
    typer.echo(f"{_called(person)} may sign in again.")


def _opened(ctx: typer.Context, config: Path | None, data: Path | None, database: str | None) -> AbstractContextManager[Auth]:
    open_auth: OpenAuth = ctx.obj
    return open_auth(config, data, database)


def _found(auth: Auth, user: str) -> Person:
    person = auth.people.find(user)
    if person is None:
        _stop(f"There is nobody with the email or id {printable(user)!r}, or there are several. `user list` shows everyone's id.")
    return person


def _only_invited(auth: Auth, email: str) -> bool:
    """Whether nobody has this email yet, and somebody is invited by it."""
    wanted = email.strip().lower()
    known = auth.people.find(email) or any(one.email.lower() == wanted for one in auth.people.all(wanted))
    return not known and auth.invitations.of_email(email) is not None


def _take_back(auth: Auth, email: str) -> str:
    """End the open invitation for this email; what to say of that, "" if there was none."""
    one = auth.invitations.of_email(email) if email else None
    if one is None or not auth.invitations.revoke(one.id):
        return ""
    auth.audit.record("invitation-revoked", actor=TERMINAL, subject_id=one.id, name=one.name)
    return f"The invitation for {printable(one.email)} is taken back."


def _act(auth: Auth, person: Person, action: str, form: dict[str, str] | None = None) -> None:
    """As an admin would on the admin page, by the same rules."""
    from auth.audit import Origin
    from auth.routes.admin_acts import Acts, Refused, allowed

    def forget(user_id: str) -> None:
        raise NotImplementedError  # the terminal deletes nobody

    if action not in allowed(TERMINAL, person):
        of_guest = "A guest comes and goes with their link: `user revoke` without --disable is all that can be done to one."
        of_owner = "The owner is whoever holds this machine's terminal: always an admin, and never shut out."
        _stop(of_guest if person.role == "guest" else of_owner)
    try:
        event, details = Acts(auth, forget).of[action](person, form or {})
    except Refused as refused:
        _stop(str(refused))
    auth.audit.record(event, "", TERMINAL, Origin(), person.id, name=person.name, **details)


def _row(auth: Auth, person: Person) -> tuple[str, ...]:
    devices = len(auth.sessions.of_user(person.id))
    state = "shut out" if person.disabled else "locked" if auth.factors.locked_until(person.id) else "open"
    factor = "yes" if auth.factors.enrolled(person.id) else "no"
    signed_in = f"{devices} device" + ("" if devices == 1 else "s") if devices else "-"
    return (person.name, person.email or "-", person.role, factor, signed_in, state, person.id)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need be, the same in a terminal and in a pipe."""
    lines = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _called(person: Person) -> str:
    return printable(f"{person.name} ({person.email or person.id})")


def _article(role: str) -> str:
    return f"{'an' if role == 'admin' else 'a'} {role}"


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
