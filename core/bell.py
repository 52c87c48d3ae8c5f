"""How the engine's thread wakes those who wait on an event loop: with one call for all that have news at about the same time."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Future

# A step brings news to everyone within a millisecond or two. Woken for the first of them, the loop would take the interpreter
# from the engine's thread for each of the others in turn.
GATHER_S = 0.004


class Bell:
    """Wakes loops. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news: dict[AbstractEventLoop, list[Future[None]]] = {}

    def ring(self, loop: AbstractEventLoop, waiting: Future[None]) -> None:
        """Settle `waiting`, a future of `loop`, in a few milliseconds, with all others that are rung for until then."""
        with self._lock:
            if loop in self._news:
                self._news[loop].append(waiting)
                return
            self._news[loop] = [waiting]
        try:
            loop.call_soon_threadsafe(loop.call_later, GATHER_S, self._tell, loop)
        except RuntimeError:  # the loop is closed by the time the engine has news
            with self._lock:
                self._news.pop(loop, None)

    def _tell(self, loop: AbstractEventLoop) -> None:
        with self._lock:
            news = self._news.pop(loop, [])
        for waiting in news:
            settle(waiting)


def settle(waiting: Future[None]) -> None:
    """Let who waits go on; on its loop's thread."""
    if not waiting.done():
        waiting.set_result(None)
