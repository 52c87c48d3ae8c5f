"""Counts lines of code: those that are not blank and hold more than a comment or a docstring."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMENTS = {
    ".css": r"/\*.*?\*/",
    ".js": r"/\*.*?\*/|^[ \t]*//[^\n]*",
    ".html": r"<!--.*?-->|/\*.*?\*/|^[ \t]*//[^\n]*",
}
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def count(files: Sequence[Path]) -> int:
    return sum(count_one(file.read_text(encoding="utf-8"), file.suffix) for file in files)


def count_one(text: str, suffix: str) -> int:
    """The lines of code of a file's text; a kind that is not known has no comments."""
    if suffix == ".py":
        return len(_python(text))
    rest = re.sub(COMMENTS.get(suffix, r"(?!)"), "", text, flags=re.DOTALL | re.MULTILINE)
    return sum(bool(line.strip()) for line in rest.splitlines())


def _python(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return code - set(_docstrings(ast.parse(text)))


def _docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)
