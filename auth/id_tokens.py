"""ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7): whether one stands up to every check.

joserfc checks the signature and Authlib the standard claims; what their defaults let through is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import import_key

from auth.provider_errors import Untrusted

LEEWAY_S = 30  # how far a provider's clock may be off
MAX_SUBJECT = 255  # OpenID Connect Core 1.0, 2
MIN_RSA_BITS = 2048  # RFC 7518, 3.3
KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

# What a malformed token or key makes the libraries raise.
BROKEN = (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class _Pinned(jws.JWSRegistry):
    """Knows one algorithm: the settings'. Neither a token nor a discovery document has a say."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)  # RFC 7515, 4: unknown headers are ignored
        self._only = algorithm

    def get_alg(self, name: str) -> Any:
        if name != self._only:
            raise UnsupportedAlgorithmError(f"{name!r} is not {self._only!r}")
        return self.algorithms[name]


class IdToken:
    """A token whose header is read, and whose algorithm is the expected one. Nothing in it is to be believed before `claims`."""

    def __init__(self, text: object, algorithm: str) -> None:
        self._registry, self._algorithm = _Pinned(algorithm), algorithm
        if not isinstance(text, str):
            raise Untrusted("it gives no ID token")
        try:
            self._signed = jws.extract_compact(text.encode(), registry=self._registry)
            header = self._signed.headers()
            self._registry.check_header(header)
            name, self._kid = header["alg"], header.get("kid")
        except BROKEN:
            raise Untrusted("its ID token cannot be read") from None
        if name != algorithm:
            raise Untrusted(f"its ID token is signed with {name!r:.40}, and the settings say {algorithm!r}")

    def claims(self, keys: Sequence[Any]) -> CodeIDToken:
        """What it says, if it is signed by the one of the provider's `keys` that its header names."""
        key = self._key(keys)
        try:
            if key["kty"] == "RSA" and len(key["n"]) * 6 < MIN_RSA_BITS:
                raise Untrusted(f"the key of its ID token is shorter than {MIN_RSA_BITS} bits")
            good = jws.validate_compact(self._signed, import_key(key), registry=self._registry)
            claims = json.loads(self._signed.payload or b"") if good else None
        except BROKEN:
            raise Untrusted("the key or the signature of its ID token is malformed") from None
        if not isinstance(claims, dict):
            raise Untrusted("its ID token holds no claims" if good else "the signature of its ID token is wrong")
        return CodeIDToken(claims, self._signed.headers())

    def _key(self, keys: Sequence[Any]) -> dict[str, Any]:
        fitting = [key for key in keys if isinstance(key, dict) and self._fits(key)]
        if not fitting:
            raise Untrusted("its ID token is signed with a key that it does not publish")
        if self._kid is None and len(fitting) > 1:  # OpenID Connect Core 1.0, 10.1
            raise Untrusted("its ID token does not say with which of its keys it is signed")
        return fitting[0]

    def _fits(self, key: Mapping[str, Any]) -> bool:
        return (
            key.get("kty") == KEY_TYPES[self._algorithm]
            and key.get("use", "sig") == "sig"
            and key.get("alg", self._algorithm) == self._algorithm
            and self._kid in (None, key.get("kid"))
        )


def check_claims(token: CodeIDToken, issuer: str, client_id: str, nonce: str, access_token: object, now: int) -> None:
    """Raises Untrusted unless the token is this issuer's, for us alone, of this sign-in, and in force."""
    token.options = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
    }
    token.params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    try:
        token.validate(now, LEEWAY_S)
    except JoseError as error:
        raise Untrusted(f"the ID token's {getattr(error, 'claim', 'claims')}: {error.error}") from None
    except BROKEN:
        raise Untrusted("the ID token's claims are malformed") from None
    subject = token["sub"]
    if token["aud"] not in (client_id, [client_id]):
        raise Untrusted("the ID token is for others too")
    if token.get("azp", client_id) != client_id:
        raise Untrusted("the ID token was issued to another client")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise Untrusted("the ID token names nobody")
    if "at_hash" in token and not (token["at_hash"] and isinstance(token["at_hash"], str) and isinstance(access_token, str)):
        raise Untrusted("the ID token's at_hash cannot be checked")
