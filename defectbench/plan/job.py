"""A job: one stage, what was asked, and what it stands on. Its id is a hash of all that; imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

StageName = Literal["prepare", "fit", "sample", "select", "foreign", "score", "task"]


def canonical(value: Any) -> str:
    """Write plain values as JSON with sorted keys: the same text for the same content, on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=list)


@dataclass(frozen=True)
class Job:
    """One unit of work, done at most once.

    Attributes:
        stage: which function of `stages.py` does it.
        spec: plain values; everything that its result depends on besides its parents.
        parents: ids of the jobs whose results it reads, by role.
        label: for people, e.g. "fit DCDGANc wood seed 0"; no part of the id.
    """

    stage: StageName
    spec: Mapping[str, Any]
    parents: Mapping[str, str] = field(default_factory=dict)
    label: str = ""

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits, chained through the parents."""
        text = canonical([self.stage, self.spec, self.parents])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Give plain values for `job.json` and for worker processes."""
        return {
            "id": self.id,
            "stage": self.stage,
            "spec": json.loads(canonical(self.spec)),
            "parents": dict(self.parents),
            "label": self.label,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Job:
        """Read back what `to_json` gave."""
        return cls(content["stage"], content["spec"], content["parents"], content["label"])
