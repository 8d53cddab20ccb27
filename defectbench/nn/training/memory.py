"""Images that a module keeps, in buffers that take whatever length the data has.

They are in the state dict like any buffer, and a fresh module grows them when it loads one, so a checkpoint of a module
that remembers its training data opens with `weights_only=True` in a module that has not seen any.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from defectbench.batch import Batch, to_float, to_uint8


class GrowingBuffers(nn.Module):
    """A module whose buffers take the shapes of the state dict that it loads."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Resize the buffers first; everything else is torch's own doing."""
        for name, buffer in self._buffers.items():
            loaded = state_dict.get(prefix + name)
            if buffer is not None and loaded is not None and buffer.shape != loaded.shape:
                self._buffers[name] = buffer.new_empty(loaded.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class ImageMemory(GrowingBuffers):
    """Images with their masks, labels and products, as 8-bit buffers.

    Args:
        size: side of the images, pixels.
        defects: number K of defect names.
    """

    image: Tensor
    mask: Tensor
    defects: Tensor
    product: Tensor

    def __init__(self, *, size: int, defects: int) -> None:
        super().__init__()
        self.register_buffer("image", torch.zeros(0, 3, size, size, dtype=torch.uint8))
        self.register_buffer("mask", torch.zeros(0, 1, size, size, dtype=torch.bool))
        self.register_buffer("defects", torch.zeros(0, defects))
        self.register_buffer("product", torch.zeros(0, dtype=torch.int64))

    def __len__(self) -> int:
        """Count the images."""
        return len(self.image)

    def keep(self, batch: Batch) -> None:
        """Remember the images of a batch in place of what was remembered."""
        device = self.image.device
        self.image = to_uint8(batch["image"]).to(device)  # (N, 3, H, W)
        self.mask = (batch["mask"] > 0.5).to(device)  # (N, 1, H, W)
        self.defects = batch["defects"].float().to(device)  # (N, K)
        self.product = batch["product"].to(device)  # (N,)

    def rows(self, rows: Tensor) -> Batch:
        """Give remembered images by number: int64 (B,) to a batch of B."""
        rows = rows.to(self.image.device)
        return Batch(
            image=to_float(self.image[rows]),
            mask=self.mask[rows].float(),
            defects=self.defects[rows],
            product=self.product[rows],
            synthetic=torch.zeros(len(rows), dtype=torch.bool, device=rows.device),
        )

    def choose(self, defects: Tensor, product: Tensor, rng: torch.Generator) -> Tensor:
        """Choose for each row one of the remembered images that fit its label and product best.

        The label counts first: nearest in L1 distance; then the product; then chance.

        Args:
            defects: (B, K), multi-hot or interpolated.
            product: (B,) int64.
            rng: a CPU generator.

        Returns:
            row numbers, (B,) int64 on the CPU.

        Raises:
            ValueError: nothing is remembered.
        """
        if not len(self):
            raise ValueError("no images are remembered; call observe() with training images first")
        distance = torch.cdist(defects.float(), self.defects, p=1)  # (B, N)
        other = (product[:, None] != self.product[None]).float()  # (B, N)
        misfit = (distance * 2).round(decimals=3) + 0.5e-3 * other
        best = misfit <= misfit.min(1, keepdim=True).values + 1e-6  # (B, N)
        return torch.multinomial(best.float().cpu(), 1, generator=rng)[:, 0]
