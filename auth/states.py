"""Sign-ins that are at a provider: each bound to the browser that began it, good once, for ten minutes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select

from auth.keys import SecretError, Vault
from auth.store import Clock, new_token, states, token_hash, utc_now

LIFETIME = timedelta(minutes=10)
VERIFIER_BYTES = 48  # 64 characters; RFC 7636, 4.1 asks for 43 to 128

# Anybody can begin a sign-in, so what is open is bounded, and whoever floods drops their own first: the oldest of the network
# that holds the most. A person at the provider for a minute is thereby safe from all but a flood from everywhere.
PER_NETWORK = 200
IN_ALL = 5_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that is under way. `state` and `nonce` go by the browser, `verifier` (PKCE) never does."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str


class States:
    """Begins sign-ins, and gives each back once to the browser that began it."""

    def __init__(
        self, engine: Engine, vault: Vault, clock: Clock = utc_now, per_network: int = PER_NETWORK, in_all: int = IN_ALL
    ) -> None:
        self._engine, self._vault, self._clock = engine, vault, clock
        self._per_network, self._in_all = per_network, in_all

    def begin(self, provider: str, browser: str, next: str, address: str = "") -> Pending:
        """A new sign-in at `provider`, of the browser whose cookie is `browser`, from `address`, to go on to `next`."""
        pending = Pending(new_token(), new_token(), secrets.token_urlsafe(VERIFIER_BYTES), next)
        key, network = token_hash(pending.state), _network(address)
        values = {
            "state_hash": key, "provider": provider, "browser_hash": token_hash(browser), "nonce": pending.nonce, "next": next,
            "verifier": self._vault.seal(pending.verifier.encode(), key), "address": network,
            "expires_at": self._clock() + LIFETIME,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(delete(states).where(states.c.expires_at <= self._clock()))
            self._make_room(connection, network)
            connection.execute(insert(states).values(values))
        return pending

    def take(self, state: str, provider: str, browser: str) -> Pending | None:
        """The sign-in that `state` belongs to, if it is at this provider and began in this browser; it is used up by this.

        One DELETE decides, so a race has one winner. Another browser's try uses nothing up.
        """
        key = token_hash(state)
        mine = (
            (states.c.state_hash == key)
            & (states.c.provider == provider)
            & (states.c.browser_hash == token_hash(browser))
            & (states.c.expires_at > self._clock())
        )
        with self._engine.begin() as connection:
            row = connection.execute(select(states).where(mine)).first()
            if row is None or not connection.execute(delete(states).where(mine)).rowcount:
                return None
        try:
            return Pending(state, row.nonce, self._vault.open(row.verifier, key).decode(), row.next)
        except SecretError:  # the server's secret was changed meanwhile
            return None

    def _make_room(self, connection: Connection, network: str) -> None:
        _keep_newest(connection, states.c.address == network, self._per_network - 1)
        if (connection.execute(select(func.count()).select_from(states)).scalar() or 0) >= self._in_all:
            count = func.count()
            fullest = select(states.c.address, count).group_by(states.c.address).order_by(count.desc()).limit(1)
            address, held = connection.execute(fullest).one()
            _keep_newest(connection, states.c.address == address, held - 1)


def _keep_newest(connection: Connection, which: ColumnElement[bool], count: int) -> None:
    older = select(states.c.state_hash).where(which).order_by(states.c.expires_at.desc()).offset(count)
    connection.execute(delete(states).where(states.c.state_hash.in_(older.scalar_subquery())))


def _network(address: str) -> str:
    """Whose address it is: for IPv6 the /48, of which one holder has every address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((ip, 48), strict=False))
    return str(ip)
