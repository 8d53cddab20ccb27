"""Who computed a record: date, seconds, versions, device, commit. It goes into records, never into a CSV."""

from __future__ import annotations

import datetime
import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "defectbench",
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "segmentation-models-pytorch",
    "timm",
)


@cache
def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that move numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


@cache
def commit() -> str:
    """Give the git commit of the checkout, with `+` if files other than results differ; "" outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + ("+" if dirty else "")


def code_digest() -> str:
    """Hash the Python files of this package as they are on the disk now: the same for the same code, on every machine."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        name = path.relative_to(package).as_posix()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def device_name(machine: Mapping[str, Any]) -> str:
    """Name the device in words."""
    import torch

    from defectbench.machine import Machine

    if Machine(**machine).on_cuda:
        return str(torch.cuda.get_device_name(0))
    return f"CPU {platform.machine()}"


def provenance(machine: Mapping[str, Any], started: float, seconds: float) -> dict[str, Any]:
    """Gather what a record keeps of its making."""
    from defectbench.machine import Machine

    return {
        "date": datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "seconds": round(seconds, 2),
        "device": device_name(machine),
        "precision": Machine(**machine).resolved_precision(),
        "versions": versions(),
        "commit": commit(),
    }
