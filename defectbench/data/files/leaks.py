"""What a split leaks: parts, copies and near-duplicates that lie on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from defectbench.data.files.digests import content_digests
from defectbench.data.files.groups import near_pairs, signatures
from defectbench.data.manifest import Manifest

Kind = Literal["group", "copy", "near"]


@dataclass(frozen=True)
class Leak:
    """Two images on different sides that should be on one.

    Attributes:
        kind: `group`: of one part; `copy`: the same bytes; `near`: near-duplicates by what they show.
        first: id of the one.
        second: id of the other.
        sides: their sides.
        alike: correlation of what they show, 1 for the other kinds.
    """

    kind: Kind
    first: str
    second: str
    sides: tuple[str, str]
    alike: float = 1.0

    def __str__(self) -> str:
        said = {"group": "one part", "copy": "the same file", "near": f"alike ({self.alike:.2f})"}
        return (
            f"{self.first} ({self.sides[0]}) and {self.second} ({self.sides[1]}): {said[self.kind]}"
        )


def leaks(
    manifest: Manifest,
    *,
    look: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Leak]:
    """List what is on more than one side of a split.

    Of a part or a file that is on several sides, one pair per two sides is listed.

    Args:
        manifest: split, real images.
        look: also decode every image and look for near-duplicates (about 2 ms per image of 300 px).
        progress: called with (images looked at, images in all).

    Raises:
        UserErrors: files are missing.
        defectbench.data.files.decoding.BadFile: an image cannot be decoded.
    """
    table = manifest.table
    digests = content_digests(manifest)
    by_group: dict[str, list[int]] = defaultdict(list)
    by_content: dict[str, list[int]] = defaultdict(list)
    rows = zip(table["group"], table["image"], range(len(table)), strict=True)
    for group, image, row in rows:
        by_group[group].append(row)
        by_content[digests[image]].append(row)
    ids, sides = table["id"].tolist(), table["split"].tolist()

    def across(members: list[int]) -> Iterator[tuple[int, int]]:
        first: dict[str, int] = {}
        for row in members:
            first.setdefault(sides[row], row)
        chosen = list(first.values())
        for k, row in enumerate(chosen):
            for other in chosen[k + 1 :]:
                yield row, other

    kinds: list[tuple[Kind, dict[str, list[int]]]] = [("group", by_group), ("copy", by_content)]
    found = [
        Leak(kind, ids[a], ids[b], (sides[a], sides[b]))
        for kind, sets in kinds
        for members in sets.values()
        for a, b in across(members)
    ]
    if look:
        number = np.unique(np.asarray(sides), return_inverse=True)[1].astype(np.int64)
        seen = signatures(manifest, progress)
        copies = {(leak.first, leak.second) for leak in found if leak.kind == "copy"}
        found += [
            Leak("near", ids[a], ids[b], (sides[a], sides[b]), round(alike, 3))
            for a, b, alike in near_pairs(seen, table["product"].tolist(), number)
            if (ids[a], ids[b]) not in copies
        ]
    return found
