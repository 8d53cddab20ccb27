"""Ten methods over two nodes of a real Slurm: the bytes of one process. Under a minute; `DEFECTBENCH_TEST_EVENTS=1`."""

from __future__ import annotations

import os

import pytest

from tests.slurm.sweeping import (
    CSV,
    check_same,
    quick_table,
    submission,
    told,
    wait_until_written,
    write_table,
)

pytestmark = [
    pytest.mark.slow(minutes=1),
    pytest.mark.skipif(
        not os.environ.get("DEFECTBENCH_TEST_EVENTS"),
        reason="a minute: set DEFECTBENCH_TEST_EVENTS=1",
    ),
]
METHODS = {
    "DCDGANc": "{generator: dcdgan_c}",
    "Memoriser": "{generator: memoriser}",
    "CutPaste": "{generator: cutpaste}",
    "CutPaste-real": "{generator: cutpaste_real}",
    "NSA": "{generator: nsa}",
    "DRAEM-Perlin": "{generator: draem_perlin}",
    "Oracle": "{generator: oracle}",
    "Hybrid": "{generator: mix, of: [CutPaste, NSA]}",
    "NSA filtered": "{generator: filter, of: [NSA], rules: {on_object: null, visible: null, copies: null}}",
    "Replay": "{generator: replay}",
}


def ten_methods() -> str:
    """The quick table with a column for each method."""
    text = quick_table()
    start, end = text.index("methods:"), text.index("models:")
    rows = "".join(f"  {name}: {spec}\n" for name, spec in METHODS.items())
    text = text[:start] + "methods:\n" + rows + text[end:]
    start, end = text.index("entries:"), text.index("metrics:")
    rows = "".join(f"  - {{arm: enlarge, method: {name}}}\n" for name in METHODS)
    return text[:start] + "entries:\n  - {arm: raw}\n" + rows + text[end:]


def test_ten_methods_over_two_nodes_give_the_bytes_of_one_process(cluster, tmp_path):
    assert len(METHODS) == 10
    out = tmp_path / "out"
    write_table(tmp_path, ten_methods())
    first = told(submission(cluster, tmp_path / "tiny.yaml", out, tmp_path / "2.yaml"))
    assert first["added"] == 2
    wait_until_written(cluster, out, CSV)
    check_same(out, tmp_path / "inline")
