"""Sign-in with an OpenID Connect provider: authorization code with PKCE, state and nonce, everything pinned and checked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from auth.keys import Vault
from auth.people import Identity
from auth.site import Site
from auth.store import Clock, utc_now


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider, as the settings name it. `algorithm` is the one that its ID tokens must be signed with."""

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str
    algorithm: str = "RS256"


class States:
    """Sign-ins that are at a provider: each bound to its browser, good once, for ten minutes."""

    def __init__(self, engine: Engine, vault: Vault, clock: Clock = utc_now) -> None:
        self._engine, self._vault, self._clock = engine, vault, clock


class Provider:
    """One provider. Its discovery document is read at first use."""

    def __init__(self, settings: ProviderSettings, site: Site, clock: Clock = utc_now) -> None:
        self.settings, self._site, self._clock = settings, site, clock

    @property
    def redirect_uri(self) -> str:
        """What to register at the provider; from the settings, never from a request."""
        return f"{self._site.public}/auth/callback/{self.settings.name}"

    async def identity(self) -> Identity:
        raise NotImplementedError
