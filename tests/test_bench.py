"""The benchmarks in a short form: that they run and hold what they say, not how fast."""

from __future__ import annotations

import pytest

from bench import guard


def test_the_guard_holds_every_session_and_socket_and_a_revocation_ends_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS", 50)
    figures = guard.run()
    assert figures["sessions held"] == 2000
    assert figures["websockets held open"] == 200
    assert figures["websockets ended by a revocation"] == 200
    assert figures["behind the guard, p50 ms"] > figures["bare app, p50 ms"] > 0
