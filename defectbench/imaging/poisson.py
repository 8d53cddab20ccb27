"""The Poisson equation on a masked pixel grid, fast: banded Cholesky or multigrid.

A mask splits into 4-connected components that do not see one another. Small or narrow ones (any
scratch, however long) are ordered row by row along their short side, which makes the matrix a
narrow band, and go together through one banded Cholesky factorisation. Wide ones go one by one
through conjugate gradients with a multigrid V-cycle as preconditioner. The two cross near 10 % of
a 256 px image, where either takes about half the time of a sparse LU; at 30 % multigrid takes a
quarter or less (``benchmarks/performance/blending.py`` measures it).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.linalg import solveh_banded
from scipy.sparse.linalg import splu

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Real = TypeVar("Real", np.float32, np.float64)

BAND_BUDGET = 3e7  # multiply-adds of a banded factorisation above which multigrid is faster
MAX_ITERATIONS = 60  # multigrid needs 5 to 15; a mask that needs more goes to sparse LU


def solve_poisson(
    source: npt.ArrayLike,
    values: npt.ArrayLike,
    mask: BoolArray,
    *,
    tolerance: float = 1e-6,
) -> FloatArray:
    """Solve "Laplacian of u = source" inside a mask with u = values outside it.

    The Laplacian is the five-point one, u(left) + u(right) + u(up) + u(down) - 4 u. Only the
    values on pixels that share an edge with the mask act on the solution.

    Args:
        source: (H, W) or (H, W, C), read inside the mask only; a scalar stands for a constant.
        values: (H, W) or (H, W, C), read outside the mask only; its shape is the result's.
        mask: (H, W), True where u is unknown; it must not touch the image border.
        tolerance: the iterative path ends with the first correction below this, in the units of
            `values`; the error left is several times smaller. The direct path errs near 1e-12.

    Returns:
        u, float64, of the shape of `values`; outside the mask it equals `values`.

    Raises:
        ValueError: shapes disagree, or the mask touches the image border.
    """
    known = np.asarray(values, dtype=np.float64)
    if known.ndim not in {2, 3} or known.shape[:2] != mask.shape:
        raise ValueError(
            f"values are {known.shape}; wants (H, W) or (H, W, C) with the mask's {mask.shape}"
        )
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        raise ValueError("the mask touches the image border; clear its outermost rows and columns")
    if not mask.any():
        return known.copy()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = slice(rows[0] - 1, rows[-1] + 2), slice(columns[0] - 1, columns[-1] + 2)
    inside = mask[box]
    channels = known.reshape(*mask.shape, -1)[box]  # (h, w, C)
    outer = np.where(inside[..., None], 0.0, channels)
    right = np.zeros_like(outer)
    right[1:-1, 1:-1] = outer[:-2, 1:-1] + outer[2:, 1:-1] + outer[1:-1, :-2] + outer[1:-1, 2:]
    right -= np.broadcast_to(np.asarray(source, dtype=np.float64), known.shape).reshape(
        *mask.shape, -1
    )[box]
    result = known.copy()
    result.reshape(*mask.shape, -1)[box][inside] = _solve(inside, right[inside], tolerance)
    return result


def _solve(mask: BoolArray, right: FloatArray, tolerance: float) -> FloatArray:
    """Solve (4 - neighbours) u = right; `right` and u are (N, C) in row-major order of the mask."""
    labels, count = ndimage.label(mask)
    ys, xs = np.nonzero(mask)
    of_pixel = labels[ys, xs] - 1  # (N,) component of each unknown
    # The longest row of a component bounds its bandwidth when rows are numbered one by one.
    longest_row = _longest(of_pixel, ys, count)
    longest_column = _longest(of_pixel, xs, count)
    bandwidth = np.minimum(longest_row, longest_column).astype(np.float64)
    wide = np.bincount(of_pixel, minlength=count) * bandwidth**2 > BAND_BUDGET
    solution = np.empty_like(right)
    for component in np.flatnonzero(wide):
        unknowns = of_pixel == component
        box = ndimage.find_objects(labels, component + 1)[component]
        alone = np.pad(labels[box] == component + 1, 1)
        solution[unknowns] = _solve_wide(alone, right[unknowns], tolerance)
    narrow = ~wide[of_pixel]
    if narrow.any():
        by_column = (longest_column < longest_row)[of_pixel]
        major, minor = np.where(by_column, xs, ys), np.where(by_column, ys, xs)
        order = np.lexsort((minor, major, of_pixel))
        order = order[narrow[order]]
        solution[order] = _banded(mask, ys[order], xs[order], right[order])
    return solution


def _longest(
    of_pixel: npt.NDArray[np.intp], line: npt.NDArray[np.intp], count: int
) -> npt.NDArray[np.intp]:
    """Return the largest number of pixels that each component has on one line."""
    lines = int(line.max()) + 1
    counts = np.bincount(of_pixel * lines + line, minlength=count * lines)
    longest: npt.NDArray[np.intp] = counts.reshape(count, lines).max(axis=1)
    return longest


def _edges(
    mask: BoolArray, ys: npt.NDArray[np.intp], xs: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the pairs of unknowns that share a pixel edge, numbered in the order of (ys, xs)."""
    number = np.full(mask.shape, -1, dtype=np.intp)
    number[ys, xs] = np.arange(len(ys))
    first = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    second = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    both = (first >= 0) & (second >= 0)
    return first[both], second[both]


def _banded(
    mask: BoolArray, ys: npt.NDArray[np.intp], xs: npt.NDArray[np.intp], right: FloatArray
) -> FloatArray:
    """Solve by banded Cholesky; cost is unknowns times bandwidth squared."""
    first, second = _edges(mask, ys, xs)
    low, span = np.minimum(first, second), np.abs(second - first)
    band = np.zeros((int(span.max(initial=0)) + 1, len(ys)))
    band[0] = 4.0
    band[span, low] = -1.0
    solution: FloatArray = solveh_banded(
        band, right, lower=True, overwrite_ab=True, check_finite=False
    )
    return solution


def _solve_wide(mask: BoolArray, right: FloatArray, tolerance: float) -> FloatArray:
    """Solve one wide component; `mask` is its bounding box with a margin of one pixel."""
    solution = _conjugate_gradients(mask, right, tolerance)
    if solution is None:
        ys, xs = np.nonzero(mask)
        first, second = _edges(mask, ys, xs)
        diagonal = np.arange(len(ys))
        matrix = sparse.csc_matrix(
            (
                np.repeat([4.0, -1.0], [len(ys), 2 * len(first)]),
                (
                    np.concatenate([diagonal, first, second]),
                    np.concatenate([diagonal, second, first]),
                ),
            )
        )
        factors = splu(
            matrix,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        solution = factors.solve(right)
    return solution


def _conjugate_gradients(mask: BoolArray, right: FloatArray, tolerance: float) -> FloatArray | None:
    """Iterate until the next correction, then applied, is below `tolerance`; None if none is."""
    multigrid = _Multigrid(mask)
    inside = multigrid.levels[0]  # (h, w), with sides fit for halving
    chosen = inside > 0
    residual = np.zeros((right.shape[1], *chosen.shape))
    residual[:, chosen] = right.T
    solution = np.zeros_like(residual)
    direction = np.zeros_like(residual)
    previous = np.ones((len(residual), 1, 1))
    for _ in range(MAX_ITERATIONS):
        scale = max(float(np.abs(residual).max()), 1e-300)  # keeps float32 away from denormals
        step = multigrid.cycle((residual / scale).astype(np.float32)).astype(np.float64) * scale
        if np.abs(step).max() <= tolerance:
            return np.ascontiguousarray((solution + step)[:, chosen].T)
        energy = _dot(residual, step)
        direction *= energy / np.maximum(previous, 1e-300)
        direction += step
        previous = energy
        image = 4.0 * direction - _neighbours(direction)
        image *= inside
        rate = energy / np.maximum(_dot(direction, image), 1e-300)
        solution += rate * direction
        residual -= rate * image
    return None


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the scalar product of each channel, (C, 1, 1)."""
    product: FloatArray = np.einsum("chw,chw->c", first, second)[:, None, None]
    return product


def _neighbours(field: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Sum the four neighbours; wrong on the outermost pixels, which every mask here leaves out."""
    flat, width = field.reshape(-1), field.shape[-1]
    total = np.zeros_like(flat)
    total[1:] += flat[:-1]
    total[:-1] += flat[1:]
    total[width:] += flat[:-width]
    total[:-width] += flat[width:]
    return total.reshape(field.shape)


class _Multigrid:
    """A symmetric V-cycle for "4 - neighbours" on one mask, in float32.

    Level l + 1 keeps every second pixel of level l, and its mask the same pixels of the mask.
    Each level smooths twice by damped Jacobi before and after the coarser one corrects it.
    """

    DAMPING = np.float32(0.8 / 4)
    COARSEST_SWEEPS = 16

    def __init__(self, mask: BoolArray) -> None:
        """Build the levels from a (h, w) mask that is empty on its outermost pixels."""
        depth = max(0, int(math.log2(min(mask.shape) - 1)) - 2)
        unit = 2**depth
        level = np.pad(mask, [(0, -(side - 1) % unit) for side in mask.shape])
        self.levels = [level.astype(np.float32)]
        for _ in range(depth):
            level = level[::2, ::2]
            if not level.any():
                break
            self.levels.append(level.astype(np.float32))

    def cycle(self, right: npt.NDArray[np.float32], depth: int = 0) -> npt.NDArray[np.float32]:
        """Return an approximate solution, (C, h, w), zero outside the mask."""
        inside = self.levels[depth]
        field = self.DAMPING * right
        last = depth == len(self.levels) - 1
        for _ in range(self.COARSEST_SWEEPS if last else 1):
            field += self._correction(field, right, inside)
        if last:
            return field
        residual = (right - 4 * field + _neighbours(field)) * inside
        coarse = _restrict(residual) * self.levels[depth + 1]
        field += _prolong(self.cycle(coarse, depth + 1)) * inside
        for _ in range(2):
            field += self._correction(field, right, inside)
        return field

    def _correction(
        self,
        field: npt.NDArray[np.float32],
        right: npt.NDArray[np.float32],
        inside: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return the damped Jacobi step."""
        step = _neighbours(field)
        step -= 4 * field
        step += right
        step *= inside
        step *= self.DAMPING
        return step


def _restrict(fine: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gather residuals with the weights 1/2, 1, 1/2 per axis; sides 2n + 1 become n + 1."""
    half = np.float32(0.5)
    rows = fine[:, 2:-1:2] + half * (fine[:, 1:-2:2] + fine[:, 3::2])
    middle = rows[:, :, 2:-1:2] + half * (rows[:, :, 1:-2:2] + rows[:, :, 3::2])
    return np.pad(middle, ((0, 0), (1, 1), (1, 1)))


def _prolong(coarse: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Interpolate linearly, the transpose of `_restrict`."""
    channels, height, width = coarse.shape
    half = np.float32(0.5)
    fine = np.empty((channels, 2 * height - 1, 2 * width - 1), np.float32)
    fine[:, ::2, ::2] = coarse
    fine[:, 1::2, ::2] = half * (coarse[:, :-1] + coarse[:, 1:])
    fine[:, :, 1::2] = half * (fine[:, :, :-2:2] + fine[:, :, 2::2])
    return fine
