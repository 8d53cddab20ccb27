"""Pure losses: tensors in, scalar out.

Adversarial losses come in pairs, `<kind>_critic(real, fake)` and `<kind>_generator(fake)`, over critic logits of any
shape: one number per image or a patch map. The critic's is the sum of a term on the real and a term on the generated
images, without a factor of one half; all are means over elements and computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

# --- adversarial -------------------------------------------------------------------------------


def logistic_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of critic logits: `softplus(-real) + softplus(fake)` (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def logistic_generator(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss: `softplus(-fake)` (Goodfellow et al. 2014, sec. 3)."""
    return F.softplus(-fake.float()).mean()


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of critic logits: `relu(1 - real) + relu(1 + fake)` (Lim & Ye 2017)."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """The generator's side of the hinge loss: `-fake` (Lim & Ye 2017)."""
    return -fake.float().mean()


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares with targets 1 and 0: `(real - 1)^2 + fake^2` (Mao et al. 2017, eq. 9 without its factor 1/2)."""
    return (real.float() - 1).square().mean() + fake.float().square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """Least squares with target 1: `(fake - 1)^2` (Mao et al. 2017, eq. 9 without its factor 1/2)."""
    return (fake.float() - 1).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Negative estimate of the Wasserstein distance: `fake - real` (Arjovsky et al. 2017)."""
    return fake.float().mean() - real.float().mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """The generator's side of the Wasserstein loss: `-fake` (Arjovsky et al. 2017)."""
    return -fake.float().mean()


def d2gan_critic(real: Tensor, fake: Tensor, alpha: float = 0.2, beta: float = 0.1) -> Tensor:
    """Loss of two opposed critics (Nguyen et al. 2017, eq. 1): the negative of their common value.

    With D = softplus(logit), which is positive as the method demands, the value is
    `alpha log D1(real) - D1(fake) - D2(real) + beta log D2(fake)`: D1 favours real images, D2 generated ones.

    Args:
        real: logits (B, 2, ...) of real images; channel 0 is D1, channel 1 is D2.
        fake: logits (B, 2, ...) of generated images.
        alpha: weight of log D1, in (0, 1].
        beta: weight of log D2, in (0, 1].

    Raises:
        ValueError: dimension 1 is not 2.
    """
    (real_1, real_2), (fake_1, fake_2) = _two(real), _two(fake)
    value = alpha * _log(real_1) - fake_1.mean() - real_2.mean() + beta * _log(fake_2)
    return -value


def d2gan_generator(fake: Tensor, beta: float = 0.1) -> Tensor:
    """The generator's side of `d2gan_critic`: `-D1(fake) + beta log D2(fake)`."""
    fake_1, fake_2 = _two(fake)
    return -fake_1.mean() + beta * _log(fake_2)


def _two(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Positive outputs of the two critics."""
    if logits.shape[1] != 2:
        raise ValueError(
            f"logits are {tuple(logits.shape)}; D2GAN wants (B, 2, ...): one channel per critic"
        )
    positive = F.softplus(logits.float())
    return positive[:, 0], positive[:, 1]


def _log(positive: Tensor) -> Tensor:
    """Mean logarithm, safe where softplus underflows."""
    return positive.clamp(min=1e-8).log().mean()


# --- reconstruction, codes and classes ---------------------------------------------------------


def l1(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference over all elements."""
    return F.l1_loss(found.float(), wanted.float())


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1): sum over the code, mean over the batch (Kingma & Welling 2013, App. B).

    Args:
        mean: (B, D).
        log_variance: (B, D), natural logarithm of the variance.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def mode_seeking(
    code: Tensor, other_code: Tensor, output: Tensor, other_output: Tensor, epsilon: float = 1e-5
) -> Tensor:
    """Ratio of mean distances of two codes and of what came of them; smaller is more diverse (Mao et al. 2019, eq. 1, inverted)."""
    return l1(code, other_code) / (l1(output, other_output) + epsilon)


def diversity(images: Sequence[Tensor]) -> Tensor:
    """Sum over all unordered pairs of the mean absolute difference: four images give six pairs (DT-GAN, eq. 4)."""
    return torch.stack([l1(one, other) for one, other in combinations(images, 2)]).sum()


def binary_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy per class, summed over classes, mean over the batch: for defects that may coincide.

    Args:
        logits: (B, K).
        labels: (B, K) in [0, 1].
    """
    return (
        F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
        .sum(1)
        .mean()
    )


def exclusive_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over "normal" and the K classes: for defects that exclude one another.

    "Normal" has the fixed logit 0, so that its label is the zero vector as everywhere else.

    Args:
        logits: (B, K).
        labels: (B, K) in [0, 1]; a row of zeros is normal.
    """
    logits = F.pad(logits.float(), (1, 0))  # (B, 1 + K)
    weights = torch.cat([(1 - labels.sum(1, keepdim=True)).clamp(min=0), labels], 1)
    return F.cross_entropy(logits, weights / weights.sum(1, keepdim=True))
