"""Whatever file a crash leaves cut short: it is named, set aside and made again, and the same bytes stand at the end."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defectbench import files
from defectbench.executors import local
from defectbench.executors.inline import Inline
from defectbench.executors.local import Local
from defectbench.plan.job import Job
from defectbench.runner.run import Options, plan_table, run_table
from defectbench.stages import evaluation, training
from defectbench.stages.execute import Context, execute
from defectbench.store.jobs import Store, made
from defectbench.store.records import append_records, read_records
from tests.running import TABLE, Quiet

Damage = Callable[[Path], None]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CUTS: dict[str, Damage] = {"empty": empty, "half": halve}
cuts = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)

# One generator that learns, a task with a best checkpoint and weights, a score with stored features.
SMALL = TABLE.replace("  - {arm: enlarge, method: Memoriser}\n", "").replace(
    "  Memoriser: {generator: memoriser}\n", ""
)
SMALL = SMALL.replace("seeds: [0, 1]", "seeds: [0]").replace(
    "normals: 6, defective: 9", "normals: 4, defective: 6"
)
SMALL = "\n".join(
    line
    for line in SMALL.split("\n")
    if not line.startswith("    - ") or line.endswith("kd_vgg16_random_s0")
)


def run_again(out: Path) -> None:
    outcome = run_table(str(out.parent / "small.yaml"), Options(out=out), Inline(), Quiet(), print)  # type: ignore[arg-type]
    assert not outcome.failed
    assert not outcome.lost


def tells_who(path: Path) -> bool:
    """Whether a file only tells who did a job, or what a command asked for: its place and time, no result."""
    costs = path.name.endswith(".cost.csv")  # its seconds are those of the clock
    return costs or path.name in {"worker.json", "states.log"} or "sweeps" in path.parts


def content(out: Path) -> dict[str, Any]:
    """Everything below a folder that does not say when and where it was made."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        if files.DAMAGED in name or name.endswith(".lock") or tells_who(path):
            continue
        if path.suffix in {".json", ".jsonl"} and "raw" not in path.parts:
            lines = [json.loads(x) for x in path.read_text().split("\n")[: -1 or None] if x] if (
                path.suffix == ".jsonl"
            ) else [json.loads(path.read_text())]  # fmt: skip
            found[name] = [{k: v for k, v in line.items() if k != "provenance"} for line in lines]
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A finished table, and all that lies in its folder."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "small.yaml").write_text(SMALL)
    run_again(folder / "out")
    return folder, content(folder / "out")


KINDS = {
    "result": "jobs/*/result.json",
    "job note": "jobs/*/job.json",
    "drawn images": "jobs/*/raw/**/*.png",
    "failure": "jobs/*/failed.json",
    "licence of drawn images": "jobs/*/raw/**/*.txt",
    "marker of drawn images": "jobs/*/raw/STAND_IN.json",
    "cached images": "jobs/*/cache/images.npy",
    "cached masks": "jobs/*/cache/masks.npy",
    "cached table": "jobs/*/cache/table.csv",
    "cache header": "jobs/*/cache/prepared.json",
    "generator": "jobs/*/generator.ckpt",
    "inspector": "jobs/*/task.ckpt",
    "curves": "jobs/*/losses.csv",
    "grids": "jobs/*/grid-*.png",
    "synthetic images": "jobs/*/images/*.png",
    "synthetic masks": "jobs/*/masks/*.png",
    "manifest": "jobs/*/manifest.csv",
    "manifest header": "jobs/*/manifest.json",
    "sheet": "jobs/*/samples.png",
    "features": "jobs/features/*/*.npy",
    "records": "records/*.jsonl",
    "table": "tiny/*.csv",
    "table as text": "tiny/*.md",
    "figures": "tiny/*.png",
    "sample pictures": "tiny/*/*.png",
    "leaderboard": "leaderboard.csv",
}
"""Every kind of file below an output folder."""


WRITTEN_AGAIN = {"job note", "table", "table as text", "figures", "sample pictures", "leaderboard"}
"""What every run writes from what it knows, so that there is nothing to set aside."""


def of_kind(out: Path, kind: str) -> list[Path]:
    return [p for p in out.glob(KINDS[kind]) if p.is_file()]


@pytest.mark.slow
def test_every_file_is_of_a_known_kind(done):
    out = done[0] / "out"
    known = {path for kind in KINDS for path in of_kind(out, kind)}
    strange = {p for p in out.rglob("*") if p.is_file()} - known
    assert not [p for p in strange if ".lock" not in p.name and not tells_who(p)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@cuts
def test_a_damaged_file_of_a_finished_table_is_made_again(cut, kind, done, tmp_path, capfd):
    folder, before = done
    shutil.copytree(folder, tmp_path / "done")
    out = tmp_path / "done" / "out"
    victims = of_kind(out, kind)
    assert victims
    for path in victims:
        cut(path)
    if kind == "features":  # nothing reads them while the scores are there
        for path in out.glob("jobs/*/job.json"):
            if '"score"' in path.read_text():
                (path.parent / "result.json").unlink()
    run_again(out)
    after = content(out)
    assert after.keys() == before.keys()
    assert not [name for name in before if after[name] != before[name]]
    told = capfd.readouterr().err
    if kind not in WRITTEN_AGAIN and not (kind == "records" and cut is empty):
        assert all(str(path) in told for path in victims)
        assert len(list(out.rglob(f"*{files.DAMAGED}*"))) >= len(victims)


@pytest.mark.slow
@cuts
def test_a_table_whose_every_file_is_damaged_is_made_again(cut, done, tmp_path):
    folder, before = done
    shutil.copytree(folder, tmp_path / "done")
    out = tmp_path / "done" / "out"
    for path in [p for p in out.rglob("*") if p.is_file()]:
        cut(path)
    run_again(out)
    assert content(out) == before


class Killed(BaseException):
    """Ends a job as a signal does."""


def jobs_of(table: Path) -> dict[str, Job]:
    plan = plan_table(str(table), Options(out=table.parent / "plan"), lambda _: None)
    raw = [job for job in plan.jobs.values() if job.spec.get("arm") == "raw"]
    fit = next(job for job in plan.jobs.values() if job.stage == "fit")
    return {"prepare": plan.jobs[fit.parents["data"]], "fit": fit, "task": raw[0]}


BEGUN = {
    "fit": ["last.ckpt", "losses.csv", *(f"grid-0000000{n}.png" for n in (12, 24, 36))],
    "task": ["last.ckpt", "losses.csv", "best.pt"],
}


@pytest.fixture(scope="module")
def begun(done, tmp_path_factory) -> Path:
    """A store in which a fit and a task were killed on their way."""
    folder = tmp_path_factory.mktemp("begun")
    jobs = jobs_of(done[0] / "small.yaml")
    context = Context(Store(folder / "jobs"), machine={"accelerator": "cpu"})
    execute(jobs["prepare"], context)
    with pytest.MonkeyPatch.context() as patch:
        for stage, module, last in (("fit", training, 11), ("task", evaluation, 5)):
            seed_step = module.seed_step

            def until(seed, stage, step, rank, last=last, seed_step=seed_step):
                if step == last:
                    raise Killed
                seed_step(seed, stage, step, rank)

            patch.setattr(module, "seed_step", until)
            with pytest.raises(Killed):
                execute(jobs[stage], context)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("lost", [(s, n) for s, names in BEGUN.items() for n in names])
@cuts
def test_a_damaged_file_of_an_unfinished_job_is_made_again(cut, lost, done, begun, tmp_path, capfd):
    stage, name = lost
    jobs = jobs_of(done[0] / "small.yaml")
    shutil.copytree(begun / "jobs", tmp_path / "jobs")
    store = Store(tmp_path / "jobs")
    folder = store.folder(jobs[stage].id)
    assert sorted(n for n, _ in made(folder)) == sorted(BEGUN[stage])
    cut(folder / name)
    execute(jobs[stage], Context(store, machine={"accelerator": "cpu"}))
    assert store.failure(jobs[stage].id) is None
    whole = content(done[0] / "out" / "jobs" / jobs[stage].id)
    assert content(folder) == whole
    if name.endswith((".ckpt", ".pt")):
        assert str(folder / name) in capfd.readouterr().err
        assert (folder / f"{name}{files.DAMAGED}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "plan", "done"])
@cuts
def test_a_damaged_file_of_an_unfinished_cache_is_made_again(
    cut, name, done, tmp_path, monkeypatch
):
    from defectbench.data.cache import prepare as module

    job = jobs_of(done[0] / "small.yaml")["prepare"]
    store = Store(tmp_path / "jobs")
    context = Context(store, machine={"accelerator": "cpu"})
    with monkeypatch.context() as patch:

        def kill(*_: object) -> None:
            raise Killed

        patch.setattr(module, "finish_cache", kill)
        with pytest.raises(Killed):
            execute(job, context)
    cut(store.folder(job.id) / "cache.partial" / name)
    execute(job, context)
    assert store.failure(job.id) is None
    assert content(store.folder(job.id)) == content(done[0] / "out" / "jobs" / job.id)


def test_files_are_flushed_before_they_are_renamed(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    happened: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(number: int) -> None:
        happened.append(f"flushed {Path(f'/proc/self/fd/{number}').resolve().name[:5]}")
        fsync(number)

    def renamed(old: Any, new: Any) -> None:
        happened.append("renamed")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    files.write_text(path, "ä\r\n")
    assert happened == ["flushed .file", "renamed", "flushed new"]
    assert path.read_bytes() == "ä\r\n".encode()
    with pytest.raises(OSError, match="full"), files.replacing(path) as temporary:
        fail_after_half(temporary)
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == "ä\r\n".encode()
    with pytest.raises(OSError, match=str(path)), files.replacing(path):
        raise OSError(28, "No space left on device")


def fail_after_half(path: Path) -> None:
    path.write_text("half")
    raise OSError("full")


def test_nobody_else_renames_files_into_place():
    package = Path(files.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if ("os.replace(" in line or ".tmp" in line or "temporary.replace(" in line)
        and path.name != "files.py"
    ]
    assert [line for line in found if ".endswith" not in line] == []


def test_a_job_takes_away_what_killed_ones_left(tmp_path):
    store, job = Store(tmp_path), Job("fit", {})
    store.folder(job.id).mkdir(parents=True)
    left = store.folder(job.id) / ".last.ckpt.123.abcd.tmp"
    left.write_bytes(b"half a checkpoint")
    with store.claim(job) as mine:
        assert mine
        assert not left.exists()


def test_records_lose_the_damaged_line_alone(tmp_path, capfd):
    path = tmp_path / "records.jsonl"
    append_records(path, [{"kind": "plan", "n": n} for n in range(3)])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:7], lines[2]]) + "\n")
    assert [line["n"] for line in read_records(path)] == [0, 2]
    assert f"{path} (line 2 is no record)" in capfd.readouterr().err
    assert path.with_name("records.jsonl.damaged").read_text() == lines[1][:7] + "\n"
    assert [line["n"] for line in read_records(path)] == [0, 2]
    assert not capfd.readouterr().err


class Dead:
    """A process that has ended."""

    exitcode = -9

    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def is_alive(self) -> bool:
        return self.alive

    def join(self, timeout: float = 0) -> None:
        self.alive = False  # it has been waited for

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        pass


class Wire:
    """The pipe to a worker that does every job at once, or dies of its first."""

    def __init__(self, dies: bool, store: Store) -> None:
        self.dies, self.store, self.jobs = dies, store, []

    def send(self, content: Any) -> None:
        self.jobs.append(content)

    def recv(self) -> tuple[Any, ...]:
        if self.dies:
            raise EOFError
        job = Job.from_json(self.jobs[-1])
        self.store.folder(job.id).mkdir(parents=True)
        self.store.finish(job, {})
        return ("ended", job.id, 0, 0)

    def close(self) -> None:
        pass


def test_a_dead_workers_successor_takes_its_place_and_its_devices(tmp_path, monkeypatch):
    started: list[tuple[int, str | None]] = []
    store = Store(tmp_path)
    shared = Local(gpus=("6", "2", "4"))

    def start(number: int, context: Context) -> local.Worker:
        dies = number == 0 and not started
        started.append((number, shared.devices_of(number)))
        return local.Worker(Dead(not dies), Wire(dies, store), number)  # type: ignore[arg-type]

    def ready(pipes: list[Wire], timeout: float | None = None) -> list[Wire]:
        if any(pipe.dies for pipe in pipes):
            return [pipe for pipe in pipes if pipe.dies]
        if len(started) < 4:  # the others are at work until the dead one's place is taken
            time.sleep(0.02)
            return []
        return pipes

    monkeypatch.setattr(shared, "_start", start)
    monkeypatch.setattr(local, "wait", ready)
    jobs = [Job("fit", {"seed": n}) for n in range(3)]
    shared.run({job.id: job for job in jobs}, Context(store), Quiet())
    assert started == [(0, "6"), (1, "2"), (2, "4"), (0, "6")]
