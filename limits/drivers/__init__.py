"""What drives each frontend's page in a browser, in the words of a person."""

from __future__ import annotations

from collections.abc import Mapping

from limits.told import Told

# Where a token of the brand is looked for: selectors, of which the first that is on the page counts, each with a property
Places = Mapping[str, tuple[tuple[str, str], ...]]


class Lacks(Told):
    """A frontend has no such thing (no stop button, no error shown)."""
