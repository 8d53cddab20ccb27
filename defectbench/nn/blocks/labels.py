"""What a label-conditional network is told: the defects, and the product where there are several."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def label_length(defects: int, products: int) -> int:
    """Length of `label_vector`; 0 if there is nothing to tell apart."""
    return (defects if defects > 1 else 0) + (products if products > 1 else 0)


def label_vector(defects: Tensor, product: Tensor, products: int) -> Tensor | None:
    """Join the weights of the defects and the product as one-hot; what has one value only is left out.

    Args:
        defects: (B, K).
        product: (B,) int64.
        products: number P of products.

    Returns:
        (B, K + P), (B, K), (B, P), or None.
    """
    parts = [defects.float()] if defects.shape[1] > 1 else []
    if products > 1:
        parts.append(F.one_hot(product, products).float())
    return torch.cat(parts, 1) if parts else None
