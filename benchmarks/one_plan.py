"""How long several tables take as one plan, and as one plan after another: the same machine, in turns.

    python -m benchmarks.one_plan                                  every paper's Table 5 at smoke, two workers
    python -m benchmarks.one_plan --old ../checkout-before         the other side runs the code of another checkout

Each turn begins with an empty folder, and the tables of both sides must have the same bytes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parents[1]
TABLES = tuple(
    sorted(f"{path.parent.name}/{path.stem}" for path in HERE.glob("benchmarks/*/table5.yaml"))
)


def run(tables: Sequence[str], out: Path, code: Path, workers: int) -> None:
    """Give one command to the code of a checkout."""
    command = [sys.executable, "-m", "defectbench", "run", *tables, "--out", str(out)]
    subprocess.run(
        [*command, "--on", "local", "--workers", str(workers)],
        check=True,
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def tables_of(out: Path) -> dict[str, bytes]:
    """Read the CSVs that hold no times."""
    found = [p for p in out.glob("*/*.csv") if ".cost." not in p.name]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.one_plan")
    parser.add_argument("tables", nargs="*", default=TABLES)
    parser.add_argument("--old", type=Path, default=HERE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=1)
    asked = parser.parse_args()
    seconds: dict[str, list[float]] = {"one plan": [], "one after another": []}
    for turn in range(asked.turns):
        with tempfile.TemporaryDirectory() as place:
            apart, together = Path(place) / "apart", Path(place) / "together"
            sides = ["one after another", "one plan"]
            for side in sides if turn % 2 else reversed(sides):
                start = time.perf_counter()
                if side == "one plan":
                    run(asked.tables, together, HERE, asked.workers)
                else:
                    for table in asked.tables:
                        run([table], apart, asked.old.resolve(), asked.workers)
                seconds[side].append(time.perf_counter() - start)
            same = tables_of(apart) == tables_of(together)
            print(
                f"turn {turn}: tables of both sides are {'the same' if same else 'DIFFERENT'}",
                flush=True,
            )
    for side, each in seconds.items():
        print(f"{side}: {statistics.median(each):.0f} s ({', '.join(f'{s:.0f}' for s in each)})")


if __name__ == "__main__":
    main()
