"""What a fitted generator can be asked for: done where it can, refused in one line where it cannot."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from defectbench import names
from defectbench.generators.memoriser import Memoriser
from defectbench.stages.checkpoints import save_generator
from tests.conftest import Outcome, Run
from tests.generators.short_training import DEFECTS, build, draw_batch
from tests.trees import save

SIZE = 32
CONTENTS = {"name": "contents", "background": 0, "dilate": 0}
GENERATORS = sorted(names.entries("generators"))


def having(ability: str) -> list[str]:
    return [n for n in GENERATORS if names.is_able(names.entries("generators")[n], ability)]


def starts(name: str, normal: Path) -> list[object]:
    """The option for a normal image, where the generator wants one."""
    wants = "normal" in names.entries("generators")[name].facts["reads"]
    return ["--normal", normal] if wants else []


def checkpoint(folder: Path, name: str, *, contents: bool = False, trained=DEFECTS) -> Path:
    """A generator at its tiny arguments, as a fit leaves it."""
    path = folder / name / "generator.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = build(names.find("generators", name).load())
    for parameter in generator.parameters():  # so that labels and noise show in what is drawn
        parameter.data.mul_(3)
    save_generator(generator, name, path, CONTENTS if contents else None, trained)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two normal images, two defective ones, a mask, and things that are none of these."""
    rng = np.random.default_rng(0)
    for kind in ("normal", "broken"):
        for i in range(2):
            image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            save(tmp_path / kind / f"{i}.png", image)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:12, 6:20] = 255
    save(tmp_path / "mask.png", mask)
    save(tmp_path / "empty.png", np.zeros((SIZE, SIZE), np.uint8))
    save(tmp_path / "small.png", np.full((8, 8), 255, np.uint8))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    (tmp_path / "nothing").mkdir()
    return tmp_path


def drawn(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / "images").glob("*.png"))]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def refused(done: Outcome, *words: str) -> None:
    assert done.code == 2, done.err
    assert done.err.strip().count("\n") == 0, "one line"
    for word in words:
        assert word in done.err, done.err


def test_a_box_is_where_the_label_holds(run: Run, pictures: Path):
    model, out = checkpoint(pictures, "defect_gan"), pictures / "out"
    asked = ["sample", model, "--label", "hole", "--normal", pictures / "normal/0.png"]
    done = run(*asked, "--box", "0,0,8,8", "--box", "20,20,32,32", "--out", out)
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 2, "one for each box"
    assert [row["where"] for row in rows(out)] == ["0,0,8,8", "20,20,32,32"]
    run(*asked, "--count", 1, "--out", pictures / "everywhere")
    run(*asked, "--box", f"0,0,{SIZE},{SIZE}", "--count", 1, "--out", pictures / "whole")
    boxed, everywhere, whole = (
        drawn(pictures / f)[0].astype(int) for f in ("out", "everywhere", "whole")
    )
    assert np.array_equal(whole, everywhere), "a box as large as the image restricts nothing"
    assert not np.array_equal(boxed, everywhere)


@pytest.mark.parametrize("name", having("mask"))
def test_a_mask_is_where_the_label_holds(name, run: Run, pictures: Path):
    painted = np.asarray(Image.open(pictures / "mask.png"))
    save(pictures / "elsewhere.png", painted[::-1, ::-1])
    model = checkpoint(pictures, name)
    asked = ["--label", "hole", *starts(name, pictures / "normal/0.png"), "--count", 2]
    for mask in ("mask", "elsewhere"):
        place = ["--mask", pictures / f"{mask}.png", "--out", pictures / mask]
        done = run("sample", model, *asked, *place)
        assert done.code == 0, done.err
        assert {Path(row["where"]).stem for row in rows(pictures / mask)} == {mask}
    assert not np.array_equal(drawn(pictures / "mask")[0], drawn(pictures / "elsewhere")[0])
    if names.entries("generators")[name].facts["mask_source"] == "input":
        returned = np.asarray(Image.open(pictures / "mask/masks/000000.png"))
        assert np.array_equal(returned, painted)


@pytest.mark.parametrize("name", [n for n in having("several") if n != "oracle"])
def test_several_defects_share_an_image(name, run: Run, pictures: Path):
    model, normal = checkpoint(pictures, name), starts(name, pictures / "normal/0.png")
    for out, labels in (
        ("hole", ["hole"]),
        ("stain", ["stain"]),
        ("both", ["stain", "hole"]),
    ):
        options = [word for label in labels for word in ("--label", label)]
        done = run("sample", model, *normal, *options, "--count", 1, "--out", pictures / out)
        assert done.code == 0, done.err
    one, other, both = (drawn(pictures / out)[0] for out in ("hole", "stain", "both"))
    assert not np.array_equal(both, one)
    assert not np.array_equal(both, other)
    assert rows(pictures / "both")[0]["defects"] == "hole;stain"


@pytest.mark.parametrize("name", having("reference"))
def test_a_reference_decides_what_is_drawn(name, run: Run, pictures: Path):
    asked = ["sample", checkpoint(pictures, name), "--label", "hole"]
    asked += starts(name, pictures / "normal/0.png")
    done = run(*asked, "--reference", pictures / "broken", "--out", pictures / "out")
    assert done.code == 0, done.err
    one, other = drawn(pictures / "out")
    assert not np.array_equal(one, other)
    assert [Path(row["reference"]).name for row in rows(pictures / "out")] == ["0.png", "1.png"]


@pytest.mark.parametrize("name", having("restoration"))
def test_a_restored_image_is_normal(name, run: Run, pictures: Path):
    model = checkpoint(pictures, name)
    done = run("sample", model, "--restore", pictures / "broken", "--out", pictures / "out")
    assert done.code == 0, done.err
    found = rows(pictures / "out")
    assert [row["defects"] for row in found] == ["", ""]
    assert [row["label"] for row in found] == ["normal", "normal"]
    assert {(row["mask"], row["mask_source"]) for row in found} == {("", "none")}
    spoilt = ["--label", "hole", "--normal", pictures / "broken", "--out", pictures / "spoilt"]
    assert run("sample", model, *spoilt).code == 0
    assert not np.array_equal(drawn(pictures / "out")[0], drawn(pictures / "spoilt")[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", having("interpolation"))
def test_an_interpolation_ends_in_its_classes_and_changes_nothing_else(name, run: Run, pictures):
    model = checkpoint(pictures, name)
    normal = starts(name, pictures / "normal/0.png")
    out = pictures / "out"
    done = run(
        *("sample", model, "--interpolate", "hole:stain", "--steps", 3, "--count", 2),
        *(*normal, "--seed", 4, "--out", out),
    )
    assert done.code == 0, done.err
    labels = ["hole:1.00", "hole:0.50+stain:0.50", "stain:1.00"]
    assert [row["label"] for row in rows(out)] == labels * 2, "series after series"
    ends = {}
    for label in ("hole", "stain"):
        asked = ["--label", label, *normal, "--count", 2, "--seed", 4, "--out", pictures / label]
        assert run("sample", model, *asked).code == 0
        ends[label] = drawn(pictures / label)
    made = drawn(out)
    for series in (0, 1):
        assert np.array_equal(made[3 * series], ends["hole"][series])
        assert np.array_equal(made[3 * series + 2], ends["stain"][series])
    assert not np.array_equal(made[1], made[0])


@pytest.mark.slow
def test_styles_and_defects_come_from_where_they_are_asked(run: Run, pictures: Path):
    model = checkpoint(pictures, "dt_gan")
    one, other = pictures / "broken/0.png", pictures / "broken/1.png"
    asked = ["sample", model, "--label", "hole", "--normal", pictures / "normal/0.png"]
    made = {}
    for name, options in {
        "one": ["--reference", one],
        "one in its own style": ["--reference", one, "--style-reference", one],
        "one in the other's style": ["--reference", one, "--style-reference", other],
        "styles": ["--reference", one, "--draw-style"],
    }.items():
        done = run(*asked, *options, "--count", 2, "--out", pictures / name)
        assert done.code == 0, done.err
        made[name] = drawn(pictures / name)
    assert np.array_equal(made["one"][0], made["one"][1]), "a reference leaves nothing to chance"
    assert np.array_equal(made["one"][0], made["one in its own style"][0])
    assert not np.array_equal(made["one"][0], made["one in the other's style"][0])
    assert not np.array_equal(made["styles"][0], made["styles"][1])
    assert [row["style_of"] for row in rows(pictures / "styles")] == ["drawn", "drawn"]


def test_contents_are_blended_into_normals_of_any_product(run: Run, pictures: Path):
    model, out = pictures / "generator.ckpt", pictures / "out"
    memory, remembered = build(Memoriser), draw_batch(contents=True)
    memory.observe(remembered, remembered)
    save_generator(memory, "memoriser", model, CONTENTS, DEFECTS)
    asked = ["sample", model, "--label", "scratch", "--count", 3]
    done = run(*asked, "--normal", pictures / "normal", "--out", out)
    assert done.code == 0, done.err
    assert json.loads(done.out)["masks"] == {"watershed": 3}
    found = rows(out)
    assert [Path(row["normal"]).name for row in found] == ["0.png", "1.png", "0.png"]
    for image, row in zip(drawn(out), found, strict=True):
        mask = np.asarray(Image.open(out / row["mask"])) > 0
        normal = np.asarray(Image.open(row["normal"]))
        assert 0.02 < mask.mean() < 0.15, "a box of a quarter of the side, about"
        away = ~binary_dilation(mask, iterations=3)
        assert np.array_equal(image[away], normal[away])
        assert not np.array_equal(image[mask], normal[mask])
    assert run(*asked, "--out", pictures / "plain").code == 0
    assert (drawn(pictures / "plain")[0] == 0).mean() > 0.8, (
        "without a normal they stay as they are"
    )


def test_a_sheet_shows_what_was_given_and_what_was_drawn(run: Run, pictures: Path):
    model, sheet = checkpoint(pictures, "defect_gan"), pictures / "figures/boxes.png"
    done = run(
        *("sample", model, "--label", "hole", "--normal", pictures / "normal/0.png"),
        *("--box", "0,0,16,16", "--box", "16,16,32,32", "--box", "0,16,16,32"),
        *("--out", pictures / "out", "--sheet", sheet),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["sheet"] == str(sheet)
    page = np.asarray(Image.open(sheet))
    tile = np.asarray(Image.open(pictures / "normal/0.png")).repeat(3, 0).repeat(3, 1)
    places = [
        (y, x)
        for y in range(page.shape[0] - 96)
        for x in range(page.shape[1] - 96)
        if np.array_equal(page[y : y + 96, x : x + 96], tile)
    ]
    assert len(places) == 3, "the normal once above each of three images"
    boxes = [page[y + 98 + 8, x + 8].mean() for y, x in places]
    assert boxes == [255, 0, 0], "below it where the defect was asked for"


def test_what_a_generator_cannot_do_is_refused_with_those_that_can(run: Run, pictures: Path):
    out = ["--out", pictures / "out"]
    normal = ["--normal", pictures / "normal"]
    image = pictures / "broken/0.png"
    star_gan_v2 = ["sample", checkpoint(pictures, "star_gan_v2"), *normal, *out]
    style_gan = ["sample", checkpoint(pictures, "stylegan2"), "--label", "hole", *out]
    contents = ["sample", checkpoint(pictures, "dcdgan_c", contents=True), *out]
    refused(
        run(*star_gan_v2, "--label", "hole", "--label", "stain"),
        *("star_gan_v2 cannot draw several defects", "defect_gan", "star_gan_spade"),
    )
    refused(
        run(*star_gan_v2, "--label", "hole", "--box", "1,1,9,9"),
        *("--box: star_gan_v2 cannot place the defect", "defect_gan, mgdefect, star_gan_spade"),
    )
    refused(
        run(*star_gan_v2, "--label", "hole", "--reference", image, "--draw-style"),
        "--draw-style: star_gan_v2 cannot",
        "dt_gan",
    )
    refused(run(*style_gan, *normal), "--normal: stylegan2 cannot start from a given normal image")
    refused(run(*style_gan, "--reference", image), "cannot take the defect from a reference")
    refused(run(*contents, "--restore", image), "dcdgan_c cannot restore", "cycle_gan")
    refused(
        run("sample", checkpoint(pictures, "star_gan"), *normal, "--interpolate", "hole:stain"),
        "star_gan cannot interpolate between labels; those that can: dcdgan_c",
    )
    assert not (pictures / "out").exists(), "refused before any work"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "holes"], ["was not trained on it", "did you mean 'hole'"]),
        (["--label", "stain"], ["--label stain: this defect_gan was not trained on it", "known: hole, scratch"]),
        ([], ["give --label", "hole, scratch"]),
        (["--label", "hole", "--mask", "empty.png"], ["empty.png", "the mask is empty"]),
        (["--label", "hole", "--mask", "small.png"], ["small.png", "8x8", "32x32", "resize the mask"]),
        (["--label", "hole", "--mask", "torn.png"], ["torn.png", "cannot be read as a mask"]),
        (["--label", "hole", "--mask", "none.png"], ["none.png", "no such file"]),
        (["--label", "hole", "--box", "9,1,2,9"], ["must be within 0,0,32,32"]),
        (["--label", "hole", "--box", "0,0,40,9"], ["must be within 0,0,32,32"]),
        (["--label", "hole", "--box", "0,0,9"], ["four whole numbers"]),
        (["--label", "hole", "--normal", "torn.png"], ["--normal", "torn.png", "cannot be read"]),
        (["--label", "hole", "--normal", "nothing"], ["nothing", "holds no image"]),
        (["--restore", "broken", "--label", "hole"], ["--restore takes the defect away"]),
        (["--label", "hole", "--product", "tyle"], ["--product tyle", "did you mean 'tile'"]),
        (["--label", "hole", "--composite", "poison"], ["did you mean 'poisson'"]),
        (["--label", "hole", "--sheet", "sheet.xyz"], ["--sheet sheet.xyz", "ends in .png or .jpg"]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_line(
    options, words, run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    model = checkpoint(pictures, "defect_gan", trained=("hole", "scratch"))
    monkeypatch.chdir(pictures)
    if not {"--normal", "--restore"} & set(options):
        options = [*options, "--normal", "normal"]
    refused(run("sample", model, *options, "--out", "out"), *words)
    assert not (pictures / "out").exists(), "refused before any work"


def test_a_reference_that_cannot_be_used_is_refused(run: Run, pictures: Path):
    asked = ["sample", checkpoint(pictures, "dt_gan"), "--label", "hole"]
    normal = ["--normal", pictures / "normal"]
    for option in ("--reference", "--style-reference"):
        refused(run(*asked, *normal, option, pictures / "torn.png"), option, "torn.png")
        refused(run(*asked, *normal, option, pictures / "none.png"), option, "no such file")
    refused(run(*asked, *normal, "--draw-style"), "--draw-style", "--reference: give one")
    refused(run(*asked), "dt_gan starts from a normal image: give --normal")


@pytest.mark.parametrize("name", GENERATORS)
def test_show_says_in_words_what_a_generator_can_do(name, run: Run):
    done = run("show", name)
    assert done.code == 0, done.err
    can = done.out.split("it can:")[1].split("arguments:")[0]
    entry = names.entries("generators")[name]
    for ability, words in names.ABILITIES.items():
        assert (words in can) == names.is_able(entry, ability)
    asked = entry.facts["reads"] | entry.facts.get("takes", frozenset())
    assert asked <= set(names.ABILITIES), "an ability without words"


def test_images_of_another_size_are_said_and_nothing_is_written_among_them(run: Run, tmp_path):
    model = checkpoint(tmp_path, "defect_gan")
    normal = tmp_path / "normal"
    for name, shape in (("a", (SIZE, SIZE, 3)), ("b", (64, 64, 3)), ("c", (8, 64, 3))):
        save(normal / f"{name}.png", np.zeros(shape, np.uint8))
    asked = ("sample", model, "--label", "hole", "--normal", normal, "--count", 3, "--out")
    done = run(*asked, tmp_path / "out")
    assert done.code == 0, done.err
    said = "2 of 3 images are not 32x32 pixels (first: 64x64) and are resized; 1 of them are oblong"
    assert said in " ".join(done.out.split())
    refused(run(*asked, normal / "new"), "where nothing is ever written")
    assert not (normal / "new").exists()


def test_labels_and_paths_are_printed_as_they_are(run: Run, tmp_path):
    """A terminal library reads `:-1:` as a picture of a thumb, and `[red]` as a colour."""
    told = run("sample", tmp_path / "[red]:-1:x.ckpt", "--label", "hole")
    assert "[red]:-1:x.ckpt: no such checkpoint" in told.err
    model = checkpoint(tmp_path / "[bold]:smile:", "stylegan2")
    done = run("sample", model, "--label", "hole", "--count", 1, "--out", model.parent / "out")
    assert "[bold]:smile:" in done.out
    refused(run("sample", model, "--label", "hole:-1"), "--label hole:-1: this")
