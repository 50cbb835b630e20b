"""From the planes of slices to the affine of a volume (DICOM PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import GeometryError
from osteotrace.intake.frames import Numbers, Plane
from osteotrace.space import FloatArray

# Tolerances of float compare, not clinical choices. Positions are rounded in headers, and where two beds of
# a PET meet one step may differ: a real GE series has one step of 3.19 mm among 3.27 mm and strays
# 0.04 mm from the line. Less than a twentieth of a slice moves no voxel.
EQUAL_STEP_MM = 0.05
EQUAL_STEP_SHARE = 0.05  # of the step
UNIT_LENGTH = 1e-2
RIGHT_ANGLE = 1e-2
SAME_PLACE_MM = 1e-2
_MOST_MISSING = 5000  # slices in one gap; a wider one comes from a damaged position


def normal(orientation: Numbers) -> FloatArray:
    """Unit normal of a plane: row direction × column direction; shape (3,).

    Raises
    ------
    GeometryError
        When the two directions are not unit vectors at right angles.
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1)) > UNIT_LENGTH or abs(row @ column) > RIGHT_ANGLE:
        raise GeometryError(
            "Image Orientation (Patient) is not two unit vectors at right angles",
            where="(0020,0037) " + "\\".join(f"{v:g}" for v in orientation),
        )
    across = np.cross(row, column)
    return np.asarray(across / np.linalg.norm(across))


def depths(planes: Sequence[Plane]) -> FloatArray:
    """Position of each plane along the normal of the first; mm, shape (n,)."""
    return np.asarray(np.array([p.position for p in planes]) @ normal(planes[0].orientation))


def slice_order(planes: Sequence[Plane]) -> NDArray[np.intp]:
    """Indices that put the planes in the order of the normal; shape (n,)."""
    return np.argsort(depths(planes), kind="stable")


def stack_affine(planes: Sequence[Plane]) -> FloatArray:
    """Affine of a stack of slices that are in the order of their normal.

    Parameters
    ----------
    planes : sequence of Plane
        Two or more, parallel, ordered along the normal.

    Returns
    -------
    ndarray of float64, shape (4, 4)
        (column index, row index, slice, 1) to LPS mm. The slice axis is the line through the positions, so a
        tilted gantry gives a sheared affine.

    Raises
    ------
    GeometryError
        When a slice is missing, lies at the place of another, off the line, or at an unequal distance.
    """
    positions = np.array([p.position for p in planes])
    _check_steps(depths(planes))
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    _check_line(positions, step)
    return _affine(planes[0], step)


def plane_affine(plane: Plane, step_mm: float) -> FloatArray:
    """Affine of a regular stack that starts at a plane and goes along its normal in steps of ``step_mm``."""
    return _affine(plane, normal(plane.orientation) * step_mm)


def _affine(plane: Plane, step: FloatArray) -> FloatArray:
    row_spacing, column_spacing = plane.spacing
    if min(row_spacing, column_spacing) <= 0:
        raise GeometryError(
            f"Pixel Spacing is {row_spacing:g}\\{column_spacing:g}", expected="two positive numbers"
        )
    affine = np.eye(4)
    affine[:3, 0] = np.array(plane.orientation[:3]) * column_spacing
    affine[:3, 1] = np.array(plane.orientation[3:]) * row_spacing
    affine[:3, 2] = step
    affine[:3, 3] = plane.position
    return affine


def tolerance_mm(step: float) -> float:
    """How far a slice may stray from its place."""
    return max(EQUAL_STEP_MM, EQUAL_STEP_SHARE * step)


def _check_steps(depth: FloatArray) -> None:
    gaps = np.diff(depth)
    if gaps.min() <= SAME_PLACE_MM:
        place = depth[int(np.argmin(gaps))]
        raise GeometryError(f"two slices lie at the same place, {place:.2f} mm along the normal")
    step = float(
        np.median(gaps[gaps < 1.5 * gaps.min()])
    )  # gaps of one step, however many slices are missing
    missing = _missing(depth, step)
    if missing:
        raise GeometryError(
            f"{len(missing)} of {len(depth) + len(missing)} slices missing",
            where=", ".join(f"{m:.2f} mm" for m in missing[:5]) + " along the normal",
            expected=f"a slice every {step:.3f} mm",
            remedy="send the whole series again",
        )
    if (np.abs(gaps - step) > tolerance_mm(step)).any():
        raise GeometryError(
            f"slice distances from {gaps.min():.3f} to {gaps.max():.3f} mm",
            expected="equal distances",
            remedy="send the whole series again, or a reconstruction with equal distances",
        )


def _missing(depth: FloatArray, step: float) -> list[float]:
    """Places without a slice, when every gap is a whole number of steps and no body's length; else none."""
    gaps = np.diff(depth)
    counts = np.round(gaps / step)
    if (np.abs(gaps - counts * step) > tolerance_mm(step) * np.maximum(counts, 1)).any():
        return []
    if counts.max() > _MOST_MISSING:
        return []
    return [float(d + step * m) for d, n in zip(depth[:-1], counts, strict=True) for m in range(1, int(n))]


def _check_line(positions: FloatArray, step: FloatArray) -> None:
    ideal = positions[0] + np.arange(len(positions))[:, None] * step
    stray = np.linalg.norm(positions - ideal, axis=1)
    if stray.max() > tolerance_mm(float(np.linalg.norm(step))):
        raise GeometryError(
            f"slices stray by up to {stray.max():.2f} mm from a line with equal steps",
            expected=f"less than {tolerance_mm(float(np.linalg.norm(step))):.2f} mm",
        )
