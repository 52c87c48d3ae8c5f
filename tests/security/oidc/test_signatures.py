"""ID tokens: the algorithm, the keys and the signature."""

from __future__ import annotations

import base64
import hmac
import warnings
from typing import Any

import httpx
import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from sqlalchemy import Engine
from starlette.responses import PlainTextResponse

from tests.support.hostile import (
    CLIENT_SECRET,
    DISCOVERY,
    DROP,
    Bend,
    HostileProvider,
    redirect_elsewhere,
    signed_with,
    unsigned,
)
from tests.support.oidc import (
    SESSION,
    Site,
    assert_in,
    assert_refused,
    assert_this_alone_is_refused,
    settings_of,
    sign_in,
)

Log = pytest.LogCaptureFixture


def by_hmac(secret: bytes) -> Any:
    def sign(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> str:
        text = unsigned(provider, header, claims).rstrip(".").encode()
        return (text + b"." + base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")).decode()

    return sign


def by_hmac_with_the_public_key(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> Any:
    return by_hmac(provider.key.as_pem(private=False))(provider, header, claims)


EC = ECKey.generate_key("P-256", {"kid": "first"})
ED = OKPKey.generate_key("Ed25519", {"kid": "first"})
ALGORITHMS: dict[str, Bend] = {
    "none": Bend(header={"alg": "none"}, sign=unsigned),
    "none, without a key's id": Bend(header={"alg": "none", "kid": DROP}, sign=unsigned),
    "None": Bend(header={"alg": "None"}, sign=unsigned),
    "missing": Bend(header={"alg": DROP}, sign=unsigned),
    "null": Bend(header={"alg": None}, sign=unsigned),
    "a list": Bend(header={"alg": ["RS256"]}, sign=unsigned),
    "RS256 without a signature": Bend(sign=unsigned),
    "HS256 with the public key": Bend(header={"alg": "HS256"}, sign=by_hmac_with_the_public_key),
    "HS256 with the client secret": Bend(header={"alg": "HS256"}, sign=by_hmac(CLIENT_SECRET.encode())),
    "RS512": Bend(header={"alg": "RS512"}),
    "RS384": Bend(header={"alg": "RS384"}),
    "PS256": Bend(header={"alg": "PS256"}),
    "ES256 with a published key": Bend(header={"alg": "ES256"}, keys=[EC.as_dict(private=False)], sign=signed_with(EC)),
    "rs256": Bend(header={"alg": "rs256"}, sign=unsigned),
}


@pytest.mark.parametrize("fault", ALGORITHMS)
async def test_another_algorithm_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 7: RS256 is pinned by the settings, whatever the token and the discovery document say."""
    bend = ALGORITHMS[fault]
    bend.document["id_token_signing_alg_values_supported"] = [
        "none",
        "None",
        "HS256",
        "RS384",
        "RS512",
        "PS256",
        "ES256",
        "rs256",
    ]
    await assert_this_alone_is_refused(bend, site, browser, provider, caplog)


@pytest.mark.parametrize(("algorithm", "key"), [("ES256", EC), ("EdDSA", ED), ("PS256", None)], ids=["ES256", "EdDSA", "PS256"])
async def test_the_settings_may_name_another_algorithm_and_then_pin_that(
    database: Engine, provider: HostileProvider, caplog: Log, algorithm: str, key: Any
) -> None:
    """CHECKLIST 7: with ES256, EdDSA or PS256 in the settings, that is taken and RS256 refused."""
    site = Site(database, settings_of(provider, algorithm=algorithm))
    provider.clock = lambda: site.now().timestamp()
    signing = key or provider.key
    good = Bend(
        header={"alg": algorithm}, claims={"at_hash": DROP}, sign=signed_with(signing), keys=[signing.as_dict(private=False)]
    )
    async with site.browser() as browser:
        assert_refused(await sign_in(browser, provider), site, browser, provider, caplog)
        site.now.move(minutes=1)
        provider.bend = good
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # as the provider signs: RFC 9864 has another name for EdDSA
            assert_in(await sign_in(browser, provider), site, browser)


def tampered(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> str:
    good = signed_with(provider.key)(provider, header, {**claims, "sub": "eve"}).split(".")
    return ".".join((good[0], unsigned(provider, header, claims).split(".")[1], good[2]))


def with_the_other_key(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> Any:
    return signed_with(provider.other_key)(provider, header, claims)


def with_the_other_key_beside_it(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> Any:
    return with_the_other_key(provider, {**header, "jwk": provider.other_key.as_dict(private=False)}, claims)


def with_a_key_elsewhere(provider: HostileProvider, header: dict[str, Any], claims: dict[str, Any]) -> Any:
    return with_the_other_key(provider, {**header, "jku": "https://evil.example/keys"}, claims)


SIGNATURES: dict[str, Bend] = {
    "another text": Bend(sign=tampered),
    "another key": Bend(sign=with_the_other_key),
    "another key, which comes along": Bend(sign=with_the_other_key_beside_it),
    "another key, to be had elsewhere": Bend(sign=with_a_key_elsewhere),
    "no key of this id": Bend(header={"kid": "unknown"}),
    "an id that is no text": Bend(header={"kid": 1}, sign=unsigned),
    "an extension that is critical": Bend(header={"crit": ["exp"], "exp": 1}, sign=unsigned),
    "no keys": Bend(keys=[]),
    "broken keys": Bend(keys=[None, 1, {}, {"kty": "RSA"}, {"kty": "RSA", "kid": "first"}]),
    "a key that is no number": Bend(keys=[{"kty": "RSA", "kid": "first", "n": "!" * 400, "e": "AQAB"}]),
    "the number 1 as key": Bend(keys=[{"kty": "RSA", "kid": "first", "n": "A" * 399 + "Q", "e": "AQAB"}]),
    "a shared secret as key": Bend(keys=[{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]),
    "keys that are no JSON": Bend(responses={"/keys": lambda: PlainTextResponse("<html>")}),
    "keys without end": Bend(more_keys=["x" * 600_000]),
    "keys elsewhere": Bend(responses={"/keys": redirect_elsewhere}),
    "keys out of order": Bend(responses={"/keys": lambda: PlainTextResponse("", 503)}),
}


@pytest.mark.parametrize("fault", SIGNATURES)
async def test_a_bad_signature_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 8: a signature of another text or another key, and keys that are none of the provider's."""
    await assert_this_alone_is_refused(SIGNATURES[fault], site, browser, provider, caplog)


@pytest.mark.parametrize("change", [{"use": "enc"}, {"alg": "RS512"}, {"key_ops": ["encrypt"]}], ids=str)
async def test_a_key_for_something_else_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, change: dict[str, Any]
) -> None:
    """CHECKLIST 8: the right key, published for encryption or for another algorithm."""
    key = {**provider.key.as_dict(private=False), **change}
    if "key_ops" in change:
        del key["use"]
    await assert_this_alone_is_refused(Bend(keys=[key]), site, browser, provider, caplog)


@pytest.mark.filterwarnings("ignore:Key size")
async def test_a_short_key_is_refused(site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log) -> None:
    """CHECKLIST 8: RSA with 1024 bits (RFC 7518, 3.3)."""
    short = RSAKey.generate_key(1024, {"kid": "first"})
    bend = Bend(keys=[short.as_dict(private=False)], sign=signed_with(short))
    await assert_this_alone_is_refused(bend, site, browser, provider, caplog)


async def test_without_a_keys_id_there_must_be_no_choice(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 8: a token without kid is good if one key may have signed it, and refused if there are two (Core, 10.1)."""
    both = KeySet([provider.key, provider.other_key]).as_dict()["keys"]
    await assert_this_alone_is_refused(Bend(header={"kid": DROP}, keys=both), site, browser, provider, caplog)
    site.now.move(hours=1)
    provider.bend = Bend(header={"kid": DROP}, keys=[{**both[1], "use": "enc"}, both[0]])
    assert_in(await sign_in(browser, provider), site, browser)


async def test_a_new_key_is_found_and_an_unknown_one_makes_no_flood(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 8: after a rotation the keys are read once more; tokens with unknown keys make at most one question in 30 s."""
    assert_in(await sign_in(browser, provider), site, browser)
    site.now.move(seconds=30)
    provider.bend = Bend(
        keys=[provider.other_key.as_dict(private=False)], header={"kid": "other"}, sign=signed_with(provider.other_key)
    )
    assert_in(await sign_in(browser, provider), site, browser)
    assert provider.asked.count("/keys") == 2
    browser.cookies.delete(SESSION)
    provider.bend = Bend()  # the old key again, which is published no more
    for _ in range(3):
        assert_refused(await sign_in(browser, provider), site, browser, provider, caplog)
    assert provider.asked.count("/keys") == 2
    site.now.move(hours=1)
    assert_in(await sign_in(browser, provider), site, browser)
    assert provider.asked.count(DISCOVERY) == 2, "all of it is read anew after an hour"
