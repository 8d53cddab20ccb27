"""What the publisher of a dataset allows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """What the publisher allows.

    Attributes:
        name: as the publisher states it, e.g. `"CC BY-NC-SA 4.0"`; "none stated" where there is none.
        commercial: True, False, or None where it is unclear.
    """

    name: str
    commercial: bool | None
