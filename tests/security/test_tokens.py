"""API tokens, as an attacker would try them: through the guard, as the app has it."""

from __future__ import annotations

import ast
import asyncio
import hmac
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

import auth
import auth.tokens
from auth.people import OWNER
from auth.sessions import Account, Sessions
from auth.store import new_token, token_hash
from auth.tokens import PREFIX, Tokens
from tests.api.conftest import ADA, Site, asking
from tests.auth.site import Site as AuthSite
from tests.support.auth import Now
from tests.support.clock import wait_until

CHAT, MODELS = "/v1/chat/completions", "/v1/models"


@pytest.fixture
def site(database: Engine) -> Iterator[Site]:
    made = Site(database)
    yield made
    made.service.close()


async def test_a_token_has_a_prefix_is_stored_as_a_hash_and_shown_once(database: Engine) -> None:
    """CHECKLIST 47: made on the account page, its text stands in that one answer and nowhere else, nor in the database."""
    site = AuthSite(database)
    async with site.owner() as client:
        made = await client.post("/auth/account/tokens", data={"name": "script", "scope-chat": "on", "days": "30"})
        text = next(word for word in made.text.replace("<", " ").replace(">", " ").replace('"', " ").split() if PREFIX in word)
        assert made.headers["cache-control"] == "no-store"
        assert len(text) == len(PREFIX) + 43, "256 bits"
        shown = (await client.get("/auth/account")).text
        (token,) = site.auth.tokens.all("owner")
        assert token.prefix in shown
        assert text not in shown
        assert text[len(token.prefix) :] not in shown
    found = site.auth.tokens.find(text)
    assert found
    assert found.account.id == OWNER.id
    rows = everything(database)
    assert text[len(token.prefix) :] not in rows
    assert token_hash(text) in rows


async def test_no_token_is_logged_or_audited(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """CHECKLIST 47: not by the server's log at its most talkative, nor by the audit log."""
    caplog.set_level(logging.DEBUG)
    text = site.token()
    async with site.client(text) as client:
        assert (await client.post(CHAT, json=asking())).status_code == 200
    async with site.client(text + "x") as client:
        assert (await client.post(CHAT, json=asking())).status_code == 401
    assert text[12:] not in caplog.text
    assert text[12:] not in everything(site.database)


def everything(database: Engine) -> str:
    """Every value of every row."""
    with database.begin() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        return "\n".join(str(connection.exec_driver_sql(f'SELECT * FROM "{table}"').all()) for table in tables)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (("chat",), {CHAT}),
        (("models",), {MODELS, MODELS + "/Scripted"}),
        (("chat", "models"), {CHAT, MODELS, MODELS + "/Scripted"}),
    ],
)
async def test_a_token_does_what_its_scopes_say_and_nothing_else(site: Site, scopes: tuple[str, ...], allowed: set[str]) -> None:
    """CHECKLIST 48: on every route of the API; a refusal names the scope that is missing."""
    async with site.client(site.token(*scopes)) as client:
        asked = {
            CHAT: await client.post(CHAT, json=asking()), MODELS: await client.get(MODELS),
            MODELS + "/Scripted": await client.get(MODELS + "/Scripted"),
        }  # fmt: skip
    for path, answer in asked.items():
        if path in allowed:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
            assert "lacks the scope" in answer.json()["error"]["message"]
    assert len(site.runner.prompts) == ("chat" in scopes), "what is refused is not asked of the model"


OTHER_HEADERS = (
    "x-api-key", "api-key", "x-auth-token", "x-access-token", "proxy-authorization", "x-authorization",
    "x-forwarded-authorization", "authentication", "openai-api-key", "x_authorization",
)  # fmt: skip


@pytest.mark.parametrize("name", OTHER_HEADERS)
async def test_no_header_but_authorization_carries_a_token(site: Site, name: str) -> None:
    """CHECKLIST 48: there is one header, so scopes hold for every header that carries one."""
    text = site.token()
    for value in (text, f"Bearer {text}"):
        async with site.client(**{name: value}) as client:
            assert (await client.get(MODELS)).status_code == 401
            assert (await client.post(CHAT, json=asking())).status_code == 401


@pytest.mark.parametrize("name", OTHER_HEADERS)
async def test_a_second_header_widens_no_scope(site: Site, name: str) -> None:
    """CHECKLIST 48: a narrow token in Authorization and a wide one elsewhere is a narrow one."""
    async with site.client(site.token("models"), **{name: f"Bearer {site.token('chat')}"}) as client:
        assert (await client.post(CHAT, json=asking())).status_code == 403


async def test_of_two_authorization_headers_the_scopes_do_not_add_up(site: Site) -> None:
    """CHECKLIST 48: whichever counts, it counts alone."""
    narrow, wide = site.token("models"), site.token("chat")
    for first, second in ((narrow, wide), (wide, narrow)):
        headers = [("authorization", f"Bearer {first}"), ("authorization", f"Bearer {second}")]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.guard), base_url="http://127.0.0.1:7860") as client:
            listed, asked = await client.get(MODELS, headers=headers), await client.post(CHAT, headers=headers, json=asking())
        assert {listed.status_code, asked.status_code} == {200, 403}


@pytest.mark.parametrize("form", ["Basic {}", "Token {}", "{}", "Bearer{}", "Bearer {0} {0}", "Bearer {},{}", "Digest {}"])
async def test_authorization_takes_a_bearer_token_alone(site: Site, form: str) -> None:
    """CHECKLIST 48: RFC 6750, 2.1, and no other form."""
    text = site.token()
    async with site.client(authorization=form.format(text, text)) as client:
        assert (await client.get(MODELS)).status_code == 401
    async with site.client(authorization=f"bearer {text}") as client:
        assert (await client.get(MODELS)).status_code == 200, "the scheme's case does not matter (RFC 9110, 11.1)"


async def test_neither_an_address_nor_a_body_carries_a_token(site: Site) -> None:
    """CHECKLIST 48: addresses are logged (RFC 6750, 5.3)."""
    text = site.token()
    async with site.client() as client:
        for name in ("access_token", "api_key", "token", "key", "authorization"):
            assert (await client.get(MODELS, params={name: text})).status_code == 401
            assert (await client.post(CHAT, json=asking(**{name: text}))).status_code == 401
            assert (await client.post(CHAT, data={name: text})).status_code == 401


async def test_no_cookie_opens_the_api(site: Site) -> None:
    """CHECKLIST 49: not a session's, not a token in one, on whichever method; so no page of another site can use it."""
    session, text = site.auth.sessions.create(ADA), site.token()
    for name in ("portico-7860", "__Host-portico", "token", "authorization", "portico-7860-browser"):
        for value in (session, text):
            async with site.client(cookie=f"{name}={value}", origin="http://127.0.0.1:7860") as client:
                assert (await client.get(MODELS)).status_code == 401
                assert (await client.post(CHAT, json=asking())).status_code == 401
    async with site.client(session) as client:
        assert (await client.get(MODELS)).status_code == 401, "nor as a bearer"


async def test_a_token_opens_nothing_but_the_api(database: Engine) -> None:
    """CHECKLIST 49: not the account, not a page: a leaked one makes no other."""
    site = AuthSite(database)
    site.auth.sessions.create(OWNER)
    text = site.auth.tokens.make(OWNER, "t", ("chat", "models"), site.now() + timedelta(days=1))[1]
    for given in ({"authorization": f"Bearer {text}"}, {"cookie": f"portico-7860={text}"}):
        async with site.client(**given) as client:
            for path in ("/", "/auth/account", "/auth/admin", "/auth/account/tokens/new"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["location"].startswith("/auth/sign-in")) == (303, True)
            made = await client.post("/auth/account/tokens", data={"name": "more", "scope-chat": "on"}, headers={"accept": "*/*"})
            assert made.status_code == 401
    assert len(site.auth.tokens.all("owner")) == 1


async def test_a_token_ends_on_its_day_and_its_last_use_is_noted(database: Engine) -> None:
    """CHECKLIST 49: expiry, and when it was last used, without holding up a request."""
    now = Now()
    tokens = Tokens(database, now)
    Sessions(database, now).create(ADA)
    text = tokens.make(ADA, "t", ("chat",), now() + timedelta(hours=1))[1]
    now.move(minutes=59)
    assert tokens.find(text)
    assert tokens.all("ada")[0].used_at == now()
    now.move(minutes=1)
    assert tokens.find(text) is None


@pytest.mark.parametrize("stream", [True, False])
async def test_revoking_a_token_ends_what_it_holds_open_at_once(site: Site, stream: bool) -> None:
    """CHECKLIST 49: the stream is cut, unterminated, the run behind it stops, and the next request is refused."""
    text = site.token()
    sent: list[Any] = []
    body = httpx.Request("POST", "http://x", json=asking("long", stream=stream, max_tokens=4000)).content
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(given, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7860"), (b"authorization", f"Bearer {text}".encode())]
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers, "asgi": {"version": "3.0"}}
    asked = asyncio.create_task(site.guard(scope, receive, send))
    async with asyncio.timeout(10):
        while not (len(sent) > 2 if stream else site.busy):  # noqa: ASYNC110 (another thread's)
            await asyncio.sleep(0.01)
        assert site.auth.tokens.revoke("ada", site.auth.tokens.all("ada")[0].id)
        await asked
    if stream:
        assert sent[-1]["more_body"], "cut, and not ended well"
        assert b"[DONE]" not in b"".join(message.get("body", b"") for message in sent)
    else:
        assert sent[0]["status"] == 401, sent
    wait_until(lambda: not site.busy)
    assert site.runner.steps < 2000, "of 4000"
    async with site.client(text) as client:
        assert (await client.get(MODELS)).status_code == 401


async def test_shutting_someone_out_ends_their_tokens(site: Site) -> None:
    """CHECKLIST 49: an account that is disabled or deleted has no token that works."""
    text = site.token()
    async with site.client(text) as client:
        assert (await client.get(MODELS)).status_code == 200
        site.auth.people.set_disabled("ada", True)
        assert (await client.get(MODELS)).status_code == 401
        site.auth.people.set_disabled("ada", False)
        assert (await client.get(MODELS)).status_code == 200
        site.auth.people.delete("ada")
        assert (await client.get(MODELS)).status_code == 401


async def test_every_token_that_is_not_good_is_answered_alike_byte_by_byte(site: Site) -> None:
    """CHECKLIST 50: unknown, malformed, expired, revoked, of someone shut out, of a guest, or none at all: one answer for all."""
    bo, guest = Account("bo", "Bo", "member"), Account("cy", "Cy", "member")
    for account in (bo, guest):
        site.auth.sessions.create(account)
    disabled, of_guest, expired, revoked = site.token(account=bo), site.token(account=guest), site.token(), site.token()
    site.auth.people.set_disabled("bo", True)
    with site.database.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'guest' WHERE id = 'cy'")
        connection.exec_driver_sql("UPDATE tokens SET expires_at = '2020-01-01' WHERE token_hash = ?", (token_hash(expired),))
    site.auth.tokens.revoke("ada", next(one.id for one in site.auth.tokens.all("ada") if revoked.startswith(one.prefix)))
    good = site.token()
    texts = {
        "unknown": PREFIX + new_token(), "malformed": "hunter2", "empty": "", "huge": PREFIX + "x" * 5000, "expired": expired,
        "revoked": revoked, "disabled": disabled, "a guest's": of_guest,
        "one off": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "in capitals": good.upper(), "its hash": token_hash(good),
        "not ASCII": PREFIX + "é" * 43,
    }  # fmt: skip
    for method, path in (("GET", MODELS), ("POST", CHAT), ("GET", "/v1/nothing")):
        answers = {}
        for name, text in texts.items():
            async with site.client() as client:
                answer = await client.request(method, path, headers={"authorization": f"Bearer {text}".encode()})
            answers[name] = (answer.status_code, answer.content, sorted(answer.headers.multi_items()))
        async with site.client() as client:
            answer = await client.request(method, path)
            answers["none"] = (answer.status_code, answer.content, sorted(answer.headers.multi_items()))
        assert len({str(one) for one in answers.values()}) == 1, answers
        assert answers["none"][0] == 401
    async with site.client(good) as client:
        assert (await client.get(MODELS)).status_code == 200


def test_a_token_is_compared_in_constant_time(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHECKLIST 50: what decides is hmac.compare_digest over hashes, which no byte of a guess steers."""
    tokens = Tokens(database)
    Sessions(database).create(ADA)
    text = tokens.make(ADA, "t", ("chat",), tokens._clock() + timedelta(days=1))[1]
    compared: list[tuple[Any, Any]] = []

    def watched(left: Any, right: Any) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(auth.tokens, "hmac", SimpleNamespace(compare_digest=watched))
    assert tokens.find(text)
    assert compared == [(token_hash(text), token_hash(text))]
    monkeypatch.setattr(auth.tokens, "hmac", SimpleNamespace(compare_digest=lambda left, right: False))
    assert tokens.find(text) is None


SECRETS = {
    "token",
    "text",
    "secret",
    "code",
    "challenge",
    "digest",
    "signature",
    "state",
    "nonce",
    "verifier",
    "password",
    "kept",
}


def secrets_compared(source: str) -> list[str]:
    """Where `source` compares something secret with == or !=: the name says what it is. Columns are compared by the database."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
            sides = [node.left, *node.comparators]
            secretive = any(map(is_secret, sides)) and not any(map(is_column, sides))
            if secretive and not any(isinstance(one, ast.Constant) for one in sides):
                found.append(ast.unparse(node))
    return found


def is_secret(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in SECRETS or (name.endswith(("_hash", "_token", "_secret", "_code", "_digest")) and name != "status_code")


def is_column(node: ast.expr) -> bool:
    """As in tokens.c.token_hash."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "c"


def test_no_secret_is_compared_by_equality_anywhere_in_auth() -> None:
    """CHECKLIST 50: == stops at the first byte that differs. Secrets are looked up by hash, or go through compare_digest."""
    assert secrets_compared("if token == given: pass"), "the search finds what it is for"
    assert secrets_compared("ok = row.token_hash != key")
    assert not secrets_compared("found = tokens.c.token_hash == key")
    folder = Path(auth.__file__).parent
    found = {file.name: secrets_compared(file.read_text(encoding="utf-8")) for file in folder.rglob("*.py")}
    assert not {name: places for name, places in found.items() if places}
