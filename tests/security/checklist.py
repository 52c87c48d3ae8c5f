"""The security checklist: what each number means, and the tests that show it, found by their docstrings.

`python -m tests.security.checklist` writes README.md beside this file anew.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
README = Path(__file__).with_name("README.md")
NUMBER = re.compile(r"CHECKLIST ([\d, ]+)")

PARTS = {"OpenID Connect": 1, "TOTP": 20, "Sessions": 31, "Requests": 39, "Tokens and operation": 47, "Between users": 53}
ITEMS = (
    "state single-use and bound to the browser",
    "nonce wrong or missing",
    "PKCE with S256",
    "iss",
    "discovery's issuer exact",
    "aud is us alone",
    "algorithm pinned (none, HS256, RS512 refused)",
    "bad signature, unknown kid, key rotation",
    "exp, iat",
    "no id_token fails closed",
    "iss on the callback (RFC 9207)",
    "a user is (iss, sub), never an email",
    "email_verified is true",
    "hosted domain from the token, never the request",
    "`next` only within this site, in every spelling",
    "callback in another browser",
    "two sign-in tabs",
    "redirect URI from settings, never Host",
    "no code, verifier or token in a log",
    "a code works once, under a race too",
    "at most one step of drift",
    "failures counted per account in the database; too many end the pending sign-in",
    "the lock holds on every path",
    "replayed and wrong codes answer alike",
    "secrets of 160 bits or more, encrypted with the row's id as associated data",
    "enrolled only after a valid code",
    "fresh sign-in to change, switch off or regenerate",
    "recovery codes of 112 bits or more, hashed, single-use under a race",
    "a half signed-in session reaches the second-factor pages alone and ends within 10 minutes",
    "no http, websocket or API way round",
    "new id at sign-in and at step-up, the old one dead",
    "an id chosen by the client is refused",
    "`__Host-`, HttpOnly, Secure, SameSite=Lax (and what holds on plain-http loopback)",
    "idle timeout",
    "absolute timeout",
    "revoking ends live websockets and streams at once",
    "list of devices, sign out everywhere",
    "only a hash of the token is stored",
    "unsafe methods need `Sec-Fetch-Site: same-origin` or the exact Origin",
    "cross-origin upload refused",
    "websocket Origin: foreign, null, absent, other port, sibling host",
    "Host allow-list",
    "no foreign Access-Control-Allow-Origin ever",
    "CSP, nosniff, frame-ancestors, Referrer-Policy, HSTS under https, on error pages too",
    "forwarded and identity headers stripped from peers that are not trusted, underscore spellings too",
    "route walk: every route without a session is refused, but for a short list",
    "API tokens: prefix, hash, shown once",
    "scopes hold for every header that carries a token",
    "expiry, last use, instant revoke; no cookie on the API",
    "constant-time comparison, uniform errors",
    "an audit row for each event, no secrets",
    "the start-up link: a button, used up by POST, expires, loopback peers only, once even under a race",
    "a matrix of two users over every run, conversation, upload, stream and file: not one crosses",
    "a server path that a client names is refused by every component of both frontends",
    "upload size and count bounded per user, files removed after a time",
    "bodies over the limit, broken multipart, bad JSON, 10 MB prompts: a clear 4xx and the process lives",
)


def shown() -> dict[int, list[str]]:
    """For each number the tests ("tests/x.py::test_y") whose docstring begins with "CHECKLIST n:"."""
    found: dict[int, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            named = NUMBER.match(ast.get_docstring(node) or "")
            for number in named[1].split(",") if named else ():
                found[int(number)].append(f"{file.relative_to(TESTS.parent).as_posix()}::{node.name}")
    return dict(found)


def readme() -> str:
    """The table of all numbers, as README.md holds it."""
    tests, lines = shown(), ["# What is shown about security, and where", ""]
    lines += [
        "Written by `python -m tests.security.checklist` from the tests' docstrings; a test fails if a number has none.",
        "",
    ]
    for number, item in enumerate(ITEMS, 1):
        if part := next((name for name, first in PARTS.items() if first == number), ""):
            lines += ["", f"## {part}", "", "| | what | tests |", "|---|---|---|"]
        lines.append(f"| {number} | {item} | {'<br>'.join(f'`{test}`' for test in tests.get(number, []))} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
