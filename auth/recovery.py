"""Recovery codes: ten, each good once, for the day that the phone is gone."""

from __future__ import annotations

import base64
import re
import secrets

from sqlalchemy import Engine, delete, func, insert, select, update

from auth.store import Clock, recovery_codes, token_hash, users, utc_now

HOW_MANY = 10
BYTES = 15  # 120 bits: from 112 on, a plain hash is enough (NIST SP 800-63B-4, 3.1.2.2; OWASP ASVS 5, 6.5.2)
GROUP = 4
MISREAD = str.maketrans("018", "OIB")  # base32 has none of these digits


class RecoveryCodes:
    """Makes and uses up recovery codes; only their hashes are stored."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def make(self, user_id: str) -> list[str]:
        """Ten new codes of 120 bits in groups of four, in place of those before; they can be read this once."""
        codes = [base64.b32encode(secrets.token_bytes(BYTES)).decode() for _ in range(HOW_MANY)]
        rows = [{"code_hash": token_hash(code), "user_id": user_id} for code in codes]
        with self._engine.begin() as connection:
            # One at a time, where rows and not the file are locked: asked for twice at once, there must not be twenty.
            connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
            connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
            connection.execute(insert(recovery_codes), rows)
        return ["-".join(re.findall("." * GROUP, code)) for code in codes]

    def use(self, user_id: str, code: str) -> bool:
        """Whether `code` is one of this person's unused ones, however it is spaced or cased; it is used up by this."""
        plain = re.sub(r"[^A-Z0-9]", "", code[:100].upper()).translate(MISREAD)
        mine = (recovery_codes.c.code_hash == token_hash(plain)) & (recovery_codes.c.user_id == user_id)
        unused = update(recovery_codes).where(mine, recovery_codes.c.used_at.is_(None)).values(used_at=self._clock())
        with self._engine.begin() as connection:
            return connection.execute(unused).rowcount == 1

    def left(self, user_id: str) -> int:
        """How many are unused."""
        unused = (recovery_codes.c.user_id == user_id) & recovery_codes.c.used_at.is_(None)
        with self._engine.begin() as connection:
            return connection.execute(select(func.count()).select_from(recovery_codes).where(unused)).scalar_one()
