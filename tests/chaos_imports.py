"""What a run of `tests.chaos` has imported when it is forked."""

import lightning  # noqa: F401
import matplotlib.figure  # noqa: F401
import pandas  # noqa: F401
import scipy.ndimage  # noqa: F401
import segmentation_models_pytorch  # noqa: F401

import defectbench.cli
import defectbench.generators.memoriser
import defectbench.runner.run
import defectbench.stages.evaluation
import defectbench.stages.execute
import defectbench.tasks.segmentation  # noqa: F401
