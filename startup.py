"""Everything of one serving process, and its background start: the models and the frontends come up behind the open port."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from core.errors import screen_message
from core.progress import Progress
from core.references import BUNDLED_MODEL, existing_folder, name_of
from core.settings import Settings
from portal.waiting import Slot

if TYPE_CHECKING:
    from core.engine import Runner
    from core.engine.router import Entry, Router
    from core.service import InferenceService
    from core.store import Store
    from core.types import User

log = logging.getLogger("portico")

REFRESH_S = 2.0  # within this, what `python app.py user` changes is in force
LOCAL = {"download": "Get the model", "weights": "Load the model"}
REMOTE = {"engine": "Reach the engine"}
EXAMPLES = (
    "What can you do?",
    "How do I use my own model?",
    "Which frontend should I choose?",
    "What is 348 + 275?",
    "Tell me the long story of Portico.",
)


class Portico:
    """`runner` replaces the models; `keep_up` is called every two seconds; `on_fatal` ends the process."""

    def __init__(
        self, settings: Settings, store: Store, runner: Runner | None,
        on_fatal: Callable[[str], None], changed: Callable[[Progress], None], keep_up: Callable[[], None],
    ) -> None:  # fmt: skip
        frontends = [importlib.import_module(f"ui_{name}").frontend for name in settings.ui]
        self._local = settings.engine == "local"
        titles = {} if runner else LOCAL if self._local else REMOTE
        self.progress = Progress(titles | {frontend.name: f"Start {frontend.title}" for frontend in frontends}, changed)
        self.slots = [Slot(frontend, self.progress) for frontend in frontends]
        self.service: InferenceService | None = None
        self.router: Router | None = None
        self._settings, self._store, self._runner, self._on_fatal = settings, store, runner, on_fatal
        self._importing = threading.Lock()  # one large import at a time: two in parallel meet in each other's half-made modules
        self._model_checked = threading.Event()
        self._told: dict[str, str] = {}
        self._keep_up, self._stop = keep_up, asyncio.Event()

    @property
    def model_name(self) -> str:
        """The default model's, from before it is there."""
        if self.router and self.router.default:
            return self.router.default
        name, reference = next(iter(self._settings.models), ("", ""))
        return self._runner.model.name if self._runner else name or name_of(reference)

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
        if self._local and not self._runner:
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
        from core.service import InferenceService
        from core.tasks import TASKS

        router, models = self._make_router()
        router.on_change.append(lambda: self._follow(router.entries()))
        self.router = router
        router.start(models)
        bundled = existing_folder(models[0][1]) == BUNDLED_MODEL
        task = TASKS[self._settings.task](router.defaults, router.model.context, EXAMPLES if bundled else ())
        return InferenceService(self._store, router, [task], router.askable)

    def _make_router(self) -> tuple[Router, tuple[tuple[str, str], ...]]:
        """The router, and what to load at the start."""
        from core import models
        from core.engine.router import Router
        from core.sources import GivenModel, LocalModels, RemoteModels

        asked = self._settings.models
        if self._runner:
            return Router(GivenModel(self._runner)), (("", self._runner.model.name),)
        if self._local:
            budget = int(self._settings.memory or models.memory_limit())
            return Router(LocalModels(budget, self._model_first), budget, models.BASE_BYTES), asked
        self.progress.begin("engine")
        key = self._settings.engine_key
        remote = RemoteModels(self._settings.engine, key.get_secret_value() if key else "")
        return Router(remote), asked or tuple(("", name) for name in remote.names())

    def _follow(self, entries: list[Entry]) -> None:
        """Show the default's progress as the start's, and tell the terminal of each model that came or could not come."""
        for entry in entries:
            before, self._told[entry.name] = self._told.get(entry.name), entry.state
            if entry is entries[0] and not self._runner and not self.progress.ready:
                self._show(entry, entry.state != before)
            if entry.state == before:
                continue
            # At the start, the default's failure ends the process with this sentence.
            if entry.state == "failed" and (entry is not entries[0] or self.service):
                log.warning("%s: %s", entry.name, entry.error)
            elif entry.state == "ready" and (info := entry.info) and info.parameters:
                log.info(
                    "%s: %.1f million parameters in %s on %s, %d tokens of context",
                    info.name, info.parameters / 1e6, info.dtype, info.device, info.context,
                )  # fmt: skip

    def _show(self, default: Entry, turned: bool) -> None:
        first, last = ("download", "weights") if self._local else ("engine", "engine")
        if default.state == "getting" and default.total:
            self.progress.report(first, default.done, default.total, default.unit)
        elif default.state == "getting" and turned:
            self.progress.begin(first)
        elif default.state == "loading":
            if turned and self._local:
                self.progress.finish(first)
                self.progress.begin(last)
            if default.total:
                self.progress.report(last, default.done, default.total)
        elif default.state == "ready" and turned:
            self.progress.finish(last)


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
