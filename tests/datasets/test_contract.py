"""What holds of every dataset: its published counts, and what it says of a folder of something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectbench import names
from defectbench.config import UserError
from tests.trees import noise, save

TOTALS = {
    "codebrim": {"good": 2485 + 52, "Crack": 2507, "Spallation": 1898, "Efflorescence": 833, "ExposedBars": 1507, "CorrosionStain": 1559},
    "dagm2007": {"train/defect": 1046, "test/defect": 1054, "good": 14000},
    "kolektor_sdd": {"": 399},
    "kolektor_sdd2": {"": 3335},
    "mvtec_ad": {"train/good": 3629, "test/good": 467, "": 3629 + 467 + 1258},
    "mvtec_loco": {"_anomalies": 561 + 432, "": 3651},
    "sdi": {"good": 6184 + 6199 + 4760, "train/scratches": 290 + 117 + 71, "train/spots": 58 + 620 + 208, "": 18807},
    "visa": {"good": 9621, "*": 1200},
}  # fmt: skip
"""Published images by the end of their kind."""


@pytest.mark.parametrize("name", TOTALS)
def test_counts_are_those_of_the_publisher(name: str) -> None:
    counts = names.find("datasets", name).load().counts
    found = {
        end: sum(n for kind, n in counts.items() if kind.endswith(end)) for end in TOTALS[name]
    }
    assert found == TOTALS[name]


@pytest.mark.parametrize("name", sorted(set(names.entries("datasets")) - {"folder"}))
def test_a_folder_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / "cats" / "1.png", noise(0))
    dataset = names.find("datasets", name).load()()
    with pytest.raises(UserError, match=r"expected .*found cats"):
        dataset.scan(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        dataset.scan(tmp_path / "gone")
