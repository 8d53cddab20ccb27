"""Plain words: dropped terms stay out of README, docs/ and help texts, and few sentences are long.

`TERMS` is the list of dropped terms as patterns, each with the term to use instead. A word that also has an innocent
meaning is matched by its phrase. Code, link targets, quotations and comments are not read. `docs/glossary.md` defines the
terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "results" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
LONG = 25
"""A sentence with more words is long."""
SHORT = 4
"""Table cells and headings with fewer words are no sentences, and do not count as short ones."""

TERMS = {
    # one concept, one term
    r"inspectors?": "downstream model",
    r"decoded caches?|decoding ahead|decodes? (?:\w+ )*ahead": "image cache",
    r"trainings": "training runs, fits",
    r"set metrics?": "metric",
    r"printed (?:numbers?|values?|differences?)|numbers? printed": "published value",
    r"papers?['’]s? (?:\w+ )?numbers?": "published value",
    r"(?:papers?|abstracts?|literature|tables?(?: \d)?) prints?": "published value; reports",
    r"floors?": "real-vs-real reference",
    r"ceilings?": "copy reference",
    r"(?:un)?usable|(?:un)?trusted": "valid",
    r"go(?:es)? on(?! (?:a|the)\b)|going on|went on|tr(?:y|ies|ied) again": "resume; retry",
    r"(?:re)?draw(?:s|n|ings?)?|drew": "generate, sample, render, plot, choose at random",
    r"normals|good images?": "normal images",
    r"defect images?(?!-)(?! (?:sample )?generation)": "defective images",
    r"(?:its|the|class) facts|facts (?:with|of a class)": "class attributes",
    r"(?:both|two|publisher's|published|own|same) sides": "split",
    r"on the side that": "split",
    r"departs?|departures?|departed": "differences from the paper",
    r"kinds? of arms?|arm variants?|variants? of (?:an|the) arm": "arm",
    r"kinds? of defects?|defect kinds?|defect class(?:es)?": "defect type",
    r"(?:generated|made|invented|fake) (?:images?|pictures?|samples?)|fakes?": "synthetic image",
    r"product or category|category's|other (?:\w+ )?categories": "product",
    r"(?:one|by|an) item": "group",
    r"what (?:it|a generator|the generator) (?:has )?learn\w*": "training source",
    r"(?<!# )(?<!\| )contents(?!:)": "defect content",
    r"discriminators?": "critic",
    # verbs, connectives and metaphors
    r"mend(?:s|ed|ing)?": "fix",
    r"tells?|told": "report, print, warn",
    r"wants?|wanted": "expect, need",
    r"at hand|in place of|anew|lest|besides": "available; instead of; again; also",
    r"(?:be|is|are|was) had": "available",
    r", for (?:it|they|its|there|this)": "because",
    r"the bar|chafes?|the house|the law|the heart|hearts": "no metaphors",
}
PATTERN = {
    re.compile(rf"(?<![\w-])(?:{term})(?![\w-])", re.IGNORECASE): use for term, use in TERMS.items()
}


def prose(text: str) -> list[str]:
    """Split Markdown into blocks of plain text: paragraphs, list items, headings and table cells, without code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    blocks: list[str] = [""]
    for line in text.splitlines():
        if re.match(r"(?: {4,}|\t)", line) and not blocks[-1]:
            continue  # indented code
        plain = line.strip()
        if not plain or re.fullmatch(r"[|: -]+", plain):
            blocks.append("")
        elif plain.startswith("|"):
            blocks += [*re.split(r"(?<!\\)\|", plain.strip("|")), ""]
        elif re.match(r"(?:#+|[-*>]|\d+\.) ", plain):
            blocks.append(plain)
            if plain.startswith("#"):
                blocks.append("")
        else:
            blocks[-1] = f"{blocks[-1]} {plain}".strip()
    return [_plain(block) for block in blocks if block.strip()]


def _plain(block: str) -> str:
    block = re.sub(r"`[^`]+`", "CODE", block)
    block = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", block)
    return block.strip()


def sentences(block: str) -> list[str]:
    """Split a block at full stops, question and exclamation marks that a new sentence follows."""
    guarded = re.sub(r"\b(e\.g|i\.e|al|sec|Fig|Figs|eq|eqs|vs|No|doi|pp)\. ", r"\1.~", block)
    return re.split(r"""(?<=[.!?])["')*_]*\s+(?=["'(*_]*[A-Z0-9])""", guarded)


def words(sentence: str) -> int:
    """Count the words of a sentence; a code span is one."""
    return sum(any(c.isalnum() for c in word) for word in re.split(r"[\s~]+", sentence))


def dropped(blocks: list[str]) -> Iterator[str]:
    """Yield each dropped term with its surroundings and the term to use."""
    for block in blocks:
        text = re.sub(r"\*+Departs\b", "", re.sub(r"[\"“][^\"”]*[\"”]", "", block))
        for pattern, use in PATTERN.items():
            for match in pattern.finditer(text):
                near = text[max(0, match.start() - 30) : match.end() + 30]
                yield f"{match[0]!r} in …{near}…: use {use}"
        if re.search(r"(?:^|[.!?] )Of [a-z]", text):
            yield f"begins with 'Of': {text[:60]}"


def help_texts() -> Iterator[tuple[str, str]]:
    """Yield the place and text of every help of the command line."""
    from typer.main import get_command

    from defectbench.cli import data, generators, look, score, tables  # noqa: F401  (they add their commands)
    from defectbench.cli.app import app

    yield from _helps(get_command(app), "defectbench")


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for key, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, f"{name} {key}")


def long_ones(blocks: list[str]) -> tuple[list[str], int]:
    """Return the long sentences of the blocks, and how many sentences there are."""
    # A citation is a list of names, not a sentence.
    found = [s for b in blocks if not b.startswith("- **Cite**") for s in sentences(b)]
    found = [s for s in found if words(s) >= SHORT]
    return [s for s in found if words(s) > LONG], len(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_use_the_terms_of_the_glossary(page: Path) -> None:
    found = list(dropped(prose(page.read_text(encoding="utf-8"))))
    assert not found, "\n".join(found)


def test_help_texts_use_the_terms_of_the_glossary() -> None:
    texts = list(help_texts())
    found = [f"{place}: {said}" for place, text in texts for said in dropped(prose(text))]
    assert len(texts) > 50
    assert not found, "\n".join(found)


def test_few_sentences_are_long() -> None:
    texts = [(str(p.relative_to(ROOT)), p.read_text(encoding="utf-8")) for p in PAGES]
    long, total = [], 0
    for place, text in [*texts, *help_texts()]:
        some, number = long_ones(prose(text))
        long += [f"{place} ({words(s)}): {s}" for s in some]
        total += number
    assert total > 500
    assert len(long) < 0.05 * total, f"{len(long)} of {total} are long:\n" + "\n".join(long)


def test_a_bad_page_is_found() -> None:
    bad = "# Inspectors\n\nOf all images\nsome are drawn.\n\n- Two trainings\n\n| the floor | x |\n"
    found = list(dropped(prose(bad)))
    assert [said.split("'")[1] for said in found] == [
        "Inspectors",
        "drawn",
        "Of",
        "trainings",
        "floor",
    ]
    fine = "`inspector` is a role.\n\n    defectbench draw\n\n```\nfloor\n```\n\n**Departs.** [a](floor.md)"
    assert not list(dropped(prose(fine)))
    block = "See e.g. Fig. 3 there. " + "Word " * 26 + "ends. A heading"
    assert [words(s) for s in sentences(block)] == [5, 27, 2]
    assert long_ones([block]) == ([("Word " * 26 + "ends.")], 2)


def place_of(path: str) -> Path | None:
    """Return the file or folder that a page means: below the package, the root or `tests/`."""
    places = [base / path for base in (ROOT / "defectbench", ROOT, ROOT / "tests")]
    return next((place for place in places if place.exists()), None)


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_for_maintainers_name_files_and_functions_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"`([a-z_]+/[\w./-]*(?:\.py|\.md|\.csv|/))`", text)
    wrong = [path for path in paths if place_of(path) is None]
    pairs = re.findall(r"`([\w/]+/\w+\.py)`(?:: | \(|, | \| )`((?:\w+\.)?(\w+))(?<!\.py)`", text)
    for path, shown, name in pairs:
        place = place_of(path)
        if place is None or not re.search(rf"\b{name}\b", place.read_text(encoding="utf-8")):
            wrong.append(f"{path}: {shown}")
    assert not wrong, "\n".join(wrong)
    assert len(paths) > 10
    assert len(pairs) > (30 if page.startswith("docs") else 0)
