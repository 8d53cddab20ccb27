"""Pretrained weight files: where they may lie, which bytes they must have, how they are fetched.

A file is looked for in the folder named by DEFECTBENCH_WEIGHTS, then in torch's own cache
(TORCH_HOME/hub/checkpoints), and is downloaded to that cache unless DEFECTBENCH_OFFLINE is set. Its
SHA-256 is checked every time: a wrong file of the right name would give plausible wrong scores.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from defectbench.config import UserError
from defectbench.files import replacing

FOLDER_VARIABLE = "DEFECTBENCH_WEIGHTS"
OFFLINE_VARIABLE = "DEFECTBENCH_OFFLINE"
PATIENCE = 30  # seconds without a byte; a firewall that drops packets would hang for ever
CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """One published file.

    Attributes:
        file: its name in every folder that is searched.
        url: where it is published.
        sha256: hexadecimal digest of its bytes, or the beginning of it.
        purpose: what needs it, for messages.
        licence: of the weights.
    """

    file: str
    url: str
    sha256: str
    purpose: str
    licence: str


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


def folders() -> list[Path]:
    """Folders that are searched, in order; the last is torch's cache, where downloads go."""
    given = os.environ.get(FOLDER_VARIABLE)
    home = os.environ.get("TORCH_HOME") or os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/torch"
    cache = Path(home).expanduser() / "hub" / "checkpoints"
    return [Path(given).expanduser(), cache] if given else [cache]


def locate(weights: WeightFile) -> Path | None:
    """The first file of that name in the folders, unchecked, or None."""
    return next((p for folder in folders() if (p := folder / weights.file).is_file()), None)


def obtain(weights: WeightFile) -> Path:
    """A local file with the right bytes, downloaded if need be.

    Raises:
        UserError: it is absent and could not be downloaded, or its bytes are wrong.
    """
    path = locate(weights)
    if path is None:
        if os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
            raise _absent(weights, f"{OFFLINE_VARIABLE} is set")
        path = folders()[-1] / weights.file
        _download(weights, path)
    elif not (digest := sha256_of(path)).startswith(weights.sha256):
        raise UserError(
            f"{path}: SHA-256 is {digest[:16]}…, want {weights.sha256[:16]}…; it is not the file "
            f"published at {weights.url}. Delete it and let it be downloaded, or put the right one "
            f"into a folder named by {FOLDER_VARIABLE}"
        )
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, remembered while its size and time stay the same."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _time: int) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _absent(weights: WeightFile, reason: str) -> UserError:
    """The one error of a file that cannot be had."""
    where = " or ".join(str(folder) for folder in folders())
    return UserError(
        f"{weights.file} (for {weights.purpose}) is not in {where} and cannot be downloaded: "
        f"{reason}. Fetch {weights.url} on a machine with a network and name its folder in "
        f"{FOLDER_VARIABLE}, or score with the seeded extractors (names ending in random_s0)"
    )


def _download(weights: WeightFile, path: Path) -> None:
    """Fetch to a temporary file beside `path`, check, and move into place."""
    digest = hashlib.sha256()
    try:
        with replacing(path) as temporary:
            with (
                urllib.request.urlopen(weights.url, timeout=PATIENCE) as source,
                temporary.open("wb") as file,
            ):
                while block := source.read(CHUNK):
                    digest.update(block)
                    file.write(block)
            if not digest.hexdigest().startswith(weights.sha256):
                raise _absent(weights, f"what was sent has SHA-256 {digest.hexdigest()[:16]}…")
    except (OSError, ValueError) as error:
        raise _absent(weights, str(error)) from error


def inventory() -> list[tuple[str, str]]:
    """Every known file: its name, and where it was found or how to get it. Reads no file's bytes."""
    told = []
    for weights in KNOWN:
        path = locate(weights)
        where = str(path) if path else f"absent; {weights.url}"
        told.append((weights.file, f"{where} ({weights.purpose}; {weights.licence})"))
    return told
