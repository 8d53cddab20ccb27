"""Profiles of clusters: what a Slurm allocation is asked for, from `clusters/<name>.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from defectbench.config import UserError, UserErrors, load_yaml, nearest

SHIPPED = Path(__file__).with_name("clusters")


class Profile(BaseModel):
    """What one allocation is asked for, and how many there may be.

    Attributes:
        partition: of the cluster; "" for its default.
        account: who pays; "" for the default.
        qos: quality of service; "" for the default.
        nodes: of an allocation; more than one are for `--devices`: one worker, whose fits are spread over all of them.
        gpus: GPUs of a node.
        cpus: cores of a node.
        memory: of a node, as `sbatch --mem` takes it, e.g. 16G; "" for the default.
        time: limit of an allocation, e.g. "24:00:00"; "" for the default. Work goes on in the next one.
        setup: shell lines that run before the workers start, e.g. `module load cuda`.
        container: words in front of the worker's command, e.g. `apptainer exec --nv image.sif`.
        python: the interpreter there; "" for the one that submits.
        workers_per_allocation: worker processes; 0 for one per GPU, or without any per core.
        max_allocations: at most so many allocations at once.
        warning_seconds: how long before the time limit the workers write their checkpoints and are requeued.
        idle_minutes: how long an allocation waits for a job that it could begin.
        sbatch: further options of `sbatch` by their long names, e.g. `{constraint: a100, exclusive: true}`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    partition: str = ""
    account: str = ""
    qos: str = ""
    nodes: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0)
    cpus: int = Field(default=1, ge=1)
    memory: str = ""
    time: str = ""
    setup: list[str] = Field(default_factory=list)
    container: str = ""
    python: str = ""
    workers_per_allocation: int = Field(default=0, ge=0)
    max_allocations: int = Field(default=8, ge=1)
    warning_seconds: int = Field(default=120, ge=1, le=65535)
    idle_minutes: float = Field(default=10.0, ge=0)
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)

    @property
    def workers(self) -> int:
        """Worker processes of an allocation; 0: as many as it has devices."""
        return 1 if self.nodes > 1 else self.workers_per_allocation

    def options(self) -> list[str]:
        """Give the options of `sbatch` that ask for it."""
        asked = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "nodes": self.nodes,
            "ntasks": self.nodes,
            "ntasks-per-node": 1 if self.nodes > 1 else "",
            "gpus" if self.nodes == 1 else "gpus-per-node": self.gpus or "",
            "cpus-per-task": self.cpus,
            "mem": self.memory,
            "time": self.time,
        }
        found = [f"--{name}={value}" for name, value in asked.items() if value != ""]
        for name, value in self.sbatch.items():
            if value is not False:
                found.append(f"--{name}" if value is True else f"--{name}={value}")
        return found

    def told(self) -> str:
        """Say in words what one allocation holds."""
        if self.nodes > 1:
            parts = [f"{self.nodes} nodes, of each"]
            parts += [f"{self.gpus} GPU(s)"] if self.gpus else []
            return " ".join([*parts, f"{self.cpus} core(s)"]) + ", 1 worker"
        workers = self.workers_per_allocation or "as many as its devices"
        parts = [f"{self.gpus} GPU(s)"] if self.gpus else []
        parts += [f"{self.cpus} core(s)", f"{workers} worker(s)"]
        return ", ".join(parts)


def load_profile(name: str) -> Profile:
    """Read a profile.

    Args:
        name: a path that ends in `.yaml`; or a name: `clusters/<name>.yaml` of the current folder, or one that is shipped.

    Raises:
        UserError: there is none, or a key or value is not as expected.
    """
    places = [Path("clusters") / f"{name}.yaml", SHIPPED / f"{name}.yaml"]
    if name.endswith((".yaml", ".yml")):
        places = [Path(name)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        known = {p.stem for folder in (Path("clusters"), SHIPPED) for p in folder.glob("*.yaml")}
        raise UserError(
            f"--cluster {name}: no such profile; expected a YAML file, or a name: {nearest(name, known)}"
        )
    content = load_yaml(path)
    reserved = {
        "array",
        "output",
        "error",
        "job-name",
        "signal",
        "requeue",
        "open-mode",
        "parsable",
    }
    taken = sorted(reserved & set(_mapping(content.get("sbatch"))))
    if taken:
        raise UserError(
            f"{path}: sbatch.{taken[0]}: set by `run --on slurm` itself; remove it (the time before the limit is warning_seconds)"
        )
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise UserErrors(f"{path}: not a profile", [_problem(e) for e in error.errors()]) from None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _problem(error: Mapping[str, object]) -> str:
    place = error["loc"]
    words = [str(word) for word in place] if isinstance(place, tuple) else [str(place)]
    key = ".".join(words)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(words[0], Profile.model_fields)}"
    return f"{key}: found {error['input']!r}; {str(error['msg']).lower()}"
