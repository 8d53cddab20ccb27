"""Breaks runs of a tiny table on purpose: signals at random moments, a full disk, a read-only folder, clocks that jump, many
processes on one folder. Whatever happens, the same bytes stand at the end, and every job has one record.

    python -m tests.chaos --rounds 20

runs all of it and prints the counts (some minutes of one core); `tests/runner/test_chaos.py` runs a little of each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from defectbench.rng import numpy_rng

CSV = "tiny/table1.smoke.csv"
RECORDS = "records/tiny.table1.smoke.jsonl"
SMALL = """
title: Small
paper: tiny
table: "1"
dataset: mvtec_ad
products: [wood]
defects: {wood: [hole, liquid]}
split: one_third
methods:
  Memoriser: {generator: memoriser}
models:
  U-Net: {task: segmentation}
entries:
  - {arm: raw}
  - {arm: enlarge, method: Memoriser}
metrics: [pixel_auc]
scores: {metrics: [background_l1]}
presets:
  smoke:
    about: seconds
    stand_in: {size: 32, normals: 2, defective: 6}
    size: 32
    seeds: [0]
    fit: {images: 4, batch: 4}
    sample: {per_defect: 3, batch: 3}
    task: {steps: 6, batch: 4, evaluate_every: 1}
    arguments:
      segmentation: {encoder: tu-resnet10t, encoder_depth: 3, encoder_width: 0.25, decoder_channels: [16, 8, 8]}
"""
"""Drawn images, two trainings that look at validation images after each step, samples and their scores."""

# A child starts with everything imported, in milliseconds: the moment of a signal then lies within the work.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.chaos_imports"])


def _command(arguments: list[str], log: str, jumps: tuple[float, ...]) -> None:
    """Be `defectbench ARGUMENTS...`, with a clock that is off by one more of `jumps` at every tenth look at it."""
    from defectbench import cli

    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if jumps:
        clock, looks = time.time, iter(range(10**9))
        time.time = lambda: clock() + jumps[min(next(looks) // 10, len(jumps) - 1)]
    sys.argv = ["defectbench", *arguments]
    cli.main()


@dataclass
class Chaos:
    """A folder to break things in.

    Args:
        folder: an empty one.
        seed: of all moments.
    """

    folder: Path
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Run the table undisturbed, for its bytes and its time."""
        self.rng = numpy_rng(self.seed, "chaos")
        self.table = self.folder / "small.yaml"
        self.table.write_text(SMALL)
        self.log = self.folder / "log.txt"
        ready = CONTEXT.Process(target=int)  # starts the server of the children, which imports
        ready.start()
        ready.join()
        begun = time.monotonic()
        right = self.folder / "right"
        process = self.start(right)
        process.join()
        assert process.exitcode == 0, self.log.read_text()
        self.seconds = time.monotonic() - begun
        self.bytes = {name: (right / name).read_bytes() for name in (CSV, "leaderboard.csv")}
        self.jobs = self.recorded(right)

    def start(
        self, out: Path, *more: object, jumps: tuple[float, ...] = ()
    ) -> multiprocessing.process.BaseProcess:
        """Start the table."""
        arguments = ["run", self.table, "--out", out, *more]
        process = CONTEXT.Process(
            target=_command, args=([str(word) for word in arguments], str(self.log), jumps)
        )
        process.start()
        self.counts["runs"] += 1
        return process

    @staticmethod
    def recorded(out: Path) -> list[str]:
        """List the ids of the jobs that have a record, one for each line."""
        lines = map(json.loads, (out / RECORDS).read_text().splitlines())
        return sorted(line["id"] for line in lines if line["kind"] == "job")

    def check(self, out: Path) -> None:
        """Check that a folder holds what an undisturbed run leaves."""
        for name, right in self.bytes.items():
            assert (out / name).read_bytes() == right, f"{out / name} has other bytes"
        assert self.recorded(out) == self.jobs, "a record is lost or double"
        assert not list(out.rglob("*.damaged*")), "a signal damages no file"
        self.counts["tables with the same bytes"] += 1

    def finish(self, out: Path) -> None:
        """Run the table to its end and check it."""
        process = self.start(out)
        process.join()
        assert process.exitcode == 0, self.log.read_text()[-3000:]
        self.check(out)

    def signals(self, rounds: int) -> None:
        """Send SIGKILL or SIGTERM at random moments, so many times in a row; what is complete gives way to a new folder."""
        tables = sent_already = 0
        kept: dict[Path, int] = {}
        while sent_already < rounds:
            out = self.folder / f"signals{tables}"
            sent = (signal.SIGKILL, signal.SIGTERM)[int(self.rng.integers(2))]
            process = self.start(out)
            process.join(float(self.rng.uniform(0, self.seconds)))
            if process.exitcode is None and send(process, sent):
                process.join(120)
                known = {-signal.SIGKILL, 128 + signal.SIGTERM, -signal.SIGTERM, 0}
                assert process.exitcode in known, (process.exitcode, self.log.read_text()[-3000:])
                self.counts[signal.Signals(sent).name] += 1
                sent_already += 1
            now = {path: path.stat().st_mtime_ns for path in out.glob("jobs/*/result.json")}
            assert {path: now.get(path) for path in kept} == kept, "a finished job was done again"
            kept = {} if process.exitcode == 0 else now
            if process.exitcode == 0 or sent_already == rounds:
                self.finish(out)
                tables += 1

    def clocks(self, rounds: int) -> None:
        """Run with clocks that jump an hour on, an hour back, or to and fro, two processes at a time."""
        hour = 3600.0
        kinds = [(0.0, hour), (0.0, -hour), (0.0, hour, 0.0, -hour, 0.0)]
        for number in range(rounds):
            out = self.folder / f"clocks{number}"
            at_once = [self.start(out, jumps=kinds[number % 3]), self.start(out)]
            for process in at_once:
                process.join(600)
                assert process.exitcode == 0, self.log.read_text()[-3000:]
            self.check(out)
            self.counts["clocks that jumped"] += 1

    def crowd(self, processes: int) -> None:
        """Run the same command in many processes at once."""
        out = self.folder / "crowd"
        crowd = [self.start(out) for _ in range(processes)]
        for process in crowd:
            process.join(600)
            assert process.exitcode == 0, self.log.read_text()[-3000:]
        self.check(out)
        self.counts["processes on one folder"] += processes

    def full_disks(self, rounds: int) -> None:
        """Run on a disk that is too small for some of it, then on a larger one."""
        files = (p for p in (self.folder / "right").rglob("*") if p.is_file())
        needed = sum(-(-p.stat().st_size // 4096) * 4096 for p in files)
        for number in range(rounds):
            with disk(self.folder / f"disk{number}") as place:
                room = int(needed * (number + self.rng.uniform(0, 1)) / rounds)
                mount(place, f"remount,size={max(room, 8192)}")
                process = self.start(place / "out")
                process.join(600)
                told = self.log.read_text()
                assert process.exitcode in {0, 2}, told[-3000:]
                assert "Traceback" not in told
                self.counts["full disks"] += process.exitcode == 2
                mount(place, "remount,size=1g")
                self.finish(place / "out")

    def read_only(self) -> None:
        """Run where nothing may be written, at the beginning and half way, then where it may."""
        with disk(self.folder / "fixed") as place:
            out = place / "out"
            for _ in range(2):
                mount(place, "remount,ro")
                process = self.start(out)
                process.join(600)
                told = self.log.read_text()
                assert process.exitcode == 2, told[-3000:]
                assert "Traceback" not in told
                self.counts["read-only folders"] += 1
                mount(place, "remount,rw")
                process = self.start(out)
                process.join(self.seconds / 2)
                send(process, signal.SIGKILL)
                process.join()
            self.finish(out)


def send(process: multiprocessing.process.BaseProcess, number: signal.Signals) -> bool:
    """Send a signal, unless the process has just ended; say whether it was sent."""
    try:
        os.kill(process.pid or 0, number)
    except ProcessLookupError:
        process.join()
        return False
    return True


def mount(place: Path, options: str) -> None:
    """Mount a disk in memory, or change one.

    Raises:
        PermissionError: only root may, and not in every container.
    """
    if shutil.which("mount") is None:
        raise PermissionError("cannot mount a disk: no `mount`")
    asked = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"cannot mount a disk: {done.stderr.strip()}")


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    """Give a small disk.

    Raises:
        PermissionError: only root may, and not in every container.
    """
    place.mkdir()
    mount(place, "size=1g")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def main() -> None:
    """Run all of it and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="signals in a row")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), given.seed)
        print(f"undisturbed: {chaos.seconds:.1f} s, {len(chaos.jobs)} jobs", flush=True)
        for name, what in (
            ("signals", lambda: chaos.signals(given.rounds)),
            ("clocks", lambda: chaos.clocks(3)),
            ("crowd", lambda: chaos.crowd(16)),
            ("full disks", lambda: chaos.full_disks(max(3, given.rounds // 3))),
            ("read-only", chaos.read_only),
        ):
            try:
                what()
            except PermissionError as error:
                print(f"{name}: left out, {error}", flush=True)
            else:
                print(f"{name}: {dict(chaos.counts)}", flush=True)


if __name__ == "__main__":
    main()
