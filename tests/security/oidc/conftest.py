from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from sqlalchemy import Engine

from tests.support.hostile import HostileProvider
from tests.support.oidc import Site, settings_of


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: HostileProvider, caplog: pytest.LogCaptureFixture) -> HostileProvider:
    """The provider, unbent; all that is logged is kept."""
    caplog.set_level("DEBUG")
    running.reset()
    return running


@pytest.fixture
def site(database: Engine, provider: HostileProvider) -> Site:
    made = Site(database, settings_of(provider), settings_of(provider, "other"))
    provider.clock = lambda: made.now().timestamp()
    return made


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as made:
        yield made
