"""Conversations and runs in a database (SQLAlchemy; SQLite by default).

A conversation is a tree of runs: each has the run before it as `parent_id`, and the conversation's `head_id` names the last
run of the branch that is shown. Answering again makes a sibling, so nothing that was said is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from core.tasks import Values
from core.types import FinishReason, Usage

Status = Literal["queued", "running", "finished", "failed"]

metadata = MetaData()

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", String(255), nullable=False),
    Column("title", String(200), nullable=False),
    Column("head_id", String(32)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Index("conversations_by_user", "user_id", "updated_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("parent_id", String(32)),
    Column("user_id", String(255), nullable=False),
    Column("task", String(64), nullable=False),
    Column("model", String(255), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("values", JSON, nullable=False),
    Column("seed", BigInteger),
    Column("versions", JSON, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("reason", String(16)),
    Column("error", Text),
    Column("usage", JSON),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
)

quotas = Table(  # how many runs someone has started who may not start any number; what is deleted still counts
    "quotas",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("runs", Integer, nullable=False),
)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """One execution by one user: what was asked, of which model, with what result so far."""

    id: str
    conversation_id: str
    user_id: str
    task: str
    model: str
    values: Values
    parent_id: str | None = None
    revision: str = ""
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    status: Status = "queued"
    text: str = ""
    reason: FinishReason | None = None
    error: str | None = None
    usage: Usage | None = None
    created_at: datetime = field(default_factory=now)
    finished_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self.status in ("queued", "running")

    @property
    def figures(self) -> str:
        """What stands under an ended answer, in the same words everywhere: "Stopped · 42 tokens · 51 tok/s · first 0.03 s".

        Before it the model, where there was a choice of several.
        """
        parts = [self.model] if "model" in self.values else []
        parts += ["Stopped"] if self.reason == "cancelled" else []
        if (usage := self.usage) and usage.tokens:
            parts.append("1 token" if usage.tokens == 1 else f"{usage.tokens} tokens")
            if speed := usage.tokens_per_s:
                parts.append(f"{speed:.0f} tok/s" if speed >= 10 else f"{speed:.1f} tok/s")
            parts.append(f"first {usage.first_token_s:.2f} s")
        if self.reason == "length":
            parts.append("cut at the maximum length")
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with the runs of the branch that is shown, oldest first. `id` is "" until its first message is sent."""

    id: str
    title: str
    runs: tuple[Run, ...] = ()
    updated_at: datetime = field(default_factory=now)

    @property
    def live_run(self) -> Run | None:
        """The run that is still being answered, if there is one."""
        return self.runs[-1] if self.runs and self.runs[-1].live else None


class Store:
    """Reads and writes rows. Each call is one short transaction, fit for any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_run(self, run: Run, title: str) -> None:
        """Insert `run` and make it its conversation's head; a new conversation gets `title`."""
        with self._engine.begin() as connection:
            moved = connection.execute(
                update(conversations)
                .where(conversations.c.id == run.conversation_id)
                .values(head_id=run.id, updated_at=run.created_at)
            )
            if not moved.rowcount:
                connection.execute(
                    insert(conversations).values(
                        id=run.conversation_id, user_id=run.user_id, title=title, head_id=run.id,
                        created_at=run.created_at, updated_at=run.created_at,
                    )
                )  # fmt: skip
            connection.execute(insert(runs).values(**_row(run)))

    def save_run(self, run: Run) -> None:
        """Write what of `run` changes as it goes on."""
        row = _row(run)
        changing = {name: row[name] for name in ("status", "text", "reason", "error", "usage", "finished_at")}
        with self._engine.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == run.id).values(**changing))

    def run(self, run_id: str) -> Run | None:
        with self._engine.begin() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
        return _run(row) if row else None

    def conversation(self, conversation_id: str, user_id: str) -> Conversation | None:
        """The conversation if it is `user_id`'s, with the runs from its head back to its beginning."""
        if "\0" in conversation_id:  # PostgreSQL takes none
            return None
        with self._engine.begin() as connection:
            found = connection.execute(
                select(conversations).where(conversations.c.id == conversation_id, conversations.c.user_id == user_id)
            ).first()
            if found is None:
                return None
            rows = connection.execute(select(runs).where(runs.c.conversation_id == conversation_id)).mappings().all()
        by_id = {row["id"]: _run(row) for row in rows}
        branch: list[Run] = []
        run = by_id.get(found.head_id)
        while run is not None:
            branch.append(run)
            run = by_id.get(run.parent_id or "")
        return Conversation(found.id, found.title, tuple(reversed(branch)), found.updated_at)

    def conversations(self, user_id: str, limit: int = 100) -> list[Conversation]:
        """The user's conversations without their runs, last used first."""
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(conversations)
                .where(conversations.c.user_id == user_id)
                .order_by(conversations.c.updated_at.desc())
                .limit(limit)
            ).all()
        return [Conversation(row.id, row.title, (), row.updated_at) for row in rows]

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation and all its runs, those of other branches too."""
        with self._engine.begin() as connection:
            connection.execute(delete(runs).where(runs.c.conversation_id == conversation_id))
            connection.execute(delete(conversations).where(conversations.c.id == conversation_id))

    def count_run(self, user_id: str, quota: int) -> bool:
        """Count a run of a user who may start `quota` in all; False if those are used up. A race has one winner for each."""
        mine = quotas.c.user_id == user_id
        count = update(quotas).where(mine, quotas.c.runs < quota).values(runs=quotas.c.runs + 1)
        with self._engine.begin() as connection:
            if connection.execute(count).rowcount:
                return True
            used = connection.execute(select(quotas.c.runs).where(mine)).scalar()
        if used is not None and used >= quota:
            return False
        with suppress(IntegrityError), self._engine.begin() as connection:  # of two first ones at once, another made the row
            connection.execute(insert(quotas).values(user_id=user_id, runs=0))
        with self._engine.begin() as connection:
            return bool(connection.execute(count).rowcount)

    def uncount_run(self, user_id: str) -> None:
        """Give back one that was counted."""
        with self._engine.begin() as connection:
            connection.execute(
                update(quotas).where(quotas.c.user_id == user_id, quotas.c.runs > 0).values(runs=quotas.c.runs - 1)
            )

    def export(self, user_id: str) -> dict[str, Any]:
        """All that is kept of a user, as JSON values: each conversation with every run of every branch."""
        with self._engine.begin() as connection:
            mine = select(conversations).where(conversations.c.user_id == user_id).order_by(conversations.c.created_at)
            found = [dict(row) for row in connection.execute(mine).mappings()]
            theirs = select(runs).where(runs.c.user_id == user_id).order_by(runs.c.created_at)
            rows = [dict(row) for row in connection.execute(theirs).mappings()]
        for conversation in found:
            conversation["runs"] = [row for row in rows if row["conversation_id"] == conversation["id"]]
        return {"conversations": _plain(found)}

    def forget(self, user_id: str) -> None:
        """Delete all that is kept of a user."""
        with self._engine.begin() as connection:
            connection.execute(delete(runs).where(runs.c.user_id == user_id))
            connection.execute(delete(conversations).where(conversations.c.user_id == user_id))
            connection.execute(delete(quotas).where(quotas.c.user_id == user_id))

    def fail_unfinished(self, error: str) -> int:
        """Mark every run that is not ended as failed with `error`; how many there were."""
        with self._engine.begin() as connection:
            found = connection.execute(
                update(runs)
                .where(runs.c.status.in_(("queued", "running")))
                .values(status="failed", error=error, finished_at=now())
            )
        return found.rowcount


def _plain(value: Any) -> Any:
    """`value` with its times as text (ISO 8601)."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _row(run: Run) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in Run.__slots__}
    return row | {
        "values": dict(run.values), "versions": dict(run.versions), "usage": asdict(run.usage) if run.usage else None
    }  # fmt: skip


def _run(row: RowMapping) -> Run:
    run = Run(**row)
    return replace(run, usage=Usage(**row["usage"])) if row["usage"] else run
