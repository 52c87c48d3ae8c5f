"""Sign-in with an OpenID Connect provider: authorization code with PKCE, state and nonce, everything pinned and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from auth.admission import Identity
from auth.identities import GOOGLE, identity_of
from auth.provider_errors import Declined, Misconfigured, ProviderError, Unreachable, Untrusted
from auth.site import Site
from auth.states import Pending, States
from auth.store import Clock, utc_now

# The libraries take a tenth of a second to load, so they are imported at the first sign-in.
if TYPE_CHECKING:
    from auth.id_tokens import IdToken
    from auth.providers import Metadata

__all__ = ["Provider", "ProviderSettings", "States"]

SCOPE = "openid email profile"
KEPT = timedelta(hours=1)  # the discovery document and the keys
RETRY = timedelta(seconds=5)  # a provider that is away is not asked for each click
REFETCH = timedelta(seconds=30)  # nor are its keys read for each token that none of them fits

CANCELLED = frozenset(
    {"access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required"}
)
BUSY = frozenset({"server_error", "temporarily_unavailable"})
OURS = frozenset({  # errors that a change of settings mends, here or at the provider: RFC 6749, 4.1.2.1 and 5.2
    "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type",
    "unsupported_response_type", "redirect_uri_mismatch",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider, as the settings name it. `algorithm` is the one that its ID tokens must be signed with."""

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    algorithm: str = "RS256"


class Provider:
    """One provider. Its discovery document is read at first use, and kept for an hour."""

    def __init__(self, settings: ProviderSettings, site: Site, clock: Clock = utc_now) -> None:
        self.settings, self._site, self._clock = settings, site, clock
        self._lock = asyncio.Lock()  # many who come at once make one question
        self._found: tuple[datetime, Metadata] | None = None
        self._failed: tuple[datetime, ProviderError] | None = None
        self._keys: tuple[datetime, list[Any]] | None = None

    @property
    def redirect_uri(self) -> str:
        """What to register at the provider; from the settings, never from a request."""
        return f"{self._site.public}/auth/callback/{self.settings.name}"

    async def metadata(self) -> Metadata:
        """The provider's discovery document, checked. Raises ProviderError."""
        from auth.providers import discover

        async with self._lock:
            now = self._clock()
            if self._found and now - self._found[0] < KEPT:
                return self._found[1]
            if self._failed and now - self._failed[0] < RETRY:
                raise type(self._failed[1])(self._failed[1].reason)
            try:
                self._found = (now, await discover(self.settings.issuer))
            except ProviderError as error:
                self._failed = (now, error)
                raise
            return self._found[1]

    async def authorization_url(self, pending: Pending, domain: str = "", anew: bool = False) -> str:
        """Where the browser goes. `domain` is a hint for the choice of accounts; `anew` asks for another than the last one."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

        google = self.settings.issuer == GOOGLE
        url: str = prepare_grant_uri(
            (await self.metadata()).authorization_endpoint, self.settings.client_id, "code", self.redirect_uri, SCOPE,
            pending.state, nonce=pending.nonce, code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256", prompt="select_account" if google else "login" if anew else None,
            hd=domain or None if google else None,
        )  # fmt: skip
        return url

    async def identity(self, answer: Mapping[str, str], pending: Pending) -> Identity:
        """Who signed in there, by the parameters that the browser came back with. Raises ProviderError."""
        from auth.id_tokens import IdToken, check_claims

        self._check_answer(answer, await self.metadata())
        given = await self._redeem(answer["code"], pending.verifier)
        token = IdToken(given.get("id_token"), self.settings.algorithm)
        claims = await self._claims(token)
        now = int(self._clock().timestamp())
        check_claims(claims, self.settings.issuer, self.settings.client_id, pending.nonce, given.get("access_token"), now)
        return identity_of(await self._with_userinfo(claims, given.get("access_token")), self.settings.issuer)

    async def _with_userinfo(self, claims: Mapping[str, Any], access_token: object) -> Mapping[str, Any]:
        """The claims, with what a provider that keeps its ID tokens short (Okta) says of the email at its UserInfo endpoint.

        What the token says itself stands; the endpoint must speak of the same `sub` (OpenID Connect Core 1.0, 5.3.2).
        """
        from auth.providers import asking, get_json

        endpoint = (await self.metadata()).userinfo_endpoint
        silent = "email_verified" not in claims and "xms_edov" not in claims
        if not silent or not endpoint or not isinstance(access_token, str):
            return claims
        async with asking(self.settings.issuer) as client:
            said, _ = await get_json(client, endpoint, access_token)
        if said.get("sub") != claims["sub"]:
            raise Untrusted("its UserInfo endpoint speaks of someone else")
        # Email and whether it is verified belong together: both from here, or both from the token.
        return {**claims, **{name: said[name] for name in ("email", "email_verified", "name") if name in said}}

    def _check_answer(self, answer: Mapping[str, str], metadata: Metadata) -> None:
        """Before its code is used: that the answer is this provider's (RFC 9207), and that it is a yes."""
        if answer.get("iss", self.settings.issuer) != self.settings.issuer:
            raise Untrusted("the answer says that it comes from another issuer")
        if metadata.sends_iss and "iss" not in answer:
            raise Untrusted("the answer does not say which issuer it comes from, and this provider always does")
        if "error" in answer:
            raise self._refusal(answer["error"])
        if not answer.get("code"):
            raise Untrusted("the answer holds no code")

    @staticmethod
    def _refusal(error: object) -> ProviderError:
        """The name of an error is logged only if it is a known one: anybody can write anything there."""
        known = error if isinstance(error, str) and error in CANCELLED | BUSY | OURS else "an error of another kind"
        if known in BUSY:
            return Unreachable(f"it answers {known}")
        if known in OURS:
            return Misconfigured(f"it answers {known}; compare client id, client secret and redirect address with what it has")
        return Declined(f"it answers {known}")

    async def _redeem(self, code: str, verifier: str) -> Mapping[str, Any]:
        """The token endpoint's answer for a code."""
        from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]

        from auth.providers import asking

        metadata, mine = await self.metadata(), self.settings
        async with asking(mine.issuer, mine.client_id, mine.client_secret, metadata.auth_method) as client:
            try:
                given: Mapping[str, Any] = await client.fetch_token(
                    metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier,
                    redirect_uri=self.redirect_uri,
                )  # fmt: skip
            except OAuthError as error:
                if error.error in ("invalid_grant", "access_denied"):
                    raise Untrusted("it does not take the code") from None
                raise self._refusal(error.error) from None
            except (ValueError, TypeError, OverflowError, RecursionError):
                raise Untrusted("its token endpoint answers no tokens") from None
            return given

    async def _claims(self, token: IdToken) -> Any:
        """What `token` says. If none of the keys that are kept fits, they may have been changed, and are read once more."""
        async with self._lock:
            if not self._keys or self._clock() - self._keys[0] >= KEPT:
                self._keys = (self._clock(), await self._read_keys())
            try:
                return token.claims(self._keys[1])
            except Untrusted:
                if self._clock() - self._keys[0] < REFETCH:
                    raise
            self._keys = (self._clock(), await self._read_keys())
            return token.claims(self._keys[1])

    async def _read_keys(self) -> list[Any]:
        from auth.providers import asking, get_json

        assert self._found
        async with asking(self.settings.issuer) as client:
            document, _ = await get_json(client, self._found[1].jwks_uri)
        keys = document.get("keys")
        return keys if isinstance(keys, list) else []
