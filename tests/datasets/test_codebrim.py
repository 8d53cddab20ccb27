"""CODEBRIM as published, and each trap of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectbench.config import UserError, UserErrors
from defectbench.datasets.codebrim import CODEBRIM, DEFECTS, LABELS, original_stem, read_metadata
from tests.trees import noise, save

NORMAL = (1, 0, 0, 0, 0, 0)


def row(name: str, flags: tuple[int, ...], tag: str = "Defect") -> str:
    inner = "".join(f"<{label}>{flag}</{label}>" for label, flag in zip(LABELS, flags, strict=True))
    return f'<{tag} name="{name}">{inner}</{tag}>'


@pytest.fixture
def codebrim(tmp_path: Path) -> Path:
    """Both XMLs, a crop with three labels, one with none in `defects/`, both kinds of copies, litter."""
    root = tmp_path / "classification_dataset_balanced"
    crops = {
        "background": {"image_0000001_crop_0000001": NORMAL, "image_0000002_crop_0000001": NORMAL},
        "defects": {
            "image_0000230_crop_0000001": (0, 1, 0, 0, 0, 0),
            "image_0000230_crop_0000002": (0, 0, 1, 0, 1, 1),
            "image_0000231_crop_0000001": (0, 0, 0, 0, 0, 0),
            "image_0000300_crop_0000001": (0, 0, 0, 1, 0, 0),
            "image_0000400_crop_0000001": (1, 0, 0, 0, 0, 0),
        },
    }
    (root / "metadata").mkdir(parents=True)
    for folder, rows in crops.items():
        body = "".join(row(f"{stem}.png", flags) for stem, flags in rows.items())
        (root / f"metadata/{folder}.xml").write_text(f"<Annotation>{body}</Annotation>")
    places = {
        "train/background/image_0000001_crop_0000001",
        "val/background/image_0000002_crop_0000001",
        "test/background/image_0000002_crop_0000001",
        "train/defects/image_0000230_crop_0000001",
        "train/defects/image_0000230_crop_0000002",
        "train/defects/image_0000230_crop_0000002_copy00",
        "train/defects/image_0000230_crop_0000002_-_3",
        "train/defects/image_0000231_crop_0000001",
        "val/defects/image_0000300_crop_0000001",
        "test/defects/image_0000400_crop_0000001",
    }
    for number, place in enumerate(sorted(places)):
        save(root / f"{place}.png", noise(number, 20 + number, 30))
    save(root / "train/defects/__MACOSX/._x.png", noise(0))
    (root / "train/defects/._image_0000230_crop_0000001.png").write_bytes(b"\0\5\x16\7")
    save(tmp_path / "__MACOSX/._x.png", noise(0))
    return root


def test_labels_are_the_metadata_not_the_folder(codebrim: Path) -> None:
    manifest = CODEBRIM().scan(codebrim)
    table = manifest.table.set_index("id")
    assert manifest.defects == DEFECTS
    assert len(table) == 10
    assert table.loc["train/defects/image_0000230_crop_0000002", "defects"] == (
        "CorrosionStain",
        "ExposedBars",
        "Spallation",
    )
    for empty in (
        "train/defects/image_0000231_crop_0000001",
        "test/defects/image_0000400_crop_0000001",
    ):
        assert table.loc[empty, "defects"] == ()
        assert table.loc[empty, "folder"] == "defects"
    assert set(table["mask"]) == {""}


def test_copies_have_the_labels_and_the_group_of_their_crop(codebrim: Path) -> None:
    table = CODEBRIM().scan(codebrim.parent).table.set_index("id")  # a folder around it
    stem = "train/defects/image_0000230_crop_0000002"
    for copy in ("_copy00", "_-_3"):
        assert table.loc[stem + copy, "defects"] == table.loc[stem, "defects"]
        assert table.loc[stem + copy, "group"] == "image_0000230"
    assert original_stem("image_0000230_crop_0000002_-_copy_1") == "image_0000230_crop_0000002"
    assert original_stem("image_0000230_crop_0000002") == "image_0000230_crop_0000002"


def test_both_sets_side_by_side_are_refused_by_name(codebrim: Path) -> None:
    (codebrim.parent / "classification_dataset/metadata").mkdir(parents=True)
    (codebrim.parent / "classification_dataset/train").mkdir()
    with pytest.raises(UserError, match="point at one of them"):
        CODEBRIM().scan(codebrim.parent)


def test_every_problem_is_told(codebrim: Path) -> None:
    save(codebrim / "val/defects/image_0000999_crop_0000001.png", noise(9))
    (codebrim / "test/background/image_0000002_crop_0000001.png").unlink()
    (codebrim / "train/defects/image_0000231_crop_0000001.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserErrors) as told:
        CODEBRIM().scan(codebrim)
    for part in (
        "image_0000999_crop_0000001.png: is not in metadata/defects.xml",
        "test/background: holds no image; the archive was not extracted whole",
        "image_0000231_crop_0000001.png: ",
    ):
        assert part in str(told.value)
    (codebrim / "metadata/defects.xml").write_text("<Annotation><Defect")
    with pytest.raises(UserErrors, match=r"defects\.xml: is not XML"):
        CODEBRIM().scan(codebrim)


def test_metadata_is_read_by_tag_and_else_by_position(tmp_path: Path) -> None:
    path = tmp_path / "defects.xml"
    swapped = "<Crack>1</Crack><Background>0</Background>" + "".join(
        f"<{label}>0</{label}>" for label in LABELS[2:]
    )
    untagged = "<a>0</a><b>0</b><c>1</c><d>0</d><e>0</e><f>1</f>"
    path.write_text(
        f'<Whatever><Crop file="a.png" name="z">{swapped}</Crop><x n="b.png">{untagged}</x></Whatever>'
    )
    assert read_metadata(path) == {"a": ("Crack",), "b": ("Spallation", "CorrosionStain")}
    path.write_text('<A><D name="a.png"><Crack>1</Crack></D></A>')
    with pytest.raises(ValueError, match="has 1 labels"):
        read_metadata(path)
