"""The weight files of the metrics' extractors; `nn/weights.py` finds, checks and fetches them."""

from __future__ import annotations

from defectbench.nn.weights import WeightFile

INCEPTION = WeightFile(
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "TF-2015 Inception: FID, KID, IS",
    "Apache-2.0",
)
VGG16 = WeightFile(
    "vgg16-397923af.pth",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "LPIPS with VGG16",
    "BSD-3-Clause",
)
ALEXNET = WeightFile(
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "LPIPS with AlexNet",
    "BSD-3-Clause",
)
DINOV2_VITB14 = WeightFile(
    "dinov2_vitb14_pretrain.pth",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
    "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    "DINOv2 ViT-B/14: FD and KD",
    "Apache-2.0",
)
DINOV2_VITL14 = WeightFile(
    "dinov2_vitl14_pretrain.pth",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    "DINOv2 ViT-L/14: FD and KD",
    "Apache-2.0",
)
CLIP_VITB32 = WeightFile(
    "clip-vit-b-32-40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af.pt",
    "https://openaipublic.azureedge.net/clip/models/"
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    "CLIP ViT-B/32: FD and KD",
    "MIT",
)
KNOWN = (INCEPTION, VGG16, ALEXNET, DINOV2_VITB14, DINOV2_VITL14, CLIP_VITB32)
