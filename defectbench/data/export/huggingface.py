"""A folder that Hugging Face `datasets` reads as `imagefolder`: `<split>/metadata.jsonl` beside the images.

`load_dataset(folder)` gives columns `image`, `mask` (an image of 0 and 255), `product`, `defects` (a list of names), `label`
and the provenance. Normal images get an all-zero mask as soon as the export holds any mask, since a column of images has
no gaps. `README.md` is the dataset card that names the splits, so that no name is guessed at.
"""

from __future__ import annotations

import json
from typing import Any

from defectbench.data.export.items import Item, Writer

LICENCES = {
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
}
"""What the publishers say, and what the dataset card calls it."""
SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}


def write(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write the layout; see the module.

    Returns:
        the rules, for `export.json`.
    """
    masked = any(item.mask is not None for item in items)
    splits = [split for split in SPLIT_NAMES if any(item.split == split for item in items)]
    unmasked = 0
    for split in splits:
        lines = []
        for item in (item for item in items if item.split == split):
            size = writer.image(item, f"{split}/images/{item.name}.png")
            line: dict[str, Any] = {"file_name": f"images/{item.name}.png"}
            if masked and size is not None:
                writer.mask(writer.read_mask(item), f"{split}/masks/{item.name}.png")
                line["mask_file_name"] = f"masks/{item.name}.png"
                unmasked += bool(item.defects) and item.mask is None
            fields = dict(item.fields)
            if "label" in fields:  # what was asked of the generator, not the class
                fields["requested_label"] = fields.pop("label")
            line |= {
                "id": item.id,
                "product": item.product,
                "label": item.label,
                "defects": list(item.defects),
                **fields,
            }
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        writer.text(f"{split}/metadata.jsonl", "".join(lines))
    if unmasked:
        writer.note(
            f"{unmasked} defective image(s) have no mask: theirs is all zero; tell them by `mask_source`."
        )
    writer.text("README.md", _card(writer, splits))
    return {"normal mask": "all zero" if masked else "no masks"}


def _card(writer: Writer, splits: list[str]) -> str:
    licence = LICENCES.get(writer.licence, "other")
    lines = ["---", f"license: {licence}"]
    if licence == "other":
        lines.append(f"license_name: {json.dumps(writer.licence)}")
    lines += ["configs:", "- config_name: default", "  drop_labels: true", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {SPLIT_NAMES[split]}", f"    path: {split}/**"]
    lines += ["---", "", f"# {writer.manifest.dataset}, exported by defectbench", ""]
    return "\n".join([*lines, *writer.notes, ""])
