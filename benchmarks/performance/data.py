"""How fast data is scanned, split, prepared and read: ratios and processor seconds in one run.

DEFECTBENCH_DATA names a folder that holds the real `mtd/`, whose stand-in is
drawn otherwise. Targets: scanning 1,344 pairs under 2 s; reading from the cache at least 20 times faster than decoding
1024 px PNGs at 256 px; 100,000 images split in under 5 s and 1 GiB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from defectbench.data.cache.prepare import prepare
from defectbench.data.files.decoding import decode_image, decode_mask
from defectbench.data.files.digests import source_digest
from defectbench.datasets.mtd import COUNTS, FREE, MTD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.standin import write_standin
from defectbench.standin.order import Order

SIZE = 256
LARGE = 1024
IMAGES = 24

SPLIT = """
import resource, time
from pathlib import Path
import pandas as pd
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.splits import split
n = 100_000
table = pd.DataFrame({
    "id": [f"p{i % 10}/test/d{i % 7}/{i:06d}" for i in range(n)],
    "group": [f"g{i // 5}" for i in range(n)],
    "product": [f"p{i % 10}" for i in range(n)],
    "defects": [(f"d{i % 7}",) if i % 3 else () for i in range(n)],
    "mask": "", "split": "", "source": "real", "mask_source": "none",
})
table["image"] = table["id"] + ".png"
names = tuple(f"d{i}" for i in range(7)), tuple(f"p{i}" for i in range(10))
manifest = Manifest(table, Path("."), "many", *names)
start = time.process_time()
done = split(manifest, "fraction(test=0.4)")
done.digest()
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def seconds(call: Callable[[], object], runs: int = 3) -> float:
    """Return the processor time of the cheapest of several calls."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def say(what: str, value: float, unit: str, target: str = "") -> None:
    """Print one measurement."""
    print(f"{what:<58} {value:10.2f} {unit:<8} {target}", flush=True)


def scanning(folder: Path, data: Path | None) -> None:
    root = data / "mtd" if data is not None else folder / "mtd"
    kind = "real"
    if not (root / f"MT_{FREE}").is_dir():
        kind, root = "stand-in", folder / "mtd"
        write_standin("mtd", root, Order(size=280, normals=COUNTS[FREE], defective=78, seed=0))
    manifest = MTD().scan(root)
    took = seconds(lambda: MTD().scan(root))
    say(f"scan MTD ({kind}, {len(manifest)} pairs), warm", took, "s", "target < 2")
    memo = folder / "memo.json"
    first = seconds(lambda: source_digest(manifest, memo), runs=1)
    say("hash every file of it, first time", first, "s")
    say("hash every file of it, with the memo", seconds(lambda: source_digest(manifest, memo)), "s")


def splitting() -> None:
    command = [sys.executable, "-c", SPLIT]
    took, memory = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    say("split and hash 100,000 images", float(took), "s", "target < 5")
    say("peak memory of that process", float(memory), "GiB", "target < 1")


def anonymous() -> float:
    """Return the process's own memory, without file pages, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def reading(folder: Path) -> None:
    root = write_standin(
        "mvtec_ad",
        folder / "large",
        Order(size=LARGE, normals=IMAGES, defective=1, seed=0, products=["wood"]),
    )
    manifest = MVTecAD().scan(root)
    whole = len(manifest)

    def decode() -> None:
        rows = zip(manifest.table["image"], manifest.table["mask"], strict=True)
        for image, mask in rows:
            shown = Image.fromarray(decode_image(root / image))
            np.asarray(shown.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            if mask:
                marks = Image.fromarray(decode_mask(root / mask, 128))
                np.asarray(marks.resize((SIZE, SIZE), Image.Resampling.NEAREST))

    alone = seconds(lambda: prepare(manifest, folder / "alone", size=SIZE), runs=1)
    say(f"prepare {whole} images of {LARGE} px at {SIZE} px, per image", 1e3 * alone / whole, "ms")
    cache = prepare(manifest, folder / "alone", size=SIZE)
    order = np.random.default_rng(0).permutation(len(cache))

    def read() -> None:
        for start in range(0, len(order), 8):
            rows = order[start : start + 8]
            cache.images[rows], cache.masks[rows]

    read()
    before = anonymous()
    slow, fast = seconds(decode, runs=1), seconds(read, runs=9)
    say(f"decode {LARGE} px PNGs at {SIZE} px, per image", 1e3 * slow / whole, "ms")
    say("read from the cache, per image", 1e3 * fast / whole, "ms")
    say("decoding / reading", slow / fast, "times", "target > 20")
    say("memory of its own that reading added", anonymous() - before, "MiB")


def main() -> None:
    given = os.environ.get("DEFECTBENCH_DATA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scanning(folder, Path(given) if given else None)
        splitting()
        reading(folder)


if __name__ == "__main__":
    main()
