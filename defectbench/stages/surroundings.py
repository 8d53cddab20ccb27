"""What Lightning would take from the machine around us, and must not: clusters, defaults and signals.

A Trainer asks the environment which cluster it is on, takes defaults of its arguments from `PL_TRAINER_…`, answers
signals by checkpoints and calls of a scheduler, and loads such checkpoints from the current folder. A training here
depends on its job alone, and signals are the command line's to hear.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.fabric.plugins.environments import LightningEnvironment

SCHEDULERS = (
    "PL_",  # defaults of Trainer's arguments, among others
    "SLURM_",
    "SLURMD_",
    "LSB_",  # LSF
    "JSM_",
    "TORCHELASTIC_",
    "KUBERNETES_",
    "PMI_",
    "PMIX_",
    "OMPI_",
    "XRT_",
)
"""Beginnings of the names of variables by which Lightning and PyTorch know a cluster or a launcher."""
RANKS = (
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "NODE_RANK",
    "ROLE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "STANDALONE_PORT",
)
"""Variables by which a launcher tells a process its place among others."""


def without_cluster(environment: Mapping[str, str], *, ranks: bool = False) -> dict[str, str]:
    """Give an environment without what says that a scheduler or a launcher started this process.

    Args:
        environment: variables by name.
        ranks: keep the variables of `RANKS`, which `stages/ranks/distributed.py` gives to its processes.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(SCHEDULERS) and (ranks or name not in RANKS)
    }


@contextmanager
def alone(*, ranks: bool = False) -> Iterator[None]:
    """Hide the cluster from everything in the block.

    Args:
        ranks: see `without_cluster`.
    """
    before = dict(os.environ)
    kept = without_cluster(before, ranks=ranks)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    try:
        yield
    finally:
        for name in before.keys() - kept.keys():
            os.environ[name] = before[name]


def environment_of(devices: int) -> LightningEnvironment:
    """Give the cluster that a Trainer is told to be on: this machine, without any scheduler.

    Args:
        devices: of the training; one process that has one device is the first of one, whatever its variables say.
    """
    environment = LightningEnvironment()
    if devices == 1:
        environment.set_global_rank(0)
    return environment


def leave_signals(trainer: Any) -> Any:
    """Keep a Trainer from taking over signals: its own answer to SIGTERM ends a run with exit code 0.

    Returns:
        the trainer.
    """
    connector = trainer._signal_connector
    if not callable(connector.register_signal_handlers):
        raise TypeError("this version of lightning registers signal handlers in another way")
    connector.register_signal_handlers = _register_nothing
    return trainer


def _register_nothing() -> None:
    """Stand in for `_SignalConnector.register_signal_handlers`."""
