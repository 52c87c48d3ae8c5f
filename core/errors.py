"""The errors whose message may reach a screen. Anything else is logged with an id, and the screen shows the id.

Each error carries its data as attributes, and its message says what to do next.
"""

from __future__ import annotations

import logging
import math
import uuid

from core.types import Failed

log = logging.getLogger("portico")


class UserError(Exception):
    """What went wrong, in a sentence for the person who asked; `code` and `retry_s` (in seconds) are the same for programs."""

    code = "refused"
    retry_s: float | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadInput(UserError):
    """A value that a Field cannot take; `field` is the Field's name, so that a frontend can say it in the right place."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotFound(UserError):
    """Not there, or another user's: the two are told apart to nobody."""

    code = "not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"This {what} does not exist, or it is not yours. Start a new chat, or choose one from the list.")
        self.what = what


class PromptTooLong(UserError):
    """The message alone is longer than the model can read."""

    code = "context_length_exceeded"

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"This message is {tokens} tokens long and the model reads {limit} at most. Shorten it, or lower the maximum "
            "answer length to leave more room."
        )
        self.tokens, self.limit = tokens, limit


class Busy(UserError):
    """The queue is full, or one person has as many in it as they may: then `waiting` are their `own`."""

    code = "busy"

    def __init__(self, waiting: int, retry_s: float | None = None, own: bool = False) -> None:
        when = "a minute" if retry_s is None else f"{max(1, math.ceil(retry_s))} s"
        whose = "of yours " if own else ""
        many = f"1 request {whose}is" if waiting == 1 else f"{waiting} requests {whose}are"
        super().__init__(f"The model is busy: {many} waiting already. Try again in {when}.")
        self.waiting, self.retry_s, self.own = waiting, retry_s, own


class QuotaUsed(UserError):
    """A guest has asked all that their invitation allows."""

    code = "quota_used"

    def __init__(self, quota: int) -> None:
        all_of_them = "the one question" if quota == 1 else f"all {quota} questions"
        super().__init__(f"You have asked {all_of_them} that your invitation allows. Ask whoever invited you for more.")
        self.quota = quota


class StillAnswering(UserError):
    """A conversation takes one message at a time."""

    def __init__(self) -> None:
        super().__init__("The model is still answering in this conversation. Stop it first, or wait for it to finish.")


class NotTheLast(UserError):
    """Only a conversation's last question can be answered again."""

    def __init__(self) -> None:
        super().__init__("More was said since this answer. Reload the page to see it; only the last question can be asked again.")


class Interrupted(UserError):
    """The server stopped before a run had ended."""

    code = "interrupted"

    def __init__(self) -> None:
        super().__init__(
            "The server stopped while this answer was written. What there was of it is kept; try again for a whole one."
        )


class Stopping(UserError):
    """The server takes nothing more."""

    code = "interrupted"

    def __init__(self) -> None:
        super().__init__("The server is shutting down. Try again when it is back.")


class SettingsError(UserError):
    """A missing or contradictory setting; stops `serve` with one sentence."""


class ModelError(UserError):
    """A model that cannot be served; raised before any weights are read."""


class NoNumbers(UserError):
    """A model computed NaN for one sequence: overflow in a small dtype, or damaged weights."""

    code = "internal"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} computed no usable numbers for this. Try another wording; if it comes back, the model is damaged."
        )
        self.name = name


class OutOfMemory(UserError):
    """A step found no memory, even by itself."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__("The server has no memory left for this. Try again in a while, or ask something shorter.")


class ModelNotFound(ModelError):
    def __init__(self, ref: str, why: str) -> None:
        super().__init__(f"No model at {ref!r}: {why}")
        self.ref = ref


class NotAChatModel(ModelError):
    def __init__(self, ref: str, why: str) -> None:
        super().__init__(f"{ref!r} is no chat model: {why} Choose an instruction-tuned model, often named -Instruct or -Chat.")
        self.ref = ref


class NoSafetensors(ModelError):
    def __init__(self, ref: str) -> None:
        super().__init__(
            f"{ref!r} has no safetensors weights, and Portico reads no others, since pickled ones can run code. "
            "Choose another revision, or convert it with save_pretrained()."
        )
        self.ref = ref


class ModelTooLarge(ModelError):
    """`needs` and `budget` are bytes."""

    def __init__(self, ref: str, needs: int, budget: int) -> None:
        super().__init__(
            f"{ref!r} needs about {needs / 1e9:.1f} GB and the memory limit is {budget / 1e9:.3g} GB. "
            "Choose a smaller model, or raise --memory if this machine has more."
        )
        self.ref, self.needs, self.budget = ref, needs, budget


class NoRoom(ModelError):
    """A model that would fit, were it not for those in use. `needs`, `free` and `budget` are bytes; `busy` are their names."""

    code = "busy"

    def __init__(self, name: str, needs: int, free: int, budget: int, busy: list[str]) -> None:
        in_use = " and ".join(repr(one) for one in busy) + (" are" if len(busy) > 1 else " is") if busy else "the rest is"
        super().__init__(
            f"{name!r} needs about {gigabytes(needs)}, and of {gigabytes(budget)} only {gigabytes(free)} are free: "
            f"{in_use} in use. Try again in a moment, or raise --memory if this machine has more."
        )
        self.name, self.needs, self.free, self.budget, self.busy = name, needs, free, budget, busy


class NotLoaded(UserError):
    """A request for a model that is not served, or not yet."""

    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"The model {name!r} is not loaded. Choose another, or ask an admin to load it.")
        self.name = name


class LoadFailed(UserError):
    """A model that somebody waits for does not come. Why is for an admin to read; `retry_s` is None if it is not tried again."""

    code = "model_not_found"

    def __init__(self, name: str, retry_s: float | None) -> None:
        again = "" if retry_s is None else f"Try again in {max(1, math.ceil(retry_s))} s, or choose"
        super().__init__(f"{name!r} could not be loaded. {again or 'Choose'} another model, or tell an admin.")
        self.name, self.retry_s = name, retry_s
        if retry_s is not None:
            self.code = "busy"


def gigabytes(size: int) -> str:
    """`size` bytes as people read it."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def error_code(error: BaseException) -> str:
    """The code of `error` for programs; "internal" for what is no UserError."""
    return error.code if isinstance(error, UserError) else "internal"


def failed_of(error: BaseException) -> Failed:
    """The end of a run that `error` ended: its words, its code, and when to try again. Logs what is no UserError."""
    return Failed(screen_message(error), error_code(error), error.retry_s if isinstance(error, UserError) else None)


def screen_message(error: BaseException) -> str:
    """What a screen may show of `error`: a UserError's own words, else an id under which the log has the traceback."""
    if isinstance(error, UserError):
        return error.message
    error_id = uuid.uuid4().hex[:8]
    log.error("error %s", error_id, exc_info=error)
    return (
        f"Something went wrong on the server (error {error_id}). Try again; if it comes back, the server's log has the details."
    )
