"""What is translated to what."""

import torch

from defectbench.nn.translation.label_translation import shuffled_labels, two_cycles
from tests.generators.short_training import train_batch


def test_tasks_of_both_papers():
    batch = train_batch({"defect", "normal"})
    task = two_cycles(batch)
    assert torch.equal(task.image[:4], batch["normal"]["image"])
    assert task.label[:4].sum() == 0
    assert task.target[4:].sum() == 0
    assert sorted(task.target[:4].argmax(1).tolist()) == sorted(
        batch["defect"]["defects"].argmax(1).tolist()
    )
    task = shuffled_labels(batch)
    assert sorted(map(tuple, task.target.tolist())) == sorted(map(tuple, task.label.tolist()))
    batch["normal"]["image"] = batch["normal"]["image"].repeat(2, 1, 1, 1)
    batch["normal"]["defects"] = batch["normal"]["defects"].repeat(2, 1)
    assert two_cycles(batch).target.shape == (12, 3)  # more normals than defects
