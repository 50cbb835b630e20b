"""Shapes that a structured report draws (DICOM PS3.3 C.18.6 SCOORD, C.18.9 SCOORD3D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from pydicom.dataset import Dataset

from osteotrace.errors import RegionError
from osteotrace.intake import header as hd
from osteotrace.intake.contours import Contour, Filled, outside_error
from osteotrace.intake.region_header import FAR_MM
from osteotrace.intake.region_image import Images, Reference, named_volume
from osteotrace.intake.region_voxels import BESIDE, mask_of
from osteotrace.space import FloatArray, Grid

_CORNERS_OF_ELLIPSE = 256  # a polygon of this many corners is 0.01% smaller than its ellipse
_CLOSED_MM = 1e-3  # first and last point of a closed line
_PIXEL_CENTRE = 0.5  # SCOORD counts from the corner of the first pixel, not from its centre


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """Centre (3,) and half axes as columns (3, 3); LPS, mm."""

    center: FloatArray
    half_axes: FloatArray

    @property
    def extent(self) -> FloatArray:
        """Ends of the three axes; LPS mm, shape (6, 3)."""
        return np.asarray(np.concatenate([self.center + self.half_axes.T, self.center - self.half_axes.T]))


Shape: TypeAlias = Contour | Ellipsoid


def spatial_shape(item: Dataset) -> Shape:
    """Shape of an SCOORD3D content item.

    Raises
    ------
    RegionError
        When it has no extent (a point, an open line) or is malformed.
    """
    kind = hd.text(item, "GraphicType").upper()
    points = _points(item, 3)
    if kind == "ELLIPSOID" and len(points) == 6:
        return _ellipsoid(points)
    return Contour(_outline(kind, points))


def planar_shape(item: Dataset, reference: Reference, images: Images) -> Contour:
    """Contour of an SCOORD content item on the slice that it names, in patient space.

    Raises
    ------
    RegionError
        When the slice is not there, or as :func:`spatial_shape`.
    """
    kind = hd.text(item, "GraphicType").upper()
    pixels = _points(item, 2)
    volume = named_volume(reference, images)
    image = next(
        (r for c in hd.items(item, "ContentSequence") for r in hd.items(c, "ReferencedSOPSequence")),
        Dataset(),
    )
    position = images.position_of_sop.get(hd.text(image, "ReferencedSOPInstanceUID"))
    if volume is None or position is None:
        raise RegionError(
            "the slice that was drawn on is not there",
            where=hd.text(image, "ReferencedSOPInstanceUID"),
            expected="a slice of an image in the folder",
        )
    first = volume.grid.indices(np.array(position))
    if np.abs(first - np.round(first)).max() > BESIDE or np.abs(first[:2]).max() > BESIDE:
        raise RegionError(
            "the slice that was drawn on does not lie on its volume", expected="slice positions"
        )
    flat = np.pad(_outline(kind, pixels) - _PIXEL_CENTRE, [(0, 0), (0, 1)], constant_values=first[2])
    return Contour(volume.grid.points(flat))


def _points(item: Dataset, n_axes: int) -> FloatArray:
    values = hd.numbers(item, "GraphicData")
    if not values or len(values) % n_axes or max(map(abs, values)) >= FAR_MM:
        raise RegionError(
            f"GraphicData has {len(values)} values that are no points", expected=f"groups of {n_axes}"
        )
    return np.array(values, dtype=np.float64).reshape(-1, n_axes)


def _outline(kind: str, points: FloatArray) -> FloatArray:
    """Corners of a closed shape in the space of its points."""
    if kind in {"POLYGON", "POLYLINE"}:
        if len(points) < 4 or np.abs(points[0] - points[-1]).max() > _CLOSED_MM:
            raise RegionError(f"an open {kind.lower()} of {len(points)} points", expected="a closed outline")
        return points[:-1]
    if kind == "CIRCLE" and points.shape == (2, 2):
        arm = points[1] - points[0]
        return _ellipse(points[0], arm, np.array([-arm[1], arm[0]]))
    if kind == "ELLIPSE" and len(points) == 4:
        return _ellipse(points.mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2)
    raise RegionError(
        f"a shape of the type {kind or 'unknown'} with {len(points)} points has no extent",
        expected="a closed outline, an ellipse or an ellipsoid",
    )


def _ellipse(center: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, _CORNERS_OF_ELLIPSE, endpoint=False)[:, None]
    return np.asarray(center + np.cos(angle) * a + np.sin(angle) * b)


def _ellipsoid(points: FloatArray) -> Ellipsoid:
    half_axes = ((points[1::2] - points[::2]) / 2).T
    if abs(np.linalg.det(half_axes)) < 1e-9:
        raise RegionError("the ellipsoid is flat", expected="three axes")
    return Ellipsoid(points.mean(axis=0), half_axes)


def fill_ellipsoid(shape: Ellipsoid, grid: Grid) -> Filled:
    """Voxels whose centre is inside an ellipsoid; the one that holds its centre when there is none.

    Raises
    ------
    RegionError
        When it lies wholly outside the image.
    """
    inverse = np.linalg.inv(grid.affine[:3, :3])
    reach = np.linalg.norm(inverse @ shape.half_axes, axis=1)
    center = grid.indices(shape.center)
    low = np.clip(np.ceil(center - reach), -0.0, np.array(grid.shape)).astype(np.int64)
    high = np.clip(np.floor(center + reach) + 1, low, np.array(grid.shape)).astype(np.int64)
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 3)
    local = np.linalg.solve(shape.half_axes, (grid.points(index) - shape.center).T)
    inside = index[(local**2).sum(axis=0) <= 1]
    expected = 4 / 3 * np.pi * abs(np.linalg.det(shape.half_axes)) / grid.voxel_volume_mm3
    is_cut = bool((center - reach < -0.5).any() or (center + reach > np.array(grid.shape) - 0.5).any())
    if len(inside):
        lost = max(0.0, 1 - len(inside) / expected) if is_cut else 0.0
        return Filled(mask_of(inside, grid), lost, ())
    nearest = np.round(center).astype(np.int64)
    if is_cut or not grid.contains(shape.center):
        raise outside_error()
    return Filled(
        mask_of(nearest[None], grid), 0.0, ("smaller than a voxel: the voxel of its centre was kept",)
    )
