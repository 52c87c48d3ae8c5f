"""Everything of auth over one database, wired once. The routes and the `user` commands are given this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from auth.audit import Audit
from auth.browsers import Browsers
from auth.factors import Factors
from auth.invitations import Invitations
from auth.keys import Vault
from auth.links import Links
from auth.oidc import Provider, ProviderSettings, States
from auth.passkeys import Passkeys
from auth.people import Admission, People
from auth.recovery import RecoveryCodes
from auth.sessions import Sessions
from auth.site import Peers, Site
from auth.store import Clock, utc_now
from auth.tokens import Tokens
from auth.totp import Totp


@dataclass(frozen=True, slots=True)
class Options:
    """What auth is told by the settings. `link_needs_second_factor`: the terminal link alone does not do."""

    site: Site
    secrets: Sequence[str]  # the newest first
    admission: Admission = field(default_factory=Admission)
    link_needs_second_factor: bool = False
    providers: Sequence[ProviderSettings] = ()
    trusted_proxies: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Auth:
    """The parts. Each is safe from any thread."""

    options: Options
    site: Site
    peers: Peers
    audit: Audit
    sessions: Sessions
    links: Links
    people: People
    states: States
    providers: Mapping[str, Provider]
    factors: Factors
    totp: Totp
    passkeys: Passkeys
    recovery: RecoveryCodes
    browsers: Browsers
    invitations: Invitations
    tokens: Tokens
    clock: Clock = field(default=utc_now)


def open_auth(engine: Engine, options: Options, clock: Clock = utc_now) -> Auth:
    """All of auth over `engine`, whose tables are there already."""
    vault = Vault(options.secrets)
    sessions = Sessions(engine, clock)
    audit = Audit(engine, clock)
    people, tokens = People(engine, options.admission, clock), Tokens(engine, clock)
    people.on_change.append(tokens.look_anew)
    return Auth(
        options=options, site=options.site, peers=Peers(options.trusted_proxies), audit=audit, sessions=sessions,
        links=Links(engine, clock), people=people, states=States(engine, vault, clock),
        providers={one.name: Provider(one, options.site, clock) for one in options.providers},
        factors=Factors(engine, clock), totp=Totp(engine, vault, clock), passkeys=Passkeys(engine, clock),
        recovery=RecoveryCodes(engine, clock), browsers=Browsers(engine, clock),
        invitations=Invitations(engine, clock), tokens=tokens, clock=clock,
    )  # fmt: skip
