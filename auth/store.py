"""The tables of auth. Tokens are random and long, so a plain SHA-256 of them is what is stored: it cannot be turned back."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, Column, DateTime, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

Clock = Callable[[], datetime]

metadata = MetaData()


def _moment(name: str, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _of_user() -> Column[str]:
    """Whose row it is; it goes with its user."""
    return Column("user_id", String(255), ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)


users = Table(
    "users",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("email", String(320)),  # as the provider last gave it; shown, never compared to tell who someone is
    Column("role", String(16), nullable=False),
    Column("own_role", String(16)),  # of one whom the settings' list makes an admin: what they are again when off it
    Column("domain", String(255)),  # as the provider last vouched for it
    Column("invitation_id", String(32), ForeignKey("invitations.id"), index=True),  # what let them in, if that is what it was
    Column("quota", Integer),  # questions that they may ask in all; None: no bound
    Column("failures", Integer, nullable=False, server_default="0"),  # wrong second factors since the last right one
    _moment("locked_until", nullable=True),
    _moment("disabled_at", nullable=True),
    _moment("created_at"),
)

identities = Table(  # a person is the pair (issuer, subject), never an email: OpenID Connect Core 1.0, 5.7
    "identities",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    _of_user(),
    _moment("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),  # names the session to its owner; opens nothing
    Column("token_hash", String(64), nullable=False, unique=True),
    _of_user(),
    Column("level", String(8), nullable=False, server_default="full"),  # "half" until the second factor is shown
    Column("method", String(64), nullable=False, server_default="link"),
    Column("next", String(2000), nullable=False, server_default="/"),
    Column("address", String(64), nullable=False, server_default=""),
    Column("agent", String(255), nullable=False, server_default=""),
    Column("challenge", LargeBinary),  # of a passkey ceremony that is under way
    _moment("verified_at", nullable=True),  # when its person last showed who they are
    _moment("created_at"),
    _moment("seen_at"),
    _moment("ends_at", nullable=True),  # before the absolute timeout: a half session, a guest
)

links = Table(
    "links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _moment("expires_at"),
    _moment("used_at", nullable=True),
)

states = Table(  # sign-ins that are at a provider
    "oidc_states",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("browser_hash", String(64), nullable=False),  # of the cookie of the browser that began
    Column("nonce", String(64), nullable=False),
    Column("verifier", LargeBinary, nullable=False),  # sealed; PKCE, RFC 7636
    Column("next", String(2000), nullable=False),
    Column("address", String(64), nullable=False, index=True),  # from where: a flood drops its own rows first
    _moment("expires_at"),
)

totp = Table(
    "totp",
    metadata,
    Column("id", String(32), primary_key=True),
    _of_user(),
    Column("session_id", String(32), nullable=False, server_default=""),  # in which it was shown
    Column("secret", LargeBinary, nullable=False),  # sealed with this row's id
    Column("last_step", BigInteger, nullable=False),  # the time step of the last code that was taken (RFC 6238, 5.2)
    _moment("created_at"),
    _moment("confirmed_at", nullable=True),  # no factor before a code of it was given
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", String(32), primary_key=True),
    _of_user(),
    Column("name", String(100), nullable=False),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    _moment("created_at"),
    _moment("used_at", nullable=True),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    _of_user(),
    _moment("used_at", nullable=True),
)

browsers = Table(  # where the second factor is not asked for again for a while
    "browsers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    _of_user(),
    Column("agent", String(255), nullable=False),
    _moment("created_at"),
    _moment("used_at"),
    _moment("expires_at"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_hash", String(64), unique=True),  # of a link for guests; an invitation by email has none
    Column("email", String(320)),
    Column("name", String(100), nullable=False),
    Column("role", String(16), nullable=False),
    Column("seats", Integer, nullable=False),
    Column("used", Integer, nullable=False, server_default="0"),
    Column("quota", Integer),  # questions a guest may ask in all; None: no bound
    Column("created_by", String(255), nullable=False),
    _moment("created_at"),
    _moment("expires_at"),
    _moment("revoked_at", nullable=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),  # by which its owner tells it from the others
    _of_user(),
    Column("name", String(100), nullable=False),
    Column("scopes", JSON, nullable=False),
    _moment("created_at"),
    _moment("expires_at"),
    _moment("used_at", nullable=True),
)

audit = Table(  # says who did what; stands longer than those it tells of, so it refers to no other row
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _moment("at"),
    Column("event", String(64), nullable=False),
    Column("actor_id", String(255), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("subject_id", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(255), nullable=False),
    Column("details", JSON, nullable=False),
    Index("audit_by_time", "at"),
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def aware(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def new_id() -> str:
    """Names a row; opens nothing."""
    return uuid.uuid4().hex


def new_token() -> str:
    """256 random bits, fit for an URL."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
