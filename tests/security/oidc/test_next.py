"""Where a sign-in leads: to this site alone, by a browser's reading."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import RedirectResponse

from auth.flows import safe_next
from tests.support.auth import BASE
from tests.support.hostile import (
    HostileProvider,
)
from tests.support.oidc import (
    Site,
    sign_in,
)

Log = pytest.LogCaptureFixture


def leads_to(base: str, target: str) -> str:
    """The origin that a browser opens for `target` on a page of `base`, or what it runs instead (WHATWG URL, 4.4)."""
    cut = target.strip("".join(map(chr, range(0x21)))).translate(dict.fromkeys((9, 10, 13)))
    scheme, _, rest = base.partition(":")
    if found := re.match(r"([a-z][a-z0-9+.-]*):", cut, re.IGNORECASE):
        named, cut = found[1].lower(), cut[found.end() :]
        if named not in ("http", "https", "ws", "wss", "ftp"):
            return named + ":"  # javascript:, data:, file: and the like
        if named != scheme:
            return named + "://" + authority(cut.lstrip("/\\"))
    cut = cut.replace("\\", "/")
    return f"{scheme}://" + authority(cut.lstrip("/") if cut.startswith("//") else rest.lstrip("/"))


def authority(text: str) -> str:
    return re.split(r"[/\\?#]", text, maxsplit=1)[0].rpartition("@")[2].lower()


OUTSIDE = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "\\\\evil.example", "/\t/evil.example",
    "/\n/evil.example", "\t//evil.example", " //evil.example", "\x00//evil.example", "\x1f//evil.example", "/\r\\evil.example",
    "http://evil.example", "HTTP://evil.example", "http:\\\\evil.example", "http:///evil.example", "ht\ntp://evil.example",
    "https://127.0.0.1:7860", "https:evil.example", "https:/evil.example", "http://127.0.0.1:7860@evil.example",
    "//127.0.0.1:7860@evil.example", "//user:word@evil.example:80/x", "//evil.example\\x",
    "//[::1]", "//evil.example?x", "//evil.example#x", "javascript:alert(1)", "JAVA\tSCRIPT:alert(1)", "data:text/html,x",
    "http://127.0.0.1:78600/", "//127.0.0.1", "file:///etc/passwd", "blob:http://127.0.0.1:7860/x", "mailto:x@evil.example",
)  # fmt: skip
INSIDE = (
    "/", "/x", "/x//evil.example", "/?//evil.example", "/#//evil.example", "x", "", "?x", "#x", "/.//evil.example", "http:x",
    "http:/x", "//127.0.0.1:7860/x", "//127.0.0.1:7860\\@evil.example:1", "/x@evil.example", "/%2fevil.example",
    "/%5cevil.example", "/javascript:alert(1)",
)  # fmt: skip


def test_a_browser_is_read_right_here() -> None:
    """The measure by which the next tests judge knows an address that leaves the site, and one that does not."""
    assert [one for one in OUTSIDE if leads_to(BASE + "/auth/x", one) == BASE] == []
    assert [one for one in INSIDE if leads_to(BASE + "/auth/x", one) != BASE] == []


PIECES = (
    "/", "\\", "//", "/\\", "\t", "\n", "\r", "\x00", "\x0b", "\x1f", " ", "\x7f", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff",
    "\u200b", "／", "＼", "。", "．", "⁄", "@", ":", ";", "?", "#", "&", "=", ".", "..", "%", "%2f", "%2F", "%5c", "%09",
    "%0a", "%0d%0a", "%00", "%20", "%40", "%252f", "%e3%80%82", "%ff", "http:", "https:", "HtTp:", "javascript:", "data:", "ws:",
    "file:", "blob:", "evil.example", "127.0.0.1:7860", "127.0.0.1", "[::1]", "localhost", "auth", "a", "é", "xn--e1afmkfd",
    "\U0001f600", "\udbff",
)  # fmt: skip
LETTERS = {chr(0xE000 + number): piece for number, piece in enumerate(PIECES)}  # one drawn letter stands for each: that is quick


@given(st.text("".join(LETTERS), max_size=10), st.booleans())
@settings(max_examples=10_000, deadline=None, database=None)
def test_no_spelling_of_next_leaves_the_site(drawn: str, from_the_root: bool) -> None:
    """CHECKLIST 15: 10,000 spellings; neither what is kept nor the Location that is made of it leads away."""
    spelling = ("/" if from_the_root else "") + "".join(LETTERS[letter] for letter in drawn)
    assert_stays(spelling)


@given(st.text())
@settings(deadline=None, database=None)
def test_no_text_at_all_leaves_the_site(text: str) -> None:
    """CHECKLIST 15: nor does any other text."""
    assert_stays(text)
    assert_stays("/" + text)


def assert_stays(target: str) -> None:
    kept = safe_next(target)
    assert kept.startswith("/")
    assert leads_to(BASE + "/auth/callback/acme", kept) == BASE
    assert leads_to(BASE + "/auth/callback/acme", RedirectResponse(kept, 303).headers["location"]) == BASE


async def test_no_outside_next_survives_a_sign_in(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    """CHECKLIST 15: all the way there and back, from an address that leads away."""
    for target in OUTSIDE:
        answer = await sign_in(browser, provider, target)
        assert leads_to(BASE + "/auth/callback/acme", answer.headers["location"]) == BASE, target
        assert answer.headers["location"] == "/", target
