"""The tables of a sweep file, written where every worker finds them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from defectbench.config import UserError
from defectbench.files import write_text
from defectbench.runner.results import INDEX, write_if_changed
from defectbench.spec.cases import Case, expand, load_sweep
from defectbench.spec.loading import load_table


def write_tables(path: Path, out: Path) -> tuple[list[Path], str]:
    """Write each case of a sweep file as a table, `<out>/sweeps/<name>/<case>.yaml`, and an index of them.

    Args:
        path: the sweep file; its name is the sweep's.
        out: folder for results.

    Returns:
        the tables' files, and the preset.

    Raises:
        UserError: the file, or a table with the values of a case, is not as expected.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise UserError(
            f"{path}: the file's name becomes part of file names; rename it to letters, digits, _ and -"
        )
    spec = load_sweep(path)
    cases = expand(spec, path.stem, path)
    folder = out / "sweeps" / path.stem
    files = [_write(case, folder, path) for case in cases]
    index = {
        "title": spec.title,
        "paper": f"sweep_{path.stem}",
        "preset": spec.preset,
        "keys": spec.keys,
        "cases": {
            case.stem: {"table": case.of, "values": {key: case.value(key) for key in spec.keys}}
            for case in cases
        },
    }
    write_text(folder / INDEX, json.dumps(index, indent=1) + "\n")
    return files, spec.preset


def _write(case: Case, folder: Path, path: Path) -> Path:
    """Write and check the table of one case; what is wrong with it is told of the sweep file."""
    file = folder / f"{case.stem}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    head = (
        f"# {case.of} with {json.dumps(case.values)}; written by `defectbench sweep {path.name}`.\n"
    )
    write_if_changed(file, head + json.dumps(case.content, indent=1) + "\n")
    try:
        load_table(file)
    except UserError as error:
        told = ", ".join(f"{key} = {value!r}" for key, value in case.values.items())
        raise UserError(f"{path}: {case.of} with {told}: {error}") from None
    return file
