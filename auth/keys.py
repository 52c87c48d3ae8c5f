"""The server's secret, and what is sealed with it: encrypted, and bound to the row that it stands in."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET = 32  # characters; the generated one holds 384 bits
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2
KEY_ID_BYTES = 4


class SecretError(Exception):
    """The server's secret is missing or too short, or it is another than what a row was sealed with."""


class Vault:
    """Seals and opens small values with AES-256-GCM.

    `secrets_` are the server's secrets, the newest first: it seals, all of them open. A sealed value is the key's id (4 bytes),
    the nonce (12) and the ciphertext with its tag; the row's id is its associated data, so no row's value is good in another.
    """

    def __init__(self, secrets_: Sequence[str]) -> None:
        if not secrets_:
            raise SecretError("The server has no secret.")
        if any(len(secret) < MIN_SECRET for secret in secrets_):
            raise SecretError(f"The server's secret must be at least {MIN_SECRET} characters long.")
        keys = [HKDF(SHA256(), 32, salt=None, info=b"portico seal 1").derive(secret.encode()) for secret in secrets_]
        self._keys = {hashlib.sha256(key).digest()[:KEY_ID_BYTES]: AESGCM(key) for key in keys}
        self._newest = next(iter(self._keys))

    def seal(self, value: bytes, row_id: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self._newest + nonce + self._keys[self._newest].encrypt(nonce, value, row_id.encode())

    def open(self, sealed: bytes, row_id: str) -> bytes:
        """The value again; raises SecretError if it was sealed for another row or with a secret that is not listed."""
        key_id, nonce, text = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES:][:NONCE_BYTES], sealed[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return self._keys[key_id].decrypt(nonce, text, row_id.encode())
        except (KeyError, InvalidTag):
            raise SecretError(
                "A stored value was sealed with another secret than this server's. List the old secret after the new one."
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest secret sealed it; if not, its row should be sealed anew."""
        return sealed[:KEY_ID_BYTES] == self._newest


def new_secret() -> str:
    return secrets.token_urlsafe(48)


def secret_is_gone(file: Path) -> str:
    """What to do where `file` is missing, though something is sealed with what it held."""
    gone = f"The secret is gone: {file} is not there, PORTICO_SECRET is not set, and people's authenticator apps need it."
    return f"{gone} {_put_back()}"


def _put_back() -> str:
    return (
        "Put your copy of it back. If there is none, start anew: put a new secret into that file "
        f"(any {MIN_SECRET} characters or more). Everybody with an authenticator app then sets it up anew, after "
        "`python app.py user reset-2fa EMAIL` for each."
    )


def read_secrets(file: Path) -> list[str]:
    """The secrets in `file`, one a line, the newest first."""
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise SecretError(f"{file} is not text. A secret is a line of at least {MIN_SECRET} letters and digits.") from None
    if not found:
        raise SecretError(f"{file} is empty. {_put_back()}")
    return found


def read_or_make_secrets(file: Path) -> list[str]:
    """The secrets in `file`. A file that is not there is made, readable by its owner alone."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_secrets(file)
    with os.fdopen(descriptor, "w", encoding="utf-8") as made:
        made.write(secret := new_secret())
        made.write("\n")
    return [secret]
