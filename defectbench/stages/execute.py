"""Does a job: its stage, under its number of threads, with its result or its failure left in the store."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from defectbench.config import CannotWrite, UserError
from defectbench.machine import uses_cuda
from defectbench.plan.job import Job
from defectbench.stages.context import Context, JobFailed, disk_error, threads
from defectbench.stages.fit import fit
from defectbench.stages.prepare import prepare_images
from defectbench.stages.sample import sample
from defectbench.stages.score import score
from defectbench.stages.select import read_foreign, select
from defectbench.stages.task import train_and_test
from defectbench.store.provenance import provenance

Stage = Callable[[Job, Path, Context], dict[str, Any]]
STAGES: Mapping[str, Stage] = {
    "prepare": prepare_images,
    "fit": fit,
    "sample": sample,
    "select": select,
    "foreign": read_foreign,
    "score": score,
    "task": train_and_test,
}
"""A stage reads its job's spec and its parents' folders, writes into the job's own folder, and returns the result."""


def execute(job: Job, context: Context, *, wait: bool = True) -> bool:
    """Do a job and write its result or its failure; afterwards one of the two exists.

    Args:
        job: the job; its parents are done.
        context: see `Context`.
        wait: whether to wait while another process is at work on it; otherwise the job is left to that process.

    Returns:
        whether the job has ended; False only without `wait`.

    Raises:
        CannotWrite: the disk is full or cannot be written; nothing finished is lost.
        UserError: the device is not there.
    """
    from defectbench.data.streams.arms import NothingToAdd
    from defectbench.stages.training import Diverged

    uses_cuda(str(context.machine.get("accelerator", "auto")))  # no job's fault if it is not there
    store = context.store
    told: dict[str, int] = {}

    def progress(done: int, total: int) -> None:
        told.update(done=done, of=total)
        if context.progress:
            context.progress(done, total)

    with store.claim(job, wait=wait, told=told) as mine:
        if not mine:
            return store.state(job.id) in {"done", "failed"}
        folder = store.folder(job.id)
        started = time.time()
        try:
            with threads(int(job.spec.get("threads", 1))):
                result = STAGES[job.stage](job, folder, replace(context, progress=progress))
            seconds = time.time() - started
            whence = provenance(context.machine, started, seconds)
            store.finish(job, {**job.to_json(), **result, "provenance": whence})
        except CannotWrite:
            raise
        except (Diverged, JobFailed, UserError) as error:
            undefined = isinstance(error, NothingToAdd)
            store.fail(job, " ".join(str(error).split()), repeats=True, undefined=undefined)
        except OSError as error:
            raise disk_error(error, folder) from None
        except Exception as error:
            (folder / "error.log").write_text(traceback.format_exc())
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            store.fail(job, reason, repeats=False)
    return True
