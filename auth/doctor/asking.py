"""Asks an address once, as a browser would, and says in words why no answer came."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from auth.site import is_loopback

TIMEOUT_S = 5.0
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Without an answer `status` is 0 and `problem` says why; `bad_certificate` if that is the reason."""

    url: str
    status: int = 0
    headers: httpx2.Headers = field(default_factory=httpx2.Headers)
    body: bytes = b""
    problem: str = ""
    bad_certificate: bool = False
    certificate_ends: datetime | None = None

    def object(self) -> dict[str, Any] | None:
        """The JSON object in the body, or None."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


def fetch(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> Answer:
    """One request; redirects are not followed."""
    try:
        with (
            # As sign-in does: by the proxy that the environment names, but not to this machine.
            httpx2.Client(timeout=TIMEOUT_S, verify=_trust(), trust_env=not is_loopback(_host(url))) as client,
            client.stream(method, url, headers=headers, data=form, auth=auth) as response,
        ):
            ends = _certificate_ends(response)
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    return Answer(url, problem="its answer is far too long")
            return Answer(url, response.status_code, response.headers, body, certificate_ends=ends)
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
        causes = list(_causes(error))
        bad = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        return Answer(url, problem=_in_words(error, causes), bad_certificate=bad)


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_words(error: BaseException, causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "what answers there speaks no https"
        if isinstance(cause, socket.gaierror):
            return "there is no host of this name"
        if isinstance(cause, ConnectionRefusedError):
            return "nobody listens there"
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer came within {TIMEOUT_S:.0f} seconds"
    return f"the connection failed ({type(error).__name__})"


def _certificate_ends(response: httpx2.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    certificate = tls.getpeercert() if tls else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC) if certificate else None
