"""InferenceService: the one door that every frontend and the API go through."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from core.engine import Engine, Request
from core.errors import BadInput, Busy, Interrupted, NotFound, NotTheLast, QuotaUsed, StillAnswering
from core.runs import LiveRun, Runs, Stream
from core.store import Conversation, Run, Store
from core.tasks import Field, Task, Values, sampling_params
from core.tasks.base import Value
from core.tasks.chat import MAX_SEED
from core.tasks.several import MODEL, with_models
from core.types import Delta, Emit, Event, Failed, Kind, Message, ModelInfo, SamplingParams, Started, User

TITLE_LENGTH = 60
TURN = Field("messages", Kind.TEXT, "A message")  # one that a caller of `complete` gives
DRAIN_S = 1.0  # beside the three seconds that the web server gives open streams; platforms send SIGKILL soon after


class InferenceService:
    """Checks input and ownership, starts runs that outlive their page, and hands out their events.

    Its methods are quick (a short transaction at most) and safe from any thread; async callers may use `asyncio.to_thread`.
    """

    def __init__(
        self, store: Store, engine: Engine, tasks: Iterable[Task], models: Callable[[], Sequence[ModelInfo]] | None = None
    ) -> None:
        """`models()` are those that can be asked at the moment, the default first; without it, the engine's one."""
        self._store, self._engine, self._runs = store, engine, Runs(store)
        self._tasks, self._models = {task.name: task for task in tasks}, models
        self._locks: dict[str, threading.Lock] = {}
        store.fail_unfinished(Interrupted().message)

    @property
    def model(self) -> ModelInfo:
        """The default model."""
        return self._engine.model

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The models that can be asked, the default first. They come and go."""
        return (self._models and self._models()) or (self.model,)

    @property
    def tasks(self) -> dict[str, Task]:
        """The Tasks by name. While there are several models, each has a choice of them; a page may be older than that."""
        models = self.models
        return self._tasks if len(models) == 1 else {name: with_models(task, models) for name, task in self._tasks.items()}

    def start(self, user: User, task: str, values: Values, conversation_id: str = "") -> Run:
        """Ask the next thing in a conversation, or in a new one for "".

        Raises BadInput, NotFound, StillAnswering or QuotaUsed; what the engine refuses ends the run with Failed instead.
        """
        cleaned = self._clean(task, values)
        with self._changing(user.id):
            before = self._own(user, conversation_id).runs if conversation_id else ()
            return self._start(user, task, cleaned, conversation_id or uuid.uuid4().hex, before)

    def answer_again(self, user: User, run_id: str, values: Values | None = None) -> Run:
        """Ask the conversation's last question once more, with `values` overriding its own; the old answer is kept.

        `run_id` is one of that question's answers; the model that gave it answers, unless `values` name another. Raises
        NotTheLast if more was said since, BadInput if that model has left and there are several others, and what `start` raises.
        """
        old = self._own_run(user, run_id)
        wanted = {**old.values, MODEL: old.model, **(values or {})}
        models, gone = self.models, MODEL not in (values or {}) and old.model not in [model.name for model in self.models]
        if gone and len(models) > 1:
            raise BadInput(MODEL, f"{old.model} is not there any more. Choose the model that is to answer.")
        cleaned = self._clean(old.task, wanted | ({MODEL: models[0].name} if gone else {}))
        if gone:  # there is no other, and its name stands below the answer
            cleaned[MODEL] = models[0].name
        with self._changing(user.id):
            *before, head = self._own(user, old.conversation_id).runs
            if head.live:
                raise StillAnswering()
            if old.parent_id != head.parent_id:  # asked by a page that has not seen what was said since
                raise NotTheLast()
            return self._start(user, old.task, cleaned, old.conversation_id, tuple(before))

    def complete(self, user: User, task: str, messages: Sequence[Message], values: Values) -> tuple[Run, Stream]:
        """Answer `messages`, the last of them the user's, outside of any conversation, and give the run with its events.

        For callers that keep their own history: nothing is written, and the run is gone when it has ended. `values` are the
        task's parameters. Raises BadInput or QuotaUsed; what the engine refuses ends the run with Failed instead.
        """
        asked = [Message(one.role, str(TURN.clean(one.content))) for one in messages]
        if not asked or asked[-1].role != "user":
            raise BadInput(TURN.name, "The last message must be the user's.")
        cleaned = self._clean(task, {**values, self._chat_field(task): asked[-1].content})
        self._count(user)
        run, params = self._run(user, task, cleaned, "", None)
        live = self._runs.hold(run)
        stream = Stream(live)
        self._submit(user, Request(run.id, user.id, tuple(asked), params, run.model), live)
        return run, stream

    def watch(self, user: User, run_id: str, after: int = 0) -> Stream:
        """The run's events; `after` is how many characters of its text the caller has already."""
        return self._runs.watch(self._own_run(user, run_id).id, after)

    def cancel(self, user: User, run_id: str) -> None:
        """Stop the run; the text so far is kept. Nothing happens if it has ended."""
        self._engine.cancel(self._own_run(user, run_id).id)

    def conversations(self, user: User) -> list[Conversation]:
        """The user's conversations without their runs, last used first."""
        return self._store.conversations(user.id)

    def conversation(self, user: User, conversation_id: str) -> Conversation:
        """The conversation with its runs as they stand, the running one's text so far included; raises NotFound."""
        return self._own(user, conversation_id)

    def last_conversation(self, user: User) -> Conversation | None:
        """The one that was used last: where a person who comes back without a link goes on."""
        latest = self._store.conversations(user.id, limit=1)
        return self._own(user, latest[0].id) if latest else None

    def delete_conversation(self, user: User, conversation_id: str) -> None:
        """Stop what runs in it, and delete it with all its runs."""
        with self._changing(user.id):
            conversation = self._own(user, conversation_id)
            if conversation.live_run:
                self._engine.cancel(conversation.live_run.id)
            self._store.delete_conversation(conversation_id)

    def forget(self, user_id: str) -> None:
        """Stop what runs for a user, and delete all that is kept of them."""
        with self._changing(user_id):
            for run_id in self._runs.live_of(user_id):
                self._engine.cancel(run_id)
            self._store.forget(user_id)

    def close(self) -> None:
        """Give the runs a moment to end well, stop those that do not, write what there is, let go of the model."""
        self._runs.wait(DRAIN_S)
        self._engine.close()
        self._runs.close()

    def _start(self, user: User, task: str, values: Values, conversation_id: str, before: tuple[Run, ...]) -> Run:
        if before and before[-1].live:
            raise StillAnswering()
        self._count(user)
        run, params = self._run(user, task, values, conversation_id, before[-1].id if before else None)
        chat = self._chat_field(task)
        turns = [(str(earlier.values[chat]), earlier.text) for earlier in before]
        messages = tuple(self._tasks[task].prompt(values, turns))
        live = self._runs.add(run, title=_title(str(values[chat])))
        self._submit(user, Request(run.id, user.id, messages, params, run.model), live)
        return run

    def _run(
        self, user: User, task: str, values: Values, conversation_id: str, parent_id: str | None
    ) -> tuple[Run, SamplingParams]:
        """A new run with all that is needed to repeat it, and its parameters with the seed that it got."""
        params = sampling_params(values)
        seed = secrets.randbelow(MAX_SEED) if params.seed is None else params.seed
        models = self.models
        name = str(values.get(MODEL) or models[0].name)
        model = next((one for one in models if one.name == name), ModelInfo(name))  # one that has left by now ends the run
        run = Run(
            id=uuid.uuid4().hex, conversation_id=conversation_id, parent_id=parent_id, user_id=user.id, task=task,
            model=model.name, revision=model.revision, values=values, seed=seed, versions=dict(_versions()),
        )  # fmt: skip
        return run, replace(params, seed=seed)

    def _count(self, user: User) -> None:
        if user.quota is not None and not self._store.count_run(user.id, user.quota):
            raise QuotaUsed(user.quota)

    def _submit(self, user: User, request: Request, live: LiveRun) -> None:
        self._engine.submit(request, live.emit if user.quota is None else self._counting(user, live))

    def _counting(self, user: User, live: LiveRun) -> Emit:
        """As `live.emit`, but a run that was turned away, as busy and before it had begun, does not count."""
        begun, asking = threading.Event(), threading.get_ident()

        def give_back(event: Event) -> None:
            try:
                self._store.uncount_run(user.id)
            finally:
                live.emit(event)

        def emit(event: Event) -> None:
            if isinstance(event, Started | Delta):
                begun.set()
            if begun.is_set() or not isinstance(event, Failed) or event.code != Busy.code:
                live.emit(event)
            elif threading.get_ident() == asking:
                give_back(event)
            else:  # an engine's thread waits for no database
                threading.Thread(target=give_back, args=(event,), name="quota", daemon=True).start()

        return emit

    def _clean(self, name: str, values: Values) -> dict[str, Value]:
        """All of a Task's values, checked; where there is but one model, it may be named all the same."""
        task, given = self._task(name), dict(values)
        if MODEL in given and all(field.name != MODEL for field in task.fields):
            only = self.models[0].name
            if (asked := given.pop(MODEL)) not in (None, only):
                raise BadInput(MODEL, f"{asked} is not there any more; {only} answers now. Send it again if that is all right.")
        return task.clean(given)

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            raise BadInput("task", f"There is no task {name!r} here.")
        return self.tasks[name]

    def _chat_field(self, task: str) -> str:
        return next(field.name for field in self._task(task).inputs if field.kind is Kind.CHAT)

    def _changing(self, user_id: str) -> threading.Lock:
        """Held while one of a user's conversations is read and then changed; nobody else waits for it."""
        return self._locks.setdefault(user_id, threading.Lock())

    def _own(self, user: User, conversation_id: str) -> Conversation:
        conversation = self._store.conversation(conversation_id, user.id)
        if conversation is None:
            raise NotFound("conversation")
        return replace(conversation, runs=tuple(self._runs.latest(run) for run in conversation.runs))

    def _own_run(self, user: User, run_id: str) -> Run:
        run = self._runs.find(run_id)
        if run.user_id != user.id:
            raise NotFound("answer")
        return run


def _title(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


@cache
def _versions() -> Mapping[str, str]:
    """Read once: looking for them takes milliseconds."""
    found = {}
    for package in ("torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a remote engine needs neither
            continue
    return found
