"""What went wrong, as a sentence for a reader of the report."""

from __future__ import annotations

from playwright.sync_api import Error as PlaywrightError


class Told(Exception):
    """What went wrong; the message is a sentence for the report."""


def sentence(error: Exception, doing: str = "") -> str:
    """Why something could not be measured or, with `doing`, why a step failed that was to do so much.

    Raises KeyboardInterrupt or SystemExit again where that is what came first, and `error` came of cleaning up after it.
    """
    _raise_what_ended_it(error)
    if isinstance(error, Told):
        return str(error)
    line = next((one.strip() for one in str(error).splitlines() if one.strip()), "")[:200]
    if doing:
        return f"It was not possible to {doing} ({line or type(error).__name__})."
    if isinstance(error, PlaywrightError | AssertionError):
        return f"The browser waited in vain: {line}"
    return f"{type(error).__name__}: {line or 'no more is known'}"


def _raise_what_ended_it(error: BaseException) -> None:
    before = error.__context__
    while before is not None:
        if isinstance(before, KeyboardInterrupt | SystemExit):
            raise before
        before = before.__context__
