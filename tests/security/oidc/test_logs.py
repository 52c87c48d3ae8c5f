"""What is logged, shown and printed."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import Engine

from auth.keys import Vault
from auth.states import States
from tests.support.auth import SECRET
from tests.support.hostile import (
    CLIENT_SECRET,
    DROP,
    HostileProvider,
)
from tests.support.oidc import (
    BROWSER,
    NAME,
    SESSION,
    Site,
    assert_in,
    assert_nothing_secret,
    assert_refused,
    logged,
    settings_of,
    sign_in,
)

Log = pytest.LogCaptureFixture


async def test_nothing_secret_is_logged_when_all_goes_well(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 19: no code, state, nonce, verifier, token or client secret, at the most talkative level of every logger.

    Each refusal above asserts the same.
    """
    page = await sign_in(browser, provider)
    assert_in(page, site, browser)
    assert any(record.name == "httpx2" for record in caplog.records), "the client's own log is among what is searched"
    assert len(provider.secrets) == 7
    assert_nothing_secret(page.text, site, provider, caplog)
    assert browser.cookies[SESSION] not in logged(caplog)
    assert browser.cookies[BROWSER] not in logged(caplog)


async def test_what_a_stranger_writes_is_neither_logged_nor_shown(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 19: an error's name and description come from the address, where anybody can write."""
    provider.bend.answer = {"error": "forged\nline <script>", "error_description": "<script>alert(1)", "code": DROP}
    answer = await sign_in(browser, provider)
    assert_refused(answer, site, browser, provider, caplog)
    for told in (answer.text, logged(caplog), str(site.audited())):
        assert "forged" not in told
        assert "alert(1)" not in told


def test_what_is_printed_of_settings_and_states_holds_no_secret(provider: HostileProvider, database: Engine) -> None:
    """CHECKLIST 19: a traceback or a debugging line shows them by repr()."""
    pending = States(database, Vault([SECRET])).begin(NAME, "browser", "/")
    shown = repr(settings_of(provider)) + repr(pending)
    assert not [one for one in (CLIENT_SECRET, pending.state, pending.nonce, pending.verifier) if one in shown]
