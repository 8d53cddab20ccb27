"""A fit on several devices: one process per device, which only trains.

Lightning would start the whole command again for the other devices, and their processes would wait for the job that the
first one holds. Here the process that holds the job starts one process per device (`python -m
defectbench.stages.ranks.rank`), here or on the nodes of its allocation (`nodes.py`), each of which does the fit stage and finds that it has a rank. The parent keeps the
claim and the lease, passes progress on, and takes result or error from a pipe. When one of them ends with an error, or
the parent does, by whatever cause, all of them end.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.machine import Machine
from defectbench.plan.job import Job
from defectbench.stages.context import Context, JobFailed
from defectbench.stages.ranks.nodes import nodes_here, on_nodes
from defectbench.stages.surroundings import without_cluster
from defectbench.stages.training import LAST, Diverged

LOG = "ranks.log"
PATIENCE_SECONDS = 5.0
"""How long an error is held back for a better one: a rank that fails makes its peers fail of its absence."""


@dataclass(frozen=True)
class Rank:
    """One process of the fit.

    Attributes:
        number: its rank.
        process: the process.
        pipe: carries `("progress", done, total)`, then `("done", result)` or `("failed", error)`.
    """

    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection


def fit_on_devices(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Do a fit job on the devices of `context.machine` and give the result of the first rank.

    Raises:
        UserError, JobFailed, Diverged, OSError: as a fit on one device.
        RuntimeError: a process was killed, or failed in another way; the text has its log's place.
    """
    machine = Machine(**context.machine)
    nodes = nodes_here()
    if machine.devices % nodes:
        raise UserError(
            f"--devices {machine.devices}: the allocation has {nodes} nodes; expected a multiple of {nodes}"
        )
    _check_devices(machine, machine.devices // nodes)
    result = _fit_here(job, folder, context) if nodes == 1 else _fit_on_nodes(job, folder, context)
    for name in (LAST, LOG):  # not before every rank has ended: each looks where to go on
        (folder / name).unlink(missing_ok=True)
    return result


def _fit_on_nodes(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    machine, nodes = Machine(**context.machine), nodes_here()
    threads = int(job.spec["threads"])
    with (
        (folder / LOG).open("wb") as log,
        on_nodes(nodes, machine.devices, threads, log.fileno()) as (process, pipes),
    ):
        ranks = [Rank(number, process, pipe) for number, pipe in enumerate(pipes)]
        for rank in ranks:
            _tell(rank, job, context, nodes)
        return _hear(ranks, context)


def _fit_here(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    machine = Machine(**context.machine)
    ranks: list[Rank] = []
    try:
        with (folder / LOG).open("wb") as log:
            port = _free_port()
            for number in range(machine.devices):
                ranks.append(_start(number, port, job, context, log.fileno()))
        return _hear(ranks, context)
    finally:
        for rank in ranks:
            rank.process.kill()
        for rank in ranks:
            rank.process.wait()
            rank.pipe.close()


def _check_devices(machine: Machine, each: int) -> None:
    """Refuse more CUDA devices than there are; a node has `each` of them."""
    if not machine.on_cuda:
        return
    import torch

    there = torch.cuda.device_count()
    if each > there:
        raise UserError(
            f"--devices {machine.devices}: wants {each} here, and this process sees {there} CUDA device(s); ask for fewer, "
            "or for CPU processes with --accelerator cpu"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(number: int, port: int, job: Job, context: Context, log: int) -> Rank:
    mine, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "defectbench.stages.ranks.rank", str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # Ctrl-C is the parent's to hear
        env={
            **without_cluster(os.environ),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "NODE_RANK": "0",
            "LOCAL_RANK": str(number),
            "OMP_NUM_THREADS": str(job.spec["threads"]),
        },
    )
    theirs.close()
    rank = Rank(number, process, mine)
    _tell(rank, job, context, nodes=1)
    return rank


def _tell(rank: Rank, job: Job, context: Context, nodes: int) -> None:
    machine = {**context.machine, "rank": rank.number, "nodes": nodes}
    rank.pipe.send((job.to_json(), replace(context, machine=machine, progress=None)))


def _hear(ranks: Sequence[Rank], context: Context) -> dict[str, Any]:
    """Listen until every rank is done or one has failed."""
    results: dict[int, dict[str, Any]] = {}
    errors: list[Exception] = []
    silent = list(ranks)
    deadline: float | None = None
    while silent:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        ready = wait([rank.pipe for rank in silent], left)
        if not ready:
            break
        for rank in [rank for rank in silent if rank.pipe in ready]:
            try:
                kind, *content = rank.pipe.recv()
            except (EOFError, OSError):
                code = rank.process.wait()
                kind = "failed"
                content = [
                    RuntimeError(
                        f"process {rank.number} of {len(ranks)} ended with exit code {code} "
                        f"(-9: killed, often for lack of memory); what it said is in {LOG}"
                    )
                ]
            if kind == "progress":
                if context.progress:
                    context.progress(*content)
                continue
            silent.remove(rank)
            if kind == "done":
                results[rank.number] = content[0]
            else:
                errors.append(content[0])
                deadline = deadline or time.monotonic() + PATIENCE_SECONDS
    if errors:
        named = (Diverged, JobFailed, UserError)
        raise next((error for error in errors if isinstance(error, named)), errors[0])
    return results[0]
