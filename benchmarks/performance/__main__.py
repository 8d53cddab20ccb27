"""Run the performance benchmarks: `python -m benchmarks.performance [NAME ...]`, all by default.

Ratios are taken within one run, in turns, and medians are printed, for machines stall.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def main() -> None:
    asked = sys.argv[1:] or NAMES
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; known: {', '.join(NAMES)}")
    for name in asked:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"benchmarks.performance.{name}").main()


if __name__ == "__main__":
    main()
