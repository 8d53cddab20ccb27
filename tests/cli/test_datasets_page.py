"""`docs/datasets.md` says what the code does: generated tables, every dataset, rule and format, pictures that are there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from defectbench import names
from defectbench.data.export import FORMATS
from defectbench.data.splitting.rules import RULES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "datasets.md").read_text(encoding="utf-8")


def test_generated_tables_are_as_the_adapters_say(page: str) -> None:
    """Mend it with `make docs`."""
    with_tables = runpy.run_path(str(DOCS / "make.py"))["with_tables"]
    assert with_tables(page) == page
    marked = set(re.findall(r"<!-- generated: (\w+) -->", page))
    assert marked == {"overview", *names.entries("datasets")}


def test_every_dataset_rule_and_format_is_there(page: str) -> None:
    sections = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert sections == set(names.entries("datasets"))
    assert set(re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)) >= {
        *(rule.usage for rule in RULES.values()),
        *FORMATS,
    }


def test_links_lead_somewhere_and_pictures_are_small(page: str) -> None:
    pictures = re.findall(r"!\[.*?\]\((.+?)\)", page)
    assert pictures
    for name in pictures:
        assert (DOCS / name).stat().st_size < 150_000, name
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#(.+?)\)", page)) <= headings
