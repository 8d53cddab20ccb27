"""The oracle: fresh true samples of a stand-in, from the process that drew it. The ceiling for every generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from defectbench.batch import Request, Sample, to_float
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.standin import drawing as drawings


class Oracle(Generator):
    """Draws new images by the very process that drew the stand-in, with exact masks.

    A control: no generator that learns from the stand-in can be truer. It knows nothing of real datasets and is refused
    for them.
    """

    paper: ClassVar[str] = "none: a control"
    streams: ClassVar[frozenset[str]] = frozenset({"defect"})
    reads: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"several"})
    mask_source: ClassVar[MaskSource] = "native"
    tiny: ClassVar[Mapping[str, Any]] = {}
    learns: ClassVar[bool] = False
    stand_ins_only: ClassVar[bool] = True

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        drawn_as: Mapping[str, str] | None = None,
    ) -> None:
        """Look up how each product is drawn.

        Args:
            size: side of the images, pixels.
            defects: names of the defects.
            products: names of the products.
            drawn_as: name of the drawing by product, for products that go by another name in their dataset.

        Raises:
            UserError: a product has no drawing.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        self.drawings = tuple(_drawing(product, drawn_as or {}) for product in self.products)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Draw a fresh product and paint the asked defects on it; without a label it stays normal."""
        images, masks = [], []
        for label, product in zip(
            request["defects"].cpu(), request["product"].tolist(), strict=True
        ):
            seed = int(torch.randint(2**62, (1,), generator=rng))
            image, mask = self._draw(self.drawings[product], self._names(label), seed)
            images.append(image)
            masks.append(mask)
        return Sample(
            image=to_float(torch.stack(images)).to(self.device),
            mask=torch.stack(masks).float().to(self.device),
        )

    def _names(self, label: Tensor) -> list[str]:
        """Defects with a weight of at least one half, or the heaviest one; none for a row of zeros."""
        if not label.any():
            return []
        chosen = label >= min(0.5, float(label.max()))
        return [name for name, wanted in zip(self.defects, chosen.tolist(), strict=True) if wanted]

    def _draw(self, drawing: str, names: Sequence[str], seed: int) -> tuple[Tensor, Tensor]:
        """Draw one image: uint8 (3, H, W) and its mask, bool (1, H, W)."""
        rng = np.random.default_rng(seed)
        image = drawings.draw(drawing, self.size, rng)
        mask = np.zeros(image.shape[:2], dtype=np.bool_)
        for name in names:
            image, where = drawings.add(drawing, name, image, rng)
            mask |= where
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)[None]


def _drawing(product: str, drawn_as: Mapping[str, str]) -> str:
    name = drawn_as.get(product) or drawings.known_as(product)
    if name not in drawings.PRODUCTS:
        raise UserError(
            f"product {product!r} has no drawing {name!r}; the oracle draws "
            f"{', '.join(drawings.PRODUCTS)}: leave it out of the table, or set drawn_as"
        )
    return name
