"""Applies a function to many items, in this process or in several, with the same results in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Runner(Protocol):
    """What `map` does, wherever it runs; results come in order."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Apply a function to each item."""


@contextmanager
def runner(workers: int) -> Iterator[Runner]:
    """Give `map` for functions of a module: of this process, or of `workers` others."""
    if workers < 1:
        yield map
        return
    # spawn: the caller may have threads (torch), which a fork would copy in mid-lock
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
