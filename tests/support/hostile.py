"""An OpenID Connect provider on loopback whose every answer a test can bend. Unbent, it does all that the specification asks.

It is strict where a provider must be: a code works once, with the PKCE verifier (S256), the redirect address and the client that
it was given out for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import uvicorn
from joserfc import jws
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "portico's own"
CLIENT_SECRET = "a client secret, with + and : and % in it"
DISCOVERY = "/.well-known/openid-configuration"


class _Dropped:
    """By a name that is the same in every process, as it is in the names of tests."""

    def __repr__(self) -> str:
        return "left out"


DROP = _Dropped()  # as a value: the name is left out
ADA = {"sub": "ada-1", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True}

Sign = Callable[["HostileProvider", dict[str, Any], dict[str, Any]], Any]


def bent(good: Mapping[str, Any], how: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**good, **how}.items() if value is not DROP}


@dataclass
class Bend:
    """What is wrong with the provider; nothing unless given."""

    document: dict[str, Any] = field(default_factory=dict)  # of discovery
    answer: dict[str, Any] = field(default_factory=dict)  # what the browser brings back
    tokens: dict[str, Any] = field(default_factory=dict)  # the token endpoint's
    userinfo: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)  # of the ID token
    claims: dict[str, Any] = field(default_factory=dict)
    keys: list[Any] | None = None  # what it publishes
    more_keys: list[Any] = field(default_factory=list)  # beside those
    sign: Sign | None = None
    responses: dict[str, Callable[[], Response]] = field(default_factory=dict)  # whole answers, by path


class HostileProvider:
    """Use it `with`. `secrets` is whatever of its traffic must be in no log."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.issuer = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.key, self.other_key = (RSAKey.generate_key(2048, {"kid": name, "use": "sig"}) for name in ("first", "other"))
        routes = [
            Route(DISCOVERY, self._discovery),
            Route("/keys", self._keys),
            Route("/token", self._token, methods=["POST"]),
            Route("/userinfo", self._userinfo),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]}, daemon=True)
        self.reset()

    def reset(self) -> None:
        self.bend, self.person, self.clock = Bend(), dict(ADA), time.time
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.secrets: set[str] = {CLIENT_SECRET}
        self._codes: dict[str, dict[str, str]] = {}

    def authorize(self, url: str) -> str:
        """What the person's browser does here: the address that it is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
        code = secrets.token_urlsafe(24)
        self._codes[code] = asked
        self.secrets |= {code, asked["state"], asked["nonce"]}
        answer = bent({"code": code, "state": asked["state"]}, self.bend.answer)
        return asked["redirect_uri"] + "?" + urlencode(answer, doseq=True)

    async def _discovery(self, request: Request) -> Response:
        document = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys", "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip
        return self._respond(request, bent(document, self.bend.document))

    async def _keys(self, request: Request) -> Response:
        published: Any = KeySet([self.key]).as_dict()["keys"] if self.bend.keys is None else self.bend.keys
        return self._respond(request, {"keys": [*published, *self.bend.more_keys]})

    async def _userinfo(self, request: Request) -> Response:
        """Offered by `Bend(document={"userinfo_endpoint": ...})` alone."""
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.secrets:
            return self._respond(request, {"error": "invalid_token"}, 401)
        return self._respond(request, bent(self.person, self.bend.userinfo))

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.forms.append(form)
        self.secrets.add(form.get("code_verifier", CLIENT_SECRET))
        asked = self._codes.pop(form.get("code", ""), None)
        if not self._knows_client(request, form):
            return self._respond(request, {"error": "invalid_client", "error_description": CLIENT_SECRET}, 401)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"] or not _s256(form, asked):
            return self._respond(request, {"error": "invalid_grant", "error_description": form.get("code", "")}, 400)
        access_token = secrets.token_urlsafe(24)
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        id_token = self.id_token(asked["nonce"], base64.urlsafe_b64encode(half).rstrip(b"=").decode())
        self.secrets |= {access_token, str(id_token)}
        tokens = {"access_token": access_token, "token_type": "Bearer", "expires_in": 3600, "id_token": id_token}
        return self._respond(request, bent(tokens, self.bend.tokens))

    def id_token(self, nonce: str, at_hash: str) -> Any:
        now = int(self.clock())
        claims = {
            "iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce, "at_hash": at_hash, **self.person,
        }  # fmt: skip
        header = bent({"alg": "RS256", "typ": "JWT", "kid": self.key.kid}, self.bend.header)
        return (self.bend.sign or by_its_key)(self, header, bent(claims, self.bend.claims))

    @staticmethod
    def _knows_client(request: Request, form: Mapping[str, str]) -> bool:
        given = form.get("client_id", ""), form.get("client_secret", "")
        if request.headers.get("authorization", "").startswith("Basic "):
            text = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
            name, _, secret = text.partition(":")
            given = unquote_plus(name), unquote_plus(secret)  # RFC 6749, 2.3.1
        return given == (CLIENT_ID, CLIENT_SECRET)

    def _respond(self, request: Request, document: Any, status: int = 200) -> Response:
        self.asked.append(request.url.path)
        if whole := self.bend.responses.get(request.url.path):
            return whole()
        return JSONResponse(document, status)

    def __enter__(self) -> HostileProvider:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listening.close()


def _s256(form: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
    return asked.get("code_challenge_method") == "S256" and asked.get("code_challenge") == challenge


def by_its_key(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return signed_with(provider.key)(provider, header, claims)


def signed_with(key: Any) -> Sign:
    """Signs with `key` by whatever algorithm the header names, whether that is wise or not."""

    def sign(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> str:
        return jws.serialize_compact(header, json.dumps(claims), key, [header["alg"]])

    return sign


def unsigned(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join(parts) + "."


def redirect_elsewhere() -> Response:
    return RedirectResponse("https://evil.example/")
