"""Foreign folders named on the command line: a column of the table for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from defectbench.config import UserError
from defectbench.spec.table import FOREIGN, EntrySpec, Method, TableSpec


def parse_foreign(pairs: Sequence[str]) -> dict[str, str]:
    """Read `NAME=FOLDER` options.

    Raises:
        UserError: a pair is not of that form.
    """
    found = {}
    for pair in pairs:
        name, sign, folder = pair.partition("=")
        if not (sign and name and folder):
            raise UserError(
                f"--foreign {pair}: expected NAME=FOLDER, e.g. --foreign MyTool=out/images"
            )
        found[name] = folder
    return found


def with_foreign(spec: TableSpec, folders: Mapping[str, str]) -> TableSpec:
    """Give a table the columns of foreign folders.

    A name that the table has as a method with generator `foreign` gets the folder. Any other name becomes a method, with a
    column for each number of real images (`real`) at which the table enlarges with synthetic ones.

    Args:
        spec: the table.
        folders: folder by name; `{seed}` and `{subset}` in it are filled in by the planner.

    Raises:
        UserError: the name belongs to another generator.
    """
    methods, entries = dict(spec.methods), list(spec.entries)
    for name, folder in folders.items():
        known = methods.get(name)
        if known is not None and known.generator != FOREIGN:
            raise UserError(
                f"--foreign {name}: {spec.name} has a method of this name already ({known.generator}); choose another name"
            )
        methods[name] = Method(generator=FOREIGN, folder=folder)
        if known is None:
            asked = [entry.real for entry in spec.entries if entry.arm == "enlarge"]
            regimes = list(dict.fromkeys(asked)) or [None]
            entries += [
                EntrySpec(
                    arm="enlarge",
                    method=name,
                    real=real,
                    name=f"enlarge {real}" if len(regimes) > 1 and real else "",
                    label=f"{name}, {real} real" if len(regimes) > 1 and real else "",
                    paper=False,
                )
                for real in regimes
            ]
    return spec.model_copy(update={"methods": methods, "entries": tuple(entries)})
