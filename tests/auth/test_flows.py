from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from auth.flows import SignIn, pending, safe_next
from auth.sessions import Account

ADA = SignIn(Request({"type": "http"}), Account("ada", "Ada", "member"), "link")


class Content:
    def next(self, sign_in: SignIn) -> Response | None:
        return None


class Asks:
    def next(self, sign_in: SignIn) -> Response | None:
        return PlainTextResponse("your code, please")


def test_the_first_stage_that_asks_for_something_answers() -> None:
    assert pending([], ADA) is None
    assert pending([Content(), Content()], ADA) is None
    asked = pending([Content(), Asks()], ADA)
    assert asked is not None
    assert asked.body == b"your code, please"


@pytest.mark.parametrize("target", ["/", "/gradio/?c=1", "/?ui=streamlit&c=abc#x", "/a/b%20c"])
def test_a_path_on_this_site_is_kept(target: str) -> None:
    assert safe_next(target) == target


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)", "", "evil.example",
     "/\t/evil.example", "/\n/evil.example", " //evil.example", "/ /evil", "///evil.example", "http:evil.example", "//[bad"],
)  # fmt: skip
def test_anything_else_becomes_the_home_page(target: str) -> None:
    assert safe_next(target) == "/"


@given(st.text(alphabet="/\\:.@?#%\t\n\r ab[]", max_size=12))
def test_no_spelling_leaves_the_site(target: str) -> None:
    # Browsers drop tabs and newlines and read a backslash as a slash (WHATWG URL, 4.4).
    kept = safe_next(target).translate({9: None, 10: None, 13: None}).replace("\\", "/")
    assert urlsplit(urljoin("http://portico.test/auth/link", kept)).netloc == "portico.test"
