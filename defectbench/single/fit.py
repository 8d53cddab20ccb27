"""Fit one generator outside any table: a prepare job and a fit job, as a table would plan them, run in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.config import UserError, nearest
from defectbench.datasets.base import Dataset, open_dataset
from defectbench.files import keep_out
from defectbench.imaging.shrinking import RULES
from defectbench.machine import check_accelerator
from defectbench.plan.job import Job
from defectbench.plan.planner import PREPARE_REVISION
from defectbench.stages.context import Context, ending
from defectbench.stages.execute import execute
from defectbench.store.jobs import Store


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """What is to be fitted, on which images, for how long; the options of `defectbench fit` say what each means."""

    generator: str
    dataset: str = "mvtec_ad"
    product: str = ""
    data: Path | None = None
    out: Path = Path("runs/fit")
    defect: str = ""
    split: str = "one_third"
    size: int = 64
    crop: int = 0
    least_defect: float | None = None
    images: int = 20_000
    batch: int = 8
    view: str = "full"
    background: str = "auto"
    dilate: int = 1
    augment: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    standin_size: int = 128
    masks: str = "area"
    unlabelled: str = ""
    seed: int = 0
    threads: int = 1
    machine: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False

    def plan(self, say: Callable[[str], None]) -> FitPlan:
        """Check the request and plan its two jobs.

        Args:
            say: called with what the user must know of the images.

        Raises:
            UserError: a name, an argument or the images are not as expected.
        """
        check_accelerator(str(self.machine.get("accelerator", "auto")))
        entry = names.find("generators", self.generator)
        entry.check(self.arguments, f"--set {self.generator}")
        names.check_size(self.generator, entry.facts, self.size)
        devices = int(self.machine.get("devices", 1))
        names.check_batch(self.generator, entry.facts, self.batch, devices)
        if self.view not in {"full", "contents"}:
            raise UserError(f"--view {self.view}: expected full or contents")
        if self.background != "auto" and not self.background.isdigit():
            raise UserError(
                f"--background {self.background}: expected auto or a grey value from 0 to 255"
            )
        if self.masks not in RULES:
            raise UserError(f"--masks {self.masks}: {nearest(self.masks, RULES)}")
        source = open_dataset(self.dataset, self.unlabelled)
        product, known, images = _source_spec(
            source, self.product, self.data, self.standin_size, self.out, say
        )
        if entry.facts.get("scope") == "defect" and not self.defect:
            raise UserError(
                f"{self.generator} learns one defect type per model: give --defect; known: {', '.join(known)}"
            )
        if self.defect and known and self.defect not in known:
            raise UserError(f"--defect {self.defect}: {nearest(self.defect, known)}")
        further: dict[str, Any] = {}
        if self.least_defect is not None:
            further["least_defect"] = self.least_defect
        if self.masks != "nearest":
            further["masks"] = self.masks
        if self.unlabelled:
            further["unlabelled"] = self.unlabelled
        prepare = Job(
            "prepare",
            {
                "dataset": self.dataset,
                "product": product,
                "defects": list(known),
                "split": self.split,
                "size": self.size,
                "crop": self.crop or None,
                "normals_per_image": 4,
                "regroup": None,
                "limit": None,
                "revision": [PREPARE_REVISION, source.revision],
                **further,
                **images,
            },
            {},
            f"prepare {self.dataset}/{product}",
        )
        grey: str | int = self.background if self.background == "auto" else int(self.background)
        spec = {
            "generator": self.generator,
            "revision": entry.facts.get("revision", 1),
            "arguments": dict(self.arguments),
            "images": self.images,
            "batch": self.batch,
            "augment": list(self.augment),
            "balance": "defect",
            "view": {"name": self.view, "background": grey, "dilate": self.dilate},
            "threads": self.threads,
            "seed": self.seed,
            **({"defect": self.defect} if self.defect else {}),
        }
        fit = Job("fit", spec, {"data": prepare.id}, f"fit {self.generator} {product}")
        return FitPlan(self, prepare, fit)


@dataclass(frozen=True)
class FitPlan:
    """The two jobs of a request."""

    request: FitRequest
    prepare: Job
    fit: Job


def fit_one(
    plan: FitPlan, board: Any, say: Callable[[str], None] = lambda _: None
) -> dict[str, int]:
    """Do the jobs of a plan that are not done; put checkpoint, curves and sample grids into the request's folder.

    Args:
        plan: the jobs.
        board: is told about them.
        say: called with what the user must know of the images once they are split.

    Returns:
        how many masks of the last sample grid came from which source.

    Raises:
        UserError: a job failed.
    """
    request, jobs = plan.request, (plan.prepare, plan.fit)
    store = Store(request.out / "jobs")
    store.open()
    store.mend(jobs)
    board.begin({job.id: job for job in jobs}, 0)
    for each in jobs:
        store.forgive(each.id, all_reasons=True)
        board.started(each)

        def progress(done: int, of: int, job: Job = each) -> None:
            board.progressed(job, done, of)

        execute(each, Context(store, request.data, request.machine, request.tensorboard, progress))
        failure = store.failure(each.id)
        board.ended(each, *ending(failure))
        if failure:
            raise UserError(f"{each.label}: {failure['reason']}")
        if each is plan.prepare:
            for line in told_images(request, store.result(each.id) or {}):
                say(line)
    folder = store.folder(plan.fit.id)
    for path in [*folder.glob("grid-*.png"), folder / "losses.csv", folder / "generator.ckpt"]:
        if path.exists():
            shutil.copy2(path, request.out / path.name)
    return dict((store.result(plan.fit.id) or {}).get("mask_sources", {}))


def told_images(request: FitRequest, prepared: Mapping[str, Any]) -> list[str]:
    """Say on how many of its images a generator trains, what leaks between the splits, and what masks lose.

    Args:
        request: what is fitted.
        prepared: result of its prepare job.
    """
    counts = prepared.get("counts", {})
    parts = {
        part: counts.get(f"{part}_defective", 0) + counts.get(f"{part}_normal", 0)
        for part in ("train", "val", "test")
    }
    said = []
    if counts:
        said.append(
            f"{request.dataset}: {parts['train']} of {sum(parts.values())} images train "
            f"({counts['train_defective']} defective, {counts['train_normal']} normal); --split {request.split} keeps "
            f"{parts['val']} for validation and {parts['test']} for tests"
        )
    leaks = prepared.get("leaks", {"pairs": 0})
    if leaks["pairs"]:
        said.append(
            f"warning: {leaks['pairs']} pairs of images show one part or are one file and are on two sides of the split, "
            f"e.g. {' and '.join(leaks['first'])}; name the part in the column `group` of a table of paths"
        )
    return [*said, *prepared.get("remarks", [])]


def _source_spec(
    source: Dataset,
    product: str,
    data: Path | None,
    standin_size: int,
    out: Path,
    say: Callable[[str], None],
) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Say where the images come from.

    Returns:
        the product, its defects (found in the images where the dataset does not say them), and how a prepare job's
        spec names the images.
    """
    if data is not None and not data.exists():
        raise UserError(
            f"{data}: no such folder; --data names the folder that holds {source.folder}/"
        )
    product = product or ("wood" if "wood" in source.products else "")
    product = product or next(iter(source.products), "")
    root = source.find(data) if data is not None else None
    if root is not None:
        from defectbench.data.files.digests import data_digest

        if root.is_dir():
            keep_out(out, root)
        manifest = source.scan(root, [product] if product else None)
        product = product or manifest.products[0]
        if len(manifest.products) > 1:
            manifest = source.scan(root, [product])
        known = source.defects.get(product) or manifest.defects
        return product, known, {"digest": data_digest(manifest)}
    if not source.products:
        at = f"{data}: none there" if data else "none was given"
        raise UserError(f"{source.title}: {at}; give your images with --data. {source.obtain}")
    if data is not None:
        raise UserError(
            f"--data {data}: not used; it holds no {source.folder}/ of {source.title}. Your own images are "
            "`--dataset folder`; leave --data (or DEFECTBENCH_DATA) out to train on a stand-in"
        )
    if product not in source.products:
        raise UserError(f"--product {product}: {nearest(product, source.products)}")
    say(f"{source.title}: not found, drawing its stand-in")
    drawn = {"size": standin_size, "normals": 60, "defective": 24, "seed": 0}
    return product, source.defects[product], {"stand_in": drawn}
