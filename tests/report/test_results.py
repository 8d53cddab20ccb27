"""What is committed under results/ is what its records give, to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from defectbench.runner.results import recollect

RESULTS = Path(__file__).parents[2] / "results"


def test_committed_tables_follow_from_committed_records(tmp_path):
    shutil.copytree(RESULTS / "records", tmp_path / "records")
    texts = [path for path in recollect(tmp_path) if path.suffix in {".csv", ".md"}]
    assert texts
    for path in texts:
        committed = RESULTS / path.relative_to(tmp_path)
        assert committed.read_bytes() == path.read_bytes(), f"run `make results`: {committed.name}"


def test_records_say_who_made_them_and_on_what_code():
    for path in (RESULTS / "records").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["kind"] == "job":
                whence = record["provenance"]
                assert len(whence["commit"].rstrip("+")) == 12, path.name
                assert {"date", "seconds", "device", "precision", "versions"} <= set(whence)
