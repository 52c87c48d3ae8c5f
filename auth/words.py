"""Times and browsers in words, for the pages that list sessions, tokens and invitations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

LONGEST_AGENT = 60  # characters of a browser that no rule below knows

HOUR, DAY = 3_600, 86_400  # seconds
UNITS = (  # how long each is, and from when on it is used: "45 days" says more than "1 month", and 59.6 minutes are an hour
    ("year", 365 * DAY, 715 * DAY), ("month", 30 * DAY, 91 * DAY), ("day", DAY, DAY - HOUR // 2), ("hour", HOUR, HOUR - 30),
    ("minute", 60, 60),
)  # fmt: skip

# The first that fits counts: most browsers claim to be Safari as well, and half of them Chrome.
BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("OPT/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"), ("DuckDuckGo/", "DuckDuckGo"), ("Ddg/", "DuckDuckGo"), ("Focus/", "Firefox Focus"),
    ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("HeadlessChrome/", "Chrome without a window"), ("Chromium/", "Chromium"),
    ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("iPod", "iPod"), ("Android", "Android"), ("CrOS", "ChromeOS"),
    ("Windows", "Windows"), ("Macintosh", "Mac"), ("Mac OS X", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class When:
    """A moment for a page: in words, exactly (UTC), and as `<time datetime>` wants it. templates/when.html draws it."""

    words: str
    exact: str
    iso: str


def past(moment: datetime, now: datetime) -> When:
    """A moment that was, such as "3 minutes ago"."""
    return _when(ago(moment, now), moment)


def coming(moment: datetime, now: datetime) -> When:
    """A moment that will be, such as "in 12 days"."""
    return _when(until(moment, now), moment)


def ago(moment: datetime, now: datetime) -> str:
    """How long `moment` is past: "just now", "3 minutes ago", "2 months ago"."""
    span = _span((now - moment).total_seconds())
    return f"{span} ago" if span else "just now"


def until(moment: datetime, now: datetime) -> str:
    """How far off `moment` is: "in 12 days", "in less than a minute"; "now" once it is past."""
    seconds = (moment - now).total_seconds()
    span = _span(seconds)
    return f"in {span}" if span else "in less than a minute" if seconds > 0 else "now"


def exact(moment: datetime) -> str:
    """As "22 November 2026, 14:05 UTC"."""
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


def device(user_agent: str) -> str:
    """A browser and its system as people name them ("Safari on iPhone"), else what it says of itself, shortened.

    Anybody can write anything there: it helps to tell one's devices apart, and proves nothing.
    """
    browser = next((name for sign, name in BROWSERS if sign in user_agent), "")
    system = next((name for sign, name in SYSTEMS if sign in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    raw = " ".join(user_agent.split())
    short = raw if len(raw) <= LONGEST_AGENT else raw[: LONGEST_AGENT - 1].rstrip() + "…"
    return browser or short or "A browser that gives no name"


def _span(seconds: float) -> str:
    """The largest unit in it, to the nearest whole one; "" under a minute."""
    for name, length, least in UNITS:
        if seconds >= least:
            count = round(seconds / length)
            return f"{count} {name}" + ("s" if count > 1 else "")
    return ""


def _when(words: str, moment: datetime) -> When:
    return When(words, exact(moment), moment.astimezone(UTC).isoformat(timespec="seconds"))


def printable(text: str) -> str:
    """`text` for a terminal or a log: what cannot be printed, such as a line's end or an escape, is a question mark."""
    return "".join(char if char.isprintable() else "?" for char in text)
