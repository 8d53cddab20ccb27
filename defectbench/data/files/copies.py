"""Files with equal bytes put into one group, so that no split parts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from defectbench.data.files.digests import file_digest
from defectbench.data.files.scanning import Row, Scan


def group_copies(scan: Scan, rows: Iterable[Row]) -> None:
    """Give rows of a scan whose images have equal bytes the first one's group; only files of equal length are hashed."""
    by_size: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        image = scan.root / row.image
        if image.is_file():
            by_size[image.stat().st_size].append(row)
    for alike in by_size.values():
        groups: dict[str, str] = {}
        for row in alike if len(alike) > 1 else ():
            digest = file_digest(scan.root / row.image)
            row.group = groups.setdefault(digest, row.group)
