"""The ResNet encoder-decoder of image-to-image translation: CycleGAN, StarGAN, StarGAN + SPADE and Defect-GAN.

conv7 - downs - residual blocks - ups - heads (Johnson et al. 2016, appendix). What differs between the four is the input
channels, the normalisation of each half, the padding, the down kernel, noise and the heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.content_noise import AddNoise, Draw
from defectbench.nn.blocks.modulate import Norm, instance
from defectbench.nn.blocks.resblk import Padding, PostActBlock


class Translator(nn.Module):
    """Encoder-decoder that keeps the image's size.

    Args:
        in_ch: channels in; label maps are concatenated by the caller.
        base: width of the first convolution; doubled by each down.
        downs: number of halvings; H and W must be divisible by `2 ** downs`.
        blocks: residual blocks at the narrowest place.
        heads: output channels by head, each a conv7 on the same last features.
        encode_norm: normalisation of the first convolution and the downs.
        decode_norm: normalisation of the residual blocks and the ups; may be conditional.
        kernel: 4 as StarGAN, or 3 as CycleGAN, for downs and transposed ups.
        padding: of conv7 and the residual blocks. With "reflect", instance normalisation would erase constant label
            maps in the input: keep "zeros" there.
        bias: of convolutions before normalisations; without effect where the normalisation is plain, so off by default.
        head_bias: of the heads.
        noise: whether noise with learned strength follows every convolution block.
    """

    def __init__(
        self,
        *,
        in_ch: int = 3,
        base: int = 64,
        downs: int = 2,
        blocks: int = 6,
        heads: Mapping[str, int] | None = None,
        encode_norm: Norm | None = None,
        decode_norm: Norm | None = None,
        kernel: int = 4,
        padding: Padding = "zeros",
        bias: bool = False,
        head_bias: bool = False,
        noise: bool = False,
    ) -> None:
        """Build all layers.

        Raises:
            ValueError: the kernel is neither 3 nor 4.
        """
        super().__init__()
        if kernel not in (3, 4):
            raise ValueError(f"kernel is {kernel}; wants 4 (StarGAN) or 3 (CycleGAN)")
        encode_norm = encode_norm or instance(affine=True)
        decode_norm = decode_norm or encode_norm
        widths = [base * 2**level for level in range(downs + 1)]

        def conv7(cin: int, cout: int, with_bias: bool) -> nn.Conv2d:
            return nn.Conv2d(cin, cout, 7, padding=3, padding_mode=padding, bias=with_bias)

        self.encode = nn.ModuleList([conv7(in_ch, base, bias)])
        self.encode.extend(
            nn.Conv2d(cin, cout, kernel, 2, padding=1, bias=bias) for cin, cout in pairwise(widths)
        )
        self.blocks = nn.ModuleList(
            PostActBlock(widths[-1], norm=decode_norm, padding=padding, bias=bias, noise=noise)
            for _ in range(blocks)
        )
        narrowing = widths[::-1]
        self.decode = nn.ModuleList(
            nn.ConvTranspose2d(cin, cout, kernel, 2, 1, output_padding=4 - kernel, bias=bias)
            for cin, cout in pairwise(narrowing)
        )
        self.encode_norms = nn.ModuleList(encode_norm(width) for width in widths)
        self.decode_norms = nn.ModuleList(decode_norm(width) for width in narrowing[1:])
        noisy = len(self.encode) + len(self.decode) if noise else 0
        self.noises = nn.ModuleList(AddNoise() for _ in range(noisy))
        self.heads = nn.ModuleDict(
            {name: conv7(base, width, head_bias) for name, width in (heads or {"image": 3}).items()}
        )

    def forward(
        self, x: Tensor, condition: Tensor | None = None, draw: Draw | None = None
    ) -> dict[str, Tensor]:
        """Translate: (B, in_ch, H, W) in; one (B, width, H, W) per head out, before tanh or sigmoid.

        Args:
            x: images, with label maps if the method concatenates them.
            condition: passed to every normalisation.
            draw: source of noise; needed if the network was built with noise.

        Raises:
            ValueError: the network has noise and `draw` is missing.
        """
        if self.noises and draw is None:
            raise ValueError("this network adds noise; pass draw=draw_from(rng)")
        noises = iter(self.noises)
        for conv, norm in zip(self.encode, self.encode_norms, strict=True):
            x = _stir(F.relu(norm(conv(x), condition)), next(noises, None), draw)
        for block in self.blocks:
            x = block(x, condition, draw)
        for conv, norm in zip(self.decode, self.decode_norms, strict=True):
            x = _stir(F.relu(norm(conv(x), condition)), next(noises, None), draw)
        return {name: head(x) for name, head in self.heads.items()}


def _stir(x: Tensor, noise: nn.Module | None, draw: Draw | None) -> Tensor:
    if noise is None:
        return x
    noisy: Tensor = noise(x, draw)
    return noisy
