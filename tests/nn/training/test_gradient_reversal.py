"""The gradient-reversal layer: its gradient, its schedule, and what it does to a feature extractor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from defectbench.nn.training.gradient_reversal import (
    GradientReversal,
    ganin_strength,
    reverse_gradient,
)


def test_values_pass_unchanged_and_gradients_come_back_negated() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    out = reverse_gradient(x, 0.3)
    assert torch.equal(out, x)
    weight = torch.arange(15.0).view(5, 3)
    (out * weight).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, -0.3 * weight)


def test_only_what_lies_before_the_layer_is_reversed() -> None:
    torch.manual_seed(0)
    body, head = nn.Linear(4, 3), nn.Linear(3, 1)
    x = torch.randn(6, 4)

    def gradients(strength: float | None) -> tuple[torch.Tensor, torch.Tensor]:
        features = body(x)
        features = features if strength is None else reverse_gradient(features, strength)
        loss = head(features).square().mean()
        of_body, of_head = torch.autograd.grad(loss, [body.weight, head.weight])
        return of_body, of_head

    plain_body, plain_head = gradients(None)
    reversed_body, reversed_head = gradients(2.0)
    torch.testing.assert_close(reversed_body, -2 * plain_body)
    torch.testing.assert_close(reversed_head, plain_head)


def test_second_derivatives_exist() -> None:
    x = torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(reverse_gradient(x, 0.5) ** 3, x, create_graph=True)
    torch.testing.assert_close(first, -0.5 * 3 * x.detach() ** 2)
    (second,) = torch.autograd.grad(first, x)
    torch.testing.assert_close(second, torch.tensor([0.25 * 6 * 1.5], dtype=torch.float64))


def test_the_schedule_of_the_paper() -> None:
    assert ganin_strength(0.0) == 0.0
    assert ganin_strength(0.1) == pytest.approx(math.tanh(0.5))  # 2 sigmoid(a) - 1 = tanh(a / 2)
    assert ganin_strength(1.0) == pytest.approx(0.9999092)


@pytest.mark.parametrize(("schedule", "wanted"), [("ganin", math.tanh(1.0)), ("constant", 1.0)])
def test_the_layer_follows_its_schedule(schedule: str, wanted: float) -> None:
    layer = GradientReversal(schedule, strength=0.5)  # type: ignore[arg-type]
    x = torch.ones(2, requires_grad=True)
    layer(x, 0.2).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full((2,), -0.5 * wanted))


def test_half_precision_keeps_its_type() -> None:
    x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    out = reverse_gradient(x, 0.25)
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert x.grad is not None
    assert x.grad.tolist() == [-0.25] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [({"schedule": "linear"}, "known: ganin, constant"), ({"strength": -1.0}, "0 or more")],
)
def test_bad_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientReversal(**given)  # type: ignore[arg-type]
