from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from auth.words import LONGEST_AGENT, ago, coming, device, exact, past, until

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
WEBKIT, KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)", "AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = "iPhone; CPU iPhone OS 18_1 like Mac OS X"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (59, "just now"), (60, "1 minute ago"), (90, "2 minutes ago"), (3569, "59 minutes ago"),
        (3570, "1 hour ago"), (3599, "1 hour ago"), (12 * 3600, "12 hours ago"), (24 * 3600 - 1, "1 day ago"),
        (36 * 3600 - 1, "1 day ago"), (45 * 86400, "45 days ago"), (91 * 86400, "3 months ago"), (365 * 86400, "12 months ago"),
        (731 * 86400, "2 years ago"), (-5, "just now"),
    ],
)  # fmt: skip
def test_how_long_ago(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (30 * 86400 - 1, "in 30 days"), (3600, "in 1 hour"), (600, "in 10 minutes"), (59, "in less than a minute"), (0, "now"),
        (-86400, "now"),
    ],
)  # fmt: skip
def test_how_long_until(seconds: int, words: str) -> None:
    assert until(NOW + timedelta(seconds=seconds), NOW) == words


def test_the_exact_time_is_utc_whatever_the_zone_it_came_in() -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    assert exact(berlin) == "22 November 2026, 14:05 UTC"
    assert past(berlin, NOW).iso == "2026-11-22T14:05:00+00:00"
    assert coming(NOW + timedelta(days=3), NOW).words == "in 3 days"


# As browsers sent them in 2024-2026; the version numbers are theirs.
AGENTS = [
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36", "Chrome on Windows"),
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge on Windows"),
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0", "Opera on Windows"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Windows"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
    (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/139.0.0.0 Safari/537.36", "Chrome on ChromeOS"),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {KHTML} Version/18.1 Safari/605.1.15", "Safari on Mac"),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Chrome/143.0.0.0 Safari/537.36", "Chrome on Mac"),
    (f"Mozilla/5.0 ({IPHONE}) {KHTML} Version/18.1 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
    (f"Mozilla/5.0 ({IPHONE}) {KHTML} CriOS/142.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
    (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {KHTML} FxiOS/128.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPad"),
    (f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/143.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
    (f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0", "Edge on Android"),
    (f"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) {WEBKIT} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
     "Samsung Internet on Android"),
    ("Mozilla/5.0 (Android 14; Mobile; rv:135.0) Gecko/135.0 Firefox/135.0", "Firefox on Android"),
    (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/143.0.0.0 Safari/537.36", "Chrome without a window on Linux"),
    ("curl/8.5.0", "curl/8.5.0"),
    ("python-httpx/0.28.1", "python-httpx/0.28.1"),
    ("", "A browser that gives no name"),
]  # fmt: skip


@pytest.mark.parametrize(("agent", "words"), AGENTS)
def test_a_device_in_words(agent: str, words: str) -> None:
    assert device(agent) == words


def test_a_browser_that_nobody_knows_is_shown_as_it_names_itself_in_short() -> None:
    shown = device("Odd/1.0 \n" + "x" * 300)
    assert shown.startswith("Odd/1.0 xxx")
    assert shown.endswith("…")
    assert len(shown) <= LONGEST_AGENT
