"""The contract of a dataset adapter: it scans a folder as published and returns a manifest, and does nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from defectbench.data.files.scanning import child
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest


class Dataset(ABC):
    """One dataset. It never writes into, renames or repairs the user's files."""

    folder: ClassVar[str]
    """Name of its folder below a data root, e.g. `mvtec_ad`."""
    title: ClassVar[str]
    """Printed name, e.g. `MVTec AD`."""
    own_images: ClassVar[bool] = False
    """Whether the images are the user's: tables then print the name of their folder."""
    citation: ClassVar[str]
    licence: ClassVar[Licence]
    mask_threshold: ClassVar[int]
    """A mask pixel is a defect if its grey value is at least this."""
    mask_rule: ClassVar[str]
    """The rule in words, with its reason."""
    obtain: ClassVar[str]
    """How to get it: steps or a link."""
    products: ClassVar[tuple[str, ...]]
    defects: ClassVar[Mapping[str, tuple[str, ...]]]
    """Names of the defects by product."""
    counts: ClassVar[Mapping[str, int]]
    """Expected number of images by `product/split/defect` as published; normal is `good`."""
    revision: ClassVar[int] = 1
    """Raised when a change moves what is scanned or drawn."""

    def find(self, data: Path) -> Path | None:
        """Find the dataset below a data root.

        Args:
            data: folder that holds `folder` among others.

        Returns:
            What `scan` takes; None if it is not there.
        """
        found = child(data, self.folder)
        return found if found is not None and found.is_dir() else None

    @abstractmethod
    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the folder `root` (the dataset's own, as published).

        Args:
            root: folder that holds the published layout.
            products: which products to scan; all that are there by default.

        Raises:
            UserErrors: every offending file, not only the first: missing or mis-sized masks, undecodable images,
                LFS pointers, empty categories.
        """
