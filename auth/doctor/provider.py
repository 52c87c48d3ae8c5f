"""A provider, as its own documents show it: are they what sign-in will ask for? Decided from answers, without asking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from auth.doctor.asking import Answer
from auth.doctor.finding import Finding, note, ok, plain, warning, wrong
from auth.id_tokens import KEY_TYPES, MIN_RSA_BITS
from auth.identities import GOOGLE
from auth.oidc import ProviderSettings
from auth.provider_errors import Misconfigured
from auth.providers import read_metadata
from auth.site import is_loopback

CLOCK_WARNING = timedelta(seconds=10)
CLOCK_WRONG = timedelta(seconds=30)  # the leeway of ID tokens, and a time step of an authenticator app


def topic_of(provider: ProviderSettings) -> str:
    return f"Sign-in with {provider.title}"


def discovery_url(provider: ProviderSettings) -> str:
    """OpenID Connect Discovery 1.0, 4."""
    return provider.issuer.rstrip("/") + "/.well-known/openid-configuration"


def check_redirect(provider: ProviderSettings, redirect_uri: str) -> Iterator[Finding]:
    """The address to register, and whether the provider can take it."""
    topic, url = topic_of(provider), urlsplit(redirect_uri)
    host = url.hostname or ""
    yield ok(topic, f"Register this redirect URI, to the letter:\n{redirect_uri}")
    if is_loopback(host):
        return
    if url.scheme == "http":
        yield wrong(
            topic, f"Providers take plain http for this machine alone. Give {provider.title} an https address with --public-url."
        )
    if provider.issuer == GOOGLE and ("." not in host or host.replace(".", "").isdigit() or ":" in host):
        yield wrong(topic, f"Google takes no {host}: it wants a name under a public domain. Give one with --public-url.")


def check_discovery(provider: ProviderSettings, answer: Answer) -> Iterator[Finding]:
    """The discovery document: there, its issuer exact, its endpoints safe, and able to do what is asked."""
    topic = topic_of(provider)
    if not answer.status:
        yield wrong(topic, f"{answer.url} cannot be reached: {answer.problem}. Check the issuer, and this machine's network.")
        return
    document = answer.object()
    if answer.status != 200 or document is None:
        yield wrong(
            topic,
            f"{answer.url} is no discovery document (status {answer.status}). Check the issuer; docs/sign-in.md has its forms.",
        )
        return
    problems = [*_refusals(provider, document), *_algorithm(provider, document)]
    yield from (wrong(topic, problem) for problem in problems)
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        yield warning(
            topic, "It does not offer PKCE with S256, which guards the way back from it. Switch that on for this client."
        )
    if not problems:
        yield ok(topic, "Its discovery document is as it should be.")


def _refusals(provider: ProviderSettings, document: Mapping[str, Any]) -> Iterator[str]:
    """What sign-in itself would refuse; an issuer that is another is the likeliest, so it is told in more words."""
    issuer = document.get("issuer")
    if "{tenantid}" in str(issuer):
        yield f"This issuer stands for every tenant. Put your tenant's id in its place: {plain(issuer)}"
    elif isinstance(issuer, str) and issuer and issuer != provider.issuer:
        yield f'It calls itself by another issuer. If that is the one you mean, set issuer = "{plain(issuer)}"'
    else:
        try:
            read_metadata(document, provider.issuer)
        except Misconfigured as error:
            yield f"Nobody could sign in: {plain(error)}. Ask whoever runs it, or check the issuer."


def _algorithm(provider: ProviderSettings, document: Mapping[str, Any]) -> Iterator[str]:
    algorithms = document.get("id_token_signing_alg_values_supported")
    if isinstance(algorithms, list) and provider.algorithm not in algorithms:
        known = [one for one in KEY_TYPES if one in algorithms]
        advice = f'Set algorithm = "{known[0]}".' if known else f"Let it sign with one of {', '.join(KEY_TYPES)}."
        yield f"It does not sign with {provider.algorithm}. {advice}"


def check_keys(provider: ProviderSettings, answer: Answer) -> Finding:
    """The keys by which its ID tokens are checked."""
    topic, document = topic_of(provider), answer.object() if answer.status == 200 else None
    if document is None or not isinstance(document.get("keys"), list):
        why = answer.problem or f"status {answer.status}"
        return wrong(topic, f"Its keys at {plain(answer.url)} cannot be read: {why}. Nobody could sign in; try again later.")
    if not any(_signs(key, provider.algorithm) for key in document["keys"]):
        return wrong(
            topic, f"It has no key for {provider.algorithm}. Set the algorithm that it signs this client's ID tokens with."
        )
    return ok(topic, f"It has a key for {provider.algorithm}.")


def _signs(key: Any, algorithm: str) -> bool:
    return (
        isinstance(key, dict)
        and key.get("kty") == KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (algorithm != "ES256" or key.get("crv") == "P-256")
        and (key.get("kty") != "RSA" or len(str(key.get("n", ""))) * 6 >= MIN_RSA_BITS)
    )


def check_clock(provider: ProviderSettings, answer: Answer, now: datetime) -> Finding:
    """This machine's clock beside the provider's Date; what came from a cache is as old as its Age (RFC 9111, 5.1)."""
    topic = topic_of(provider)
    try:
        age = int(answer.headers.get("age", "0"))
        off = now - parsedate_to_datetime(answer.headers["date"]) - timedelta(seconds=age)
    except (KeyError, ValueError, TypeError, OverflowError):
        return note(topic, "It does not tell the time, so this machine's clock was not compared.")
    size, side = abs(off), "ahead of" if off > timedelta() else "behind"
    if size <= CLOCK_WARNING:
        return ok(topic, "This machine's clock agrees with its own.")
    text = (
        f"This machine's clock is {size.total_seconds():.0f} seconds {side} the provider's. Sign-ins and six-digit codes are "
        "judged by it: let it be set over the network (on Linux: timedatectl set-ntp true)."
    )
    return wrong(topic, text) if size > CLOCK_WRONG else warning(topic, text)


def check_client(provider: ProviderSettings, answer: Answer) -> Finding:
    """What its token endpoint said to our client id and secret with a code that cannot be good (RFC 6749, 5.2)."""
    topic = topic_of(provider)
    error = (answer.object() or {}).get("error")
    if error in ("invalid_client", "unauthorized_client") or answer.status == 401:
        return wrong(topic, "It refuses the client id or the client secret. Copy both again from the provider's page.")
    if error in ("invalid_grant", "invalid_request"):
        return ok(topic, "It knows the client id and the client secret.")
    return note(topic, "Whether the client id and secret are right shows only when someone signs in.")
