"""Images and masks mean the same through every door: the dataset `folder`, `score`, `sample` and `export`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.data.cache.prepared import Prepared
from defectbench.data.files.jpeg import _scan
from tests.cli.test_sample import checkpoint
from tests.conftest import Outcome, Run
from tests.runner.test_bad_input import refused
from tests.trees import save

SIZE = 32


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Commands without `--out` write their results into the working directory."""
    monkeypatch.chdir(tmp_path)


QUICK = ("--replicates", 0, "--metrics", "fd_vgg16_random_s0")
ON_MASKS = ("--replicates", 0, "--metrics", "change_inside,without_visible_change")


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no_torch"))
    monkeypatch.delenv("DEFECTBENCH_WEIGHTS", raising=False)


def noise(seed: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (height, width, 3), dtype=np.uint8)


def images(folder: Path, count: int = 4, seed: int = 0) -> Path:
    for i in range(count):
        save(folder / f"{i}.png", noise(1000 * seed + i))
    return folder


def painted(height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """A mask (H, W) of 0 and 1."""
    mask = np.zeros((height, width), np.uint8)
    mask[3:15, 5:18] = 1
    return mask


def own(folder: Path, good: Path, masks: Callable[[Path], object] | None = None) -> Path:
    """A user's dataset by defect, with given normal images; `masks` writes one mask."""
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "good").symlink_to(good.resolve())
    images(folder / "images" / "dent", seed=7)
    for path in sorted((folder / "images" / "dent").iterdir()):
        at = folder / "masks" / "dent" / path.name
        at.parent.mkdir(parents=True, exist_ok=True)
        (masks or (lambda at: save(at, painted() * 255)))(at)
    return folder


# --- images: each door is given a folder of normal images -------------------------------------------


def check(run: Run, at: Path, given: Path) -> Outcome:
    return run("data", "check", "folder", "--data", own(at / "own", given), "--json")


def prepare(run: Run, at: Path, given: Path) -> Outcome:
    data = ("--data", own(at / "own", given), "--size", 16, "--workers", 0, "--out", at / "cache")
    return run("data", "prepare", "folder", *data)


def export(run: Run, at: Path, given: Path) -> Outcome:
    data = ("--data", own(at / "own", given), "--to", "mvtec", "--out", at / "out")
    return run("export", "folder", *data)


def scoring(option: str) -> Callable[[Run, Path, Path], Outcome]:
    def score(run: Run, at: Path, given: Path) -> Outcome:
        folders = {"--real": images(at / "real", seed=1), "--fake": images(at / "fake", seed=2)}
        if option == "--sources":
            for path in folders["--fake"].iterdir():
                save(at / "masks" / f"{path.stem}.png", painted() * 255)
            folders["--masks"] = at / "masks"
            for path in given.iterdir():  # a source for each generated image
                if path.stem not in {"0", "1", "2", "3"} and path.suffix == ".png":
                    save(folders["--fake"] / path.name, noise(99))
                    save(at / "masks" / path.name, painted() * 255)
        folders[option] = given
        words = [word for pair in folders.items() for word in pair]
        return run("score", *words, *QUICK, "--out", at / "results")

    return score


def sampling(option: str) -> Callable[[Run, Path, Path], Outcome]:
    def sample(run: Run, at: Path, given: Path) -> Outcome:
        name = {"--normal": "defect_gan", "--restore": "defect_gan", "--reference": "dt_gan"}
        asked = [option, given, "--out", at / "drawn"]
        if option != "--restore":
            asked += ["--label", "hole"]
        if option == "--reference":
            asked += ["--normal", save(at / "normal.png", noise(5))]
        count = len([p for p in given.iterdir() if not p.name.startswith(".")])
        return run("sample", checkpoint(at, name[option]), *asked, "--count", count)

    return sample


DOORS: dict[str, Callable[[Run, Path, Path], Outcome]] = {
    "data check": check,
    "data prepare": prepare,
    "export": export,
    **{f"score {option}": scoring(option) for option in ("--real", "--fake", "--train", "--sources")},
    **{f"sample {option}": sampling(option) for option in ("--normal", "--restore", "--reference")},
}  # fmt: skip


def lack(content: bytes) -> bytes:
    """Cut the second half of a JPEG's pixels; the end mark stays."""
    start, end = _scan(content) or (0, 0)
    return content[: (start + end) // 2] + content[end:]


def unread(folder: Path) -> Path:
    content = io.BytesIO()
    Image.fromarray(noise(9)).save(content, "JPEG")
    path = folder / "3.jfif"
    path.write_bytes(content.getvalue())
    (folder / "3.png").unlink()
    return path


def grey_in_the_middle(folder: Path) -> Path:
    Image.fromarray(noise(9)).save(folder / "3.jpg", quality=95)
    (folder / "3.jpg").write_bytes(lack((folder / "3.jpg").read_bytes()))
    (folder / "3.png").unlink()
    below = np.asarray(Image.open(folder / "3.jpg"))[-8:]
    assert below.std() < 3, "Pillow fills it up with grey and says nothing"
    return folder / "3.jpg"


def twelve_bits(folder: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 4096, (SIZE, SIZE)).astype(np.uint16)
    return save(folder / "3.png", values)


def mostly_transparent(folder: Path) -> Path:
    alpha = np.full((SIZE, SIZE, 1), 0, np.uint8)
    alpha[:8] = 255
    return save(folder / "3.png", np.concatenate([noise(9), alpha], axis=2))


REFUSED = {
    ".jfif": (unread, "kind that is not read (.jfif)"),
    "damaged": (grey_in_the_middle, "lacks a part of its pixels"),
    "12 bits": (twelve_bits, "16 bits but no value above 4095"),
    "transparent": (mostly_transparent, "transparent in 75% of its pixels"),
}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("door", DOORS)
def test_an_image_that_would_be_misread_is_refused_by_name(door, fault, run: Run, tmp_path):
    given = images(tmp_path / "given")
    spoil, words = REFUSED[fault]
    path = spoil(given)
    done = DOORS[door](run, tmp_path, given)
    assert done.code == 2, done.out
    assert path.name in done.err
    assert words in done.err, done.err


def some_pixels_transparent(folder: Path) -> None:
    alpha = np.full((SIZE, SIZE, 1), 255, np.uint8)
    alpha[:8] = 0
    save(folder / "3.png", np.concatenate([noise(9), alpha], axis=2))


def turned(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(9)).save(folder / "3.png", exif=exif)


SAID = {
    "transparent": (some_pixels_transparent, "have transparent pixels (up to 25.0% of an image)"),
    "turned": (turned, "images are turned upright as their EXIF orientation says"),
}


@pytest.mark.parametrize("fault", SAID)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_done_to_an_image_is_said_with_the_count(door, fault, run: Run, tmp_path):
    given = images(tmp_path / "given")
    spoil, words = SAID[fault]
    spoil(given)
    done = DOORS[door](run, tmp_path, given)
    assert done.code == 0, done.err
    told = " ".join((done.out + done.err).split())
    assert f"1 of {8 if door in {'data check', 'data prepare', 'export'} else 4} images" in told
    assert words in told


@pytest.mark.parametrize("door", DOORS)
def test_litter_is_passed_over_and_webp_is_read(door, run: Run, tmp_path):
    given = images(tmp_path / "given")
    (given / "._0.png").write_bytes(b"\0\5\x16\7 resource fork")
    (given / ".DS_Store").write_bytes(b"\0")
    Image.open(given / "3.png").save(given / "3.webp", lossless=True)
    (given / "3.png").unlink()
    done = DOORS[door](run, tmp_path, given)
    assert done.code == 0, done.err


def test_numbers_in_names_are_numbers_for_sample_and_score(run: Run, tmp_path):
    given = images(tmp_path / "given", 12)
    done = run(
        *("sample", checkpoint(tmp_path, "defect_gan"), "--label", "hole", "--normal", given),
        *("--count", 12, "--out", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    rows = (tmp_path / "out/manifest.csv").read_text().splitlines()
    assert [f"{i}.png" in rows[i + 1] for i in range(12)] == [True] * 12
    from defectbench.single.image_folders import list_images

    assert [path.stem for path in list_images(given, "real").files] == list(map(str, range(12)))


# --- masks ------------------------------------------------------------------------------------------


def of_255(at: Path) -> None:
    save(at, painted() * np.uint8(255))


def of_1(at: Path) -> None:
    save(at, painted())


def of_classes(at: Path) -> None:
    mask = painted()
    mask[8:15, 5:18] = 2
    mask[12:15, 5:18] = 7
    save(at, mask)


def of_65535(at: Path) -> None:
    save(at, painted().astype(np.uint16) * 65535)


def as_jpeg(at: Path) -> None:
    """A PNG of what was saved as JPEG before: its edges ring."""
    content = io.BytesIO()
    Image.fromarray(painted() * np.uint8(255)).save(content, "JPEG", quality=75)
    values = np.asarray(Image.open(content))
    assert ((values > 0) & (values < 128)).sum() > 20, "it would grow at a threshold of 1"
    save(at, values)


WRITERS = {"1": of_1, "classes": of_classes, "65535": of_65535, "JPEG": as_jpeg}


def cached(run: Run, at: Path, write: Callable[[Path], None]) -> object:
    data = own(at / "own", images(at / "good"), write)
    done = run(
        *("data", "prepare", "folder", "--data", data, "--size", SIZE, "--workers", 0),
        *("--out", at / "cache"),
    )
    assert done.code == 0, done.err
    return Prepared.open(at / "cache").masks.sum(axis=(1, 2)).tolist(), done.err


def scored(run: Run, at: Path, write: Callable[[Path], None]) -> object:
    real, fake, sources = (images(at / name, seed=i) for i, name in enumerate("rfs"))
    for path in fake.iterdir():
        changed = np.asarray(Image.open(sources / path.name)).copy()
        changed[painted() > 0] = 255
        save(path, changed)
        write(at / "masks" / f"{path.stem}_mask.png")
    done = run(
        *("score", "--real", real, "--fake", fake, "--masks", at / "masks", "--sources", sources),
        *(*ON_MASKS, "--out", at / "results", "--json"),
    )
    assert done.code == 0, done.err
    return {row["name"]: row["value"] for row in done.json["rows"]}, done.err


def drawn(run: Run, at: Path, write: Callable[[Path], None]) -> object:
    write(at / "here.png")
    done = run(
        *("sample", checkpoint(at, "star_gan_spade"), "--label", "hole", "--count", 1),
        *("--normal", save(at / "normal.png", noise(5)), "--mask", at / "here.png"),
        *("--out", at / "drawn"),
    )
    assert done.code == 0, done.err
    with Image.open(at / "drawn/images/000000.png") as image:
        return np.asarray(image).tolist(), done.out


def exported(run: Run, at: Path, write: Callable[[Path], None]) -> object:
    data = own(at / "own", images(at / "good"), write)
    done = run("export", "folder", "--data", data, "--to", "mvtec", "--out", at / "out")
    assert done.code == 0, done.err
    sums = [int((np.asarray(Image.open(p)) > 0).sum()) for p in sorted((at / "out").rglob("*_mask.png"))]  # fmt: skip
    return sums, done.out


MASK_DOORS = {"dataset": cached, "score": scored, "sample": drawn, "export": exported}


@pytest.mark.parametrize("values", WRITERS)
@pytest.mark.parametrize("door", MASK_DOORS)
def test_masks_mean_the_same_whatever_their_values(door, values, run: Run, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    right, _ = MASK_DOORS[door](run, tmp_path / "a", of_255)
    found, said = MASK_DOORS[door](run, tmp_path / "b", WRITERS[values])
    assert found == right
    if values == "JPEG":
        assert "cluster near 0 and near 255" in said
        assert "the middle" in said
    if values == "classes":
        assert "every value above 0 is a defect" in said


def test_masks_of_0_and_1_change_what_they_mark(run: Run, tmp_path):
    scores, _ = scored(run, tmp_path, of_1)
    assert scores == {"change_inside": 1, "without_visible_change": 0}


def empty(at: Path) -> None:
    save(at, painted() * np.uint8(0))


@pytest.mark.parametrize("door", ["data check", "dataset", "score", "export"])
def test_a_set_of_empty_masks_is_said(door, run: Run, tmp_path):
    if door == "data check":
        data = own(tmp_path / "own", images(tmp_path / "good"), empty)
        said = run("data", "check", "folder", "--data", data).out
    elif door == "score":
        real, fake, sources = (images(tmp_path / name, seed=i) for i, name in enumerate("rfs"))
        for path in fake.iterdir():
            empty(tmp_path / "masks" / path.name)
        given = ("--masks", tmp_path / "masks", "--sources", sources)
        said = run("score", "--real", real, "--fake", fake, *given, *QUICK).err
    else:
        _, said = MASK_DOORS[door](run, tmp_path, empty)
    assert "all 4 masks are empty: no pixel of them is above 0" in said


def test_numbers_beside_jpeg_masks_have_no_common_threshold(run: Run, tmp_path):
    def mixed(at: Path) -> None:
        (of_1 if at.stem == "0" else as_jpeg)(at)

    data = own(tmp_path / "own", images(tmp_path / "good"), mixed)
    told = run("data", "check", "folder", "--data", data)
    refused(told, "3 masks have values near 0 and near 255", "save all as PNG of 0 and 255")


# --- EXIF: the image is turned, the mask is not ------------------------------------------------------


def photographed(folder: Path, height: int, width: int) -> Path:
    """Photographs that their EXIF turns, with masks as an annotation tool that knows no EXIF draws them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(3):
        path = folder / "images/dent" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(i, height, width)).save(path, exif=exif)
        save(folder / "masks/dent" / f"{i}.png", painted(height, width) * np.uint8(255))
    images(folder / "images/good")
    return folder


def test_masks_of_turned_photographs_are_counted_if_square_and_refused_if_oblong(run, tmp_path):
    told = run(
        "data", "check", "folder", "--data", photographed(tmp_path / "a", SIZE, SIZE), "--json"
    )
    assert told.code == 0
    (note,) = [note for note in told.json["notes"] if "EXIF" in note]
    assert "3 of 7 images are turned upright" in note
    assert "3 of them have a mask that is not turned" in note
    assert "Turn these masks likewise, or take the orientation out of the images" in note
    told = run("data", "check", "folder", "--data", photographed(tmp_path / "b", 24, 40))
    refused(told, "40x24 pixels", "24x40 when turned upright as its EXIF orientation (6) says")
    masks, fake = tmp_path / "b/masks/dent", tmp_path / "b/images/dent"
    told = run("score", "--real", fake, "--fake", fake, "--masks", masks, *QUICK)
    refused(told, "24x40 when turned upright as its EXIF orientation (6) says")


# --- folders and names of `score` --------------------------------------------------------------------


def test_folders_in_a_score_folder_are_mentioned(run: Run, tmp_path):
    real, fake = images(tmp_path / "real", seed=1), images(tmp_path / "fake", seed=2)
    images(fake / "more"), images(fake / "10"), images(fake / "9")
    told = run("score", "--real", real, "--fake", fake, *QUICK, "--out", tmp_path / "out")
    assert told.code == 0, told.err
    assert "fake: the folders in it are not looked into: 9, 10, more" in told.err


@pytest.mark.parametrize(
    ("folder", "name"), [("uni 划痕", "uni_划痕"), (".a b", "a_b"), ("é!", "é_")]
)
def test_a_name_that_nobody_gave_is_made_of_the_folders(folder, name, run: Run, tmp_path):
    real, fake = images(tmp_path / "real", seed=1), images(tmp_path / folder, seed=2)
    told = run("score", "--real", real, "--fake", fake, *QUICK, "--out", tmp_path / "out", "--json")
    assert told.code == 0, told.err
    assert told.json["name"] == name
    refused(run("score", "--real", real, "--fake", fake, "--name", "a b", *QUICK), "--name 'a b'")


# --- defective images never become good by silence ---------------------------------------------------


def flat(folder: Path) -> Path:
    images(folder / "images", 6)
    for i in range(5):
        save(folder / "masks" / f"{i}.png", painted() * np.uint8(255 * (i < 3)))
    return folder


def boxes(folder: Path) -> Path:
    images(folder / "images", 6)
    for i in range(6):
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{i}.xml").write_text("<annotation/>")
    return folder


def by_table(folder: Path) -> Path:
    images(folder, 6)
    path = folder / "parts.csv"
    path.write_text("image\n" + "".join(f"{i}.png\n" for i in range(6)))
    return path


def with_masks_alone(folder: Path) -> Path:
    images(folder, 6)
    save(folder / "m/0.png", painted())
    path = folder / "parts.csv"
    path.write_text("image,mask\n0.png,m/0.png\n" + "".join(f"{i}.png,\n" for i in range(1, 6)))
    return path


UNSAID = {
    "flat": (flat, 1, 3, ["5.png", "masks"]),
    "boxes": (boxes, 6, 0, ["0.png", "annotations/0.xml is not read"]),
    "table": (by_table, 6, 0, ["0.png", "`defects`"]),
    "masks in a table": (with_masks_alone, 5, 1, ["1.png", "`defects`"]),
}


@pytest.mark.parametrize("layout", UNSAID)
def test_images_of_which_nothing_is_said_are_not_good_by_silence(layout, run: Run, tmp_path):
    write, lacking, defective, words = UNSAID[layout]
    data = write(tmp_path / "plates")
    many = f"{lacking} image{'s have' if lacking > 1 else ' has'} no mask"
    words = [many, "--unlabelled good", "--unlabelled ignore", *words]
    asked = ("--data", data, "--json")
    refused(run("data", "check", "folder", *asked), *words)
    refused(run("fit", "memoriser", "--dataset", "folder", "--data", data, "--out", tmp_path / "f"), *words)  # fmt: skip
    refused(run("export", "folder", "--data", data, "--to", "mvtec", "--out", tmp_path / "e"), *words)  # fmt: skip
    told = run("data", "check", "folder", *asked, "--unlabelled", "good")
    assert told.code == 0, told.err
    assert told.json["images"] == 6
    assert any(f"{many} (" in note and "counted as good" in note for note in told.json["notes"])
    found = {count["defect"]: count["found"] for count in told.json["counts"]}
    assert found.get("defect", 0) == defective
    if lacking < 6:
        told = run("data", "check", "folder", *asked, "--unlabelled", "ignore")
        assert told.json["images"] == 6 - lacking
        assert any("left out" in note for note in told.json["notes"])


def test_unlabelled_is_refused_where_it_says_nothing(run: Run, tmp_path, table):
    data = flat(tmp_path / "plates")
    refused(
        run("data", "check", "folder", "--data", data, "--unlabelled", "goood"),
        "did you mean 'good'",
    )
    refused(run("data", "check", "mtd", "--data", data, "--unlabelled", "good"), "leave it out")
    refused(run("plan", table, "--unlabelled", "good"), "no `dataset: folder`", "leave it out")


def test_unknown_columns_of_a_table_are_refused(run: Run, tmp_path):
    images(tmp_path, 2)
    path = tmp_path / "parts.csv"
    path.write_text("image,label,box,defects\n0.png,dent,1 1 2 2,\n1.png,,,\n")
    told = run("data", "check", "folder", "--data", path)
    refused(told, "column 'label': not read", "column 'box': not read", "Rename or remove it")
    path.write_text("image,defect\n0.png,dent\n1.png,\n")
    refused(run("data", "check", "folder", "--data", path), "did you mean 'defects'")


def test_images_beside_the_folders_of_defects_are_refused(run: Run, tmp_path):
    data = own(tmp_path / "own", images(tmp_path / "good"))
    save(data / "images/stray.png", noise(50))
    refused(
        run("data", "check", "folder", "--data", data), "1 images beside its folders", "stray.png"
    )


def test_one_damaged_byte_range_is_found_wherever_it_lies(tmp_path):
    """What is missing, and what is overwritten, in colour and grey, with and without reduced colour."""
    from defectbench.data.files.jpeg import damage

    for seed, (quality, sub, mode) in enumerate([(90, 0, "RGB"), (75, 2, "RGB"), (95, 0, "L")]):
        content = io.BytesIO()
        shown = Image.fromarray(noise(seed, 120, 200)).convert(mode)
        shown.save(content, "JPEG", quality=quality, subsampling=sub)
        whole = content.getvalue()
        start, end = _scan(whole) or (0, 0)
        assert damage(whole) == ""
        for share in (0.2, 0.5, 0.9):
            at = start + int((end - start) * share)
            assert "lacks" in damage(whole[:at] + whole[end:])
        at = (start + end) // 2
        assert damage(whole[:at] + bytes(600) + whole[at + 600 :])
    for value in (0, 128, 255):
        content = io.BytesIO()
        Image.new("RGB", (300, 200), (value,) * 3).save(content, "JPEG")
        assert damage(content.getvalue()) == "", "an even image is no damaged one"
    assert json.dumps(damage(b"no JPEG")) == '""'


# --- what the names and masks of own images contradict -----------------------------------------------


def test_masks_that_mark_most_of_their_image_are_said(run: Run, tmp_path):
    def inverted(at: Path) -> None:
        save(at, (1 - painted()) * np.uint8(255))

    data = own(tmp_path / "own", images(tmp_path / "good"), inverted)
    told = run("data", "check", "folder", "--data", data, "--json")
    assert told.code == 0
    (note,) = [note for note in told.json["notes"] if "mark more than half" in note]
    assert note.startswith("4 of 4 masks mark more than half of their image (up to 85%)")
    data = own(tmp_path / "right", images(tmp_path / "good"))
    assert "more than half" not in run("data", "check", "folder", "--data", data).out


def test_a_mask_that_marks_a_defect_of_a_good_image_is_refused(run: Run, tmp_path):
    data = own(tmp_path / "own", images(tmp_path / "good"))
    empty(data / "masks/good/0.png")
    assert run("data", "check", "folder", "--data", data).code == 0
    of_255(data / "masks/good/1.png")
    refused(
        run("data", "check", "folder", "--data", data), "masks/good/1.png", "marks a defect of an"
    )


def test_a_folder_of_masks_without_images_is_refused(run: Run, tmp_path):
    data = own(tmp_path / "own", images(tmp_path / "good"))
    of_255(data / "masks/dnet/0.png")
    refused(run("data", "check", "folder", "--data", data), "masks/dnet", "no folder of its name")


@pytest.mark.parametrize("name", ["normal", "OK", "no_defect", "Defect-free"])
def test_names_of_images_without_a_defect_are_no_names_of_defects(name, run: Run, tmp_path):
    data = own(tmp_path / "own", images(tmp_path / "good"))
    images(data / "images" / name)
    for i in range(4):
        of_255(data / "masks" / name / f"{i}.png")
    refused(run("data", "check", "folder", "--data", data), f"{name!r}", "call these 'good'")
    images(tmp_path / "flat", 2)
    table = tmp_path / "flat/parts.csv"
    table.write_text(f"image,defects\n0.png,{name}\n1.png,dent\n")
    refused(run("data", "check", "folder", "--data", table), f"{name!r}", "call these 'good'")
