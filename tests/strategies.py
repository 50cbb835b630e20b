"""Generators of geometry that the property tests of several rooms share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from osteotrace.space import Grid, Mask, RigidTransform

FRAME = "1.2.826.0.1.3680043.8.498.1"
OTHER_FRAME = "1.2.826.0.1.3680043.8.498.2"

coordinates = st.floats(-500, 500, allow_subnormal=False, width=32)
points = st.tuples(coordinates, coordinates, coordinates).map(np.array)


@st.composite
def rotations(draw: st.DrawFn, max_deg: float = 180.0) -> NDArray[np.float64]:
    """Rotation matrices about any axis."""
    axis = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    length = np.linalg.norm(axis)
    unit = axis / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    return Rotation.from_rotvec(unit * draw(st.floats(-max_deg, max_deg)), degrees=True).as_matrix()


@st.composite
def grids(
    draw: st.DrawFn,
    *,
    max_shape: int = 12,
    spacing: tuple[float, float] = (0.4, 6.0),
    shear: bool = True,
    frame: str = FRAME,
) -> Grid:
    """Oblique grids of any slice order (flipped axes), with gantry shear."""
    shape = draw(st.tuples(*[st.integers(1, max_shape)] * 3))
    steps = draw(st.tuples(*[st.floats(*spacing)] * 3))
    flips = draw(st.tuples(*[st.sampled_from([1.0, -1.0])] * 3))
    tilt = np.eye(3)
    if shear:
        tilt[1, 2] = draw(st.floats(-0.5, 0.5))  # the slices shift along j, as under a tilted gantry
    affine = np.eye(4)
    affine[:3, :3] = draw(rotations()) @ tilt @ np.diag(np.array(steps) * flips)
    affine[:3, 3] = draw(points)
    return Grid(shape, affine, frame)


@st.composite
def masks(draw: st.DrawFn, grid: st.SearchStrategy[Grid] | None = None) -> tuple[Mask, Grid]:
    """A mask of any shape, and the grid of the image that it was drawn on."""
    whole = draw(grids() if grid is None else grid)
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.floats(0, 1))
    random = np.random.default_rng(seed)
    values = random.random(whole.shape) < share
    values[tuple(random.integers(whole.shape))] = True
    return Mask.from_array(values, whole), whole


@st.composite
def rigid_transforms(
    draw: st.DrawFn, from_frame: str = FRAME, to_frame: str = OTHER_FRAME, *, max_deg: float = 180.0
) -> RigidTransform:
    """Any rotation and translation."""
    matrix = np.eye(4)
    matrix[:3, :3] = draw(rotations(max_deg))
    matrix[:3, 3] = draw(points)
    return RigidTransform(matrix, from_frame, to_frame)


def centred_grid(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    *,
    rotation: NDArray[np.float64] | None = None,
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    frame: str = FRAME,
) -> Grid:
    """Grid whose field of view has a given centre."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) @ np.diag(spacing)
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine, frame)


def voxel_centers(grid: Grid) -> NDArray[np.float64]:
    """Centres of all voxels; LPS mm, shape (i, j, k, 3)."""
    return grid.points(np.stack(np.indices(grid.shape), axis=-1))


def ball(grid: Grid, radius_mm: float, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mask:
    """Voxels with their centre inside a sphere."""
    return Mask.from_array(np.linalg.norm(voxel_centers(grid) - center, axis=-1) <= radius_mm, grid)
