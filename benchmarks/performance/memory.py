"""Peak memory of the stages on large sets, each in a process of its own, MiB; Linux alone.

`peak` is the maximum resident set, which holds memory-mapped files too: the system takes their pages back when it needs them.
`of its own` is the largest part that belongs to the process alone, looked at every 20 ms.

100,000 images of a manifest; 6,000 images of 128 px decoded into a cache; 6,000 of 128 px drawn and written by the sample
stage; 20,000 of 128 px through the feature network Lite0. `start` is what a process holds before it begins: the interpreter and the
libraries that the stage imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

COMMON = """
import json, resource, sys, threading, time
from pathlib import Path
import numpy as np
import pandas as pd

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

own = 0.0

def watch():
    global own
    while True:
        with open("/proc/self/status") as file:
            own = max(own, *(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon")))
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()

def end(start, **more):
    print(json.dumps({"start": start, "peak": peak(), "own": own, **more}))

folder, count = Path(sys.argv[1]), int(sys.argv[2])

def noise(number, size=128):
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
"""

MANIFEST = """
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.splits import split
start = peak()
n = count
table = pd.DataFrame({
    "id": [f"p{i % 10}/test/d{i % 7}/{i:06d}" for i in range(n)],
    "group": [f"g{i // 5}" for i in range(n)],
    "product": [f"p{i % 10}" for i in range(n)],
    "defects": [(f"d{i % 7}",) if i % 3 else () for i in range(n)],
    "mask": "", "split": "", "source": "real", "mask_source": "none",
})
table["image"] = table["id"] + ".png"
names = tuple(f"d{i}" for i in range(7)), tuple(f"p{i}" for i in range(10))
split(Manifest(table, folder, "many", *names), "fraction(test=0.4)").save(folder)
Manifest.load(folder).digest()
end(start)
"""

IMAGES = """
from PIL import Image
(folder / "images").mkdir(parents=True)
for i in range(count):
    Image.fromarray(noise(i)).save(folder / f"images/{i:05d}.png", compress_level=1)
mask = np.zeros((128, 128), np.uint8)
mask[30:60, 40:90] = 255
Image.fromarray(mask).save(folder / "mask.png")
"""

PREPARE = """
from defectbench.data.manifest import Manifest
from defectbench.data.cache.prepare import prepare
start = peak()
table = pd.DataFrame({"image": [f"images/{i:05d}.png" for i in range(count)]})
table["id"] = table["group"] = table["image"]
table["mask"] = ["mask.png" if i % 2 else "" for i in range(count)]
table["defects"] = [("d",) if i % 2 else () for i in range(count)]
table["product"], table["split"], table["source"], table["mask_source"] = "p", "train", "real", "annotation"
prepare(Manifest(table, folder, "many", ("d",), ("p",)), folder / "cache", size=128)
end(start)
"""

SAMPLE = """
import shutil
from defectbench import names
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.module import ImageSet, View
from defectbench.plan.job import Job
from defectbench.stages.context import Context
from defectbench.stages.sample import sample
from defectbench.stages.checkpoints import save_generator
from defectbench.store.jobs import Store
real = Prepared.open(folder / "cache")
store = Store(folder / "jobs")
generator = names.find("generators", "memoriser").load()(size=128, defects=real.defects, products=real.products).eval()
view = View("full")
generator.observe(view.apply(ImageSet.of(real, real.rows(defective=True)[:20]).all()), ImageSet.of(real, real.rows(defective=False)[:20]).all())
data, fit = Job("prepare", {}), Job("fit", {})
store.folder(data.id).mkdir(parents=True)
(store.folder(data.id) / "cache").symlink_to(real.folder)
store.folder(fit.id).mkdir()
told = {"name": "full", "background": 0, "dilate": 0}
save_generator(generator, "memoriser", store.folder(fit.id) / "generator.ckpt", told)
store.finish(fit, {**fit.to_json(), "view": told})
spec = dict(counts={"d": count}, labels={}, references=None, product=None, joint=False, batch=16, composite="none", threads=1, seed=0)
job = Job("sample", spec, {"data": data.id, "source": data.id, "fit": fit.id})
store.folder(job.id).mkdir()
start = peak()
sample(job, store.folder(job.id), Context(store))
end(start, images=len(list(store.folder(job.id).glob("images/*.png"))))
"""

FEATURES = """
from defectbench.data.files.decoding import decode_image
from defectbench.features.extractors import build
from defectbench.features.feature_store import FeatureStore
from defectbench.features.images import FileImages
import torch
torch.set_num_threads(1)
network = build("lite0_imagenet")
start = peak()
paths = sorted((folder / "images").iterdir())
images = FileImages([paths[i % len(paths)] for i in range(count)], decode_image)
found = FeatureStore(folder / "features").get(images, [network])
end(start, shape=list(next(iter(found.values())).shape))
"""


def measure(script: str, folder: Path, count: int) -> dict[str, float]:
    """Run a script in a process of its own; give what it prints last."""
    command = [sys.executable, "-c", COMMON + script, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def say(what: str, found: dict[str, float]) -> None:
    """Print one measurement."""
    print(
        f"{what:<58} start {found['start']:6.0f}   peak {found['peak']:6.0f}   of its own {found['own']:6.0f} MiB",
        flush=True,
    )


def main(images: int = 20_000) -> None:
    """Measure; `images` is the number whose features are computed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(MANIFEST, folder / "manifest", 100_000)
        say("manifest of 100,000 images: split, save, load, digest", found)
        for count in (1_000, 6_000):
            many = folder / f"{count}"
            measure(IMAGES + "end(0)", many, count)
            say(f"prepare {count:,} images of 128 px", measure(PREPARE, many, count))
            say(f"draw and write {count:,} samples of 128 px", measure(SAMPLE, many, count))
        for count in (images // 10, images):
            found = measure(FEATURES, folder / "6000", count)
            say(f"lite0_imagenet: features of {count:,} images of 128 px", found)


if __name__ == "__main__":
    main()
