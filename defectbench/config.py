"""Strict YAML loading and the one exception for mistakes that a user can mend.

YAML 1.2 is read with ruamel's safe loader: `1e-4` is a number and a key given twice is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class UserError(Exception):
    """A mistake in a file, a key or an option: the message says what was expected and the cure.

    The command line prints the message alone, without a traceback, and ends with exit code 2.
    """


class CannotWrite(UserError):
    """A disk that is full or may not be written: nobody's request is wrong, and the same one may succeed later."""


class UserErrors(UserError):
    """Several mistakes of one kind, reported together; the message lists each on its own line."""

    def __init__(self, title: str, problems: Sequence[str]) -> None:
        """Gather problems.

        Args:
            title: what was being done, e.g. `"MVTec AD at DATA: 3 problems"`.
            problems: one line each, naming file, expectation and cure.
        """
        self.title, self.problems = title, tuple(problems)
        super().__init__("\n".join([title, *(f"  - {problem}" for problem in problems)]))


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what is known, nearest first: `"; did you mean 'wood'? known: carpet, wood"`."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) if names else '(none)'}"


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, is not YAML, repeats a key or is not a mapping.
    """
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.constructor import DuplicateKeyError

    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a YAML file")
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        mark = error.problem_mark
        line = f" (line {mark.line + 1})" if mark else ""
        raise UserError(
            f"{path}{line}: {str(error.problem).strip()}; remove one of the two"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping at the top, found {type(content).__name__}")
    return content
