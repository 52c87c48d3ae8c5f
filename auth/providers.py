"""Asking a provider: bounded in time and size, no redirect followed, and what it says of itself checked before it is believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

from auth.provider_errors import Misconfigured, Unreachable, Untrusted
from auth.site import is_loopback_url

MAX_BYTES = 512_000  # of one answer; the largest key sets have about 20 kB
TIMEOUT_S = 10.0  # for a whole answer
TIMEOUTS = httpx2.Timeout(TIMEOUT_S, connect=5.0)
KEPT_HEADERS = ("content-type", "location")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What of a provider's discovery document is used."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    auth_method: str
    algorithms: tuple[str, ...]
    sends_iss: bool
    userinfo_endpoint: str = ""


class Client(AsyncOAuth2Client):  # type: ignore[misc]
    """Authlib's client, which reads no more than MAX_BYTES of an answer."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        response = await super().send(request, **{**options, "stream": True})
        body = b""
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Untrusted(f"{request.url.host} answers more than {MAX_BYTES} bytes")
        finally:
            await response.aclose()
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        return httpx2.Response(response.status_code, headers=kept, content=body, request=request)


@cache
def _trust() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes longer than all else here."""
    return httpx2.create_ssl_context()


@asynccontextmanager
async def asking(issuer: str, client_id: str = "", client_secret: str = "", auth_method: str = "") -> AsyncIterator[Any]:
    """A client for one conversation with a provider. Raises Unreachable for whatever goes wrong on the way."""
    # Companies reach their provider through a proxy that the environment names, but this machine is reached directly.
    options = {"timeout": TIMEOUTS, "verify": _trust(), "headers": {"accept-encoding": "identity"}}
    options["trust_env"] = not is_loopback_url(issuer)
    if auth_method == "client_secret_basic":  # RFC 6749, 2.3.1, which Authlib leaves to its caller
        client_id, client_secret = quote_plus(client_id), quote_plus(client_secret)
    try:
        async with asyncio.timeout(TIMEOUT_S), Client(client_id, client_secret, auth_method or None, **options) as client:
            yield client
    except httpx2.HTTPStatusError as error:
        raise Unreachable(f"{error.request.url.host} answers {error.response.status_code}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:  # TimeoutError is an OSError
        raise Unreachable(f"{urlsplit(issuer).netloc}: {type(error).__name__}") from None


async def get_json(client: Any, url: str, access_token: str = "") -> tuple[dict[str, Any], httpx2.Response]:
    """The JSON object at `url`."""
    headers = {"authorization": f"Bearer {access_token}"} if access_token else {}
    response: httpx2.Response = await client.request("GET", url, headers=headers, withhold_token=True)
    if response.status_code >= 500 or response.status_code == 429:
        raise Unreachable(f"{url} answers {response.status_code}")
    if response.status_code != 200:
        place = f" and points to {response.headers['location'][:200]!r}" if "location" in response.headers else ""
        raise Misconfigured(f"{url} answers {response.status_code}{place}, not 200; check the issuer in the settings")
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Misconfigured(f"{url} holds no JSON object; check the issuer in the settings")
    return document, response


async def discover(issuer: str) -> Metadata:
    """The provider's discovery document, read and checked (OpenID Connect Discovery 1.0, 4)."""
    async with asking(issuer) as client:
        document, _ = await get_json(client, issuer.removesuffix("/") + "/.well-known/openid-configuration")
    return read_metadata(document, issuer)


def read_metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    """What is used of a discovery document. Raises Misconfigured unless it is this issuer's, to the letter."""
    if document.get("issuer") != issuer:
        raise Misconfigured(
            f"the provider names itself {document.get('issuer')!r:.200}, the settings {issuer!r}: they must be equal"
        )
    endpoints = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, url in endpoints.items():
        if not isinstance(url, str) or not _is_safe(url, issuer):
            raise Misconfigured(f"its {name} is {url!r:.200}, no https address")
    userinfo = document.get("userinfo_endpoint")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    fitting = [one for one in ("client_secret_basic", "client_secret_post") if isinstance(methods, list) and one in methods]
    if not fitting:
        raise Misconfigured(f"it knows clients by {methods!r:.200}, not by client_secret_basic or client_secret_post")
    algorithms = document.get("id_token_signing_alg_values_supported")
    return Metadata(
        **{name: str(url) for name, url in endpoints.items()}, auth_method=fitting[0],
        algorithms=tuple(str(one) for one in algorithms) if isinstance(algorithms, list) else (),
        userinfo_endpoint=userinfo if isinstance(userinfo, str) and _is_safe(userinfo, issuer) else "",
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip


def _is_safe(url: str, issuer: str) -> bool:
    """https to a named host; plain http only on this machine, where the issuer is too."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_url(url) and is_loopback_url(issuer))
