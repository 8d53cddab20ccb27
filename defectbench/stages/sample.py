"""The sample stage: ask a fitted generator, blend contents into normals, write images, masks and where each came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from defectbench.data.streams.learned import Learned, check_requests
from defectbench.plan.job import Job
from defectbench.plan.planner import paints_on_normals
from defectbench.rng import derive, torch_rng

if TYPE_CHECKING:
    from defectbench.data.cache.prepared import Prepared
    from defectbench.stages.context import Context
    from defectbench.store.jobs import Store

LARGEST_DEFECT = 0.6
"""Share of the image above which watershed has found no defect but the whole picture."""


def sample(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Make synthetic images with masks, composite them if asked, and write them with where each came from."""
    from defectbench.data.cache.prepare import prepare
    from defectbench.data.streams.module import View
    from defectbench.data.streams.restored import FOLDER as RESTORED
    from defectbench.data.streams.synthetic import requests, synthetic_manifest, write_images
    from defectbench.machine import Machine
    from defectbench.stages.checkpoints import load_generator
    from defectbench.stages.context import JobFailed

    spec, store = job.spec, context.store
    real, learned = sides(job, store)
    guided = spec["references"] is not None
    rows: list[dict[str, Any]] = []
    restored: list[dict[str, Any]] = []
    fits = sum(role.startswith("fit") for role in job.parents)
    done, total = 0, sum(spec["counts"].values())
    device = "cuda" if Machine(**context.machine).on_cuda else "cpu"
    for role, fit in sorted(job.parents.items()):
        if not role.startswith("fit"):
            continue
        fitted = store.result(fit)
        if fitted is None:
            raise JobFailed(f"its fit {fit} has no result")
        generator = load_generator(store.folder(fit) / "generator.ckpt").to(device)
        view = View(**fitted["view"])
        _, _, only = role.partition(":")
        facts = {"reads": generator.reads, "mask_source": generator.mask_source}
        composite = compositing(facts, view.name, spec["composite"])
        for asked in requests(
            real,
            counts_of(spec, only),
            reads=generator.reads | ({"reference"} if guided else frozenset()),
            view=view,
            batch=spec["batch"],
            seed=derive(spec["seed"], "sample", only),
            needs_normals=composite != "none",
            learned=learned,
            joint=spec["joint"],
        ):
            rng = torch_rng(spec["seed"], "sample", only, asked.index)
            made = finish_sample(
                synthesise(generator, asked.request, rng),
                asked.normals,
                view,
                composite,
                generator.mask_source,
            )
            paths = write_images(folder, len(rows), made.images, made.masks)
            rows.extend(
                {"image": image, "mask": mask if ok else "", "mask_source": source, **whence}
                for (image, mask), ok, source, whence in zip(
                    paths, made.valid, made.sources, asked.provenance, strict=True
                )
            )
            done += len(made.images)
            if context.progress:
                context.progress(done, total)
        restored.extend(
            _restore(
                generator, job, folder, only, start=len(restored), fits=fits, sides=(real, learned)
            )
        )
    if restored:
        apart = synthetic_manifest(folder / RESTORED, restored, real, f"{job.id}/{RESTORED}")
        apart.save(folder / RESTORED)
        prepare(apart, folder / RESTORED / "cache", size=real.images.shape[1])
    manifest = synthetic_manifest(folder, rows, real, job.id)
    manifest.save(folder)
    prepare(manifest, folder / "cache", size=real.images.shape[1])
    _draw_grid(folder, manifest)
    sources = Counter(row["mask_source"] for row in rows)
    invalid = sources["invalid"] + sources["none"]
    counts = {"images": len(rows), "without_mask": invalid}
    if restored:
        counts["restored"] = len(restored)
    return {"counts": counts, "mask_sources": dict(sorted(sources.items()))}


def _restore(
    generator: Any,
    job: Job,
    folder: Path,
    only: str,
    *,
    start: int,
    fits: int,
    sides: tuple[Prepared, Learned],
) -> list[dict[str, Any]]:
    """Write one fit's share of the restored normals that the job asks for; give their rows."""
    from defectbench.batch import to_uint8
    from defectbench.data.streams.restored import FOLDER, restorations
    from defectbench.data.streams.synthetic import write_images

    spec, rows = job.spec, []
    for asked in restorations(
        sides[0],
        spec.get("restored", 0) // fits,
        batch=spec["batch"],
        seed=derive(spec["seed"], "restored", only),
        learned=sides[1],
        defects=counts_of(spec, only),
    ):
        rng = torch_rng(spec["seed"], "restored", only, asked.index)
        made = to_uint8(synthesise(generator, asked.request, rng)["image"])
        images = made.permute(0, 2, 3, 1).cpu().numpy()
        paths = write_images(folder / FOLDER, start + asked.index, images, None)
        rows += [
            {"image": image, "mask": "", "mask_source": "none", **whence}
            for (image, _), whence in zip(paths, asked.provenance, strict=True)
        ]
    return rows


def sides(job: Job, store: Store) -> tuple[Prepared, Learned]:
    """Open what a sample job draws beside, and what its generators have learned from."""
    from defectbench.data.cache.prepared import Prepared

    spec = job.spec
    real = source = Prepared.open(store.folder(job.parents["data"]) / "cache")
    if job.parents["source"] != job.parents["data"]:
        source = Prepared.open(store.folder(job.parents["source"]) / "cache")
    product = spec["product"] or (source.products[0] if len(source.products) == 1 else None)
    return real, Learned(source, spec["labels"], tuple(spec["references"] or ()), product)


def check_sample(job: Job, fits: Mapping[str, Job], store: Store) -> None:
    """Refuse a sample job that its images show to be impossible, before a generator is trained for it.

    Args:
        job: the sample job; the images that it stands on are there.
        fits: its fits, by role.
        store: where the images are.

    Raises:
        UserError: as `requests`.
    """
    from defectbench import names

    real, learned = sides(job, store)
    guided = job.spec["references"] is not None
    for role, fit in fits.items():
        facts = names.find("generators", fit.spec["generator"]).facts
        composite = compositing(facts, fit.spec["view"]["name"], job.spec["composite"])
        check_requests(
            real,
            counts_of(job.spec, role.partition(":")[2]),
            reads=facts["reads"] | ({"reference"} if guided else frozenset()),
            needs_normals=composite != "none",
            learned=learned,
        )


def counts_of(spec: Mapping[str, Any], only: str) -> dict[str, int]:
    """Give what one of the fits of a sample job is asked for: all, or the defect `only` that it has learned."""
    return {
        defect: count
        for defect, count in spec["counts"].items()
        if not only or spec["labels"].get(defect, defect) == only
    }


def compositing(facts: Mapping[str, Any], view: str, wish: str) -> str:
    """Say how a generator's images are blended into normals: as wished if it draws contents, else "none".

    One that paints on its normal has done so itself, whatever view it learned from.
    """
    return wish if view == "contents" and not paints_on_normals(facts) else "none"


def synthesise(generator: Any, request: Any, rng: Any) -> Any:
    """Ask a generator, on its device, without gradients."""
    import torch

    from defectbench.data.streams.module import tensor_tree

    with torch.no_grad():
        return generator.synthesise(tensor_tree(request, lambda t: t.to(generator.device)), rng)


@dataclass(frozen=True)
class Made:
    """Finished synthetic images.

    Attributes:
        images: (B, H, W, 3) uint8.
        masks: (B, H, W) bool, or None.
        valid: (B,) bool: whether the mask may be used.
        sources: (B,) mask source of each.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_] | None
    valid: list[bool]
    sources: list[str]


def finish_sample(
    sample: Any, normals: npt.NDArray[np.uint8], view: Any, composite: str, mask_source: str
) -> Made:
    """Turn what a generator returned into full images with masks.

    Contents are masked by watershed, blended into their normals and the mask refined (DCDGANc section 2.3) and narrowed
    by what the view had widened it; full images keep the generator's own mask.
    """
    from defectbench.batch import to_uint8
    from defectbench.imaging.blending import (
        alpha_blend,
        improved_poisson_blend,
        poisson_blend,
        refine_mask,
    )
    from defectbench.imaging.watershed import content_mask, narrow

    images = to_uint8(sample["image"]).permute(0, 2, 3, 1).cpu().numpy()
    count = len(images)
    if composite == "none":
        if "mask" not in sample:
            return Made(images, None, [False] * count, ["none"] * count)
        masks = sample["mask"][:, 0].bool().cpu().numpy()
        valid = masks.reshape(count, -1).any(1)
        if "valid" in sample:
            valid &= sample["valid"].cpu().numpy()
        return Made(
            images, masks, valid.tolist(), [mask_source if ok else "invalid" for ok in valid]
        )
    side = images.shape[1]
    smallest = max(4, round(25 * (side / 256) ** 2))  # facts, section 4: 25 px at 256 px
    boundary = 5 * side / 256  # section 2.3: 5 pixels, at 256 px
    blends: Mapping[str, Callable[..., npt.NDArray[np.uint8]]] = {
        "improved_poisson": partial(improved_poisson_blend, boundary=boundary),
        "alpha": partial(alpha_blend, boundary=boundary),
        "poisson": poisson_blend,
    }
    out, masks = np.empty_like(images), np.zeros(images.shape[:3], dtype=bool)
    for i in range(count):
        raw = content_mask(images[i], view.background, min_area=smallest)
        out[i] = normals[i]
        if raw.any():
            out[i] = blends[composite](images[i], normals[i], raw)
            masks[i] = refine_mask(out[i], normals[i], raw) & narrow(raw, view.dilate)
    share = masks.reshape(count, -1).mean(1)
    valid = ((share > 0) & (share < LARGEST_DEFECT)).tolist()
    return Made(out, masks, valid, ["watershed" if ok else "invalid" for ok in valid])


def _draw_grid(folder: Path, manifest: Any) -> None:
    """Draw `samples.png`: a few images of each defect with their masks outlined."""
    from PIL import Image

    from defectbench.imaging.grid import grid
    from defectbench.imaging.masks import outline

    pictures, labels = [], []
    for defect in manifest.defects:
        rows = manifest.table[manifest.table["label"] == defect].head(8)
        for row in rows.itertuples():
            image = np.asarray(Image.open(folder / row.image))
            if row.mask:
                mask = np.asarray(Image.open(folder / row.mask)) > 127
                image = outline(image, mask, (255, 40, 40))
            pictures.append(image)
            labels.append(defect if len(pictures) % 8 == 1 else "")
    Image.fromarray(grid(pictures, columns=8)).save(folder / "samples.png")
