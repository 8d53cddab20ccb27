"""The Python API: `defectbench.score`, `run`, `load_generator` and `load_table`.

Images come in as folders, arrays or tensors; results go out as data frames and plain dataclasses. The command line calls
the same functions. `import defectbench` loads this module only when one of these names is used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from defectbench.executors.base import Board
    from defectbench.executors.slurm import Submitted
    from defectbench.runner.run import Options, Outcome

    Images: TypeAlias = str | Path | npt.NDArray[np.uint8] | torch.Tensor

__all__ = [
    "FittedGenerator",
    "Samples",
    "TableRun",
    "load_generator",
    "load_table",
    "run",
    "score",
    "submit",
]


def _silent(_: str) -> None:
    """Report nothing."""


class _NoBoard:
    """A board that shows nothing."""

    def begin(self, *_: object) -> None:
        """Ignore the start of a run."""

    started = progressed = released = ended = begin


# --- scores ------------------------------------------------------------------------------------------


def score(
    real: Images,
    fake: Images,
    *,
    train: Images | None = None,
    masks: str | Path | None = None,
    sources: str | Path | None = None,
    metrics: Sequence[str] = (),
    size: int | None = None,
    replicates: int = 200,
    seed: int = 0,
    out: str | Path | None = None,
    name: str = "",
    say: Callable[[str], None] = _silent,
) -> pd.DataFrame:
    """Score synthetic images against real ones.

    Args:
        real: real images that the generator has not seen: a folder, uint8 (N, H, W, 3) or (N, H, W), or a tensor
            (N, 3, H, W), uint8 in [0, 255] or float in [-1, 1].
        fake: synthetic images, likewise.
        train: training images of the generator; adds the copy reference and the memorisation scores.
        masks: folder of defect masks with the stems of the synthetic images; needs `sources` and folders.
        sources: folder of the normal images that the synthetic ones were made from, same stems.
        metrics: names from `defectbench list metrics`; empty for those whose weights are on this machine.
        size: side in pixels to which all images are resized; None keeps their size.
        replicates: bootstrap resamples per interval; 0 for no intervals.
        seed: seed of every random choice.
        out: folder for a record, a neighbour sheet and cached features; None keeps nothing.
        name: name of the synthetic set in records; by default its folder's name.
        say: called with each remark on the images.

    Returns:
        one row per metric and kind (`score`, `floor`, `ceiling`): value, interval, number of images, reason.

    Raises:
        UserError: folders, images, names or weights are not as expected.
    """
    import pandas as pd

    from defectbench.single.score_folders import Wish, score_folders, shown_name

    with ExitStack() as stack:
        folders = [stack.enter_context(_folder(images)) for images in (real, fake, train)]
        kept = Path(out) if out is not None else stack.enter_context(_temporary())
        wish = Wish(
            _needed(folders[0], "real"),
            _needed(folders[1], "fake"),
            folders[2],
            Path(masks) if masks is not None else None,
            Path(sources) if sources is not None else None,
            tuple(metrics),
            kept,
            name,
            size,
            replicates,
            seed,
        )
        found = score_folders(wish, say)
    rows = [{"name": shown_name(row), **asdict(row)} for row in found.rows]
    return pd.DataFrame(rows)


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _needed(folder: Path | None, what: str) -> Path:
    if folder is None:
        raise UserError(f"{what}: expected a folder, an array or a tensor; found None")
    return folder


@contextmanager
def _folder(images: Images | None) -> Iterator[Path | None]:
    """Give images as a folder of files: a folder as it is, arrays as PNG files that are deleted afterwards."""
    if images is None or isinstance(images, str | Path):
        yield None if images is None else Path(images)
        return
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        for index, pixels in enumerate(_pixels(images)):
            Image.fromarray(pixels).save(Path(folder) / f"{index:06d}.png")
        yield Path(folder)


def _pixels(images: Any) -> npt.NDArray[np.uint8]:
    """Bring an array or tensor of images to uint8, channels last."""
    if hasattr(images, "detach"):
        from defectbench.batch import to_uint8

        images = images.detach().cpu()
        if images.is_floating_point():
            images = to_uint8(images)
        images = images.permute(0, 2, 3, 1).numpy() if images.ndim == 4 else images.numpy()
    pixels = np.asarray(images)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype != np.uint8 or pixels.ndim not in {3, 4}:
        raise UserError(
            f"images: an array of {pixels.dtype} {pixels.shape}; expected uint8 (N, H, W, 3) or (N, H, W)"
        )
    return pixels[..., 0] if pixels.ndim == 4 and pixels.shape[-1] == 1 else pixels


# --- tables ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableRun:
    """A table that was run.

    Attributes:
        name: of the table, e.g. `dcdgan_c/table5`.
        outcome: jobs done and failed, and the plan.
        table: the rows of its CSV.
        gains: gains over the real images alone; empty where the table trains no downstream model.
        files: files that were written.
        failed: reasons of failed jobs by label.
    """

    name: str
    outcome: Outcome
    table: pd.DataFrame
    gains: pd.DataFrame
    files: Sequence[Path]
    failed: Mapping[str, str]


def run(
    *tables: str | Path,
    preset: str = "smoke",
    data: str | Path | None = None,
    out: str | Path = "results",
    on: str = "inline",
    workers: int = 0,
    only: Mapping[str, str | Sequence[str]] | None = None,
    retry: bool = False,
    machine: Mapping[str, Any] | None = None,
    tensorboard: bool = False,
    foreign: Mapping[str, str | Path] | None = None,
    unlabelled: str = "",
    cluster: str = "",
    max_allocations: int = 0,
    board: Callable[[], Any] | None = None,
    say: Callable[[str], None] = _silent,
) -> Iterator[TableRun]:
    """Run tables as one plan; jobs that are done are not repeated.

    Args:
        tables: names from `defectbench list tables`, or YAML files.
        preset: `smoke`, `small` or `paper`.
        data: folder that holds the real datasets.
        out: folder for results; jobs lie in its `jobs/`.
        on: `inline` (this process), `local` (worker processes), or `slurm` (allocations of a cluster; waits for them).
        workers: worker processes; 0 for one per GPU or core.
        only: restricts the cells to one value of a key or several, e.g. `{"method": "StarGAN"}`.
        retry: repeat jobs that failed for a reason that would repeat.
        machine: `accelerator`, `devices`, `precision`.
        tensorboard: whether fits write TensorBoard files.
        foreign: folders of images that another program made, by the name of their column.
        unlabelled: what own images of which nothing says whether they are good are: `good`, `ignore`, or refused.
        cluster: profile of `slurm`: a name or a YAML file.
        max_allocations: of `slurm`; 0 for the profile's number.
        board: makes a context manager that is told about jobs.
        say: called with each remark.

    Yields:
        each table, when all are done.

    Raises:
        UserError: a table, a preset or the images are not as expected; finished jobs are kept.
    """
    from defectbench.executors import make_executor
    from defectbench.runner.run import run_tables

    asked = [str(table) for table in tables]
    options = _options(
        asked, preset, data, out, only, retry, machine, tensorboard, foreign, unlabelled
    )
    executor = make_executor(on, workers, options.machine, cluster, max_allocations)
    with ExitStack() as stack:
        shown: Board = stack.enter_context(board()) if board else _NoBoard()
        outcomes = run_tables(asked, options, executor, shown, say)
    yield from map(_table_run, outcomes)


def submit(
    *tables: str | Path,
    cluster: str,
    preset: str = "smoke",
    data: str | Path | None = None,
    out: str | Path = "results",
    only: Mapping[str, str | Sequence[str]] | None = None,
    retry: bool = False,
    machine: Mapping[str, Any] | None = None,
    tensorboard: bool = False,
    foreign: Mapping[str, str | Path] | None = None,
    unlabelled: str = "",
    max_allocations: int = 0,
    say: Callable[[str], None] = _silent,
) -> Submitted:
    """Submit tables to a Slurm cluster and return at once.

    Args are those of `run`.

    Returns:
        the sweep, and how many allocations were added for it.

    Raises:
        UserError: a table or the profile is not as expected, or Slurm refuses.
    """
    from defectbench.executors import make_executor
    from defectbench.runner.run import submit_tables

    asked = [str(table) for table in tables]
    options = _options(
        asked, preset, data, out, only, retry, machine, tensorboard, foreign, unlabelled
    )
    slurm = make_executor("slurm", 0, options.machine, cluster, max_allocations)
    return submit_tables(asked, options, slurm, say)


def _options(
    tables: Sequence[str],
    preset: str,
    data: str | Path | None,
    out: str | Path,
    only: Mapping[str, str | Sequence[str]] | None,
    retry: bool,
    machine: Mapping[str, Any] | None,
    tensorboard: bool,
    foreign: Mapping[str, str | Path] | None,
    unlabelled: str,
) -> Options:
    from defectbench.runner.run import Options
    from defectbench.runner.sources import check_data_used

    given = Path(data) if data is not None else None
    check_data_used(tables, preset, given)
    return Options(
        preset=preset,
        data=given,
        out=Path(out),
        only={k: [v] if isinstance(v, str) else list(v) for k, v in (only or {}).items()},
        retry=retry,
        machine={"accelerator": "auto", "devices": 1, "precision": "auto", **(machine or {})},
        tensorboard=tensorboard,
        foreign={name: str(folder) for name, folder in (foreign or {}).items()},
        unlabelled=unlabelled,
    )


def _table_run(outcome: Outcome) -> TableRun:
    import pandas as pd

    def read(ending: str) -> pd.DataFrame:
        found = [f for f in outcome.files if f.name.endswith(ending)]
        return load_table(found[0]) if found else pd.DataFrame()

    name = f"{Path(outcome.plan.spec.name).name}.{outcome.plan.preset}"
    return TableRun(
        outcome.plan.spec.name,
        outcome,
        read(f"{name}.csv"),
        read(f"{name}.gain.csv"),
        tuple(outcome.files),
        {**outcome.failed, **outcome.lost},
    )


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV of this suite (a table, gains or the leaderboard): numbers as floats, everything else as text.

    Raises:
        UserError: the file is not a CSV of this suite.
    """
    import pandas as pd

    from defectbench.report.collect import read_csv

    table = pd.DataFrame(read_csv(Path(path)))
    for column in table.columns:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.notna().any() and (numbers.notna() | table[column].isin(["", "nan"])).all():
            table[column] = numbers
    return table


# --- one generator -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Samples:
    """Synthetic images.

    Attributes:
        images: (N, H, W, 3) uint8.
        masks: (N, H, W) bool; all False where an image has no valid mask.
        valid: (N,) bool, whether the mask may be used.
        mask_sources: where each mask came from.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]
    mask_sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


class FittedGenerator:
    """A generator with its trained weights; `load_generator` makes one."""

    def __init__(self, path: str | Path) -> None:
        """Read the checkpoint `path`."""
        from defectbench.stages.checkpoints import read_checkpoint

        self.path = Path(path)
        content = read_checkpoint(self.path)
        arguments = content["arguments"]
        self.name = str(content["generator"])
        """Name, e.g. `dcdgan_c`."""
        self.size = int(arguments["size"])
        """Side of its images, pixels."""
        self.defects = tuple(content.get("trained") or arguments["defects"])
        """Defect types that it was trained on."""
        self.products = tuple(arguments["products"])

    def sample(
        self,
        label: str | Sequence[str] = (),
        *,
        count: int | None = None,
        normal: Images | None = None,
        mask: Images | None = None,
        reference: Images | None = None,
        restore: Images | None = None,
        product: str = "",
        composite: str = "improved_poisson",
        seed: int = 0,
    ) -> Samples:
        """Generate images.

        Args:
            label: defect type, or several in one image.
            count: number of images; by default as many as the given images, masks or references suggest.
            normal: normal images to start from or to blend into. Of several, each sample takes the next in turn.
            mask: where the defect is placed, (N, H, W), 255 inside.
            reference: defective images to take the defect from.
            restore: defective images to make normal; then no label.
            product: one of `products`; the first by default.
            composite: how defect content is blended into `normal`: improved_poisson, poisson, alpha or none.
            seed: seed; the same seed gives the same bytes.

        Raises:
            UserError: the generator cannot do what is asked, or needs an image that was not given.
        """
        from defectbench.single.generate import draw_images
        from defectbench.single.requests import Wish

        labels = (label,) if isinstance(label, str) else tuple(label)
        with ExitStack() as stack:
            given = [
                stack.enter_context(_folder(images))
                for images in (normal, mask, reference, restore)
            ]
            wish = Wish(
                labels=tuple(text for text in labels if text),
                count=count,
                normal=given[0],
                mask=given[1],
                reference=given[2],
                restore=given[3],
                product=product,
                composite=composite,
                seed=seed,
            )
            drawn = draw_images(self.path, wish).images
        empty = np.zeros((self.size, self.size), dtype=bool)
        return Samples(
            np.stack([one.image for one in drawn]),
            np.stack([empty if one.mask is None else one.mask for one in drawn]),
            np.array([one.mask is not None for one in drawn]),
            tuple(one.source for one in drawn),
        )


def load_generator(path: str | Path) -> FittedGenerator:
    """Load a fitted generator from the `generator.ckpt` that `fit` or a table's fit job wrote.

    Raises:
        UserError: the file is not a generator's checkpoint.
    """
    return FittedGenerator(path)
