"""The settings of one provider to sign in with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from core.addresses import clean_issuer

GOOGLE = "https://accounts.google.com"


class OidcProvider(BaseModel):
    """A provider to sign in with. For the name "google" the issuer and the title are known."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    issuer: str = ""
    title: str = ""
    algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        return clean_issuer(value) if value else ""
