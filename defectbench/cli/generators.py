"""Commands on one generator outside any table: fit and sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defectbench.cli.app import app, console
from defectbench.cli.tables import DataRoot, Unlabelled, say
from defectbench.config import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` arguments; values as in YAML, e.g. `lr=1e-4`, `norm=adain`.

    Raises:
        UserError: a pair is not of that form.
    """
    from ruamel.yaml import YAML

    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--set {pair}: expected NAME=VALUE, e.g. --set lr=1e-4")
        found[key] = YAML(typ="safe", pure=True).load(value)
    return found


@app.command()
def fit(
    generator: Annotated[
        str, typer.Argument(help="Name of a generator (`defectbench list generators`).")
    ],
    dataset: Annotated[str, typer.Option(help="Name of a dataset.")] = "mvtec_ad",
    product: Annotated[
        str, typer.Option(help="Product of the dataset; default: wood, or else the first one.")
    ] = "",
    data: DataRoot = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint, loss curves and sample grids.")
    ] = Path("runs/fit"),
    defect: Annotated[
        str, typer.Option(help="Defect type, for generators that are fitted per defect type.")
    ] = "",
    split: Annotated[
        str, typer.Option(help="Split rule, e.g. one_third or few_shot(5).")
    ] = "one_third",
    size: Annotated[
        int, typer.Option(min=8, max=4096, help="Side of the training images, pixels.")
    ] = 64,
    crop: Annotated[
        int,
        typer.Option(min=0, help="Side of patches that are cut first, pixels; 0 for whole images."),
    ] = 0,
    least_defect: Annotated[
        float | None,
        typer.Option(
            help="Smallest share of defect pixels in a patch, with --crop; default: 0.002."
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="Budget: number of training images seen.")
    ] = 20_000,
    batch: Annotated[int, typer.Option(min=1, help="Images per batch and stream.")] = 8,
    view: Annotated[
        str,
        typer.Option(help="View: `full`, or `contents` (defect content on a constant background)."),
    ] = "full",
    background: Annotated[
        str, typer.Option(help="Grey value of the background with `--view contents`, or auto.")
    ] = "auto",
    dilate: Annotated[
        int, typer.Option(min=0, help="Pixels by which the mask is widened with `--view contents`.")
    ] = 1,
    augment: Annotated[
        list[str] | None, typer.Option(help="Augmentation of training images; may be repeated.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Argument of the generator; may be repeated."
        ),
    ] = None,
    standin_size: Annotated[
        int,
        typer.Option(
            min=32, help="Side of the stand-in's images if the dataset is missing, pixels."
        ),
    ] = 128,
    masks: Annotated[
        str, typer.Option(help="How masks are shrunk: area (no region disappears) or nearest.")
    ] = "area",
    unlabelled: Unlabelled = "",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the fit.")] = 1,
    accelerator: Annotated[str, typer.Option(help="Accelerator: auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Number of devices (DDP).")] = 1,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard files too.")] = False,
) -> None:
    """Train one generator. A killed fit resumes from its last checkpoint when the command is run again.

    Example: `defectbench fit dcdgan_c --product wood --view contents --images 8000 --set base=16 --out runs/wood`
    """
    from defectbench.cli.board import LiveBoard
    from defectbench.machine import told_device
    from defectbench.single.fit import FitRequest, fit_one

    request = FitRequest(
        generator=generator,
        dataset=dataset,
        product=product,
        data=data,
        out=out,
        defect=defect,
        split=split,
        size=size,
        crop=crop,
        least_defect=least_defect,
        images=images,
        batch=batch,
        view=view,
        background=background,
        dilate=dilate,
        augment=tuple(augment or ()),
        arguments=parse_settings(settings or []),
        standin_size=standin_size,
        masks=masks,
        unlabelled=unlabelled,
        seed=seed,
        threads=threads,
        machine={"accelerator": accelerator, "devices": devices},
        tensorboard=tensorboard,
    )
    plan = request.plan(say)
    say(told_device(request.machine))
    with LiveBoard(console) as board:
        sources = fit_one(plan, board, say)
    counts = ", ".join(f"{count} {source}" for source, count in sources.items())
    say(f"masks of the last sample grid: {counts}" if counts else "no sample grid was written")
    console.print(f"{out / 'generator.ckpt'}", markup=False, soft_wrap=True)


@app.command()
def sample(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint that a fit wrote (generator.ckpt).")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Defect type to generate; repeat it for several in one image."),
    ] = None,
    interpolate: Annotated[
        str, typer.Option(metavar="FROM:TO", help="Interpolation between two defect types.")
    ] = "",
    steps: Annotated[int, typer.Option(help="Steps of the interpolation.")] = 7,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of images, or of series with --interpolate; default: one per given image, or 8.",
        ),
    ] = None,
    normal: Annotated[
        Path | None,
        typer.Option(
            help="Normal image or folder of normal images, to start from or to blend into."
        ),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Mask image or folder of masks: the place of the defect.")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="Box for the defect in pixels, instead of a mask; may be repeated.",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Defective image or folder, whose defect is taken.")
    ] = None,
    style_reference: Annotated[
        Path | None, typer.Option(help="Defective image or folder, whose style is taken.")
    ] = None,
    draw_style: Annotated[
        bool, typer.Option("--draw-style", help="Sample a random style for the reference's defect.")
    ] = False,
    restore: Annotated[
        Path | None, typer.Option(help="Defective image or folder to make normal.")
    ] = None,
    product: Annotated[
        str, typer.Option(help="Product of the images, if the generator was trained on several.")
    ] = "",
    composite: Annotated[
        str,
        typer.Option(help="Blending of defect content: improved_poisson, poisson, alpha or none."),
    ] = "improved_poisson",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for images, masks, manifest and the labelled sheet.")
    ] = Path("runs/samples"),
    sheet: Annotated[
        Path | None, typer.Option(help="File of the labelled sheet, instead of OUT/samples.png.")
    ] = None,
) -> None:
    """Generate images with a fitted generator; `manifest.csv` records the origin of each image.

    If several normal images, masks, boxes or references are given, each image takes the next one in turn.
    `defectbench show GENERATOR` lists what a generator can do.

    Examples:

    `defectbench sample runs/wood/generator.ckpt --label scratch --normal good/000.png`

    `defectbench sample runs/dgan/generator.ckpt --label hole --normal good/ --box 10,20,60,50 --box 0,0,20,20`

    `defectbench sample runs/wood/generator.ckpt --interpolate hole:liquid --steps 11`

    `defectbench sample runs/dgan/generator.ckpt --restore broken/`

    `defectbench sample runs/dtgan/generator.ckpt --label scratch --normal good/ --reference a.png --draw-style`
    """
    from defectbench.single.generate import draw
    from defectbench.single.requests import Wish

    wish = Wish(
        labels=tuple(dict.fromkeys(label or ())),
        interpolate=interpolate,
        steps=steps,
        count=count,
        normal=normal,
        mask=mask,
        box=tuple(box or ()),
        reference=reference,
        style_reference=style_reference,
        draw_style=draw_style,
        restore=restore,
        product=product,
        composite=composite,
        seed=seed,
    )
    told = draw(checkpoint, wish, out, sheet)
    console.print(json.dumps(told), markup=False, soft_wrap=True)
