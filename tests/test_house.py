"""The rules of the house: who may import whom, that every name has its page, that every table plans, that docs do not lie.

Everything here reads sources; no network, no data, no training.
"""

from __future__ import annotations

import ast
import copy
import graphlib
import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from defectbench import names
from defectbench.plan.job import Job
from defectbench.plan.plan import Plan, Source
from defectbench.plan.planner import make_plan
from defectbench.report.collect import printed_value, published
from defectbench.spec.loading import load_table
from defectbench.spec.table import NOT_IMPLEMENTED, TableSpec

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "defectbench"

# --- who may import whom ---------------------------------------------------------------------------

GROUND = {"batch", "rng", "config", "files", "machine", "names"}
BELOW: dict[str, set[str]] = {
    "batch": set(),
    "rng": set(),
    "config": set(),
    "files": {"config"},
    "machine": {"config"},
    "names": {"config"},
    "imaging": set(),
    "metrics": GROUND,
    "nn": GROUND | {"imaging"},
    "features": GROUND | {"metrics", "nn"},
    "data": GROUND | {"imaging"},
    "datasets": GROUND | {"imaging", "data"},
    "standin": GROUND | {"imaging", "data", "datasets"},
    "generators": GROUND | {"imaging", "nn", "standin"},
    "tasks": GROUND | {"imaging", "nn", "metrics"},
    "spec": GROUND | {"data", "metrics"},
    "plan": GROUND | {"data", "metrics", "spec"},
    "store": GROUND | {"plan"},
}
MODELS = {
    "imaging",
    "nn",
    "features",
    "metrics",
    "data",
    "datasets",
    "standin",
    "generators",
    "tasks",
}
BELOW["stages"] = GROUND | MODELS | {"plan", "store"}
BELOW["executors"] = GROUND | {"plan", "store", "stages"}
BELOW["report"] = GROUND | {"metrics", "imaging", "spec", "plan", "store"}
BELOW["single"] = GROUND | MODELS | {"spec", "plan", "store", "stages"}
BELOW["runner"] = GROUND | MODELS | {"spec", "plan", "store", "stages", "executors", "report"}
BELOW["api"] = BELOW["runner"] | {"runner", "single"}
BELOW["cli"] = BELOW["api"] | {"api"}
BELOW["__main__"] = {"cli"}
BELOW["__init__"] = {"api"}
"""Rooms of the package and the rooms below each; a room may import itself too."""
LARGEST_ROOM = 20
ONE_FILE_PER_NAME = {"generators", "datasets", "tasks", "metrics"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path, *, running: bool = False) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever in it, with the line; `running`: not those for type checkers alone."""
    nodes = [tree(path)]
    while nodes:
        node: ast.AST = nodes.pop()
        if running and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative import; write the full name"
            module = node.module or ""
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield node.lineno, f"{module}.{alias.name}" if is_module else module


def dotted(path: Path) -> str:
    """The name of a module, as imports say it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path: Path) -> Iterator[tuple[int, list[str]]]:
    for line, module in imports(path):
        parts = module.split(".")
        if parts[0] == "defectbench" and len(parts) > 1:
            yield line, parts[1:]


def sources(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_every_room_is_known():
    found = {room(path) for path in sources()}
    assert found == set(BELOW), "a new folder or module needs its place in the import law"


def test_nobody_imports_upwards_or_sideways():
    wrong = []
    for path in sources():
        here = room(path)
        for line, (there, *_) in ours(path):
            if there != here and there not in BELOW[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {here} may not import {there}")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_in_a_circle():
    """At module level and inside functions alike; imports for type checkers alone do not run."""
    graph = {dotted(path): set[str]() for path in sources()}
    for path in sources():
        for _, module in imports(path, running=True):
            if module in graph and module != dotted(path):
                graph[dotted(path)].add(module)
    with pytest.raises(graphlib.CycleError):  # the sorter does see circles
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    graphlib.TopologicalSorter(graph).prepare()


def test_no_room_is_crowded():
    folders = {path.parent for path in sources()}
    crowded = {
        str(folder.relative_to(PACKAGE)): len(list(folder.glob("*.py"))) - 1
        for folder in folders
        if folder.relative_to(PACKAGE).as_posix() not in ONE_FILE_PER_NAME
    }
    assert {name: n for name, n in crowded.items() if n > LARGEST_ROOM} == {}


@pytest.mark.parametrize("path", sources(), ids=lambda p: dotted(p).removeprefix("defectbench."))
def test_every_room_says_what_it_is_for(path):
    if path.name == "__init__.py":
        assert ast.get_docstring(tree(path))


def test_no_generator_imports_another():
    for path in sorted((PACKAGE / "generators").glob("*.py")):
        for line, parts in ours(path):
            allowed = parts[0] != "generators" or parts[1:] in (["base"], [path.stem])
            allowed = allowed or parts[1:2] == ["parts"]
            assert allowed, f"{path.name}:{line} imports {'.'.join(parts)}; share it through nn/"


def test_a_part_is_of_one_generator():
    """What a second one wants goes to nn/; a part knows no generator, only nn/ and parts of the same one."""
    used_by: dict[str, set[str]] = {}
    inner: dict[str, set[str]] = {}
    for path in sources(PACKAGE / "generators"):
        here = path.stem if path.parent.name == "parts" else None
        for line, parts in ours(path):
            if parts[:2] == ["generators", "parts"]:
                (used_by if here is None else inner).setdefault(parts[2], set()).add(
                    here or path.stem
                )
            elif here:
                assert parts[0] in GROUND | {"nn", "imaging"}, f"{path.name}:{line}: {parts}"
    for _ in inner:  # what a part uses belongs to the generator of that part
        for part, users in inner.items():
            used_by.setdefault(part, set()).update(*(used_by.get(user, set()) for user in users))
    there = {path.stem for path in (PACKAGE / "generators" / "parts").glob("[!_]*.py")}
    assert set(used_by) == there, "a part that no generator uses"
    assert {part: users for part, users in used_by.items() if len(users) > 1} == {}


def test_imaging_knows_arrays_alone():
    for path in sources(PACKAGE / "imaging"):
        for line, module in imports(path):
            root = module.split(".")[0]
            assert root not in {"torch", "lightning", "pandas"}, f"{path}:{line} imports {module}"


def test_every_file_has_a_name():
    nameless = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
    found = [p for p in ROOT.joinpath("defectbench").rglob("*") if p.stem in nameless]
    found += [p for p in ROOT.joinpath("tests").rglob("*.py") if p.stem in nameless]
    assert not found


# --- what a class says of itself -------------------------------------------------------------------

FACTS = {
    "generators": {"paper", "streams", "reads", "mask_source", "tiny"},
    "tasks": {"needs", "monitor", "better", "tiny"},
}
CLASSES = [(kind, name) for kind in FACTS for name in sorted(names.entries(kind))]


@pytest.mark.parametrize(("kind", "name"), CLASSES)
def test_a_constructor_is_a_schema(kind, name):
    entry = names.entries(kind)[name]
    cls = next(n for n in tree(entry.path).body if getattr(n, "name", "") == entry.cls)
    init = next(n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    arguments = init.args
    assert [a.arg for a in arguments.args] == ["self"], "keyword-only arguments"
    assert arguments.vararg is None
    assert arguments.kwarg is None
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        assert argument.annotation is not None, f"{argument.arg} has no type annotation"
        given = argument.arg in names.FROM_DATA
        assert given == (default is None), (
            f"{argument.arg}: all but {set(names.FROM_DATA)} have defaults"
        )
    unknown = set(entry.facts.get("tiny", {})) - set(entry.arguments)
    assert not unknown, "tiny gives arguments that the constructor lacks"
    entry.check(entry.facts["tiny"], "tiny")
    assert set(entry.facts) >= FACTS[kind], "class facts that names.py reads must be literals"
    assert entry.summary.endswith((".", "?"))


@pytest.mark.parametrize("name", sorted(names.entries("tasks")))
def test_a_task_monitors_one_of_its_scores(name):
    facts = names.entries("tasks")[name].facts
    assert facts["monitor"] in facts["better"]
    assert set(facts["better"].values()) <= {"higher", "lower"}
    direction = {"max": "higher", "min": "lower"}[facts.get("mode", "max")]
    assert facts["better"][facts["monitor"]] == direction


@pytest.mark.parametrize("name", sorted(names.entries("generators")))
def test_a_reconstruction_says_so_wherever_it_meets_a_number(name):
    entry = names.entries("generators")[name]
    if "reconstruction from the abstract" in entry.facts["paper"]:
        assert names.title(entry).endswith(" (reconstruction)")
        page = ROOT / "docs" / "generators" / f"{name}.md"
        assert names.title(entry) in page.read_text(encoding="utf-8")
    else:
        assert names.title(entry) == entry.facts.get("title", name)


# --- pages -----------------------------------------------------------------------------------------

OWN_GENERATORS = {n for n, e in names.entries("generators").items() if PACKAGE in e.path.parents}


def test_generators_and_pages_match():
    pages = {path.stem for path in (ROOT / "docs" / "generators").glob("*.md")}
    assert OWN_GENERATORS - pages == set(), "generators without docs/generators/<name>.md"
    assert pages - OWN_GENERATORS == set(), "pages without a generator"


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "generators").glob("*.md")), ids=lambda page: page.stem
)
def test_a_page_says_what_departs_and_how_to_try_it(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert "Departs" in text
    assert f"defectbench fit {page.stem}" in text
    paper = str(names.entries("generators")[page.stem].facts["paper"])
    assert "reconstruction" not in paper or "reconstruction" in text


# --- tables ----------------------------------------------------------------------------------------

TABLES = sorted(names.tables())
PRESETS = [(table, preset) for table in TABLES for preset in ("smoke", "small", "paper")]


@cache
def spec_of(table: str) -> TableSpec:
    return load_table(names.tables()[table])


def plan_of(table: str, preset: str, *, stand_in: bool) -> Plan:
    spec = spec_of(table)
    digests = {} if stand_in else {s.product: "0" * 64 for s in spec.images.values()}
    source = Source(stand_in=stand_in, root=None if stand_in else Path("data"), digests=digests)
    return make_plan(spec, preset, dict.fromkeys(spec.datasets, source))


@pytest.mark.parametrize(("table", "preset"), PRESETS)
def test_every_table_plans_at_every_preset(table, preset):
    has_stand_in = spec_of(table).preset(preset).stand_in is not None
    for stand_in in [False, True] if has_stand_in else [False]:
        plan = plan_of(table, preset, stand_in=stand_in)
        seen: set[str] = set()
        for key, job in plan.jobs.items():
            assert key == job.id
            assert set(job.parents.values()) <= seen, f"{job.label} stands before its parents"
            seen.add(key)
        rows = [(c.dataset, c.subset, c.method, c.arm, c.model) for c in plan.cells]
        assert len(set(rows)) == len(rows), "two cells would share a row of the CSV"
        for cell in plan.cells:
            if not cell.jobs:
                generator = spec_of(table).methods[cell.method].generator
                assert cell.lacking or generator == NOT_IMPLEMENTED
                continue
            assert len(set(cell.jobs)) == len(spec_of(table).preset(preset).seeds)
            stage = "score" if cell.arm == "score" else "task"
            assert {plan.jobs[j].stage for j in cell.jobs} == {stage}
            if stage == "task":
                assert cell.metrics
                assert set(cell.metrics) <= set(names.entries("tasks")[cell.task].facts["better"])
        wanted = {j for cell in plan.cells for j in plan.needed([cell])}
        assert wanted == set(plan.jobs), "jobs that no cell needs"


@pytest.mark.slow
def test_a_stand_in_never_shares_a_job_with_real_images():
    for table, preset in PRESETS:
        if spec_of(table).preset(preset).stand_in:
            real = plan_of(table, preset, stand_in=False)
            drawn = plan_of(table, preset, stand_in=True)
            assert not set(real.jobs) & set(drawn.jobs)


@pytest.mark.parametrize("table", [t for t in TABLES if not t.startswith("house/")])
def test_every_cell_of_a_papers_table_has_its_printed_number(table):
    printed = published()
    plan = plan_of(table, "paper", stand_in=False)
    told = plan.to_json()
    scores = [*told["printed"]]
    without = [
        (c["subset"], c["method"], c["arm"], c["model"])
        for c in told["cells"]
        if plan.spec.images[c["subset"]].paper
        and (c["arm"] == "score" or plan.spec.models[c["model"]].paper)
        and any(e.paper for e in plan.spec.entries if (e.method, e.arm) == (c["method"], c["kind"]))
        and not any(
            printed_value(told, {**c, "subset": name}, metric, printed, gain=gain) is not None
            for metric in c["metrics"] or scores
            for name in (c["subset"], told["average"])
            for gain in (False, True)
        )
    ]
    assert not without, (
        "names differ from benchmarks/published.csv, or the paper prints no such cell"
    )


# --- ids -------------------------------------------------------------------------------------------

FIT = Job(
    "fit",
    {"generator": "memoriser", "revision": 1, "arguments": {"lr": 1e-4}, "images": 8, "seed": 0},
    {"data": "0123456789abcdef"},
    "fit memoriser",
)


def test_the_hash_of_a_job_stays():
    """If this fails, every finished job of every user would be done again."""
    assert FIT.id == "4a805d63fea4ab53"


def leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]


def test_whatever_is_asked_moves_the_id_and_nothing_else_does():
    ids = {FIT.id}
    for *above, last in leaves(dict(FIT.spec)):
        spec = copy.deepcopy(dict(FIT.spec))
        at = spec
        for key in above:
            at = at[key]
        at[last] = f"{at[last]} changed"
        ids.add(Job(FIT.stage, spec, FIT.parents).id)
    ids.add(Job("sample", FIT.spec, FIT.parents).id)
    ids.add(Job(FIT.stage, FIT.spec, {"data": "fedcba9876543210"}).id)
    ids.add(Job(FIT.stage, FIT.spec, {"other": "0123456789abcdef"}).id)
    assert len(ids) == 1 + len(list(leaves(dict(FIT.spec)))) + 3
    backwards = dict(reversed(FIT.spec.items()))
    assert Job(FIT.stage, backwards, FIT.parents, "another label").id == FIT.id
    assert Job.from_json(FIT.to_json()).id == FIT.id


ASKED = {
    "prepare": "crop dataset defects limit normals_per_image product regroup revision size split stand_in",
    "fit": "arguments augment balance batch generator images revision seed threads view",
    "sample": "batch composite counts joint labels product references revision seed threads",
    "score": "metrics replicates revision seed threads",
    "task": "arguments arm augment balance batch evaluate_every normals ratio revision seed select steps task threads",
}


def test_what_ids_are_made_of():
    """A key more or less moves the ids of all jobs of its stage: change this list only if that is meant."""
    plans = [plan_of(table, "smoke", stand_in=True) for table in ("dcdgan_c/table5", "house/mtd")]
    found: dict[str, set[str]] = {}
    for job in (job for plan in plans for job in plan.jobs.values()):
        if not {"defect", "part"} & set(
            job.spec
        ):  # models per defect ask for the defect or are shared
            found.setdefault(job.stage, set()).update(job.spec)
    assert {stage: " ".join(sorted(keys)) for stage, keys in found.items()} == ASKED


# --- texts -----------------------------------------------------------------------------------------


@cache
def tracked() -> tuple[Path, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return tuple(
        ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()
    )


FOREIGN = re.compile(
    r"(?<![\w.~$}])/(?:[w]ork|[f]arm|[r]oot|[h]ome|[U]sers|[t]mp)/"
    r"|py[p]i\.org|python[h]osted|deb\.[d]ebian\.org|registry\.[n]pmjs|conda\.[a]naconda"
)


def test_no_path_of_a_machine_and_no_registry_host():
    wrong = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if FOREIGN.search(line)
        ]
    assert not wrong, "\n".join(wrong)


def pages() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def typed(path: Path) -> Iterator[str]:
    """What a page tells people to type: indented and fenced code, and code in backticks."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.S | re.M):
        yield from block.splitlines()
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    yield from re.findall(r"^(?:    |\t)(.*)$", text, flags=re.M)
    yield from re.findall(r"`([^`\n]+)`", text)


def test_commands_in_the_docs_exist():
    from typer.main import get_command

    from defectbench.cli import app

    for module in sources(PACKAGE / "cli"):  # importing them adds their commands
        importlib.import_module(f"defectbench.cli.{module.stem}".removesuffix(".__init__"))
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    top = get_command(app)
    wrong, seen = [], 0
    for page in pages():
        for line in typed(page):
            words = line.split("#")[0].strip().removeprefix("$ ")
            words = re.sub(r"^(?:[A-Z_]+=\S* +)+", "", words)
            place = f"{page.relative_to(ROOT)}: {line.strip()}"
            if match := re.match(r"make ([a-z][a-z0-9-]*)", words):
                seen += 1
                wrong += [] if match[1] in targets else [f"{place}: no such target"]
            elif words.startswith("defectbench "):
                seen += 1
                wrong += [f"{place}: {said}" for said in misuse(top, shlex.split(words)[1:])]
    assert not wrong, "\n".join(wrong)
    assert seen > 10


def misuse(command: Any, words: list[str]) -> Iterator[str]:
    """Walk down to the command that is named and look for options that it lacks."""
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        name, *words = words
        if "|" in name or "…" in name:
            return
        if name not in command.commands:
            yield f"no command {name!r}"
            return
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        option = word.split("=")[0]
        if option.startswith("--") and option not in known:
            yield f"no option {option}"


def test_links_in_the_docs_lead_somewhere():
    wrong = []
    for page in pages():
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                wrong.append(f"{page.relative_to(ROOT)}: {target}")
    assert not wrong, "\n".join(wrong)
