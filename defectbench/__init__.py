"""Benchmark of generators of synthetic defects: train them, score them, and see which one improves a downstream model.

Python API: `score`, `run`, `submit`, `load_generator`, `load_table` (`defectbench.api`), loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from defectbench.api import load_generator, load_table, run, score, submit

__version__ = "0.1.0"
__all__ = ["__version__", "load_generator", "load_table", "run", "score", "submit"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from defectbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'defectbench' has no attribute {name!r}")
