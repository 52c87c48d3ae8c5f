"""The tables of auth. Tokens are random and long, so a plain SHA-256 of them is what is stored: it cannot be turned back."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),  # names the session to its owner; opens nothing
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("user_id", String(255), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Index("sessions_by_user", "user_id"),
)

links = Table(
    "links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)


def new_token() -> str:
    """256 random bits, fit for an URL."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
