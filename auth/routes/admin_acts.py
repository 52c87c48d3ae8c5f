"""What an admin can do to an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auth.parts import Auth
from auth.people import OWNER, Person
from auth.routes.common import Forget

DONE = {  # what the page says after each action
    "role": "The role is changed. It is in force now.",
    "reset": "The second factor is reset, every device signed out, every API token revoked. The next sign-in sets up a new one.",
    "sign-out": "Every device is signed out, and every API token is revoked.",
    "shut-out": "The account is closed: signed out everywhere, and no sign-in is let in.",
    "let-in": "The account is open again.",
    "delete": "The account is deleted, with all its conversations.",
}
ASKED_FIRST = ("reset", "shut-out", "delete")


@dataclass(frozen=True, slots=True)
class Question:
    """What the page asks before an action that someone would feel at once."""

    heading: str
    button: str
    help: str


def question(action: str, person: Person) -> Question:
    """The question before `action`, one of ASKED_FIRST."""
    name = person.name
    if action == "reset":
        return Question(
            f"Reset the second factor of {name}?", "Reset the second factor",
            "Their authenticator app, passkeys and recovery codes are removed, and they are signed out everywhere. Whoever signs "
            "in next as them sets up a new one: make sure that it is really them who asks.",
        )  # fmt: skip
    if action == "shut-out":
        return Question(
            f"Shut {name} out?", "Shut this account out",
            "They are signed out everywhere at once, and cannot sign in until you let them in again. Their API tokens are "
            "revoked for good. Their conversations are kept.",
        )  # fmt: skip
    lost = "Their conversations are deleted with the account. This cannot be undone. "
    if person.role == "guest":
        return Question(f"See {name} out?", "See this guest out", lost)
    return Question(
        f"Delete the account of {name}?", "Delete this account",
        lost + "Someone who is on this server's list may come back with a new account: to keep them out, shut the account out "
        "instead.",
    )  # fmt: skip


class Refused(Exception):
    """A change that cannot be made; the message is for the admin."""


def allowed(admin_id: str, person: Person) -> frozenset[str]:
    """Which actions an admin has on a person. The owner stays the owner, so there is always a way in for an admin.

    One's own devices and factors are changed on the account page. A guest can only be seen out: nothing else would last.
    """
    if person.role == "guest":
        return frozenset({"delete"})
    if person.id == OWNER.id:
        return frozenset() if admin_id == OWNER.id else frozenset({"reset", "sign-out"})
    if person.id == admin_id:
        return frozenset({"role"})
    return frozenset({"role", "reset", "sign-out", "let-in" if person.disabled else "shut-out", "delete"})


class Acts:
    """What can be done to an account. Each gives the audit event, and its details beside the name; or raises Refused."""

    def __init__(self, auth: Auth, forget: Forget) -> None:
        self._auth, self._forget = auth, forget
        self.of: dict[str, Callable[[Person, dict[str, str]], tuple[str, dict[str, str]]]] = {
            "role": self.role, "reset": self.reset, "sign-out": self.sign_out, "shut-out": self.shut_out, "let-in": self.let_in,
            "delete": self.delete,
        }  # fmt: skip

    def role(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        role = form.get("role", "")
        if role not in ("admin", "member"):
            raise Refused("Choose admin or member.")
        if role == "admin":
            self._auth.people.set_role(person.id, role)
        elif not self._auth.people.demote(person.id):
            raise Refused("There would be no admin left. Make someone else an admin first.")
        self._auth.sessions.refresh()  # so that it is in force at their next click
        return "role-changed", {"role": role, "before": person.role}

    def reset(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        self._auth.factors.reset(person.id)
        self._auth.sessions.revoke_all(person.id)
        self._auth.tokens.revoke_all(person.id)
        return "factors-reset", {}

    def sign_out(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        self._auth.browsers.forget(person.id)
        self._auth.sessions.revoke_all(person.id)
        self._auth.tokens.revoke_all(person.id)
        return "signed-out-everywhere", {}

    def shut_out(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        self._close(person)
        return "user-disabled", {}

    def let_in(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        self._auth.people.set_disabled(person.id, False)
        return "user-enabled", {}

    def delete(self, person: Person, form: dict[str, str]) -> tuple[str, dict[str, str]]:
        self._close(person)
        self._forget(person.id)
        self._auth.people.delete(person.id)
        return "user-deleted", {}

    def _close(self, person: Person) -> None:
        """Shut the account first, so that no sign-in that is under way opens what is closed here."""
        self._auth.people.set_disabled(person.id, True)
        self._auth.sessions.revoke_all(person.id)
        self._auth.browsers.forget(person.id)
        self._auth.tokens.revoke_all(person.id)
