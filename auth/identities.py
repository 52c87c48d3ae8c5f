"""Whom the claims of a checked ID token vouch for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from auth.admission import Identity

GOOGLE = "https://accounts.google.com"
ENTRA = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+")  # printable ASCII: other letters may fold to ASCII ones, as the Kelvin sign does to k
MAX_EMAIL, MAX_NAME = 320, 255  # as their columns in the database


def identity_of(claims: Mapping[str, Any], issuer: str) -> Identity:
    """The identity by which someone is let in: issuer and subject, and an email and a domain only if they are vouched for."""
    email, hosted, name = claims.get("email"), claims.get("hd"), claims.get("name")
    if not _vouches(claims, issuer) or not isinstance(email, str) or len(email) > MAX_EMAIL or not EMAIL.fullmatch(email):
        email = ""
    domain = hosted.lower() if isinstance(hosted, str) and EMAIL.fullmatch(f"_@{hosted}") and len(hosted) < 256 else ""
    if not domain and issuer != GOOGLE:  # anybody may have a Google account with an email of another domain
        domain = email.rpartition("@")[2].lower()
    shown = "".join(char for char in name if char.isprintable()).strip() if isinstance(name, str) else ""
    return Identity(issuer, claims["sub"], shown[:MAX_NAME], email, domain)


def _vouches(claims: Mapping[str, Any], issuer: str) -> bool:
    """Whether the provider has verified the email and says so.

    Entra never says email_verified; its optional claim xms_edov says that the owner of the email's domain is verified, and it
    comes as true or as "1".
    """
    if urlsplit(issuer).hostname in ENTRA and "email_verified" not in claims:
        return claims.get("xms_edov") in (True, "1", "true")
    return claims.get("email_verified") is True
