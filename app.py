"""Portico's command line, and the one composition root: settings -> service -> frontends -> ASGI app."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from click import Context as ClickContext
from typer.core import TyperGroup

from auth.commands import people
from core.addresses import is_loopback
from core.errors import SettingsError, UserError, screen_message
from core.progress import Progress
from core.settings import FRONTENDS, Settings, load_settings
from portal.terminal import TerminalProgress
from portal.waiting import Door, Slot

# Only what the command line needs is imported above: the port answers first, and everything else loads behind it.
if TYPE_CHECKING:
    from auth.parts import Auth
    from core.engine import Runner
    from core.service import InferenceService
    from core.store import Store
    from core.types import User

log = logging.getLogger("portico")

VERSION = "0.1.0"
GRACEFUL_S = 3  # platforms give 10 s and more; an open stream would never end by itself
PUBLIC_PATHS = ("/healthz", "/readyz", "/manifest.json", "/static/")  # beside those of sign-in
REFRESH_S = 2.0  # within this, what `python app.py user` changes is in force
EXAMPLES = (
    "What can you do?",
    "How do I use my own model?",
    "Which frontend should I choose?",
    "What is 348 + 275?",
    "Tell me the long story of Portico.",
)


class Portico:
    """Everything of one serving process, and its background start: the model and the frontends come up behind the port."""

    def __init__(
        self, settings: Settings, store: Store, runner: Runner | None,
        on_fatal: Callable[[str], None], changed: Callable[[Progress], None], keep_up: Callable[[], None],
    ) -> None:  # fmt: skip
        from core.models import parse_reference

        frontends = [importlib.import_module(f"ui_{name}").frontend for name in settings.ui]
        titles = {} if runner else {"download": "Get the model", "weights": "Load the model"}
        self.progress = Progress(titles | {frontend.name: f"Start {frontend.title}" for frontend in frontends}, changed)
        self.slots = [Slot(frontend, self.progress) for frontend in frontends]
        self.model_name = runner.model.name if runner else parse_reference(settings.model).name
        self.service: InferenceService | None = None
        self._settings, self._store, self._runner, self._on_fatal = settings, store, runner, on_fatal
        self._importing = threading.Lock()  # one large import at a time: two in parallel meet in each other's half-made modules
        self._model_checked = threading.Event()
        self._keep_up, self._stop = keep_up, asyncio.Event()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Bring everything up behind the open port, and down when it closes."""
        task, watching = asyncio.create_task(self._run()), asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._stop.set()
            watching.cancel()
            if not self.progress.ready:
                task.cancel()
            await asyncio.wait([task], timeout=2)
            if self.service:
                await asyncio.to_thread(self.service.close)

    async def _watch(self) -> None:
        """Keep up with what time and other processes change in the database of auth (`python app.py user`), from the start on."""
        while True:
            try:
                await asyncio.to_thread(self._keep_up)
            except Exception:  # the database may be away for a while
                log.warning("could not look for changed accounts", exc_info=True)
            await asyncio.sleep(REFRESH_S)

    async def _run(self) -> None:
        """One task for the frontends' whole lives, since each lifespan must be left in the task that entered it."""
        try:
            loading = in_daemon_thread(self._load_frontends)
            self.service, _ = await asyncio.gather(in_daemon_thread(self._load_service), loading)
            async with AsyncExitStack() as stack:
                for slot in self.slots:
                    await self._mount(slot, stack, self.service)
                gc.collect()
                gc.freeze()  # what is loaded by now stays: no later collection walks it
                await self._stop.wait()
        except Exception as error:
            self._on_fatal(screen_message(error))

    @contextmanager
    def _model_first(self) -> Iterator[None]:
        """The frontends import after this: a wrong model is refused at once, and a download counts its bytes meanwhile."""
        with self._importing:
            yield
        self._model_checked.set()

    def _load_frontends(self) -> None:
        if not self._runner:
            self._model_checked.wait()
        for slot in self.slots:
            with self._importing:
                self.progress.begin(slot.frontend.name)
                slot.frontend.load()

    async def _mount(self, slot: Slot, stack: AsyncExitStack, service: InferenceService) -> None:
        from core.frontend import Context

        context = Context(service, user_of, f"/{slot.frontend.name}")
        mounted = await asyncio.to_thread(slot.frontend.mount, context)
        await stack.enter_async_context(mounted.lifespan)
        slot.open(mounted.app)
        self.progress.finish(slot.frontend.name)

    def _load_service(self) -> InferenceService:
        from core.engine import LocalEngine
        from core.service import InferenceService
        from core.settings import BUNDLED_MODEL
        from core.tasks import TASKS
        from core.types import SamplingParams

        bundled = Path(self._settings.model).resolve() == BUNDLED_MODEL
        runner, defaults = (self._runner, SamplingParams()) if self._runner else self._load_model()
        engine = LocalEngine(runner)
        task = TASKS[self._settings.task](defaults, engine.model.context, EXAMPLES if bundled else ())
        return InferenceService(self._store, engine, [task])

    def _load_model(self) -> tuple[Runner, Any]:
        from core import models

        budget = int(self._settings.memory or models.memory_limit())
        reference = models.parse_reference(self._settings.model)
        self.progress.begin("download")
        checked = models.find_model(
            reference, budget, self._model_first(), lambda done, total: self.progress.report("download", done, total, "B")
        )
        self.progress.finish("download")
        self.progress.begin("weights")
        runner = models.load_model(checked, self._importing, lambda done, total: self.progress.report("weights", done, total))
        self.progress.finish("weights")
        info = runner.model
        log.info(
            "%s: %.1f million parameters in %s on %s, %d tokens of context",
            info.name, info.parameters / 1e6, info.dtype, info.device, info.context,
        )  # fmt: skip
        return runner, models.sampling_defaults(checked.folder)


async def in_daemon_thread(work: Callable[..., Any], *args: Any) -> Any:
    """As `asyncio.to_thread`, but the process may end meanwhile: nobody waits for a download that was given up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(result)

    def run() -> None:
        result = error = None
        try:
            result = work(*args)
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await done


def user_of(scope: Any) -> User:
    """Who asks, as core's User; the guard has put the session there."""
    from core.types import User

    account = scope["user"].account
    return User(account.id, account.name, account.role, account.quota)


def create_app(
    settings: Settings,
    runner: Runner | None = None,
    print_line: Callable[[str], None] = print,
    on_fatal: Callable[[str], None] = log.error,
    changed: Callable[[Progress], None] = lambda progress: None,
) -> Any:
    """The whole ASGI app, guard outermost. `runner` replaces the model (tests play a script); `on_fatal` ends the process.

    `changed` is told of each change in the progress of the start.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount

    import core.store
    from api.routes import api_routes
    from auth.guests import sweep
    from auth.middleware import Guard
    from auth.routes import HALF, PUBLIC, auth_routes
    from doors import end_what_the_settings_no_longer_allow, open_doors
    from portal.compression import Compression
    from portal.pages import Tab, failed, not_allowed, not_found, portal_routes, render

    data_lock = lock_data(settings.data)
    database, doors = open_doors(settings)
    end_what_the_settings_no_longer_allow(doors)
    store = core.store.Store(database)

    def keep_up() -> None:
        doors.sessions.refresh()
        doors.tokens.refresh()
        sweep(doors, forget)

    portico = Portico(settings, store, runner, on_fatal, changed, keep_up)

    def print_link() -> None:
        print_line(f"Sign in (once, within 15 minutes): {link_address(settings)}/auth/link#{doors.links.create()}")

    def forget(user_id: str) -> None:
        (portico.service or store).forget(user_id)  # before the service is up, nothing of anyone's runs

    def account_of(request: Any) -> Any:
        return request.scope["user"].account if request.scope["user"] else None

    def lacks_second_factor(request: Any) -> bool:
        account = account_of(request)
        return account is not None and account.role != "guest" and not doors.factors.enrolled(account.id)

    tabs = [Tab(slot.frontend.name, slot.frontend.title) for slot in portico.slots]
    inner = Starlette(
        routes=[
            *auth_routes(doors, render, print_link, store.export, forget),
            *api_routes(lambda: portico.service, user_of),
            *portal_routes(tabs, portico.progress, lambda: portico.model_name, account_of, lacks_second_factor),
            *(Mount(f"/{slot.frontend.name}", slot) for slot in portico.slots),
        ],
        exception_handlers={404: not_found, 405: not_allowed, Exception: failed},
        lifespan=portico.lifespan,
    )
    inner.state.portico, inner.state.auth = portico, doors
    inner.state.data_lock = data_lock  # held as long as the app is
    print_link()
    guard = Guard(
        Compression(inner), doors.sessions, doors.site, [*PUBLIC_PATHS, *PUBLIC], HALF, find_token=doors.tokens.find,
        peers=doors.peers,
    )  # fmt: skip
    doors.tokens.on_revoke.append(guard.close_session)
    return guard


def link_address(settings: Settings) -> str:
    """Where the terminal's link leads: this machine, from which alone it works."""
    return settings.url if settings.serves_loopback else f"http://127.0.0.1:{settings.port}"


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


@cli.command()
def serve(
    model: Annotated[list[str] | None, typer.Option(help=_help("model"), metavar="ID_OR_PATH")] = None,
    task: Annotated[str | None, typer.Option(help=_help("task"), metavar="NAME")] = None,
    ui: Annotated[list[str] | None, typer.Option(help=_help("ui"), metavar="|".join(FRONTENDS))] = None,
    host: Annotated[str | None, typer.Option(help=_help("host"), metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help=_help("port"), metavar="PORT")] = None,
    data: Annotated[Path | None, typer.Option(help=_help("data"), metavar="DIR")] = None,
    database: Annotated[str | None, typer.Option(help=_help("database"), metavar="URL")] = None,
    memory: Annotated[str | None, typer.Option(help=_help("memory"), metavar="SIZE")] = None,
    public_url: Annotated[str | None, typer.Option(help=_help("public_url"), metavar="URL")] = None,
    two_factor: Annotated[str | None, typer.Option(help=_help("two_factor"), metavar="required|optional")] = None,
    config: Annotated[Path | None, typer.Option(help="A file with these settings.", metavar="portico.toml")] = None,
) -> None:
    """Serve a model (the default command). Flags win over PORTICO_* variables, and those over portico.toml."""
    given = _given(
        task=task, ui=ui, host=host, port=port, data=data, database=database, memory=memory, public_url=public_url,
        two_factor=two_factor,
    )  # fmt: skip
    if model and len(model) > 1:
        fail("--model: this version serves one model at a time; give the flag once.", code=2)
    if model:
        given["model"] = model[0]
    try:
        settings = load_settings(given, config)
        listening = listen(settings)
    except UserError as error:
        fail(error.message, code=2)
    settings = settings.model_copy(update={"port": listening[0].getsockname()[1]})
    run_server(settings, listening)


@cli.command()
def doctor(
    host: Annotated[str | None, typer.Option(help=_help("host"), metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help=_help("port"), metavar="PORT")] = None,
    data: Annotated[Path | None, typer.Option(help=_help("data"), metavar="DIR")] = None,
    database: Annotated[str | None, typer.Option(help=_help("database"), metavar="URL")] = None,
    public_url: Annotated[str | None, typer.Option(help=_help("public_url"), metavar="URL")] = None,
    two_factor: Annotated[str | None, typer.Option(help=_help("two_factor"), metavar="required|optional")] = None,
    config: Annotated[Path | None, typer.Option(help="A file with these settings.", metavar="portico.toml")] = None,
) -> None:
    """Check the settings, the address and each provider, and print the redirect URI to register.

    Give it what serve gets of these flags. It changes nothing; the server may run meanwhile. Exit status 1: something is wrong.
    """
    from auth.doctor import report
    from doors import check_up

    given = _given(host=host, port=port, data=data, database=database, public_url=public_url, two_factor=two_factor)
    if not report(check_up(given, config), typer.echo):
        raise typer.Exit(1)


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


def lock_data(folder: Path) -> Any:
    """The data folder, made if need be, for this process alone: a second one would end the runs of the first."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(
            f"Another Portico uses {folder}. Stop it, or give this one a folder of its own with --data."
        ) from None
    except OSError as error:
        raise SettingsError(f"--data {folder}: this folder cannot be used ({error.strerror}). Choose another.") from None
    return lock


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


if __name__ == "__main__":
    cli()
