"""Convolutions whose second derivatives are convolutions of ordinary size.

PyTorch derives the gradient of a convolution by its weight with a convolution whose kernel is the whole image, and walks
over groups one by one. On a GPU that takes most of the time of a gradient penalty. Here both first derivatives are
operations of their own, each derived by the same two operations, to any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Geometry(NamedTuple):
    """How a convolution goes over its input; pairs are (height, width)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    transposed: bool
    output_padding: tuple[int, int]
    groups: int

    def back(self, x: Tensor, y: Tensor, kernel: torch.Size) -> Geometry:
        """Give the convolution that takes gradients of the output y back to the input x."""
        rest = (0, 0)
        if not self.transposed:
            spans = [
                (y.shape[2 + d] - 1) * self.stride[d]
                - 2 * self.padding[d]
                + self.dilation[d] * (kernel[2 + d] - 1)
                + 1
                for d in (0, 1)
            ]
            rest = (x.shape[2] - spans[0], x.shape[3] - spans[1])
        return self._replace(transposed=not self.transposed, output_padding=rest)


class Convolution(torch.autograd.Function):
    """x * w, derivable to any order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, way: Geometry) -> Tensor:
        """(B, C, H, W) and a weight as in `conv2d`, or `conv_transpose2d` if transposed."""
        ctx.save_for_backward(x, weight)
        ctx.way = way
        done: Tensor = torch.ops.aten.convolution(x, weight, None, *way)
        return done

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """By x: the convolution back; by the weight: `WeightGradient`."""
        (gradient,), (x, weight), way = gradients, ctx.saved_tensors, ctx.way
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = Convolution.apply(gradient, weight, way.back(x, gradient, weight.shape))
        if ctx.needs_input_grad[1]:
            by_weight = WeightGradient.apply(gradient, x, weight.shape, way)
        return by_x, by_weight, None


class WeightGradient(torch.autograd.Function):
    """The gradient of a convolution by its weight, linear in the output's gradient and in x."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, shape: torch.Size, way: Geometry) -> Tensor:
        """Give a tensor of the weight's shape."""
        ctx.save_for_backward(gradient, x)
        ctx.way = way
        by_weight: Tensor = torch.ops.aten.convolution_backward(
            gradient, x, gradient.new_empty(shape), None, *way, [False, True, False]
        )[1]
        return by_weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Both sides are convolutions with the incoming gradient as the weight."""
        (weight,), (gradient, x), way = gradients, ctx.saved_tensors, ctx.way
        by_gradient = by_x = None
        if ctx.needs_input_grad[0]:
            by_gradient = Convolution.apply(x, weight, way)
        if ctx.needs_input_grad[1]:
            by_x = Convolution.apply(gradient, weight, way.back(x, gradient, weight.shape))
        return by_gradient, by_x, None, None


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve as `torch.nn.functional.conv2d` does; padding in pixels."""
    way = Geometry(_pair(stride), _pair(padding), _pair(dilation), False, (0, 0), groups)
    return _biased(Convolution.apply(x, weight, way), bias)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Convolve as `torch.nn.functional.conv_transpose2d` does."""
    way = Geometry(
        _pair(stride), _pair(padding), _pair(dilation), True, _pair(output_padding), groups
    )
    return _biased(Convolution.apply(x, weight, way), bias)


def _biased(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.view(1, -1, 1, 1)


class DerivableConvolutions(TorchFunctionMode):
    """Within it, networks convolve as above. Autocast must be off, as it is for gradient penalties."""

    ours: ClassVar[dict[Any, Callable[..., Tensor]]] = {
        F.conv2d: conv2d,
        F.conv_transpose2d: conv_transpose2d,
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace the two functions and leave all others as they are."""
        return self.ours.get(func, func)(*args, **(kwargs or {}))
