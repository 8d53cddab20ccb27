"""The fit stage: a generator learns from the prepared images of a product."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from defectbench import names
from defectbench.files import replacing
from defectbench.rng import derive

if TYPE_CHECKING:
    from defectbench.plan.job import Job
    from defectbench.stages.context import Context
    from defectbench.store.jobs import Store

SHARED = "shared.ckpt"
"""What a fit with `part: shared` leaves: weights and clock after the stages that all models of a generator share; no
optimiser, as each stage begins with new ones."""


def fit(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a generator, or those of its stages that the models of all defects share.

    A fit with a parent `shared` goes on where that one ended, as if it had trained these stages itself.
    """
    from defectbench.data.cache.prepare import Prepared
    from defectbench.data.streams.module import (
        DefectData,
        ImageSet,
        Stream,
        View,
        contents_background,
    )
    from defectbench.machine import Machine
    from defectbench.stages.checkpoints import save_generator
    from defectbench.stages.fit_checks import check_fit, trained_labels
    from defectbench.stages.training import (
        LAST,
        fit_generator,
        initialised,
        read_reached,
    )

    machine = Machine(**context.machine)
    last = folder / LAST
    if read_reached(folder) is None and "shared" in job.parents and machine.rank is None:
        _take_up(job.parents["shared"], folder, context.store)
    if machine.devices > 1 and machine.rank is None:
        from defectbench.stages.ranks.distributed import fit_on_devices

        return fit_on_devices(job, folder, context)
    spec = job.spec
    prepared = Prepared.open(context.store.folder(job.parents["data"]) / "cache")
    entry = names.find("generators", spec["generator"])
    cls = entry.load()
    rows = prepared.rows(split="train", defective=True, defect=spec.get("defect"))
    good = prepared.rows(split="train", defective=False)
    check_fit(entry, prepared, rows, good, spec)
    trained = trained_labels(entry, prepared, spec)
    defects, normals = ImageSet.of(prepared, rows), ImageSet.of(prepared, good)
    view = View(
        **spec["view"] | {"background": _background(spec["view"], defects, contents_background)}
    )
    generator = initialised(
        spec["seed"],
        lambda: cls(
            size=prepared.images.shape[1],
            defects=prepared.defects,
            products=prepared.products,
            **spec["arguments"],
        ),
    )
    augment = tuple(spec["augment"])
    streams = [Stream(defects, "defect", view, augment, spec["balance"])]
    streams += [Stream(normals, "normal", View(), augment)] if len(normals) else []
    data = DefectData(streams, batch=spec["batch"], seed=derive(spec["seed"], "fit"))
    if not last.exists():
        some = normals.subset(np.arange(min(len(normals), 1000))) if len(normals) else defects
        generator.observe(view.apply(defects.all()), some.all())
    shared = spec.get("part") == "shared"
    masks: dict[str, int] = {}

    def look(module: Any) -> None:
        masks.clear()
        masks.update(_checkpoint_grid(module, prepared, view, folder, spec, trained))

    generator = fit_generator(
        generator,
        data,
        folder,
        images=spec["images"],
        stages=entry.facts["shared_stages"] if shared else None,
        machine=machine,
        on_progress=context.progress,
        on_checkpoint=None if shared else look,
        tensorboard=context.tensorboard,
    )
    told: dict[str, Any] = {
        "counts": {"defective": len(defects), "normal": len(normals)},
        "parameters": sum(p.numel() for p in generator.parameters()),
    }
    if shared:
        if machine.leads:
            _save_shared(last, folder / SHARED)
    else:
        told["view"] = {"name": view.name, "background": view.background, "dilate": view.dilate}
        told["mask_sources"] = masks
        if machine.leads:
            save_generator(generator, entry.name, folder / "generator.ckpt", told["view"], trained)
    if machine.rank is None:
        last.unlink(missing_ok=True)
    return told


def _save_shared(last: Path, path: Path) -> None:
    """Keep weights and clock of the last checkpoint, without its optimisers."""
    import torch

    from defectbench.stages.checkpoints import save_plain

    content = torch.load(last, map_location="cpu", weights_only=True)
    save_plain({key: content[key] for key in ("state_dict", "callbacks") if key in content}, path)


def _take_up(shared: str, folder: Path, store: Store) -> None:
    """Put the end of the shared stages, which holds their curves, where a fit looks for its own last checkpoint."""
    from defectbench.stages.training import LAST

    with replacing(folder / LAST) as temporary:
        shutil.copyfile(store.folder(shared) / SHARED, temporary)


def _background(view: Mapping[str, Any], defects: Any, choose: Callable[[Any], int]) -> int:
    if view["background"] != "auto":
        return int(view["background"])
    return choose(defects) if view["name"] == "contents" else 0


def _checkpoint_grid(
    generator: Any,
    prepared: Any,
    view: Any,
    folder: Path,
    spec: Mapping[str, Any],
    trained: Sequence[str],
) -> dict[str, int]:
    """Draw a grid of samples beside the log, one row per trained defect, and count the sources of their masks."""
    from PIL import Image

    from defectbench.batch import to_uint8
    from defectbench.data.streams.synthetic import requests
    from defectbench.imaging.grid import grid
    from defectbench.rng import torch_rng
    from defectbench.stages.sample import compositing, finish_sample, synthesise

    training = generator.training
    generator.eval()
    images: list[npt.NDArray[np.uint8]] = []
    sources: Counter[str] = Counter()
    for asked in requests(
        prepared,
        dict.fromkeys(trained, 6),
        reads=generator.reads,
        view=view,
        batch=6,
        seed=derive(spec["seed"], "grid"),
    ):
        sample = synthesise(generator, asked.request, torch_rng(spec["seed"], "grid", asked.index))
        images.extend(to_uint8(sample["image"]).permute(0, 2, 3, 1).cpu().numpy())
        facts = {"reads": generator.reads, "mask_source": generator.mask_source}
        blend = compositing(facts, view.name, "alpha")
        made = finish_sample(sample, asked.normals, view, blend, generator.mask_source)
        sources.update(made.sources)
    generator.train(training)
    Image.fromarray(grid(images, columns=6)).save(folder / f"grid-{generator.clock.images:09d}.png")
    return dict(sorted(sources.items()))
