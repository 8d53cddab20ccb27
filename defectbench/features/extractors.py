"""Feature extractors: uint8 images in, float32 rows out; each states its network, resize and digest.

Extractors that read several layers give them in one pass, side by side, and name the parts: the
TF-2015 Inception gives pool3 and logits. `lite0_imagenet` needs no download, as its weights come with
an installed package; `vgg16_random_s0` is a network with seeded random weights (Naeem et al. 2020).
Scores on either carry its name and are never called FID; docs/metrics.md compares the two.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.config import UserError, nearest
from defectbench.features.backbones import Backbone
from defectbench.features.lpips import Lpips, check_images
from defectbench.features.weights import (
    CLIP_VITB32,
    DINOV2_VITB14,
    DINOV2_VITL14,
    INCEPTION,
)
from defectbench.nn.blocks.imagenet_input import MEAN, STD
from defectbench.nn.pretrained import LITE0, load_backbone, origins
from defectbench.nn.weights import WeightFile, obtain, sha256_of


class FeatureExtractor(nn.Module, ABC):
    """Turns images into rows of numbers.

    Attributes:
        gives: what `FeatureStore.get` gives of it: "rows", one per image and part.
        name: public name; it says the network and its weights.
        dim: numbers per image.
        sha256: digest of the weights.
        resize: how images reach the network's size.
        parts: columns of each named part; by default one part with the extractor's name.
    """

    gives: Literal["rows"] = "rows"

    def __init__(self, name: str, sha256: str, resize: str, parts: Mapping[str, int] | int) -> None:
        """Say what it is.

        Args:
            name: public name.
            sha256: digest of the weights.
            resize: the rule in a few words.
            parts: numbers per image of each part, in order; a single number for one part.
        """
        super().__init__()
        self.name, self.sha256, self.resize = name, sha256, resize
        widths = {name: parts} if isinstance(parts, int) else dict(parts)
        columns, start = {}, 0
        for part, width in widths.items():
            columns[part] = slice(start, start + width)
            start += width
        self.parts: Mapping[str, slice] = MappingProxyType(columns)
        self.dim = start

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Extract features in one pass.

        Args:
            images: (N, 3, H, W) uint8.

        Returns:
            (N, dim) float32.

        Raises:
            ValueError: not (N, 3, H, W) uint8, or too small for the network.
        """


class InceptionTF2015(FeatureExtractor):
    """The TF-2015 Inception of torch-fidelity, with TensorFlow 1's bilinear resize to 299 px.

    Parts: `inception_tf2015_pool3` (2,048, for FID and KID) and `inception_tf2015_logits` (1,008
    without the last bias, for IS).
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        """Load the network.

        Args:
            weights: a torch-fidelity state dict to use unchecked; None takes the published one.

        Raises:
            UserError: the weights cannot be had.
        """
        path = weights or obtain(INCEPTION)
        super().__init__(
            "inception_tf2015",
            sha256_of(path),
            "tf1_bilinear_299",
            {"inception_tf2015_pool3": 2048, "inception_tf2015_logits": 1008},
        )
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        with torch.random.fork_rng(devices=[]):  # its layers draw weights before theirs are loaded
            self.network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=str(path),
            )

    def forward(self, images: Tensor) -> Tensor:
        """See `FeatureExtractor`."""
        check_images(images)
        return torch.cat(self.network(images), dim=1)


class RandomVgg16(FeatureExtractor):
    """VGG16 with seeded random weights at the images' own size: spatial means of its five blocks.

    Departs: Naeem et al. 2020 read a random VGG16's second fully connected layer at 224 px. Means
    over space of all five blocks (1,472 numbers) cost a tenth of that on images of 64 px, and keep
    the fine textures that the last layers of a random network no longer tell apart.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Draw the weights.

        Args:
            seed: of the weights; it is part of the name.
        """
        backbone = Backbone("vgg", seed=seed)
        super().__init__(
            f"vgg16_random_s{seed}", backbone.sha256, "native", sum(backbone.layout.channels)
        )
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """See `FeatureExtractor`."""
        check_images(images)
        layers = self.backbone((images.float() / 255 - self.mean) / self.std)
        return torch.cat([layer.mean(dim=(2, 3)) for layer in layers], dim=1)


class Lite0(FeatureExtractor):
    """EfficientNet-Lite0 by timm with ImageNet weights, at 224 px with antialiased bicubic resize.

    Parts: `lite0_imagenet` (1,280 numbers, the last layer pooled over space) and `lite0_imagenet_logits` (1,000, for the
    Inception Score).
    """

    def __init__(self) -> None:
        """Load the network.

        Raises:
            UserError: the weights cannot be had.
        """
        network: Any = load_backbone(LITE0, "imagenet")
        name = "lite0_imagenet"
        super().__init__(
            name,
            origins(network)[0].sha256,
            "bicubic_antialias_224",
            {name: network.num_features, f"{name}_logits": network.num_classes},
        )
        network = network.eval().requires_grad_(False)
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """See `FeatureExtractor`."""
        check_images(images)
        scaled = F.interpolate(images.float() / 255, (224, 224), mode="bicubic", antialias=True)
        scaled = (scaled.clamp(0, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)
        pooled = self.network.forward_head(self.network.forward_features(scaled), pre_logits=True)
        return torch.cat([pooled, self.network.classifier(pooled)], dim=1)


class DinoV2(FeatureExtractor):
    """DINOv2's class token by timm, at 224 px with antialiased bicubic resize (Stein et al. 2023).

    Departs: position embeddings are interpolated to 16 x 16 by timm's rule, which differs from
    the original repository's in the last digits.
    """

    def __init__(
        self, name: str, architecture: str, file: WeightFile, *, weights: Path | None = None
    ) -> None:
        """Load the network.

        Args:
            name: public name.
            architecture: timm's name of it.
            file: the published weights.
            weights: a state dict to use unchecked; None takes the published one.

        Raises:
            UserError: the weights cannot be had.
        """
        path = weights or obtain(file)
        import timm

        with torch.device("meta"):
            network: Any = timm.create_model(architecture, num_classes=0, img_size=224)
        super().__init__(name, sha256_of(path), "bicubic_antialias_224", network.num_features)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = timm.models.vision_transformer.checkpoint_filter_fn(state, network)
        network.load_state_dict(state, assign=True)
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """See `FeatureExtractor`."""
        check_images(images)
        scaled = F.interpolate(images.float() / 255, (224, 224), mode="bicubic", antialias=True)
        rows: Tensor = self.network((scaled.clamp(0, 1) - self.mean) / self.std)
        return rows.float()


class Clip(FeatureExtractor):
    """CLIP's image encoder as torch-fidelity offers it, with its TensorFlow-like bilinear resize."""

    def __init__(
        self, name: str, network: str, file: WeightFile, dim: int, *, weights: Path | None = None
    ) -> None:
        """Load the network.

        Args:
            name: public name.
            network: torch-fidelity's name of it.
            file: the published weights.
            dim: numbers per image.
            weights: a TorchScript archive to use unchecked; None takes the published one.

        Raises:
            UserError: the weights cannot be had.
        """
        path = weights or obtain(file)
        super().__init__(name, sha256_of(path), "tf1_bilinear", dim)
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore", FutureWarning)  # OpenAI publishes TorchScript only
            self.network = FeatureExtractorCLIP(
                network, ["clip"], feature_extractor_weights_path=str(path)
            ).eval()

    def forward(self, images: Tensor) -> Tensor:
        """See `FeatureExtractor`."""
        check_images(images)
        rows: Tensor = self.network(images)[0]
        return rows


Maker = Callable[[], "FeatureExtractor | Lpips"]

EXTRACTORS: Mapping[str, Maker] = MappingProxyType(
    {
        "inception_tf2015": InceptionTF2015,
        "lite0_imagenet": Lite0,
        "vgg16_random_s0": RandomVgg16,
        "dinov2_vitb14": lambda: DinoV2("dinov2_vitb14", "vit_base_patch14_dinov2", DINOV2_VITB14),
        "dinov2_vitl14": lambda: DinoV2("dinov2_vitl14", "vit_large_patch14_dinov2", DINOV2_VITL14),
        "clip_vitb32": lambda: Clip("clip_vitb32", "clip-vit-b-32", CLIP_VITB32, 512),
        "lpips_vgg": lambda: Lpips("vgg"),
        "lpips_alex": lambda: Lpips("alex"),
        "lpips_vgg_random_s0": lambda: Lpips("vgg", seed=0),
        "lpips_alex_random_s0": lambda: Lpips("alex", seed=0),
    }
)
# Parts that a metric may name in place of the extractor that gives them.
PARTS: Mapping[str, str] = MappingProxyType(
    {
        "inception_tf2015_pool3": "inception_tf2015",
        "inception_tf2015_logits": "inception_tf2015",
        "lite0_imagenet_logits": "lite0_imagenet",
    }
)


def build(name: str) -> FeatureExtractor | Lpips:
    """An extractor by its name, or by the name of a part that it gives.

    Raises:
        UserError: no such extractor, or its weights cannot be had.
    """
    maker = EXTRACTORS.get(PARTS.get(name, name))
    if maker is None:
        raise UserError(f"no extractor {name!r}; {nearest(name, [*EXTRACTORS, *PARTS])}")
    return maker()
