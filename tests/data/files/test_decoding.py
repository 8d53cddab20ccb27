"""One set of decoding rules, for every odd kind of file that a user may have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.data.files.decoding import (
    BadFile,
    decode_image,
    decode_mask,
    decode_mask_values,
    mask_is_empty,
    read_header,
)


@pytest.fixture
def ramp() -> np.ndarray:
    """(8, 12) uint8, no two rows or columns alike."""
    return (np.arange(8)[:, None] * 25 + np.arange(12)[None] * 4).astype(np.uint8)


def test_grey_becomes_three_equal_channels(tmp_path: Path, ramp: np.ndarray) -> None:
    Image.fromarray(ramp).save(tmp_path / "a.png")
    assert (decode_image(tmp_path / "a.png") == ramp[:, :, None]).all()
    assert read_header(tmp_path / "a.png").mode == "L"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_high_byte(tmp_path: Path, ramp: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(ramp.astype(np.uint16) * 257).save(path)
    assert read_header(path).mode == "I;16"
    assert (decode_image(path)[:, :, 0] == ramp).all()


def test_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparent_pixels_are_laid_on_black(tmp_path: Path) -> None:
    pixels = np.array([[[250, 10, 10, 255], [250, 10, 10, 0]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png").tolist() == [[[250, 10, 10], [0, 0, 0]]]


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (220, 30, 30)).convert("CMYK")
    red.save(tmp_path / "a.jpg", quality=95)
    assert read_header(tmp_path / "a.jpg").mode == "CMYK"
    assert np.abs(decode_image(tmp_path / "a.jpg")[8, 8].astype(int) - [220, 30, 30]).max() < 8


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation_is_applied_to_size_and_pixels(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((16, 32), dtype=np.uint8)
    pixels[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise to show
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    head = read_header(path)
    assert (head.width, head.height) == (16, 32)
    shown = decode_image(path)[:, :, 0]
    assert shown.shape == (32, 16)
    assert shown[:14].min() > 200
    assert shown[18:].max() < 50


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "I;16 of 8 bits", "coloured palette"]
)
def test_a_mask_means_the_same_in_every_mode(tmp_path: Path, mode: str) -> None:
    truth = np.zeros((6, 5), dtype=np.uint8)
    truth[2:4, 1:3] = 1
    grey = Image.fromarray(truth * 255)
    if mode == "I;16":
        image = Image.fromarray(truth.astype(np.uint16) * 65535)
    elif mode == "I;16 of 8 bits":
        image = Image.fromarray(truth.astype(np.uint16) * 255)
    elif mode == "coloured palette":
        image = Image.fromarray(truth)
        image = image.convert("P")
        image.putdata(truth.ravel().tolist())
        image.putpalette([0, 0, 0, 0, 0, 200])
    else:
        image = grey.convert(mode)
    image.save(tmp_path / "m.png")
    assert (decode_mask(tmp_path / "m.png", 128) == truth).all()


def test_a_red_overlay_is_as_bright_as_a_white_one(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[1, 1] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert decode_mask(tmp_path / "m.png", 128).sum() == 1


def test_the_threshold_is_inclusive(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 127, 128, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert decode_mask(tmp_path / "m.png", 128).tolist() == [[0, 0, 0, 1, 1]]
    assert decode_mask(tmp_path / "m.png", 1).tolist() == [[0, 1, 1, 1, 1]]
    assert decode_mask_values(tmp_path / "m.png").tolist() == [[0, 1, 127, 128, 255]]


def test_empty_masks_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 13, dtype=np.uint8)).save(tmp_path / "m.png")
    assert mask_is_empty(tmp_path / "m.png", 128)
    assert not mask_is_empty(tmp_path / "m.png", 1)


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path, ramp: np.ndarray) -> None:
    (tmp_path / "zero.png").touch()
    (tmp_path / "lfs.png").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(ramp).save(
        tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(ramp)]
    )
    for name, words in {
        "zero.png": "empty",
        "lfs.png": "LFS pointer",
        "text.png": "not an image",
        "folder.png": "folder",
        "loop.png": "cannot be decoded",
        "gone.png": "no such file",
        "float.tif": "mode 'F'",
        "pages.tif": "2 pages",
    }.items():
        for read in (read_header, decode_image, decode_mask_values):
            with pytest.raises(BadFile, match=words):
                read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_truncation_is_noticed_from_the_head_already(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    read_header(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadFile, match="truncated"):
        read_header(path)


def test_a_png_with_a_wrong_checksum_is_refused_when_decoded(
    tmp_path: Path, ramp: np.ndarray
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(ramp).save(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") + 10
    content[at] ^= 255
    path.write_bytes(content)
    with pytest.raises(BadFile):
        decode_image(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(name + data) & 0xFFFFFFFF)
        )

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(BadFile, match="larger than"):
        read_header(tmp_path / "a.png")
