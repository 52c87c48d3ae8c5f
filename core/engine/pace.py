"""How many prompt tokens a step may read, from how long steps take on this machine with this model. Pure."""

from __future__ import annotations

LEAST, MOST = 32, 1024  # prompt tokens a step; with fewer, its fixed cost is most of it
FIRST = 64  # before anything is known
STEP_S = 0.25  # how long a step may take while nobody else writes: a cancel is seen between two steps
STRETCH = 2.5  # how many times as long a step may take for those who write, when it reads a prompt beside
MEMORY = 0.95  # of what is known counts as much in the next step


class Pace:
    """Fits `seconds = fixed + each * tokens` to the steps so far, by least squares in which older ones weigh less."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """A step computed `tokens` in `seconds`."""
        for name, value in (("_weight", 1), ("_x", tokens), ("_y", seconds), ("_xx", tokens**2), ("_xy", tokens * seconds)):
            setattr(self, name, getattr(self, name) * MEMORY + value)

    def chunk(self, decoding: int) -> int:
        """How many prompt tokens the next step may read beside `decoding` sequences that write one each."""
        fixed, each = self._fit()
        if not each:
            return FIRST
        if not decoding:
            return _within((STEP_S - fixed) / each)
        return _within((STRETCH - 1) * (fixed + each * decoding) / each)

    def _fit(self) -> tuple[float, float]:
        """Seconds a step and seconds a token; (0, 0) while nothing is known."""
        if not self._x:
            return 0.0, 0.0
        spread = self._weight * self._xx - self._x**2
        each = (self._weight * self._xy - self._x * self._y) / spread if spread > 1e-3 * self._x**2 else 0.0
        if each <= 0:  # all steps alike, or noise
            return 0.0, self._y / self._x
        fixed = (self._y - each * self._x) / self._weight
        return (fixed, each) if fixed > 0 else (0.0, self._y / self._x)


def _within(tokens: float) -> int:
    return int(min(max(tokens, LEAST), MOST))
