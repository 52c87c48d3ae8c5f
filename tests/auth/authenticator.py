"""An authenticator in software, which can be made to lie: what a browser would hand on, as JSON (WebAuthn Level 3, 5.1 and 6)."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


class Authenticator:
    """One key pair. `origin` is the page that the browser shows; `count` is how often it says that it has signed."""

    def __init__(self, origin: str, credential_id: bytes | None = None, counts: bool = True) -> None:
        self.origin, self.credential_id, self.count = origin, credential_id or os.urandom(32), 0
        self._counts, self._key = counts, ec.generate_private_key(ec.SECP256R1())
        self.handle = b""

    def create(self, options: str, **lies: Any) -> str:
        """The answer to `navigator.credentials.create(options)`."""
        given = json.loads(options)
        self.handle = base64url_to_bytes(given["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        public_key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(public_key)
        data = self._data(given["rp"]["id"], lies, ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = self._client_data("webauthn.create", given["challenge"], lies)
        return self._answer(clientDataJSON=client_data, attestationObject=attestation)

    def get(self, options: str, **lies: Any) -> str:
        """The answer to `navigator.credentials.get(options)`."""
        given = json.loads(options)
        data = self._data(given["rpId"], lies)
        client_data = self._client_data("webauthn.get", given["challenge"], lies)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        handle = lies.get("handle", self.handle)
        return self._answer(clientDataJSON=client_data, authenticatorData=data, signature=signature, userHandle=handle)

    def _data(self, rp_id: str, lies: dict[str, Any], flags: int = 0) -> bytes:
        if self._counts:
            self.count += 1
        count = lies.get("count", self.count)
        name = hashlib.sha256(lies.get("rp_id", rp_id).encode()).digest()
        return name + bytes([flags | lies.get("flags", PRESENT | VERIFIED)]) + count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str, lies: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | lies.get("client_data", {})).encode()

    def _answer(self, **response: bytes) -> str:
        name = bytes_to_base64url(self.credential_id)
        encoded = {key: bytes_to_base64url(value) for key, value in response.items() if value}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": encoded})
