"""A Portico whose Google is the certified provider on loopback, and people at their browsers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from core.database import open_database
from tests.support.provider import Provider
from tests.support.serve import Served

ADMIN = "grace"  # her login at the provider; settings name her address as the admin's
MEMBERS = ("ada", "bo", "cy", "di", "ed", "flo", "hal", "unverified")  # the provider vouches for all but the last


@dataclass(frozen=True)
class House:
    """It is opened at http://localhost:PORT, since browsers do passkeys there and not at a bare address."""

    served: Served
    provider: Provider
    url: str

    @property
    def hosts(self) -> set[str]:
        """Whom its pages may ask: itself, and the provider at sign-in."""
        return {url.partition("://")[2] for url in (self.url, self.served.url, self.provider.issuer)}

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """Its database, beside the running server."""
        engine = open_database(f"sqlite:///{self.served.data / 'portico.db'}")
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def open_house(data: Path, *flags: str, pace: float | None = 0.03) -> Iterator[House]:
    """`flags` are those of serve; without a `pace` the models are real."""
    port = _free_port()
    url = f"http://localhost:{port}"
    with Provider(f"{url}/auth/callback/google") as provider:
        environment = provider.settings() | {
            "PORTICO_PUBLIC_URL": url,
            "PORTICO_ADMINS": f"{ADMIN}@example.com",
            "PORTICO_ALLOWED_EMAILS": ",".join(f"{name}@example.com" for name in MEMBERS),
            "PORTICO_ALLOWED_DOMAINS": "corp.example",
        }
        with Served(data, *flags, pace=pace, port=port, environment=environment) as served:
            yield House(served.wait_ready(150), provider, url)


def _free_port() -> int:
    """The provider must know Portico's port before either starts, and Portico the provider's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
