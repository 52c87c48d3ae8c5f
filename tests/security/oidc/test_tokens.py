"""ID tokens: by whom, for whom and when; and none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jws
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from tests.support.hostile import (
    CLIENT_ID,
    DROP,
    Bend,
    HostileProvider,
    signed_with,
)
from tests.support.oidc import (
    Site,
    assert_in,
    assert_this_alone_is_refused,
    sign_in,
)

Log = pytest.LogCaptureFixture


@pytest.mark.parametrize(
    "iss", [DROP, "", "https://evil.example", "{iss}/", "{ISS}", ["{iss}"], None], ids=str
)  # fmt: skip
async def test_a_wrong_issuer_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, iss: Any
) -> None:
    """CHECKLIST 4: iss missing, another, with a slash more, in capitals, or a list."""
    if isinstance(iss, str):
        iss = iss.replace("{iss}", provider.issuer).replace("{ISS}", provider.issuer.upper())
    elif isinstance(iss, list):
        iss = [provider.issuer]
    await assert_this_alone_is_refused(Bend(claims={"iss": iss}), site, browser, provider, caplog)


AUDIENCES: dict[str, Any] = {
    "none": {"aud": DROP}, "empty": {"aud": ""}, "no list": {"aud": []}, "another": {"aud": "another"},
    "another, by us": {"aud": "another", "azp": CLIENT_ID}, "others too": {"aud": [CLIENT_ID, "another"]},
    "others too, by us": {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}, "us twice": {"aud": [CLIENT_ID, CLIENT_ID]},
    "us within": {"aud": CLIENT_ID + " another"}, "nested": {"aud": [[CLIENT_ID]]}, "an object": {"aud": {CLIENT_ID: True}},
    "by another": {"azp": "another"}, "by nobody": {"azp": ""}, "by null": {"azp": None}, "by a list": {"azp": [CLIENT_ID]},
}  # fmt: skip


@pytest.mark.parametrize("fault", AUDIENCES)
async def test_a_token_for_others_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 6: for another client, for others beside us, or issued to another client."""
    await assert_this_alone_is_refused(Bend(claims=AUDIENCES[fault]), site, browser, provider, caplog)


@pytest.mark.parametrize("claims", [{"aud": [CLIENT_ID]}, {"azp": CLIENT_ID}, {"aud": [CLIENT_ID], "azp": CLIENT_ID}], ids=str)
async def test_a_token_for_us_alone_is_taken(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, claims: dict[str, Any]
) -> None:
    """CHECKLIST 6: a list of us alone, and azp if it names us."""
    provider.bend.claims = claims
    assert_in(await sign_in(browser, provider), site, browser)


TIMES: dict[str, Callable[[int], dict[str, Any]]] = {
    "over": lambda now: {"exp": now - 30}, "no end": lambda now: {"exp": DROP},
    "end is text": lambda now: {"exp": str(now + 300)},
    "end is no number": lambda now: {"exp": float("nan")}, "end is infinite": lambda now: {"exp": float("inf")},
    "end is true": lambda now: {"exp": True}, "end is null": lambda now: {"exp": None},
    "made in the future": lambda now: {"iat": now + 31}, "no beginning": lambda now: {"iat": DROP},
    "made at a text": lambda now: {"iat": str(now)}, "made at null": lambda now: {"iat": None},
    "not yet good": lambda now: {"nbf": now + 31}, "good from a text on": lambda now: {"nbf": "now"},
}  # fmt: skip


@pytest.mark.parametrize("fault", TIMES)
async def test_a_token_out_of_its_time_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 9: exp, iat and nbf missing, malformed, or more than 30 seconds off."""
    await assert_this_alone_is_refused(Bend(claims=TIMES[fault](int(site.now().timestamp()))), site, browser, provider, caplog)


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
async def test_a_clock_that_is_half_a_minute_off_is_borne(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, claim: str
) -> None:
    """CHECKLIST 9: by less than 30 seconds."""
    provider.bend.claims[claim] = int(site.now().timestamp()) + (-29 if claim == "exp" else 30)
    assert_in(await sign_in(browser, provider), site, browser)


TOKENS: dict[str, Bend] = {
    "missing": Bend(tokens={"id_token": DROP}), "null": Bend(tokens={"id_token": None}), "empty": Bend(tokens={"id_token": ""}),
    "a number": Bend(tokens={"id_token": 1}), "a list": Bend(tokens={"id_token": ["a.b.c"]}),
    "no token": Bend(tokens={"id_token": "x"}),
    "three dots": Bend(tokens={"id_token": "..."}), "empty parts": Bend(tokens={"id_token": ".."}),
    "encrypted": Bend(tokens={"id_token": "a.b.c.d.e"}), "not ASCII": Bend(tokens={"id_token": "é.é.é"}),
    "header is a text": Bend(tokens={"id_token": "ImFsZyI.e30.e30"}),
    "header is a list": Bend(tokens={"id_token": "WyJhbGciXQ.e30.e30"}),
    "claims are a list": Bend(sign=lambda provider, header, claims: signed_with(provider.key)(provider, header, [claims])),  # type: ignore[arg-type]
    "claims are no JSON": Bend(sign=lambda provider, header, claims: jws.serialize_compact(header, b"{", provider.key)),
    "no answer": Bend(responses={"/token": lambda: Response("")}),
    "no JSON": Bend(responses={"/token": lambda: PlainTextResponse("id_token=x")}),
    "a list of tokens": Bend(responses={"/token": lambda: JSONResponse([])}),
    "tokens elsewhere": Bend(responses={"/token": lambda: RedirectResponse("https://evil.example/token", 307)}),
    "out of order": Bend(responses={"/token": lambda: PlainTextResponse("", 502)}),
    "endless": Bend(tokens={"more": "x" * 600_000}),
    "nested too deep": Bend(responses={"/token": lambda: PlainTextResponse("[" * 100_000)}),
    "a time that is none": Bend(tokens={"expires_in": "soon"}), "a time that is an object": Bend(tokens={"expires_in": {"a": 1}}),
    "an error that is an object": Bend(tokens={"error": {"a": 1}}), "an error beside it": Bend(tokens={"error": "server_error"}),
    "the code is not taken": Bend(responses={"/token": lambda: JSONResponse({"error": "invalid_grant"}, 400)}),
    "we are not known": Bend(responses={"/token": lambda: JSONResponse({"error": "invalid_client"}, 401)}),
    "of another access token": Bend(tokens={"access_token": "another"}),
    "without its access token": Bend(tokens={"access_token": DROP}),
    "hash of nothing": Bend(claims={"at_hash": ""}), "hash that is a list": Bend(claims={"at_hash": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("fault", TOKENS)
async def test_no_id_token_is_no_sign_in(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 10: an answer without an ID token, with a broken one, or with one of another access token."""
    await assert_this_alone_is_refused(TOKENS[fault], site, browser, provider, caplog)
