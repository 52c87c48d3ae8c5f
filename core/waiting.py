"""A run's place in the queue, in the words that every frontend shows."""

from __future__ import annotations

import math

from core.types import Queued


def place(waiting: Queued) -> str:
    """ "You are next" or "2 ahead of you", with the estimate where there is one: ", about 12 s", or min for a minute and more.

    Before it, where the model is not there: "Waiting for the model to be loaded".
    """
    where = f"{waiting.position} ahead of you" if waiting.position > 0 else "You are next"
    if waiting.loading:
        where = "Waiting for the model to be loaded" + (f", {where}" if waiting.position > 0 else "")
    if waiting.eta_s is None or not math.isfinite(waiting.eta_s):
        return where
    seconds = max(1, math.ceil(waiting.eta_s))
    return f"{where}, about {seconds} s" if seconds < 60 else f"{where}, about {round(seconds / 60)} min"
