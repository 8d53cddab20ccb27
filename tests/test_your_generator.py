"""The worked example of docs/your_generator.md, taken out of the page and put through the contract as a package."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from defectbench import names
from defectbench.plan.plan import Source
from defectbench.plan.planner import make_plan
from defectbench.spec.loading import load_table
from tests.generators import test_contract as contract

NAME = "layer_gan"
PAGE = Path(__file__).parents[1] / "docs" / "your_generator.md"


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.S | re.M)
    assert len(found) == 1, f"the page has {len(found)} blocks of {language}"
    return found[0]


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    """An installed package that advertises the example under the entry point that the page names."""
    site = tmp_path_factory.mktemp("site")
    (site / "my_package").mkdir()
    (site / "my_package" / "__init__.py").write_text("")
    (site / "my_package" / "layer_gan.py").write_text(block("python"))
    group, line = re.fullmatch(
        r'\[project\.entry-points\."(.*?)"\]\n(.*)\n', block("toml")
    ).groups()
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        names.entries.cache_clear()
        yield site
    names.entries.cache_clear()
    for module in [m for m in sys.modules if m.split(".")[0] == "my_package"]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def fitted(package, squares, tmp_path_factory):
    generator = contract.fit(NAME, squares, tmp_path_factory.mktemp(NAME))
    return lambda name: generator


def test_it_is_found_and_says_what_it_can_do():
    entry = names.find("generators", NAME)
    assert entry.module == "my_package.layer_gan"
    assert names.abilities(entry) == [
        "start from a given normal image (it must be given one)",
        "return a mask (native)",
    ]
    assert list(entry.arguments) == ["base", "noise", "area_weight", "lr"]


@pytest.mark.parametrize(
    "rule",
    [
        contract.test_every_weight_moves_and_is_finite,
        contract.test_samples_follow_from_the_rng_alone,
        contract.test_shapes_types_and_ranges,
        contract.test_the_label_changes_the_image,
    ],
)
def test_it_keeps_the_contract(rule, squares, fitted):
    rule(NAME, squares, fitted)


def test_its_checkpoint_samples_the_same(squares, fitted, tmp_path):
    contract.test_a_checkpoint_of_plain_values_samples_the_same(NAME, squares, fitted, tmp_path)


def test_it_resumes_to_the_same_bits(squares, tmp_path):
    contract.test_killed_and_resumed_ends_with_the_same_bits(NAME, squares, tmp_path)


def test_its_table_plans(tmp_path):
    path = tmp_path / "layers.yaml"
    path.write_text(block("yaml"))
    plan = make_plan(load_table(path), "smoke", {"mvtec_ad": Source(stand_in=True)})
    assert [cell.label for cell in plan.cells] == ["Raw", "LayerGAN", "CutPaste-real"]
    assert sum(job.stage == "fit" for job in plan.jobs.values()) == 2
