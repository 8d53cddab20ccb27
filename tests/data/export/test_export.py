"""Exports read back by the format's own reader give the same images, masks and boxes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.export import FORMATS, export
from defectbench.data.export.items import file_names
from defectbench.data.export.outlines import outlines
from defectbench.data.export.yolo import detect_rows, segment_rows
from defectbench.data.files.decoding import decode_image, decode_mask
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Licence
from defectbench.datasets.mvtec_ad import MVTecAD

H, W = 48, 64
Mask = npt.NDArray[np.uint8]


def blank() -> Mask:
    return np.zeros((H, W), np.uint8)


def shapes() -> dict[str, Mask]:
    """Masks that are traps: one pixel, a hole, the border, two regions that touch by a corner, nearly everything."""
    pixel, ring, border, corner, frame = (blank() for _ in range(5))
    pixel[5, 7] = 1
    ring[10:30, 12:40] = 1
    ring[15:20, 20:30] = 0
    ring[24:26, 15:17] = 0
    border[0:10, 0:64] = 1
    border[40:48, 60:64] = 1
    corner[2:6, 2:6] = 1
    corner[6:9, 6:9] = 1
    corner[30:32, 50:60] = 1
    frame[:] = 1
    frame[1:-1, 1:-1] = 0
    return {"pixel": pixel, "ring": ring, "border": border, "corner": corner, "frame": frame}


class Tree:
    """A folder of images and masks, and the manifest of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[dict[str, Any]] = []
        self.rng = np.random.default_rng(0)

    def add(
        self,
        id_: str,
        *,
        mask: Mask | None = None,
        defects: tuple[str, ...] = (),
        split: str = "train",
        product: str = "wood",
        grey: bool = False,
        **more: str,
    ) -> None:
        number = len(self.rows)
        pixels = self.rng.integers(0, 256, (H, W) if grey else (H, W, 3)).astype(np.uint8)
        (self.root / "i").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(self.root / f"i/{number}.png")
        if mask is not None:
            Image.fromarray(mask * np.uint8(255)).save(self.root / f"i/{number}_m.png")
        self.rows.append(
            {
                "id": id_,
                "image": f"i/{number}.png",
                "mask": f"i/{number}_m.png" if mask is not None else "",
                "product": product,
                "defects": defects,
                "split": split,
                "group": id_,
                "source": "real",
                "mask_source": "annotation" if mask is not None else "none",
                **more,
            }
        )

    def manifest(self, **changes: Any) -> Manifest:
        table = pd.DataFrame(self.rows)
        defects = sorted({d for row in self.rows for d in row["defects"]})
        return Manifest(
            **{
                "table": table,
                "root": self.root,
                "dataset": "house",
                "defects": tuple(defects),
                "products": tuple(sorted(set(table["product"]))),
                **changes,
            }
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "source")
    for number, (name, mask) in enumerate(shapes().items()):
        split = ("train", "val", "test")[number % 3]
        tree.add(
            f"wood/{name}",
            mask=mask,
            defects=("hole" if number % 2 else "scratch",),
            split=split,
            grey=name == "ring",
        )
    for split in ("train", "val", "test"):
        tree.add(f"wood/good {split}", split=split)
    return tree


def png(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def by_id(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "files.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def truth(manifest: Manifest, id_: str) -> tuple[npt.NDArray[np.uint8], Mask]:
    row = manifest.table.set_index("id").loc[id_]
    image = decode_image(manifest.root / row["image"])
    mask = decode_mask(manifest.root / row["mask"], 128) if row["mask"] else 0 * image[:, :, 0]
    return image, mask


# what all formats share


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_writes_the_same_pixels_without_metadata(
    to: str, tree: Tree, tmp_path: Path
) -> None:
    turned = tree.root / "i" / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.new("RGB", (W, H), (200, 30, 30)).save(turned, exif=exif)
    tree.add("wood/turned", split="train")
    tree.rows[-1]["image"] = "i/turned.jpg"
    manifest = tree.manifest()
    done = export(manifest, to, tmp_path / "out")
    files = by_id(done.folder)
    assert len(files) == done.images == len(manifest)
    for id_, row in files.items():
        image, mask = truth(manifest, id_)
        with Image.open(done.folder / row["file"]) as written:
            assert written.format == "PNG"
            assert not written.getexif()
            assert written.mode == ("L" if id_ == "wood/ring" else "RGB")
            np.testing.assert_array_equal(np.asarray(written.convert("RGB")), image)
        if row["mask"]:
            exact = png(done.folder / row["mask"])
            assert set(np.unique(exact)) <= {0, 255}
            np.testing.assert_array_equal(exact > 0, mask > 0)
    assert png(done.folder / files["wood/turned"]["file"]).shape[:2] == (W, H)  # turned for good
    said = json.loads((done.folder / "export.json").read_text())
    assert said["manifest_sha256"] == manifest.digest()
    assert said["format"] == to
    assert not [
        p for p in done.folder.rglob("*") if p.is_symlink() or p.stat().st_nlink > 1 > p.is_dir()
    ]


def test_provenance_travels(tree: Tree, tmp_path: Path) -> None:
    for row in tree.rows:
        row |= {"source": "job-1", "seed": "7", "label": "hole", "normal": "n", "reference": ""}
    done = export(tree.manifest(), "coco", tmp_path / "out")
    row = by_id(done.folder)["wood/ring"]
    assert (row["source"], row["seed"], row["normal"]) == ("job-1", "7", "n")
    back = read_huggingface(export(tree.manifest(), "huggingface", tmp_path / "hf").folder)
    ring = next(row for rows in back.values() for row in rows if row["id"] == "wood/good test")
    assert (ring["label"], ring["requested_label"], ring["source"]) == ("good", "hole", "job-1")


def test_only_a_new_or_empty_folder_is_filled(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(tree.manifest(), "coco", out)
    with pytest.raises(UserError, match="not empty"):
        export(tree.manifest(), "coco", out)


def test_all_bad_files_are_told_and_nothing_is_left(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "i/0.png").write_bytes(b"")
    (tree.root / "i/1_m.png").write_bytes(b"no")
    Image.new("L", (3, 3)).save(tree.root / "i/2_m.png")
    with pytest.raises(UserErrors, match=r"3 file\(s\)") as told:
        export(tree.manifest(), "mvtec", tmp_path / "out")
    assert "is 3x3 pixels, its image 2.png is 64x48" in str(told.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("yolov8", {}, "did you mean 'yolo'"),
        ("mvtec", {"min_area": 3}, "has no option 'min_area'"),
        ("yolo", {"polygons": True}, "has no option 'polygons'"),
        ("yolo", {"min_area": 0}, "wants 1 pixel"),
        ("yolo", {"classes": "type"}, "wants one of defect"),
        ("coco", {"holes": "cut"}, "wants one of bridge"),
    ],
)
def test_options_that_a_format_does_not_read_are_refused(
    to: str, options: dict[str, Any], message: str, tree: Tree, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        export(tree.manifest(), to, tmp_path / "out", **options)


def test_an_unknown_split_is_refused(tree: Tree, tmp_path: Path) -> None:
    tree.rows[0]["split"] = "fold 3"
    with pytest.raises(UserError, match="'fold 3' cannot be exported"):
        export(tree.manifest(), "coco", tmp_path / "out")


def test_the_licence_goes_along(tree: Tree, tmp_path: Path) -> None:
    narrow = Licence("custom, no redistribution", commercial=False)
    done = export(tree.manifest(), "coco", tmp_path / "a", licence=narrow)
    assert any("no commercial use" in n and "synthetic images" in n for n in done.notes)
    drawn = export(tree.manifest(stand_in=True), "coco", tmp_path / "b", licence=narrow)
    assert any("Stand-ins" in note for note in drawn.notes)
    card = export(
        tree.manifest(), "huggingface", tmp_path / "c", licence=Licence("CC BY 4.0", True)
    )
    assert "license: cc-by-4.0" in (card.folder / "README.md").read_text()


def test_file_names_are_portable_and_unique() -> None:
    ids = ["a/b", "a_b", "A_B", "päck/1", "x" * 300, "..", "a b"]
    names = file_names(ids)
    assert names[0] == "a_b"
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(name.isascii() and "/" not in name and len(name) < 130 for name in names)
    assert file_names(ids) == names


@pytest.mark.parametrize("to", ["mvtec", "yolo", "yolo-seg", "coco"])
def test_a_defective_image_without_a_mask_never_passes_for_background(
    to: str, tree: Tree, tmp_path: Path
) -> None:
    tree.add("wood/unmasked", defects=("hole",))
    tree.add("wood/failed", defects=("hole",), mask=shapes()["ring"])
    tree.rows[-1]["mask_source"] = "invalid"
    done = export(tree.manifest(), to, tmp_path / "out")
    assert not {"wood/unmasked", "wood/failed"} & by_id(done.folder).keys()
    assert any("2 defective image(s) have no mask" in note for note in done.notes)


def test_masks_follow_the_manifests_threshold(tree: Tree, tmp_path: Path) -> None:
    faint = blank()
    faint[3:9, 3:9] = 2  # a class id, as VisA has them
    Image.fromarray(faint).save(tree.root / "i/0_m.png")
    done = export(tree.manifest(mask_threshold=1), "mvtec", tmp_path / "out")
    mask = png(done.folder / by_id(done.folder)["wood/pixel"]["mask"])
    assert int((mask == 255).sum()) == 36


# outlines


def filled(lines: list[list[tuple[int, int]]]) -> npt.NDArray[np.bool_]:
    """Fill lines by the even-odd rule, from the definition: count the edges to the left of each pixel's centre."""
    mask = np.zeros((H, W), bool)
    for line in lines:
        for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]], strict=True):
            if ax == bx:
                mask[min(ay, by) : max(ay, by), ax:] ^= True
    return mask


@pytest.mark.parametrize("name", shapes())
def test_outlines_hold_exactly_the_mask(name: str) -> None:
    mask = shapes()[name] > 0
    lines = outlines(mask)
    np.testing.assert_array_equal(filled(lines), mask)
    assert all(a == c or b == d for line in lines for (a, b), (c, d) in pairwise(line))


def test_outlines_of_random_masks_hold_exactly_the_mask() -> None:
    rng = np.random.default_rng(3)
    for density in (0.3, 0.5, 0.6, 0.8, 0.95):
        mask = rng.random((H, W)) < density
        np.testing.assert_array_equal(filled(outlines(mask)), mask)


def test_filled_outlines_have_no_holes() -> None:
    mask = filled(outlines(shapes()["ring"] > 0, fill=True))
    assert mask[10:30, 12:40].all()
    assert mask.sum() == 20 * 28


# MVTec


def test_mvtec_round_trip(tree: Tree, tmp_path: Path) -> None:
    manifest = tree.manifest()
    done = export(manifest, "mvtec", tmp_path / "out")
    back = MVTecAD().scan(done.folder)
    assert len(back) == len(manifest)
    files = {row["file"]: row["id"] for row in by_id(done.folder).values()}
    for row in back.table.to_dict("records"):
        image, mask = truth(manifest, files[row["image"]])
        np.testing.assert_array_equal(decode_image(back.root / row["image"]), image)
        if row["defects"]:
            np.testing.assert_array_equal(decode_mask(back.root / row["mask"], 128), mask)


def test_mvtec_normal_training_images_only_in_train(tree: Tree, tmp_path: Path) -> None:
    done = export(tree.manifest(), "mvtec", tmp_path / "out")
    wood = done.folder / "wood"
    assert sorted(p.name for p in (wood / "train").iterdir()) == ["good"]
    assert not (wood / "ground_truth/good").exists()
    assert len(list((wood / "train/good").iterdir())) == 2
    assert any("1 normal image(s) of the validation split" in note for note in done.notes)
    for kind in ("hole", "scratch"):
        images = sorted(p.stem for p in (wood / "test" / kind).iterdir())
        masks = sorted(p.stem for p in (wood / "ground_truth" / kind).iterdir())
        assert masks == [f"{stem}_mask" for stem in images]


@pytest.mark.slow
def test_mvtec_names_sort_as_numbers_beyond_a_thousand(tree: Tree, tmp_path: Path) -> None:
    for number in range(1001):
        tree.rows.append({**tree.rows[-1], "id": f"wood/more {number}", "split": "train"})
    done = export(tree.manifest(), "mvtec", tmp_path / "out")
    names = [p.stem for p in (done.folder / "wood/train/good").iterdir()]
    assert {len(name) for name in names} == {4}
    assert any("first three characters" in note for note in done.notes)


def test_mvtec_an_empty_mask_is_written_and_told(tree: Tree, tmp_path: Path) -> None:
    tree.add("wood/empty", defects=("hole",), mask=blank())
    done = export(tree.manifest(), "mvtec", tmp_path / "out")
    assert by_id(done.folder)["wood/empty"]["mask"]
    assert any("empty mask" in note for note in done.notes)


def test_a_defect_called_good_is_refused(tree: Tree, tmp_path: Path) -> None:
    tree.add("wood/odd", defects=("good",), mask=shapes()["ring"])
    with pytest.raises(UserError, match="is called 'good'"):
        export(tree.manifest(), "mvtec", tmp_path / "out")


def test_names_that_differ_only_by_case_are_refused(tree: Tree, tmp_path: Path) -> None:
    tree.add("wood/odd", defects=("Hole",), mask=shapes()["ring"])
    with pytest.raises(UserError, match="only by case"):
        export(tree.manifest(), "mvtec", tmp_path / "out")
    with pytest.raises(UserError, match="folder names"):
        export(tree.manifest(), "image-folder", tmp_path / "out")


# ImageFolder


def test_image_folder_round_trip(tree: Tree, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    manifest = tree.manifest()
    done = export(manifest, "image-folder", tmp_path / "out")
    order = json.loads((done.folder / "classes.json").read_text())["classes"]
    assert order == ["good", "hole", "scratch"]
    files = {row["file"]: row for row in by_id(done.folder).values()}
    seen = 0
    for split in ("train", "val", "test"):
        folder = ImageFolder(str(done.folder / split))
        for (path, index), (image, _) in zip(folder.samples, folder, strict=True):
            row = files[Path(path).relative_to(done.folder).as_posix()]
            assert folder.classes[index] == (row["defects"] or "good")
            np.testing.assert_array_equal(np.asarray(image), truth(manifest, row["id"])[0])
            seen += 1
    assert seen == len(manifest)


def test_image_folder_tells_of_classes_that_a_split_lacks(tree: Tree, tmp_path: Path) -> None:
    tree.add("wood/rare", defects=("crack",), split="train")
    done = export(tree.manifest(), "image-folder", tmp_path / "out")
    assert any(note.startswith("test holds no image of crack") for note in done.notes)


def test_image_folder_keeps_all_labels_of_an_image(tree: Tree, tmp_path: Path) -> None:
    tree.add("wood/both", defects=("crack", "hole", "scratch"), split="train")
    done = export(tree.manifest(), "image-folder", tmp_path / "out")
    with (done.folder / "labels.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    row = rows["train/crack+hole+scratch/wood_both.png"]
    assert [row[d] for d in ("crack", "hole", "scratch")] == ["1", "1", "1"]
    assert len(rows) == len(tree.rows)
    assert any("1 image(s) have several defects" in note for note in done.notes)


# COCO


@pytest.mark.parametrize("polygons", [False, True])
def test_coco_round_trip(polygons: bool, tree: Tree, tmp_path: Path) -> None:
    from faster_coco_eval import COCO

    manifest = tree.manifest()
    done = export(manifest, "coco", tmp_path / "out", polygons=polygons)
    files = {row["file"]: row["id"] for row in by_id(done.folder).values()}
    seen = 0
    for split in ("train", "val", "test"):
        coco = COCO(str(done.folder / f"annotations/instances_{split}.json"))
        assert set(coco.dataset) == {"info", "licenses", "images", "annotations", "categories"}
        assert all(a["id"] >= 1 for a in coco.dataset["annotations"])
        for image in coco.loadImgs(coco.getImgIds()):
            id_ = files[f"images/{split}/{image['file_name']}"]
            _, mask = truth(manifest, id_)
            assert (image["height"], image["width"]) == mask.shape
            found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            union = blank()
            for annotation in found:
                part = coco.annToMask(annotation)
                ys, xs = np.nonzero(part)
                x0, y0 = xs.min(), ys.min()
                assert annotation["bbox"] == [x0, y0, xs.max() + 1 - x0, ys.max() + 1 - y0]
                assert annotation["area"] == part.sum()
                union |= part
            np.testing.assert_array_equal(union, mask)
            seen += 1
    assert seen == len(manifest)


def test_coco_numbers_start_at_one_and_rules_are_recorded(tree: Tree, tmp_path: Path) -> None:
    done = export(tree.manifest(), "coco", tmp_path / "out", min_area=30)
    content = json.loads((done.folder / "annotations/instances_train.json").read_text())
    assert content["info"]["min_area"] == 30
    assert "8-connected" in content["info"]["rule"]
    assert [c["id"] for c in content["categories"]] == [1, 2]
    assert "wood/pixel" not in by_id(done.folder)  # nothing of it is left: not background
    assert any("no region of 30 pixel(s)" in note for note in done.notes)
    assert {c["id"] for c in content["categories"]} >= {
        a["category_id"] for a in content["annotations"]
    }


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ("defect", ["hole", "scratch", "hole+scratch"]),
        ("product_defect", ["tile_hole", "wood_hole", "wood_scratch", "wood_hole+scratch"]),
        ("single", ["defect"]),
    ],
)
def test_classes(classes: Any, names: list[str], tree: Tree, tmp_path: Path) -> None:
    tree.add("both", defects=("hole", "scratch"), mask=shapes()["ring"])
    tree.add("tile", defects=("hole",), mask=shapes()["ring"], product="tile")
    done = export(tree.manifest(), "coco", tmp_path / "out", classes=classes)
    content = json.loads((done.folder / "annotations/instances_train.json").read_text())
    assert [c["name"] for c in content["categories"]] == names


# YOLO


READER = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset
answer = {}
for task, folder in zip(("detect", "segment"), sys.argv[1:]):
    data = check_det_dataset(folder + "/data.yaml", autodownload=False)
    found = {}
    for split in ("train", "val", "test"):
        dataset = YOLODataset(data[split], data=data, task=task, augment=False, imgsz=64)
        for label in dataset.labels:
            found[label["im_file"]] = {
                "cls": label["cls"].ravel().tolist(),
                "boxes": label["bboxes"].tolist(),
                "segments": [s.tolist() for s in label["segments"]],
            }
    answer[task] = {"names": data["names"], "labels": found}
print("\\nFOUND" + json.dumps(answer))
"""


def read_yolo(detect: Path, segment: Path, settings: Path) -> dict[str, Any]:
    """Read two exports with Ultralytics' own class, offline, in a process of its own."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(settings),
        "YOLO_OFFLINE": "1",
        "YOLO_CONFIG_DIR": str(settings),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", READER, str(detect), str(segment)],
        env=environment,
        cwd=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.rpartition("FOUND")[2]))


@pytest.mark.slow  # imports Ultralytics in a process of its own
def test_yolo_round_trip(tree: Tree, tmp_path: Path) -> None:
    manifest = tree.manifest()
    boxed = export(manifest, "yolo", tmp_path / "boxes").folder
    lined = export(manifest, "yolo-seg", tmp_path / "lines").folder
    settings = tmp_path / "settings"  # Ultralytics writes there and nowhere else
    settings.mkdir()
    back = read_yolo(boxed, lined, settings)
    for task, folder in (("detect", boxed), ("segment", lined)):
        names, labels = back[task]["names"], back[task]["labels"]
        assert names == {"0": "hole", "1": "scratch"}
        files = {str(folder / row["file"]): row for row in by_id(folder).values()}
        assert labels.keys() == files.keys()  # none was dropped as corrupt
        for path, label in labels.items():
            _, mask = truth(manifest, files[path]["id"])
            found = {names[str(int(index))] for index in label["cls"]}
            assert found == ({files[path]["defects"]} if mask.any() else set())
            if task == "detect":
                rows = [[float(v) for v in row.split()][1:] for row in detect_rows(mask, 0)]
                assert len(rows) == len(label["boxes"])
                if rows:
                    np.testing.assert_allclose(label["boxes"], rows, atol=1e-6)
            else:
                lines = [[(round(x * W), round(y * H)) for x, y in s] for s in label["segments"]]
                np.testing.assert_array_equal(filled(lines), mask > 0)


def test_yolo_boxes_reach_the_far_edge() -> None:
    assert detect_rows(shapes()["pixel"], 0) == [
        f"0 {7.5 / W:.8g} {5.5 / H:.8g} {1 / W:.8g} {1 / H:.8g}"
    ]
    assert detect_rows(np.ones((H, W), np.uint8), 2) == ["2 0.5 0.5 1 1"]


def test_yolo_segment_rows_never_look_like_boxes() -> None:
    """A row of five columns among polygons makes Ultralytics drop the image."""
    for mask in shapes().values():
        for fill in (False, True):
            assert all(len(row.split()) >= 9 for row in segment_rows(mask, 0, fill=fill))


def test_yolo_rasterised_by_opencv_keeps_holes(tree: Tree) -> None:
    import cv2

    mask = shapes()["ring"]
    row = np.array(segment_rows(mask, 0)[0].split()[1:], float).reshape(-1, 2) * (W, H)
    canvas = blank()
    cv2.fillPoly(canvas, [np.round(row).astype(np.int32)], 1)
    assert canvas[17, 25] == 0  # the middle of the hole
    # OpenCV draws the line itself too, so what differs lies beside it: no farther than a pixel
    wide = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    assert not (canvas & ~wide & 1).any()
    assert not (mask & ~canvas & 1).any()


def test_yolo_normal_images_have_empty_labels_and_empty_masks_are_left_out(
    tree: Tree, tmp_path: Path
) -> None:
    tree.add("wood/empty", defects=("hole",), mask=blank())
    done = export(tree.manifest(), "yolo", tmp_path / "out")
    files = by_id(done.folder)
    assert "wood/empty" not in files
    assert any("1 defective image(s) have no region" in note for note in done.notes)
    for id_, row in files.items():
        label = done.folder / row["file"].replace("images/", "labels/", 1).replace(".png", ".txt")
        assert bool(label.read_text()) != id_.startswith("wood/good")


def test_yolo_val_is_required_and_its_lack_is_told(tree: Tree, tmp_path: Path) -> None:
    for row in tree.rows:
        row["split"] = ""
    done = export(tree.manifest(), "yolo", tmp_path / "out")
    text = (done.folder / "data.yaml").read_text()
    assert "train: images/train\n" in text
    assert "val: images/train\n" in text
    assert "path:" not in text
    assert any("no image has split 'val'" in note for note in done.notes)


def test_yolo_first_name_is_never_an_imagenet_code(tree: Tree, tmp_path: Path) -> None:
    for row in tree.rows:
        row["defects"] = tuple("n01" for _ in row["defects"])
    done = export(tree.manifest(), "yolo", tmp_path / "out")
    assert '0: "class_n01"' in (done.folder / "data.yaml").read_text()


def test_yolo_small_images_are_told(tree: Tree, tmp_path: Path) -> None:
    Image.new("RGB", (9, 30)).save(tree.root / "i/5.png")
    done = export(tree.manifest(), "yolo", tmp_path / "out")
    assert any("under 10 pixels" in note for note in done.notes)


# Hugging Face


def read_huggingface(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read by the documented layout: the card names the splits, metadata.jsonl the files beside it."""
    from ruamel.yaml import YAML

    card = YAML(typ="safe").load((folder / "README.md").read_text().split("---")[1])
    splits = {}
    for entry in card["configs"][0]["data_files"]:
        place = folder / entry["path"].removesuffix("/**")
        rows = [json.loads(line) for line in (place / "metadata.jsonl").read_text().splitlines()]
        named = {name for row in rows for k, name in row.items() if k.endswith("file_name")}
        held = {p.relative_to(place).as_posix() for p in place.rglob("*.png")}
        assert named == held
        for row in rows:
            for column in ("file_name", "mask_file_name"):
                if column in row:
                    name = "image" if column == "file_name" else "mask"
                    row[name] = png(place / row[column])
        splits[entry["split"]] = rows
    return splits


def test_huggingface_round_trip(tree: Tree, tmp_path: Path) -> None:
    manifest = tree.manifest()
    done = export(manifest, "huggingface", tmp_path / "out")
    back = read_huggingface(done.folder)
    assert set(back) == {"train", "validation", "test"}
    assert sum(map(len, back.values())) == len(manifest)
    for row in (row for rows in back.values() for row in rows):
        image, mask = truth(manifest, row["id"])
        np.testing.assert_array_equal(
            np.asarray(Image.fromarray(row["image"]).convert("RGB")), image
        )
        np.testing.assert_array_equal(row["mask"] > 0, mask > 0)
        assert row["label"] == (row["defects"][0] if row["defects"] else "good")


def test_huggingface_without_masks_has_no_mask_column(tree: Tree, tmp_path: Path) -> None:
    for row in tree.rows:
        row |= {"mask": "", "mask_source": "none"}
    done = export(tree.manifest(), "huggingface", tmp_path / "out")
    assert not list(done.folder.rglob("masks"))
    assert all("mask" not in row for rows in read_huggingface(done.folder).values() for row in rows)
