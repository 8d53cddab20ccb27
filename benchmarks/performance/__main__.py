"""Run the performance benchmarks: `python -m benchmarks.performance [NAME ...] [--images N]`, all by default.

Ratios are taken within one run, in turns, and medians are printed, for machines stall.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.performance")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--images", type=int, help="size of the sets that are scored")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; known: {', '.join(NAMES)}")
    for name in asked.names or NAMES:
        print(f"\n== {name}", flush=True)
        run = importlib.import_module(f"benchmarks.performance.{name}").main
        sized = asked.images and "images" in inspect.signature(run).parameters
        run(**({"images": asked.images} if sized else {}))


if __name__ == "__main__":
    main()
