"""What drives each frontend's page in a browser, in the words of a person."""

from __future__ import annotations


class Lacks(Exception):
    """A frontend has no such thing (no stop button, no error shown); the message is a sentence for the report."""
