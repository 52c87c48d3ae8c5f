"""What went wrong, in a sentence; and what ended the run is not taken for it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from playwright.sync_api import Error as PlaywrightError

from limits.starting import DidNotStart
from limits.subjects import Lacks
from limits.told import sentence


@pytest.mark.parametrize(
    ("error", "doing", "said"),
    [
        (Lacks("There is no Retry button."), "press it", "There is no Retry button."),
        (PlaywrightError("\nTimeout 30 s\nCall log: ..."), "", "The browser waited in vain: Timeout 30 s"),
        (PlaywrightError("Timeout 30 s\nCall log: ..."), "press it", "It was not possible to press it (Timeout 30 s)."),
        (KeyError(), "press it", "It was not possible to press it (KeyError)."),
        (KeyError(), "", "KeyError: no more is known"),
        (DidNotStart(["app.py"], "one\nNo such model.\n\n"), "", "It did not start; what it said last was “No such model.”."),
        (DidNotStart(["app.py"], ""), "", "It did not start, and did not say why."),
    ],
)
def test_each_is_a_sentence_for_a_reader(error: Exception, doing: str, said: str) -> None:
    assert sentence(error, doing) == said


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_error_that_comes_of_cleaning_up_does_not_hide_what_ended_the_run(end: type[BaseException]) -> None:
    """Ctrl+C kills Chromium, too, so that closing a page fails while the run is being left."""
    with pytest.raises(PlaywrightError) as caught:
        _leave(end)
    with pytest.raises(end):
        sentence(caught.value)


def _leave(end: type[BaseException]) -> None:
    try:
        raise end
    finally:
        with suppress(ValueError):
            int("what is dealt with on the way")
        raise PlaywrightError("Target closed")
