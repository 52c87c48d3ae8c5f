"""What may go wrong at a provider, each with a sentence for the screen and a reason for the log."""

from __future__ import annotations


class ProviderError(Exception):
    """A sign-in at a provider that came to nothing. `reason` is for the log and holds no secret; `sentence` is for the screen."""

    status = 400
    kind = ""  # for the audit log
    sentence = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreachable(ProviderError):
    """The provider does not answer, or says that it cannot."""

    status, kind = 503, "provider unreachable"
    sentence = "{title} cannot be reached right now. Wait a minute, then try again."


class Misconfigured(ProviderError):
    """The provider and our settings do not fit together; only an administrator can mend that."""

    status, kind = 502, "provider not set up"
    sentence = (
        "Sign-in with {title} is not set up right. Tell this server's administrator: the reason stands in the server's log, "
        "and python app.py doctor says what to change."
    )


class Declined(ProviderError):
    """The provider, or the person at it, said no."""

    kind = "declined"
    sentence = "{title} did not sign you in, perhaps because it was cancelled there. Try again, or choose another way."


class Untrusted(ProviderError):
    """An answer that does not stand up to a check."""

    kind = "answer not trusted"
    sentence = (
        "The answer from {title} could not be trusted, so you were not signed in. Try again. If it happens once more, tell "
        "this server's administrator: the reason stands in the server's log."
    )
