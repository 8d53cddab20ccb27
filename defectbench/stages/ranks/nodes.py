"""Processes of a fit on the nodes of a Slurm allocation: one `srun` starts them, and each calls back to the worker.

Pipes end at the border of a machine, so the processes connect by TCP, and prove by a key from their environment that they
belong here before anything is read from them.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge

from defectbench.config import UserError
from defectbench.stages.surroundings import without_cluster

NODES = "DEFECTBENCH_NODES"
"""Variable that holds the number of nodes of an allocation; its batch script sets it (`executors/slurm.py`)."""
KEY = "DEFECTBENCH_RANKS_KEY"
KEPT = ("SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME")
"""All that `srun` needs to find the allocation; the rest tells of the step that the worker itself is."""
CALL_SECONDS = 300.0
"""How long processes on other nodes may take to import torch and call back."""


def nodes_here() -> int:
    """Say over how many nodes this worker spreads a fit: 1 unless it is the worker of an allocation of several."""
    return int(os.environ.get(NODES, "1"))


@contextmanager
def on_nodes(
    nodes: int, devices: int, threads: int, log: int
) -> Iterator[tuple[subprocess.Popen[bytes], list[Connection]]]:
    """Start the processes of a fit, the same number on each node.

    Args:
        nodes: of the allocation; this process is on the first of them.
        devices: processes, all in all; a multiple of `nodes`.
        threads: of each process.
        log: descriptor of a file for what they say.

    Yields:
        the `srun` that ends when they have ended, and a connection to each, by rank.

    Raises:
        UserError: there is no `srun`.
        RuntimeError: they ended before they called, or did not call in time.
    """
    if shutil.which("srun") is None:
        raise UserError(
            "no srun where this worker runs; a fit over several nodes needs it there, also in a container"
        )
    key = secrets.token_bytes(32)
    host = socket.gethostname()
    with socket.create_server(("", 0), backlog=devices) as server:
        process = subprocess.Popen(
            [
                *("srun", "--overlap", "--overcommit", "--kill-on-bad-exit=1", "--export=ALL"),
                *(f"--nodes={nodes}", f"--ntasks={devices}"),
                *(
                    f"--ntasks-per-node={devices // nodes}",
                    "--distribution=block",
                    "--cpu-bind=none",
                ),
                *(sys.executable, "-m", "defectbench.stages.ranks.rank"),
                f"{host}:{server.getsockname()[1]}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={
                **without_cluster(os.environ),
                **{name: os.environ[name] for name in KEPT if name in os.environ},
                "MASTER_ADDR": host,
                "MASTER_PORT": str(_free_port()),
                "OMP_NUM_THREADS": str(threads),
                KEY: key.hex(),
            },
        )
        found: dict[int, Connection] = {}
        try:
            deadline = time.monotonic() + CALL_SECONDS
            while len(found) < devices:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{len(found)} of {devices} processes on {nodes} nodes called back (srun: {process.poll()})"
                    )
                if select.select([server], [], [], 1.0)[0]:
                    with suppress(AuthenticationError, OSError, EOFError):
                        connection = _admit(server, key)
                        found[int(connection.recv())] = connection
            yield process, [found[number] for number in range(devices)]
        finally:
            for connection in found.values():
                connection.close()  # they end by this
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.terminate()  # srun ends the step
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=30)
                process.kill()
                process.wait()


def _admit(server: socket.socket, key: bytes) -> Connection:
    """Take the next caller, once each side has shown that it has the key."""
    caller, _ = server.accept()
    caller.setblocking(True)
    connection = Connection(caller.detach())
    try:
        deliver_challenge(connection, key)
        answer_challenge(connection, key)
    except BaseException:
        connection.close()
        raise
    return connection


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def call_back(address: str) -> Connection:
    """Call the worker that started this process through `srun`, and take one's place among the others from Slurm.

    Signals that Slurm sends to the whole allocation are the worker's to hear; this process ends when the worker does.

    Args:
        address: `HOST:PORT`.
    """
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    host, _, port = address.rpartition(":")
    key = bytes.fromhex(os.environ.pop(KEY))
    os.environ["NODE_RANK"] = os.environ["SLURM_NODEID"]
    os.environ["LOCAL_RANK"] = os.environ["SLURM_LOCALID"]
    connection = Client((host, int(port)), family="AF_INET", authkey=key)
    connection.send(int(os.environ["SLURM_PROCID"]))
    return connection
