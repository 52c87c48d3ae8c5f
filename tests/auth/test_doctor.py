"""`doctor`: what it finds, over real loopback servers; and that it shows no secret and changes nothing."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest
import uvicorn
from httpx2 import Headers
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

import auth.doctor.asking
import migrations
from app import cli
from auth.doctor import Finding, Setup, examine, report
from auth.doctor.address import (
    WEBSOCKET,
    Listening,
    check_cookies,
    check_health,
    check_listening,
    check_plain,
    check_websocket,
)
from auth.doctor.asking import Answer, fetch
from auth.doctor.house import check_database, check_door, check_secret_file, check_secrets, check_settings_file
from auth.doctor.provider import check_clock, check_redirect
from auth.middleware import Guard
from auth.oidc import ProviderSettings
from auth.parts import Auth, Options
from auth.people import Admission, Identity
from auth.routes import HALF, PUBLIC, auth_routes
from auth.site import Site
from auth.store import utc_now
from auth.who import Account
from core.database import open_database
from core.settings import load_settings
from doors import look_at_database
from portal.pages import render
from tests.support.auth import SECRET, NoModels, Now, make_auth
from tests.support.certificate import make_certificate
from tests.support.clock import wait_until
from tests.support.serve import Served

HUSH = "the client secret that nobody may read"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@contextmanager
def running(app: Any, listening: socket.socket | None = None, **options: Any) -> Iterator[int]:
    """`app` behind a real server on loopback; gives the port."""
    listening = listening or socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", date_header=False, **options))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listening.close()


class Provider:
    """A provider's documents, as good as they are until a test changes them."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {}
        self.keys: list[Any] = [RSAKey.generate_key(2048).as_dict(private=False, use="sig", kid="1")]
        self.late, self.headers, self.status = timedelta(), {}, 200  # type: ignore[var-annotated]
        self.answer: dict[str, Any] = {"error": "invalid_grant"}
        self.clients: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **changes: str) -> ProviderSettings:
        return ProviderSettings(
            **{"name": "us", "title": "Us", "issuer": self.url, "client_id": "me", "client_secret": HUSH, **changes}
        )

    def json(self, content: Any, status: int = 200) -> Response:
        date = format_datetime(datetime.now(UTC) + self.late, usegmt=True)
        headers = {name: value for name, value in ({"date": date} | self.headers).items() if value}
        return JSONResponse(content, status, headers=headers)

    async def discovery(self, request: Request) -> Response:
        good = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "code_challenge_methods_supported": ["plain", "S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return self.json(good | self.document, self.status)

    async def jwks(self, request: Request) -> Response:
        return self.json({"keys": self.keys})

    async def token(self, request: Request) -> Response:
        self.clients.append(request.headers.get("authorization", "") or (await request.body()).decode())
        return self.json(self.answer, 400)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks", self.jwks),
                Route("/token", self.token, methods=["POST"]),
            ]
        )


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    with running(provider.app) as provider.port:
        yield provider


def setup(tmp_path: Path, *providers: ProviderSettings, engine: Engine | None = None, **options: Any) -> Setup:
    """One whose own address nobody listens at."""
    site = options.pop("site", Site.of("http://127.0.0.1:9", 9))
    return Setup(Options(site, [SECRET], providers=providers, **options), "127.0.0.1", 9, tmp_path / "secret", engine)


def about(topic: str, findings: Any) -> list[Finding]:
    return [one for one in findings if topic in one.topic]


def levels(findings: Any) -> set[str]:
    return {one.level for one in findings}


def test_a_good_provider_is_all_ok_and_its_redirect_uri_stands_alone_on_a_line(tmp_path: Path, provider: Provider) -> None:
    found = about("Us", examine(setup(tmp_path, provider.settings())))
    assert levels(found) == {"ok"}
    assert len(found) == 5  # redirect URI, discovery, clock, keys, client
    lines: list[str] = []
    assert report(found, lines.append)
    assert "     http://127.0.0.1:9/auth/callback/us" in lines
    assert lines[-1] == "0 wrong, 0 warnings."


@pytest.mark.parametrize(
    ("document", "level", "says"),
    [
        ({"issuer": "https://evil.example"}, "wrong", 'set issuer = "https://evil.example"'),
        ({"issuer": "https://login.example/{tenantid}/v2.0"}, "wrong", "Put your tenant's id in its place"),
        ({"issuer": None}, "wrong", "Nobody could sign in"),
        ({"issuer": "x\x1b[31m"}, "wrong", 'issuer = "x?[31m"'),
        ({"token_endpoint": "http://far.example/token"}, "wrong", "its token_endpoint is 'http://far.example/token', no https"),
        ({"jwks_uri": None}, "wrong", "its jwks_uri is None"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "wrong", "not by client_secret_basic"),
        ({"id_token_signing_alg_values_supported": ["ES256"]}, "wrong", 'Set algorithm = "ES256"'),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, "wrong", "Let it sign with one of RS256"),
        ({"code_challenge_methods_supported": ["plain"]}, "warning", "It does not offer PKCE with S256"),
    ],
)
def test_a_wrong_discovery_document_is_told_in_a_sentence(
    tmp_path: Path, provider: Provider, document: dict[str, Any], level: str, says: str
) -> None:
    provider.document = document
    found = about("Us", examine(setup(tmp_path, provider.settings())))
    [told] = [one for one in found if one.level != "ok"]
    assert told.level == level
    assert says in told.text
    assert told.text.isprintable()
    asked = bool(provider.clients)
    assert asked is (level == "warning"), "what is not trusted is never sent the client's secret"


def test_a_provider_that_is_not_there_or_says_something_else(tmp_path: Path, provider: Provider) -> None:
    provider.status = 404
    [_, told, clock] = about("Us", examine(setup(tmp_path, provider.settings())))
    assert told.level == "wrong"
    assert "(status 404). Check the issuer" in told.text
    assert clock.level == "ok", "its clock is told all the same"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = about("Us", examine(setup(tmp_path, provider.settings(issuer=f"http://127.0.0.1:{port}"))))
    assert [one.level for one in found] == ["ok", "wrong"]
    assert "nobody listens there" in found[1].text


@pytest.mark.parametrize(
    ("keys", "algorithm", "good"),
    [
        (lambda: [RSAKey.generate_key(2048).as_dict(private=False)], "RS256", True),
        (lambda: [ECKey.generate_key("P-256").as_dict(private=False, alg="ES256")], "ES256", True),
        (list, "RS256", False),
        (lambda: ["a"], "RS256", False),
        (lambda: [ECKey.generate_key("P-256").as_dict(private=False)], "RS256", False),
        (lambda: [ECKey.generate_key("P-384").as_dict(private=False)], "ES256", False),
        (lambda: [RSAKey.generate_key(2048).as_dict(private=False, use="enc")], "RS256", False),
        (lambda: [RSAKey.generate_key(2048).as_dict(private=False, alg="RS512")], "RS256", False),
        (lambda: [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}], "RS256", False),
    ],
)
def test_a_key_for_the_pinned_algorithm_is_looked_for(
    tmp_path: Path, provider: Provider, keys: Any, algorithm: str, good: bool
) -> None:
    provider.keys = keys()
    provider.document = {"id_token_signing_alg_values_supported": [algorithm]}
    found = about("Us", examine(setup(tmp_path, provider.settings(algorithm=algorithm))))
    assert any(f"It has a key for {algorithm}." == one.text for one in found) is good
    assert any(f"It has no key for {algorithm}." in one.text and one.level == "wrong" for one in found) is not good


@pytest.mark.parametrize(("late", "level"), [(2, "ok"), (-15, "warning"), (15, "warning"), (120, "wrong"), (-120, "wrong")])
def test_this_machines_clock_is_compared_with_the_providers(tmp_path: Path, provider: Provider, late: int, level: str) -> None:
    provider.late = timedelta(seconds=late)
    [clock] = [one for one in examine(setup(tmp_path, provider.settings())) if "clock" in one.text]
    assert clock.level == level
    if level == "wrong":
        assert ("behind" if late > 0 else "ahead of") in clock.text
        assert "timedatectl" in clock.text


def test_a_cached_answer_is_as_old_as_its_age() -> None:
    """Google's discovery document comes from a cache, with the Date of long ago and an Age."""
    date = format_datetime(NOW - timedelta(minutes=40), usegmt=True)
    cached = Answer("", 200, Headers({"date": date, "age": "2400"}))
    assert check_clock(Provider().settings(), cached, NOW).level == "ok"
    fresh = Answer("", 200, Headers({"date": date}))
    assert check_clock(Provider().settings(), fresh, NOW).level == "wrong"
    for broken in ({}, {"date": "yesterday"}, {"date": date, "age": "old"}):
        assert check_clock(Provider().settings(), Answer("", 200, Headers(broken)), NOW).level == "note"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_id_and_secret_are_tried_at_the_token_endpoint(tmp_path: Path, provider: Provider, method: str) -> None:
    provider.document = {"token_endpoint_auth_methods_supported": [method]}
    found = about("Us", examine(setup(tmp_path, provider.settings())))
    assert found[-1] == Finding(found[-1].topic, "ok", "It knows the client id and the client secret.")
    assert provider.clients[0].startswith("Basic ") is (method == "client_secret_basic")
    provider.answer = {"error": "invalid_client", "error_description": HUSH}
    found = about("Us", examine(setup(tmp_path, provider.settings())))
    assert found[-1].level == "wrong"
    assert "Copy both again" in found[-1].text
    provider.answer = {"error": "server_error"}
    assert about("Us", examine(setup(tmp_path, provider.settings())))[-1].level == "note"


@pytest.mark.parametrize(
    ("redirect", "issuer", "wrong"),
    [
        ("http://127.0.0.1:7860/x", "https://accounts.google.com", ""),
        ("https://demo.example.com/x", "https://accounts.google.com", ""),
        ("http://demo.example.com/x", "https://id.example.com", "plain http for this machine alone"),
        ("https://192.168.1.5/x", "https://accounts.google.com", "Google takes no 192.168.1.5"),
        ("https://[2001:db8::1]/x", "https://accounts.google.com", "Google takes no 2001:db8::1"),
        ("https://box/x", "https://accounts.google.com", "Google takes no box"),
        ("https://box/x", "https://id.example.com", ""),
    ],
)
def test_a_redirect_uri_that_a_provider_will_not_take_is_told(redirect: str, issuer: str, wrong: str) -> None:
    found = list(check_redirect(Provider().settings(issuer=issuer), redirect))
    assert found[0].text.splitlines()[-1] == redirect
    assert [wrong in one.text for one in found[1:]] == ([True] if wrong else [])


# The address


def at(public: str, host: str = "127.0.0.1", port: int = 7860, proxies: tuple[str, ...] = ()) -> Listening:
    return Listening(Site.of(public, port), host, port, proxies)


@pytest.mark.parametrize(
    ("listening", "said"),
    [
        (at("http://127.0.0.1:7860"), []),
        (at("http://localhost:7860"), []),
        (at("https://demo.example.com", proxies=("127.0.0.1",)), []),
        (at("https://demo.example.com"), ['trusted_proxies = ["127.0.0.1"]']),
        (at("https://demo.example.com", host="0.0.0.0"), ['trusted_proxies = ["its address"]']),
        (at("http://192.168.1.5:7860", host="0.0.0.0"), ["Not encrypted"]),
        (at("http://192.168.1.5:7860", host="192.168.1.5"), ["Not encrypted", "Use --host 0.0.0.0"]),
        (at("http://demo.example.com"), ["Not encrypted", "--public-url http://demo.example.com:7860", "trusted_proxies"]),
        (at("http://localhost"), ["--public-url http://localhost:7860"]),
        (at("https://demo.example.com:7860", host="0.0.0.0", proxies=("::1",)), ["Portico speaks plain http there"]),
    ],
)
def test_what_the_settings_alone_tell_of_the_address(listening: Listening, said: list[str]) -> None:
    warnings = [one.text for one in check_listening(listening) if one.level not in ("ok", "note")]
    assert len(warnings) == len(said)
    for one, part in zip(warnings, said, strict=True):
        assert part in one


def test_where_browsers_make_no_passkeys_is_told() -> None:
    assert "They do for http://localhost:7860" in list(check_listening(at("http://127.0.0.1:7860")))[-1].text
    assert not any("passkeys" in one.text for one in check_listening(at("http://localhost:7860")))
    assert "an https address with a name" in list(check_listening(at("https://192.168.1.5")))[-1].text


@pytest.fixture
def house(database: Engine, provider: Provider) -> Iterator[int]:
    """The guard and the sign-in pages behind a real server, for https://demo.example.com and for this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    doors = make_auth(database, site=Site.of("https://demo.example.com", port), providers=[provider.settings()])

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = auth_routes(doors, render, lambda: None, lambda user_id: {}, lambda user_id: None, NoModels())
    inner = Starlette(routes=[*routes, Route("/healthz", healthz)])
    with running(Guard(inner, doors.sessions, doors.site, ["/healthz", *PUBLIC], HALF), listening) as port:
        yield port


def test_the_answers_of_a_real_house_as_a_good_proxy_passes_them_on(house: int) -> None:
    port = house
    listening, host = at("https://demo.example.com", port=port), {"host": "demo.example.com"}
    health = fetch(f"http://127.0.0.1:{port}/healthz", headers=host)
    assert levels(check_health(listening, health, health, NOW)) == {"ok"}
    assert (
        check_websocket(listening, fetch(f"http://127.0.0.1:{port}/streamlit/_stcore/stream", headers=host | WEBSOCKET)).level
        == "ok"
    )
    cookies = check_cookies(listening, fetch(f"http://127.0.0.1:{port}/auth/oidc/us", headers=host))
    assert cookies.level == "ok"
    assert "HttpOnly, SameSite=Lax, Path=/, no Domain, Secure" in cookies.text


def test_what_a_bad_proxy_does_to_the_answers_is_told(house: int) -> None:
    port = house
    listening, url = at("https://demo.example.com", port=port), f"http://127.0.0.1:{port}"
    here = fetch(f"{url}/healthz")
    [other] = check_health(listening, fetch(f"{url}/healthz", headers={"host": "backend"}), here, NOW)
    assert (other.level, "another Host than demo.example.com" in other.text) == ("wrong", True)
    [local] = check_health(listening, here, here, NOW)
    assert (local.level, "as if asked on this machine" in local.text) == ("wrong", True)
    no_upgrade = check_websocket(listening, fetch(f"{url}/streamlit/_stcore/stream", headers={"host": "demo.example.com"}))
    assert (no_upgrade.level, "(status 401)" in no_upgrade.text) == ("wrong", True)
    begun = fetch(f"{url}/auth/oidc/us", headers={"host": "demo.example.com"})
    for before, after, missing in (
        ("; Secure", "", "Secure"),
        ("; HttpOnly", "", "HttpOnly"),
        ("SameSite=lax", "SameSite=none", "SameSite=Lax"),
    ):
        changed = begun.headers["set-cookie"].replace(before, after)
        assert changed != begun.headers["set-cookie"]
        told = check_cookies(listening, Answer("", 303, Headers({"set-cookie": changed})))
        assert (told.level, f"without {missing}." in told.text) == ("wrong", True)
    domain = begun.headers["set-cookie"] + "; Domain=example.com"
    assert "no Domain" in check_cookies(listening, Answer("", 303, Headers({"set-cookie": domain}))).text
    assert "does not arrive" in check_cookies(listening, Answer("", 303)).text
    assert check_cookies(listening, Answer("", 503)).level == "note", "the provider is away, not the cookie"


@pytest.mark.parametrize(
    ("answer", "here", "level", "says"),
    [
        (Answer("", problem="nobody listens there"), Answer(""), "note", "Portico does not run"),
        (Answer("", problem="nobody listens there"), Answer("", 200), "warning", "does not lead to it: nobody listens there"),
        (Answer("", problem="its certificate is not valid: expired", bad_certificate=True), Answer("", 200), "wrong", "expired"),
        (Answer("", 502), Answer("", 200), "wrong", "Let it pass on to http://127.0.0.1:7860"),
        (Answer("", 200, body=b"<h1>Welcome to nginx!</h1>"), Answer("", 200), "wrong", "Something else than Portico answers"),
        (
            Answer("", 200, body=b'{"status": "ok"}'),
            Answer("", 200),
            "wrong",
            "The headers that protect Portico's pages are gone",
        ),
    ],
)
def test_what_the_public_address_answers(answer: Answer, here: Answer, level: str, says: str) -> None:
    [told] = check_health(at("https://demo.example.com"), answer, here, NOW)
    assert told.level == level
    assert says in told.text


def test_plain_http_beside_https_leads_on_or_is_closed() -> None:
    listening, headers = at("https://demo.example.com"), Headers
    assert check_plain(listening, Answer("", problem="nobody listens there")).level == "ok"
    assert check_plain(listening, Answer("", 308, headers({"location": "https://demo.example.com/"}))).level == "ok"
    assert check_plain(listening, Answer("", 302, headers({"location": "http://demo.example.com/x"}))).level == "warning"
    assert check_plain(listening, Answer("", 200)).level == "warning"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


def test_a_certificate_is_checked_as_browsers_do(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(PlainTextResponse("hi"), ssl_certfile=str(certificate)) as port:
        refused = fetch(f"https://localhost:{port}/")
        assert refused.bad_certificate
        assert "self-signed" in refused.problem
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(auth.doctor.asking, "_trust", lambda: trusting)
        answer = fetch(f"https://localhost:{port}/")
        assert answer.status == 200
        assert answer.certificate_ends is not None
        assert timedelta(days=9) < answer.certificate_ends - datetime.now(UTC) < timedelta(days=10)
    good = Answer(
        "", 200, Headers({"content-security-policy": "x", "strict-transport-security": "y"}),
        b'{"status": "ok"}', certificate_ends=answer.certificate_ends,
    )  # fmt: skip
    soon, us = check_health(at("https://demo.example.com"), good, good, datetime.now(UTC))
    assert (soon.level, us.level) == ("warning", "ok")
    assert "See that it is renewed" in soon.text


def test_why_no_answer_came_is_said_in_words() -> None:
    with running(PlainTextResponse("x" * 1_100_000)) as port:
        assert "speaks no https" in fetch(f"https://localhost:{port}/").problem
        assert "far too long" in fetch(f"http://127.0.0.1:{port}/").problem
    assert "no host of this name" in fetch("http://portico.invalid/").problem
    assert fetch("http://[::1/").problem


# The house


def test_the_secret_file_is_for_its_owner_alone_and_read_by_the_same_eyes_as_the_servers(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secrets, found = check_secret_file(file)
    assert (secrets, found.level) == ([], "note")
    file.write_text(f"{SECRET}\n")
    file.chmod(0o644)
    secrets, found = check_secret_file(file)
    assert (found.level, f"chmod 600 {file}" in found.text) == ("wrong", True)
    file.chmod(0o600)
    secrets, found = check_secret_file(file)
    assert (secrets, found.level) == ([SECRET], "ok")
    assert f"{datetime.now(UTC):%Y-%m-%d}" in found.text
    file.write_text(" \n")
    empty = check_secret_file(file)[1]
    assert (empty.level, "Put your copy of it back" in empty.text, "Run doctor as" in empty.text) == ("wrong", True, False)
    assert check_secret_file(tmp_path)[1].level == "wrong"
    assert "at least 32 characters" in next(check_secrets(["short"], None)).text


def test_what_is_sealed_with_another_secret_is_counted(database: Engine) -> None:
    now = Now()
    new = "another secret of more than thirty-two characters"
    for name, secret in (("ada", SECRET), ("bo", new)):
        enrol(make_auth(database, now, secrets=[secret]), name)
    [closed] = check_secrets([new], database)
    assert (closed.level, "1 authenticator app cannot be read" in closed.text) == ("wrong", True)
    [old] = check_secrets([new, SECRET], database)
    assert (old.level, "1 authenticator app still needs an old secret" in old.text) == ("ok", True)
    enrol(make_auth(database, now), "eve")
    assert "2 authenticator apps still need an old secret" in next(check_secrets([new, SECRET], database)).text
    [done] = check_secrets([new, SECRET + "!"], make_empty(database))
    assert "can be taken off the list" in done.text


def test_an_authenticator_app_that_was_never_confirmed_holds_no_old_secret_back(database: Engine) -> None:
    doors = make_auth(database, Now())
    doors.sessions.create(Account("ada", "Ada", "member"))
    doors.totp.begin("ada", "Ada")
    [done] = check_secrets(["n" * 32, SECRET], database)
    assert "can be taken off the list" in done.text


def test_a_lost_secret_is_wrong_once_something_needs_it(tmp_path: Path, database: Engine) -> None:
    file = tmp_path / "secret"
    assert check_secret_file(file, database)[1].level == "note"
    enrol(make_auth(database, Now()), "ada")
    _, lost = check_secret_file(file, database)
    assert lost.level == "wrong"
    assert f"{file} is not there" in lost.text
    assert "python app.py user reset-2fa" in lost.text


def enrol(doors: Auth, name: str) -> None:
    doors.sessions.create(Account(name, name, "member"))
    begun = doors.totp.begin(name, name)
    assert doors.totp.confirm(name, pyotp.TOTP(begun.secret).at(doors.clock()))


def make_empty(database: Engine) -> Engine:
    with database.begin() as connection:
        connection.execute(text("delete from totp"))
    return database


def test_who_may_come_in_is_said_in_words(database: Engine, provider: Provider) -> None:
    site, us = Site.of("http://127.0.0.1:7860", 7860), provider.settings()

    def said(lists: Admission | None = None, **options: Any) -> list[Finding]:
        return list(check_door(Options(site, [SECRET], lists or Admission(), **options), database, utc_now))

    [alone] = said()
    assert "No provider is set" in alone.text
    assert "may add a second factor" in alone.text
    assert "needs a second factor" in said(link_needs_second_factor=True)[0].text
    assert "without a provider nobody can show theirs" in said(Admission(frozenset({"a@b"})))[1].text
    warnings = [one.text for one in said(providers=[us]) if one.level == "warning"]
    assert "Nobody new is let in" in warnings[0]
    assert "No admin is named" in warnings[1]
    lists = Admission(frozenset({"bo@example.com"}), frozenset({"example.org"}), frozenset({"ada@example.com"}))
    listed = said(lists, providers=[us])
    assert levels(listed) == {"ok"}
    assert "ada@example.com, bo@example.com, everyone of example.org" in listed[1].text
    assert "Google vouches for no domain" in said(Admission(domains=frozenset({"gmail.com"})), providers=[us])[-1].text
    doors = make_auth(database)
    doors.invitations.invite("eve@example.com", "admin", "", utc_now() + timedelta(days=1))
    assert "1 open invitation" in said(providers=[us])[1].text
    make_auth(database, admission=lists).people.admit(Identity("i", "s", "Ada", "ada@example.com", ""))
    assert not any("No admin" in one.text for one in said(providers=[us])), "there is one already"


def test_a_settings_file_with_secrets_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    assert "There is no" in check_settings_file(file).text
    file.write_text("port = 1")
    file.chmod(0o644)
    assert check_settings_file(file).level == "ok"
    file.write_text('[oidc.google]\nclient_secret = "x"')
    assert check_settings_file(file).level == "warning"
    file.chmod(0o600)
    assert check_settings_file(file).level == "ok"


def test_every_state_of_the_database_has_its_sentence(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path}/portico.db"

    def said() -> str:
        _, state, _ = look_at_database(load_settings({"data": tmp_path}))
        return check_database(state, "it").text

    assert said() == "it is made at the first start."
    database = open_database(where)
    assert "the first start makes its tables" in said()
    migrations.upgrade(database, [])
    assert said() == "it answers and is up to date."
    for revision, says in (("0001", "an older Portico's"), ("9999", "a newer Portico")):
        with database.begin() as connection:
            connection.execute(text("update alembic_version set version_num = :revision"), {"revision": revision})
        assert says in said()
    database.dispose()


# The command


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in os.environ:
        if name.startswith("PORTICO_"):
            monkeypatch.delenv(name)
    return folder


def doctor(*flags: str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, ["doctor", *flags])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.output


def test_the_command_before_the_first_start_changes_nothing(empty_folder: Path) -> None:
    status, said = doctor("--port", "9")
    assert status == 0
    assert "! warning" not in said
    assert "x wrong" not in said
    assert "Portico does not run" in said
    assert not list(empty_folder.iterdir())


def test_the_command_fails_if_something_is_wrong_and_shows_no_secret(
    empty_folder: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "portico.toml").write_text(
        f'admins = ["ada@example.com"]\n[oidc.us]\nissuer = "{provider.url}"\nclient_id = "me"\nclient_secret = "{HUSH}"'
    )
    monkeypatch.setenv("PORTICO_SECRET", "hush" * 10)
    monkeypatch.setenv("PORTICO_ADMIN", "bo@example.com")
    status, said = doctor("--port", "9")
    assert status == 0, said
    assert "http://127.0.0.1:9/auth/callback/us" in said
    assert "The variable PORTICO_ADMIN sets nothing" in said
    assert "Run: chmod 600 portico.toml" in " ".join(said.split())
    provider.answer = {"error": "invalid_client", "error_description": HUSH}
    status, more = doctor("--port", "9")
    assert status == 1
    assert "1 wrong" in more
    assert HUSH not in said + more
    assert "hushhush" not in said + more


def test_wrong_settings_are_found_too(empty_folder: Path) -> None:
    status, said = doctor("--public-url", "demo.example.com")
    assert status == 1
    assert "--public-url: give scheme and host alone" in said
    status, said = doctor("--database", "postgresql://x:HUSH@127.0.0.1:9/none?connect_timeout=2", "--port", "9")
    assert status == 1
    assert "Check --database" in " ".join(said.split())
    assert "HUSH" not in said
    status, said = doctor("--database", "nonsense", "--port", "9")
    assert status == 1
    assert "this is no database URL" in said


def test_the_command_beside_a_running_server(tmp_path: Path, empty_folder: Path) -> None:
    """It takes no lock, and finds the server by its address."""
    with Served(tmp_path / "data", "--ui", "streamlit") as served:
        assert served.link
        status, said = doctor("--data", str(tmp_path / "data"), "--port", served.url.rpartition(":")[2])
    assert status == 0, said
    plain = " ".join(said.split())
    assert f"{served.url} answers, and leads to Portico." in plain
    assert "Websockets come through." in plain
    assert "answers and is up to date" in plain
    assert "is for its owner alone" in plain
