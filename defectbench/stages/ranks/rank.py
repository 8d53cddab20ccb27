"""One process of a fit on several devices: `python -m defectbench.stages.ranks.rank PIPE`, started by `distributed.py`.

PIPE is the number of a pipe, or HOST:PORT of the worker on another node (`nodes.py`).
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection

from defectbench.machine import Machine
from defectbench.plan.job import Job
from defectbench.stages.fit import fit
from defectbench.stages.lifeline import end_with
from defectbench.stages.ranks.nodes import call_back


def _portable(error: Exception) -> Exception:
    """Give the error itself if it survives a pipe, else one that says the same."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.add_note(traceback.format_exc())
        return told
    return error


def main() -> None:
    """Do the fit stage as one rank; the job comes through the pipe that the argument names."""
    import torch

    where = sys.argv[1]
    pipe = Connection(int(where)) if where.isdigit() else call_back(where)
    content, context = pipe.recv()
    end_with(pipe)
    job = Job.from_json(content)
    leads = Machine(**context.machine).leads

    def progress(done: int, total: int) -> None:
        pipe.send(("progress", done, total))

    torch.set_num_threads(int(job.spec["threads"]))
    try:
        result = fit(
            job,
            context.store.folder(job.id),
            replace(context, progress=progress if leads else None),
        )
    except Exception as error:
        pipe.send(("failed", _portable(error)))
        os._exit(1)  # peers that wait for this rank must not hold it
    pipe.send(("done", result))
    if torch.distributed.is_initialized():  # not if the last checkpoint was the end already
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
