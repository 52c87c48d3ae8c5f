"""Guests vanish with the link that they came in by, and so do those who sign out."""

from __future__ import annotations

from collections.abc import Callable

from auth.parts import Auth


def sweep(auth: Auth, forget: Callable[[str], None]) -> None:
    """See out the guests whose link is over and those who signed out; the server calls it every second or two.

    They are signed out by one sweep, and deleted with all that `forget(user_id)` deletes by the next one: until then, what a
    page of theirs had just begun comes to its end, so that nothing is written down after them.
    """
    for guest in auth.invitations.lapsed_guests():
        if not auth.sessions.revoke_all(guest):
            forget(guest)
            auth.people.delete(guest)
