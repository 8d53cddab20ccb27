"""The journal of a store: a look for work costs the same with two jobs at work elsewhere and with hundreds."""

from __future__ import annotations

from contextlib import ExitStack
from unittest import mock

import pytest

from defectbench.executors.order import FEW, MANY, Frontier
from defectbench.plan.job import Job
from defectbench.stages.context import Context
from defectbench.store.jobs import Store
from defectbench.store.journal import Journal
from tests.running import Quiet

FITS = [Job("fit", {"seed": 0, "number": n}, {}, f"fit {n}") for n in range(100)]
SAMPLES = [Job("sample", {"seed": 0}, {"fit": fit.id}, f"sample of {fit.label}") for fit in FITS]
JOBS = {job.id: job for job in (*FITS, *SAMPLES)}


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "jobs")
    found.open()
    return found


def finish(store: Store, job: Job) -> None:
    store.folder(job.id).mkdir(parents=True, exist_ok=True)
    store.finish(job, job.to_json())


def first(frontier: Frontier) -> Job | None:
    return next(frontier.ready(), None)


def test_a_reader_tells_what_is_new_and_leaves_out_what_is_no_line(tmp_path):
    journal = Journal(tmp_path)
    journal.add(FITS[0].id, "begun")
    reader = journal.reader()
    assert reader.news() == []
    journal.add(FITS[0].id, "done")
    with journal.path.open("a") as file:
        file.write("two machines wrote at once\n")
    journal.add(FITS[1].id, "failed")
    with journal.path.open("a") as file:
        file.write(FITS[2].id)  # the rest of the line comes later
    assert reader.news() == [(FITS[0].id, "done"), (FITS[1].id, "failed")]
    with journal.path.open("a") as file:
        file.write(" o\n")
    assert reader.news() == [(FITS[2].id, "open")]
    journal.path.unlink()
    assert reader.news() == []
    journal.add(FITS[3].id, "begun")
    assert reader.news() == [(FITS[3].id, "begun")]


def test_a_pull_looks_at_few_jobs_however_many_run_elsewhere(store):
    frontier = Frontier(JOBS, Context(store), Quiet())
    with ExitStack() as others:
        for fit in FITS[:90]:
            assert others.enter_context(store.claim(fit))
        with mock.patch.object(store, "state", wraps=store.state) as looks:
            assert first(frontier) == FITS[90]
        assert looks.call_count <= FEW + 1
    with mock.patch.object(store, "state", wraps=store.state) as looks:
        assert first(frontier) == FITS[0], "they were given back"
    assert looks.call_count <= 90 + FEW + 1, "each that was given back is looked at once"


def test_what_others_finish_opens_what_waits_for_it(store):
    frontier = Frontier(JOBS, Context(store), Quiet())
    for fit in FITS:
        frontier.take(fit.id)
    assert first(frontier) is None
    frontier.put_back(FITS[0].id)
    finish(store, FITS[0])
    with mock.patch.object(store, "state", wraps=store.state) as looks:
        assert first(frontier) == SAMPLES[0]
    assert looks.call_count == 1, "the line of the journal is enough for the fit"


def test_lines_that_were_lost_cost_a_look_and_nothing_else(store):
    frontier = Frontier(JOBS, Context(store), Quiet())
    with ExitStack() as others:
        for fit in FITS:
            assert others.enter_context(store.claim(fit))
        assert first(frontier) is None
        with mock.patch.object(Journal, "add"):
            for fit in FITS:
                finish(store, fit)
    assert first(frontier).stage == "sample"
    for _ in range(len(FITS) // MANY + 1):
        frontier.look_around()
    assert frontier.left == {job.id for job in SAMPLES}
    assert first(frontier) == SAMPLES[0]
