"""What we and a browser say to each other for a passkey: the options that we give, and the checks of its answer. No rows.

The checks are those of Web Authentication Level 3, 7.1 (a new passkey) and 7.2 (its use); the `webauthn` library makes them, but
for the frame, which is checked here, and for whose passkey it is, which auth/passkeys.py knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import webauthn
from webauthn.helpers import bytes_to_base64url, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

LONGEST_ID = 1023  # bytes (7.1, step 25)
PATIENCE_MS = 5 * 60 * 1000  # finding one's phone takes a while; the half session ends after 10 minutes anyway

# The person has shown a first factor already, and holding the passkey is the second: a plain security key without a PIN is good
# for that. Where there is a PIN, a finger or a face, it is asked for.
VERIFICATION = UserVerificationRequirement.PREFERRED
# Phones and password managers synchronize discoverable passkeys alone, and a lost phone must be no lost factor. On a security
# key such a one takes up a place (there are 25 or more) and wants a PIN, which the browser helps to set; a key that can hold
# none makes the other kind.
SELECTION = AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.PREFERRED, user_verification=VERIFICATION)


class Refused(Exception):
    """An answer that does not stand up to a check; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new passkey, checked."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Used:
    """An answer of a passkey, not checked yet: which passkey it says it is of, and whose ("" if it does not say)."""

    credential_id: bytes
    handle: str
    answer: dict[str, Any]


def creation(rp_id: str, name: str, handle: bytes, known: Sequence[bytes]) -> tuple[str, bytes]:
    """Options for a new passkey, as JSON, and their challenge. A device that holds one of `known` makes no other."""
    options = webauthn.generate_registration_options(
        rp_id=rp_id, rp_name="Portico", user_name=name, user_id=handle, timeout=PATIENCE_MS, authenticator_selection=SELECTION,
        exclude_credentials=_descriptors(known),
    )  # fmt: skip
    return webauthn.options_to_json(options), options.challenge


def request(rp_id: str, known: Sequence[bytes]) -> tuple[str, bytes]:
    """Options for using one of the passkeys `known`, as JSON, and their challenge."""
    options = webauthn.generate_authentication_options(
        rp_id=rp_id, allow_credentials=_descriptors(known), user_verification=VERIFICATION, timeout=PATIENCE_MS
    )
    return webauthn.options_to_json(options), options.challenge


def made(answer: str, challenge: bytes, rp_id: str, origin: str) -> Made:
    """The passkey that `answer` holds. Raises Refused."""
    try:
        found = webauthn.verify_registration_response(
            credential=_parsed(answer), expected_challenge=challenge, expected_rp_id=rp_id, expected_origin=origin
        )
    except Exception as error:  # a stranger's bytes can break a parser in any way; whatever it is, they are refused
        raise Refused(repr(error)) from error
    if len(found.credential_id) > LONGEST_ID:
        raise Refused("its credential id is too long")
    return Made(found.credential_id, found.credential_public_key, found.sign_count)


def used(answer: str) -> Used:
    """What `answer` says of itself. Raises Refused."""
    try:
        given = _parsed(answer)
        return Used(webauthn.base64url_to_bytes(given["rawId"]), given["response"].get("userHandle") or "", given)
    except Exception as error:  # as above
        raise Refused(repr(error)) from error


def count(used: Used, challenge: bytes, rp_id: str, origin: str, public_key: bytes, sign_count: int) -> int:
    """The new sign count of an answer that `public_key` signed: higher than the last, or 0 of a key that counts nothing.

    Raises Refused. A count that stands still or goes back is a copied key (7.2, step 22).
    """
    try:
        return webauthn.verify_authentication_response(
            credential=used.answer, expected_challenge=challenge, expected_rp_id=rp_id, expected_origin=origin,
            credential_public_key=public_key, credential_current_sign_count=sign_count,
        ).new_sign_count  # fmt: skip
    except Exception as error:  # as above
        raise Refused(repr(error)) from error


def is_handle(written: str, handle: bytes) -> bool:
    """Whether `written` is the user handle `handle`, as browsers write it. It is no secret."""
    return written == bytes_to_base64url(handle)


def _parsed(answer: str) -> dict[str, Any]:
    """The browser's answer, made on a page of ours in no frame of another site (7.1, step 10; 7.2, step 13)."""
    given: dict[str, Any] = json.loads(answer)
    if parse_client_data_json(webauthn.base64url_to_bytes(given["response"]["clientDataJSON"])).cross_origin:
        raise ValueError("it was made in a frame of another site")
    return given


def _descriptors(ids: Sequence[bytes]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=one) for one in ids]
