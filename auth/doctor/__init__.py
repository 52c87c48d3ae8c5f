"""`python app.py doctor`: is sign-in set up so that it will work? It reads, asks, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from urllib.parse import quote_plus, urlsplit

from sqlalchemy import Engine

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
from auth.doctor.finding import Finding, Level, ok, warning, wrong
from auth.doctor.house import (
    DATABASE,
    SECRET,
    SETTINGS,
    check_database,
    check_door,
    check_secret_file,
    check_secrets,
    check_settings_file,
)
from auth.doctor.provider import (
    check_client,
    check_clock,
    check_discovery,
    check_keys,
    check_redirect,
    discovery_url,
)
from auth.oidc import ProviderSettings
from auth.parts import Options
from auth.providers import Metadata, read_metadata
from auth.store import Clock, utc_now

__all__ = [
    "DATABASE",
    "SETTINGS",
    "Finding",
    "Setup",
    "check_database",
    "check_settings_file",
    "examine",
    "report",
    "warning",
    "wrong",
]

WIDTH = 110
MARKS: dict[Level, str] = {"ok": "  ok", "note": "  -", "warning": "! warning:", "wrong": "x wrong:"}


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be examined. `options.secrets` is empty if they stand in `secret_file`; `engine` is None without a database."""

    options: Options
    host: str
    port: int
    secret_file: Path
    engine: Engine | None = None


def examine(setup: Setup, clock: Clock = utc_now) -> Iterator[Finding]:
    """Every finding, as it is made."""
    options = setup.options
    yield from _secrets(setup)
    yield from check_door(options, setup.engine, clock)
    yield from _address(setup, clock)
    for provider in options.providers:
        yield from check_redirect(provider, f"{options.site.public}/auth/callback/{provider.name}")
        yield from _provider(provider, f"{options.site.public}/auth/callback/{provider.name}", clock)


def _secrets(setup: Setup) -> Iterator[Finding]:
    secrets = list(setup.options.secrets)
    if secrets:
        yield ok(SECRET, "It stands in the settings.")
    else:
        secrets, found = check_secret_file(setup.secret_file, setup.engine)
        yield found
    if secrets:
        yield from check_secrets(secrets, setup.engine)


def _address(setup: Setup, clock: Clock) -> Iterator[Finding]:
    at = Listening(setup.options.site, setup.host, setup.port, setup.options.trusted_proxies)
    yield from check_listening(at)
    here = fetch(f"http://{_in_url(at.probe_host)}:{at.port}/healthz", headers={"host": f"127.0.0.1:{at.port}"})
    found = list(check_health(at, fetch(f"{at.site.public}/healthz"), here, clock()))
    yield from found
    if found[-1].level != "ok":
        return
    if at.encrypted and urlsplit(at.site.public).port is None:
        yield check_plain(at, fetch(f"http://{_in_url(at.public_host)}/"))
    yield check_websocket(at, fetch(f"{at.site.public}/streamlit/_stcore/stream", headers=WEBSOCKET))
    if setup.options.providers:
        yield check_cookies(at, fetch(f"{at.site.public}/auth/oidc/{setup.options.providers[0].name}"))


def _provider(provider: ProviderSettings, redirect_uri: str, clock: Clock) -> Iterator[Finding]:
    answer = fetch(discovery_url(provider))
    found = list(check_discovery(provider, answer))
    yield from found
    if answer.status:
        yield check_clock(provider, answer, clock())
    document = answer.object()
    if document is None or any(one.level == "wrong" for one in found):
        return  # what it names may be another's
    metadata = read_metadata(document, provider.issuer)
    yield check_keys(provider, fetch(metadata.jwks_uri))
    yield check_client(provider, _redeem_nothing(provider, metadata, redirect_uri))


def _redeem_nothing(provider: ProviderSettings, metadata: Metadata, redirect_uri: str) -> Answer:
    """The token endpoint's answer to our client and a code that is none, as sign-in would ask it."""
    form = {"grant_type": "authorization_code", "code": "portico-doctor", "redirect_uri": redirect_uri, "code_verifier": "d" * 43}
    if metadata.auth_method == "client_secret_post":
        form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        return fetch(metadata.token_endpoint, "POST", form=form)
    basic = (quote_plus(provider.client_id), quote_plus(provider.client_secret))  # RFC 6749, 2.3.1
    return fetch(metadata.token_endpoint, "POST", form=form, auth=basic)


def report(findings: Iterable[Finding], print_line: Callable[[str], None]) -> bool:
    """Print the findings as they come, grouped by topic, and their sum. True if nothing is wrong."""
    counted: Counter[Level] = Counter()
    for topic, group in groupby(findings, key=lambda one: one.topic):
        print_line(topic)
        for one in group:
            counted[one.level] += 1
            first, *more = [
                part
                for line in one.text.splitlines()
                for part in wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
            ]
            print_line(f"{MARKS[one.level]} {first}")
            for line in more:
                print_line(f"     {line}")
        print_line("")
    warnings = f"{counted['warning']} warning" + ("" if counted["warning"] == 1 else "s")
    print_line(f"{counted['wrong']} wrong, {warnings}.")
    return not counted["wrong"]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
