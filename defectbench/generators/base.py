"""The contract of a generator: it learns from defect and normal images and makes new defect images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor

from defectbench.batch import Batch, Request, Sample, TrainBatch
from defectbench.names import SIZE_FACTS, check_size
from defectbench.nn.training.clock import Clock

MaskSource = Literal["native", "input", "watershed", "difference", "anchor", "none"]


class Stage(NamedTuple):
    """One stage of a training.

    Attributes:
        name: what is learned, e.g. `"backbone"`.
        images: images that the stage sees.
        streams: which of `"defect"` and `"normal"` its batches hold.
    """

    name: str
    images: int
    streams: frozenset[str]


class Generator(LightningModule, ABC):
    """Makes defect images.

    A subclass takes keyword-only plain arguments: they are its schema, the checkpoint's hyperparameters and part of the
    job's id. `size`, `defects` and `products` come from the data; all others have defaults. It calls
    `self.save_hyperparameters()` first, then `super().__init__(size=size, defects=defects, products=products)`.

    The training loop reseeds torch's global generator before every step from (seed, stage, step, rank), so
    `training_step` may draw from it; `synthesise` draws from its `rng` alone.
    """

    paper: ClassVar[str]
    """Citation and link; "reconstruction from the abstract" where that is the truth."""
    title: ClassVar[str] = ""
    """What is printed where it meets a number; empty for its name. A reconstruction from an abstract says so here."""
    streams: ClassVar[frozenset[str]]
    """Which of "defect" and "normal" its training batches hold."""
    reads: ClassVar[frozenset[str]]
    """What a `Request` must hold besides labels and product: of "normal", "mask", "reference"."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """What may be asked besides, of `names.ABILITIES`: "mask", "reference", "style" and further keys of `Request`; "several"
    for labels with more than one defect, "interpolation" for labels between two, "restoration" for the label of zeros."""
    mask_source: ClassVar[MaskSource]
    """Where its masks come from; "none" if it makes none, "watershed" if the sample stage finds them."""
    tiny: ClassVar[Mapping[str, Any]]
    """Arguments that train at 32 px in under a second, for the contract tests."""
    revision: ClassVar[int] = 1
    """Raised when a change moves its numbers."""
    scope: ClassVar[Literal["product", "defect"]] = "product"
    """Whether one model serves all defects of a product, or one model is fitted per defect."""
    shared_stages: ClassVar[int] = 0
    """With scope "defect": how many of its first stages see normal images only. A table trains them once for the models of
    all defects; such a generator does not `observe`."""
    learns: ClassVar[bool] = True
    """False for controls that only remember their training data."""
    draws_labels: ClassVar[bool] = True
    """False for controls that paint the same whatever defect is asked for: they cannot serve tasks that learn labels."""
    deterministic: ClassVar[bool] = False
    """True if a request alone decides the image (StarGAN, CycleGAN): there is no noise to draw."""
    stand_ins_only: ClassVar[bool] = False
    """True for the oracle, which knows the process that drew the stand-ins."""
    needs_masks: ClassVar[bool] = False
    """True if it learns nothing from defect images without masks."""
    least_batch: ClassVar[int] = 1
    """Smallest batch of one process; 2 for mode seeking, which compares images of a batch."""
    least_size: ClassVar[int] = 8
    """Smallest side of images, pixels."""
    multiple_of: ClassVar[int] = 1
    """Sides of images are multiples of this."""
    power_of_two: ClassVar[bool] = False
    """Whether sides of images are powers of two."""

    def __init__(self, *, size: int, defects: Sequence[str], products: Sequence[str]) -> None:
        """Set up what every generator has.

        Args:
            size: side of the square images, pixels.
            defects: names of the K defects, in the order of `Batch["defects"]`.
            products: names of the products, in the order of `Batch["product"]`.

        Raises:
            UserError: the networks cannot take images of this size.
        """
        super().__init__()
        check_size(self.called, {fact: getattr(self, fact) for fact in SIZE_FACTS}, size)
        self.size, self.defects, self.products = size, tuple(defects), tuple(products)
        self.clock = Clock()
        self.losses: dict[str, Tensor] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a generator that claims to learn and cannot."""
        super().__init_subclass__(**options)
        if cls.learns and cls.training_step is Generator.training_step:
            raise TypeError(f"{cls.__name__}: learns, so it must define training_step")

    @property
    def called(self) -> str:
        """Its public name, which is its file's."""
        return type(self).__module__.rpartition(".")[2]

    def observe(self, defect: Batch, normal: Batch) -> None:
        """Look once at the whole training data, before the first step of a fresh fit.

        Most generators have no need of it. Controls remember images here; what is kept must be a buffer.

        Args:
            defect: all training defect images (uint8 source, given as floats on the CPU).
            normal: up to 1,000 training normals.
        """
        return

    def stages(self, images: int) -> Sequence[Stage]:
        """Divide a budget of `images` into stages; by default there is one."""
        return (Stage("train", images, self.streams),) if self.learns else ()

    def enter(self, stage: Stage) -> None:
        """Prepare the networks for a stage, e.g. freeze a backbone; called again on resume."""
        return

    def training_step(self, batch: TrainBatch, step: int) -> Tensor | None:
        """Learn from one batch, all players once; manual optimisation by `Turns`. Only of a generator that learns."""
        raise NotImplementedError

    @abstractmethod
    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Make one image per row of the request, in evaluation mode, without gradients.

        Args:
            request: what is asked for, on this module's device.
            rng: a CPU generator; the only source of randomness.
        """

    def report(self, **losses: Tensor) -> None:
        """Hand losses to the loop, which writes the curves; names are `who_what`, e.g. `critic_adversarial`."""
        for name, value in losses.items():
            self.losses[name] = value.detach()

    def draw(self, *shape: int, rng: torch.Generator) -> Tensor:
        """Draw standard normal noise from `rng` and bring it to this module's device."""
        return torch.randn(shape, generator=rng, device=rng.device).to(self.device)
