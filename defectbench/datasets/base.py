"""The contract of a dataset adapter: it scans a folder as published and returns a manifest, and does nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from defectbench import names
from defectbench.config import UserError, nearest
from defectbench.data.files.scanning import Scan, child, find_root, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest

UNLABELLED: Final = ("good", "ignore")
"""What a user may say of own images of which nothing says whether they have a defect."""


class Dataset:
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
    expected: ClassVar[str] = ""
    """What its own folder holds, for messages: `the category folders bottle, cable, ..., zipper`."""
    unit: ClassVar[str] = "category"
    """What a product is called in messages."""
    in_order: ClassVar[bool] = True
    """Whether a manifest names defects in the order of `defects`; sorted by name otherwise."""

    unlabelled: str = ""
    """What images of which nothing says whether they have a defect are, of `UNLABELLED`; "" refuses them."""

    def find(self, data: Path) -> Path | None:
        """Find the dataset below a data root.

        Args:
            data: folder that holds `folder` among others.

        Returns:
            What `scan` takes; None if it is not there.
        """
        found = child(data, self.folder)
        return found if found is not None and found.is_dir() else None

    def there(self, root: Path) -> tuple[str, ...]:
        """Name the products that lie in `root`, of those that it can hold.

        Raises:
            UserError: `root` does not have this layout.
        """
        at = find_root(root, self.is_root, self.expected)
        return tuple(p for p in self.products if self.locate(at, p) is not None)

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder has the published layout: by default, whether it holds any product's folder."""
        return any(child(folder, product) is not None for product in self.products)

    def locate(self, root: Path, product: str) -> Path | None:
        """Find what `read` takes for one product: `root` if there is but one, else the folder of its name."""
        return root if len(self.products) == 1 else child(root, product)

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one product.

        Args:
            scan: takes rows and problems.
            folder: what `locate` found.
            product: its name.
        """
        raise NotImplementedError

    def complete(self, scan: Scan) -> None:
        """Do what takes all rows of a scan, e.g. grouping copies; nothing by default."""

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the folder `root` (the dataset's own, as published, or the one folder around it).

        Args:
            root: folder that holds the published layout.
            products: which products to scan; all that are there by default.

        Raises:
            UserErrors: every offending file, not only the first: missing or mis-sized masks, undecodable images,
                LFS pointers, empty categories.
            UserError: `root` does not have this layout, or a product is unknown.
        """
        names = wanted(self.products, products, self.title)
        root = find_root(root, self.is_root, self.expected)
        scan = Scan(self.title, root)
        found = []
        for product in names:
            folder = self.locate(root, product)
            if folder is None:
                if products is not None:
                    scan.problem(root / product, f"no such folder; unpack this {self.unit} there")
                continue
            found.append(product)
            self.read(scan, folder, product)
        self.complete(scan)
        defects = dict.fromkeys(name for product in found for name in self.defects[product])
        defects |= dict.fromkeys(name for row in scan.rows for name in row.defects)
        ordered = list(defects) if self.in_order else sorted(defects)
        return scan.finish(self.folder, ordered, found, self.mask_threshold)


def open_dataset(name: str, unlabelled: str = "") -> Dataset:
    """Make the adapter of a dataset.

    Args:
        name: of the dataset.
        unlabelled: what `--unlabelled` says, of `UNLABELLED`; "" if it was not given.

    Raises:
        UserError: there is no such dataset, or `unlabelled` does not suit it.
    """
    dataset: Dataset = names.find("datasets", name).load()()
    if unlabelled and unlabelled not in UNLABELLED:
        raise UserError(f"--unlabelled {unlabelled}: {nearest(unlabelled, UNLABELLED)}")
    if unlabelled and not dataset.own_images:
        raise UserError(
            f"--unlabelled {unlabelled}: of {dataset.title} it is known which images are good; leave it out"
        )
    dataset.unlabelled = unlabelled
    return dataset
