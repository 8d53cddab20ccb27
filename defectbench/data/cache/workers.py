"""Applies a function to many items, in this process or in several, with the same results in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Here:
    """Runs chunks in this process, in order."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function to each item."""
        return map(function, items)


class Workers:
    """Runs chunks in other processes; results come in order."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function to each item."""
        return self.pool.map(function, items)


Runner = Here | Workers


@contextmanager
def runner(workers: int) -> Iterator[Runner]:
    """Give something whose `map` applies a function of a module to items: here, or in `workers` processes."""
    if workers < 1:
        yield Here()
        return
    # spawn: the caller may have threads (torch), which a fork would copy in mid-lock
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield Workers(pool)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
