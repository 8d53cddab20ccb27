"""The rules that divide parts into training and testing; `splits.split` applies them and takes validation images."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from defectbench.config import UserError, nearest
from defectbench.data.files.listing import natural
from defectbench.data.files.scanning import GOOD
from defectbench.data.manifest import Manifest
from defectbench.rng import numpy_rng

SPLITS: Final = ("train", "val", "test")
PUBLISHED: Final = {"validation": "val", "valid": "val", "dev": "val"}
"""Publishers' other words for the validation split."""

DCDGAN_C: Final = {
    "carpet": {
        "color": (12, 7),
        "cut": (12, 5),
        "hole": (12, 5),
        "metal_contamination": (13, 4),
        "thread": (13, 6),
    },
    "wood": {"color": (5, 3), "hole": (6, 4), "liquid": (7, 3), "scratch": (11, 10)},
    "tile": {"crack": (0, 17), "rough": (0, 15)},
}
"""Real images for training and for testing: DCDGANc, Table 3; tile, which is tested without training: Table 7."""


@dataclass(frozen=True)
class Part:
    """Images that stay together.

    Attributes:
        rows: their row numbers.
        product: of the first of them.
        label: the rarest defect among them, `good` if there is none.
        published: the publisher's side; of several, the one that must not be trained on.
        images: how many of the rows have the label, which is what the part counts for in its stratum.
    """

    rows: tuple[int, ...]
    product: str
    label: str
    published: str
    images: int


Strata = Mapping[tuple[str, str], Sequence[Part]]


@dataclass
class Sides:
    """Which side each row is on, while a rule works: `""` is left out."""

    manifest: Manifest
    strata: Strata
    seed: int
    of_row: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Begin with every row left out."""
        self.of_row = np.full(len(self.manifest), "", dtype=object)

    def put(self, parts: Iterable[Part], side: str) -> None:
        """Put parts on a side."""
        for part in parts:
            self.of_row[list(part.rows)] = side

    def on(self, part: Part) -> str:
        """Say where a part is."""
        return str(self.of_row[part.rows[0]])

    def shuffled(self, stratum: tuple[str, str], purpose: str) -> list[Part]:
        """Give the parts of a stratum in an order that follows from the seed and the stratum alone."""
        parts = self.strata[stratum]
        order = numpy_rng(self.seed, "split", purpose, *stratum).permutation(len(parts))
        return [parts[i] for i in order]

    def keep_published(self, stratum: tuple[str, str]) -> bool:
        """Put normal parts where the publisher has them; False if it is no such stratum."""
        parts = self.strata[stratum]
        if stratum[1] != GOOD or any(not part.published for part in parts):
            return False
        for part in parts:
            self.put([part], part.published)
        return True


Rule = Callable[..., None]


@dataclass(frozen=True)
class Entry:
    """A rule, how it is written, the types of its arguments by name, and whether it ignores groups."""

    apply: Rule
    usage: str
    arguments: Mapping[str, type] = field(default_factory=dict)
    ignores_groups: bool = False


def strata_of(manifest: Manifest) -> Strata:
    """Gather parts by product and label, each in the natural order of its first id."""
    table = manifest.table
    defects, products = table["defects"].tolist(), table["product"].tolist()
    published = [PUBLISHED.get(s, s) for s in table["split"].astype(str).str.lower()]
    frequency = Counter(
        (product, name) for product, names in zip(products, defects, strict=True) for name in names
    )
    members: dict[str, list[int]] = defaultdict(list)
    ids = table["id"].tolist()
    groups = table["group"].tolist()
    for row in sorted(range(len(ids)), key=lambda i: natural(ids[i])):
        members[groups[row]].append(row)
    strata: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for rows in members.values():
        product = products[rows[0]]
        names = {name for row in rows for name in defects[row]}
        label = min(names, key=lambda n: (frequency[product, n], n)) if names else GOOD
        found = {published[row] for row in rows}
        side = next((s for s in ("test", "val", "train") if s in found), "")
        number = sum(label in defects[row] for row in rows) if names else len(rows)
        strata[product, label].append(Part(tuple(rows), product, label, side, number))
    return dict(sorted(strata.items()))


def take(parts: Sequence[Part], wanted: float) -> list[Part]:
    """Take parts in order while they fit into a number of images: one at least if any is wanted, all but one at most."""
    if len(parts) < 2 or wanted <= 0:
        return []
    taken: list[Part] = []
    total = 0
    for part in parts:
        if len(taken) < len(parts) - 1 and (total + part.images <= wanted + 1e-9 or not taken):
            taken.append(part)
            total += part.images
    return taken


def divide(sides: Sides, parts: Sequence[Part], train: float) -> None:
    """Put about `train` images of a stratum on train and the others on test; a single part trains."""
    chosen = take(parts, train) if len(parts) > 1 else list(parts)
    ids = {id(part) for part in chosen}
    sides.put(chosen, "train")
    sides.put([part for part in parts if id(part) not in ids], "test")


def count(parts: Iterable[Part]) -> int:
    """Count the images of some parts that have their stratum's label."""
    return sum(part.images for part in parts)


def _official(sides: Sides) -> None:
    """The publisher's sides, row by row; normals without one are divided 70 to 30."""
    table = sides.manifest.table
    published = [PUBLISHED.get(s, s) for s in table["split"].astype(str).str.lower()]
    if not any(published):
        raise UserError(
            f"{sides.manifest.dataset}: has no published split; use fraction(test=0.4), k_fold(5, 0) or one_third"
        )
    sides.of_row[:] = [s if s in SPLITS else "" for s in published]
    for stratum, parts in sides.strata.items():
        if any(not part.published for part in parts):
            divide(sides, sides.shuffled(stratum, "official"), 0.7 * count(parts))


def _one_third(sides: Sides) -> None:
    """The first n // 3 images by number of each defect train, the others test (AnomalyDiffusion, without its leak)."""
    for stratum, parts in sides.strata.items():
        if not sides.keep_published(stratum):
            divide(sides, parts, max(1, count(parts) // 3))


def _one_third_exact(sides: Sides) -> None:
    """AnomalyDiffusion's code: image number n // 3 trains and tests."""
    warnings.warn(
        "one_third_anomalydiffusion_exact puts one image of every defect on both sides, as the authors' code does: "
        "for reproduction only; use one_third for results",
        UserWarning,
        stacklevel=3,
    )
    _one_third(sides)


def _dcdgan_c(sides: Sides) -> None:
    """DCDGANc's Table 3: so many images of each defect train, the others test.

    Departs: the paper does not say which images; they are drawn at random by the seed. Where there are fewer or more
    images than published, the counts keep their proportion. Wood's `combined` is left out: the paper spreads its
    defects over the other types, but its masks do not say which defect is which. Tile, in its zero-shot experiment,
    only tests (Table 7); its other defects are left out.
    """
    for (product, label), parts in sides.strata.items():
        if product not in DCDGAN_C:
            raise UserError(
                f"dcdgan_c: no counts for product {product!r}; {nearest(product, DCDGAN_C)}"
            )
        if label == GOOD:
            if not sides.keep_published((product, label)):
                divide(sides, sides.shuffled((product, label), "dcdgan_c"), 0.6 * count(parts))
        elif label in DCDGAN_C[product]:
            train, test = DCDGAN_C[product][label]
            if train:
                share = round(count(parts) * train / (train + test))
                divide(sides, sides.shuffled((product, label), "dcdgan_c"), max(1, share))
            else:
                sides.put(parts, "test")


SDI_NORMALS = {"A": 40, "B": 30, "C": 35}
"""Normal test images beside the 70 defective ones of each product of SDI, from the digits of DT-GAN's error rates."""


def _sdi_dt_gan(sides: Sides) -> None:
    """DT-GAN on SDI: 50 images of each defect held out, of these 30 % validate and 70 % test.

    Published sides are kept. Normal images, for which none is published, are held out such that beside 70 defective ones
    40, 30 and 35 test in products A, B and C: every printed error rate is a multiple of one over five times 110, 100 and
    105 images. Of other products as many are held out as defects. Where a defect has fewer than 150 images, a third of
    them is held out.
    """
    held_out: Counter[str] = Counter()
    normals = []
    for (product, label), parts in sides.strata.items():
        if label == GOOD:
            normals.append((product, label))
        elif all(part.published for part in parts):
            for part in parts:
                sides.put([part], part.published)
            held_out[product] += sum(p.images for p in parts if p.published != "train")
        else:
            wanted = min(50, count(parts) // 3)
            _hold_out(sides, sides.shuffled((product, label), "sdi_dt_gan"), wanted)
            held_out[product] += wanted
    for stratum in normals:
        if not sides.keep_published(stratum):
            wanted = round(held_out[stratum[0]] * SDI_NORMALS.get(stratum[0], 70) / 70)
            wanted = min(wanted, count(sides.strata[stratum]) // 2)
            _hold_out(sides, sides.shuffled(stratum, "sdi_dt_gan"), wanted)


def _hold_out(sides: Sides, parts: Sequence[Part], wanted: int) -> None:
    sides.put(parts, "train")
    held = take(parts, max(1, wanted))
    validate = take(held, max(1, round(0.3 * count(held))))
    sides.put(held, "test")
    sides.put(validate, "val")


def _few_shot(sides: Sides, n: int) -> None:
    """`n` images of each defect, chosen by the seed, are all there is to train and validate on; the others test.

    Parts of more than `n` images come last. Where there is no smaller one, `n` images of one train and the rest of it is
    left out.
    """
    if n < 1:
        raise UserError(f"few_shot({n}): wants at least 1 image")
    for stratum, parts in sides.strata.items():
        if sides.keep_published(stratum):
            continue
        order = sides.shuffled(stratum, "few_shot")
        if stratum[1] == GOOD:
            divide(sides, order, 0.6 * count(parts))
            continue
        order.sort(key=lambda part: part.images > n)
        divide(sides, order, n)
        if order[0].images > n:
            names = sides.manifest.table["defects"]
            shown = [row for row in order[0].rows if stratum[1] in names[row]]
            sides.of_row[[row for row in order[0].rows if row not in shown[:n]]] = ""


def _subset(sides: Sides, n: int, product: str) -> None:
    """DT-GAN's 20A: as `sdi_dt_gan`, but product A keeps `n` defective training images of each defect."""
    products = {p for p, _ in sides.strata}
    if product not in products:
        raise UserError(f"subset: no product {product!r}; {nearest(product, products)}")
    if n < 1:
        raise UserError(f"subset({n} of {product}): wants at least 1 image")
    _sdi_dt_gan(sides)
    for stratum in sides.strata:
        if stratum[0] == product and stratum[1] != GOOD:
            training = [p for p in sides.shuffled(stratum, "subset") if sides.on(p) == "train"]
            kept: list[Part] = []
            for part in training:
                if not kept or count(kept) + part.images <= n:
                    kept.append(part)
            sides.put(training, "")
            sides.put(kept, "train")


def _k_fold(sides: Sides, k: int, i: int) -> None:
    """Fold `i` of `k` tests: each part with a defect tests in exactly one fold."""
    if k < 2 or not 0 <= i < k:
        raise UserError(f"k_fold({k}, {i}): wants k >= 2 folds and i in 0 ... k - 1")
    start = 0  # folds of small strata begin where the last one ended, so that none stays empty
    for stratum, parts in sides.strata.items():
        if sides.keep_published(stratum):
            continue
        for turn, part in enumerate(sides.shuffled(stratum, "k_fold")):
            sides.put([part], "test" if (start + turn) % k == i else "train")
        start += len(parts)


def _fraction(sides: Sides, test: float) -> None:
    """A share `test` of each stratum, chosen by the seed, tests; published sides of normals are kept.

    Training takes whole parts in the seed's order while they fit, so where parts differ much in size the largest mostly
    test, and more images than asked for do; `fraction_of_images` keeps the share.
    """
    if not 0 < test < 1:
        raise UserError(f"fraction(test={test}): wants a share between 0 and 1")
    for stratum, parts in sides.strata.items():
        if not sides.keep_published(stratum):
            divide(sides, sides.shuffled(stratum, "fraction"), (1 - test) * count(parts))


def _fraction_of_images(sides: Sides, test: float) -> None:
    """As `fraction`, and on average over seeds a share `test` of the images tests, however unequal the parts are.

    Parts stand in the seed's order; the one that lies across the border between training and testing falls to a side with
    the share of its images that lies there. So large parts test as often as small ones. Where all parts of a stratum have one
    size it is divided as `fraction` does.
    """
    if not 0 < test < 1:
        raise UserError(f"fraction_of_images(test={test}): wants a share between 0 and 1")
    for stratum, parts in sides.strata.items():
        if sides.keep_published(stratum):
            continue
        order, border = sides.shuffled(stratum, "fraction"), (1 - test) * count(parts)
        if len({part.images for part in parts}) < 2:
            divide(sides, order, border)
            continue
        chance = numpy_rng(sides.seed, "split", "fraction_of_images", *stratum).random()
        before = trained = 0
        for part in order:
            trained += before + chance * part.images <= border
            before += part.images
        if trained == len(
            order
        ):  # something must test, not the part that the border gave to training
            order, trained = [*order[1:], order[0]], trained - 1
        elif not trained:
            order, trained = [order[-1], *order[:-1]], 1
        sides.put(order[:trained], "train")
        sides.put(order[trained:], "test")


def _fraction_by_image_leaks(sides: Sides, test: float) -> None:
    """As `fraction`, in the same numbers of images of each defect, but dealt image by image, whatever their groups.

    Photographs of one part train, validate and test. It is what published work on the magnetic tiles does.
    """
    warnings.warn(
        "fraction_by_image_leaks puts photographs of one part on several sides: to measure what that does, not for "
        "results; use fraction(test=...) for results",
        UserWarning,
        stacklevel=3,
    )
    _fraction(sides, test)


RULES: Final[Mapping[str, Entry]] = {
    "official": Entry(_official, "official"),
    "one_third": Entry(_one_third, "one_third"),
    "one_third_anomalydiffusion_exact": Entry(_one_third_exact, "one_third_anomalydiffusion_exact"),
    "dcdgan_c": Entry(_dcdgan_c, "dcdgan_c"),
    "sdi_dt_gan": Entry(_sdi_dt_gan, "sdi_dt_gan"),
    "few_shot": Entry(_few_shot, "few_shot(5)", {"n": int}),
    "subset": Entry(_subset, "subset(20 of A)", {"n": int, "product": str}),
    "k_fold": Entry(_k_fold, "k_fold(5, 0)", {"k": int, "i": int}),
    "fraction": Entry(_fraction, "fraction(test=0.4)", {"test": float}),
    "fraction_of_images": Entry(
        _fraction_of_images, "fraction_of_images(test=0.4)", {"test": float}
    ),
    "fraction_by_image_leaks": Entry(
        _fraction_by_image_leaks,
        "fraction_by_image_leaks(test=0.4)",
        {"test": float},
        ignores_groups=True,
    ),
}
