"""`defectbench data prepare`: whole, again, changed, interrupted, refused."""

from __future__ import annotations

from pathlib import Path

from defectbench.data.cache.prepared import Prepared
from tests.cli.conftest import fingerprint
from tests.conftest import Run


def test_a_cache_is_made_once(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    command = ("data", "prepare", "mvtec_ad", "--data", data, "--size", 16, "--out", out)
    command = (*command, "--split", "one_third", "--workers", 0, "--json")
    before = fingerprint(data)
    first = run(*command)
    assert (first.code, first.err) == (0, "")
    assert first.json["made"] is True
    splits = first.json["splits"]
    assert sum(n for part in splits.values() for n in part.values()) == first.json["images"] == 15
    assert splits["test"] == {"normal": 2, "defective": 5}
    assert Prepared.open(out).images.shape == (15, 16, 16, 3)
    assert run(*command).json["made"] is False
    assert "nothing to do" in run(*command[:-1]).out
    assert fingerprint(data) == before


def test_what_cannot_be_prepared_is_refused(run: Run, data: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    fine = ("--size", 16, "--out", tmp_path / "cache")
    cases = {
        ("--size", 16, "--out", strange): f"{strange}: holds mine.txt, so it is no cache",
        ("--size", 16, "--out", data / "mvtec_ad/c"): "where nothing is ever written",
        (*fine, "--split", "one_thirt"): "no rule 'one_thirt'; did you mean 'one_third'?",
    }
    before = fingerprint(data)
    for arguments, words in cases.items():
        told = run("data", "prepare", "mvtec_ad", "--data", data, *arguments)
        assert told.code == 2, arguments
        assert words in told.err
    assert fingerprint(data) == before
    assert not (tmp_path / "cache").exists()


def test_a_rule_that_leaks_warns_in_a_line(run: Run, data: Path, tmp_path: Path) -> None:
    told = run(
        *("data", "prepare", "mvtec_ad", "--data", data, "--size", 16, "--workers", 0),
        *("--out", tmp_path / "c", "--split", "one_third_anomalydiffusion_exact"),
    )
    assert told.code == 0
    assert told.err.startswith("warning: one_third_anomalydiffusion_exact puts one image")
    assert len(told.err.splitlines()) == 1


def test_a_file_in_the_way_of_the_output_is_told(run: Run, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for command in (
        ("data", "prepare", "mvtec_ad", "--data", data, "--size", 16, "--out", file / "c"),
        ("data", "standin", "mtd", "--out", file),
        ("data", "fetch", "mtd", "--out", file),
        ("data", "check", "mvtec_ad", "--data", data, "--sheet", file / "s.png"),
        ("export", "mvtec_ad", "--data", data, "--to", "coco", "--out", file / "c"),
    ):
        told = run(*command)
        assert told.code == 2, command
        assert str(file) in told.err
    assert file.read_text() == "mine"
