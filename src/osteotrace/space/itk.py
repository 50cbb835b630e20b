"""Transforms as ITK files, and back. ITK's world is LPS mm too; its transforms map fixed points to moving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike

from osteotrace.errors import LatticeMismatchError
from osteotrace.space.grid import FloatArray, Grid
from osteotrace.space.transform import RigidTransform


def write_itk_rigid(transform: RigidTransform, path: Path) -> None:
    """Write a rigid motion as ``VersorRigid3DTransform`` (``.tfm``).

    A resampler onto the lattice of ``from_frame`` takes the file as it is: ITK maps output points to input
    points, which is fixed to moving.
    """
    sitk.WriteTransform(_versor(transform), str(path))


def write_itk_field(transform: RigidTransform, field: FloatArray, grid: Grid, path: Path) -> None:
    """Write a motion that is rigid after a displacement: ``point -> rigid(point + displacement(point))``.

    Parameters
    ----------
    transform : RigidTransform
        Fixed to moving; what remains outside of the lattice, where ITK takes the displacement for 0.
    field : ndarray, shape (i, j, k, 3)
        Displacement at the lattice points of the fixed frame, LPS mm; linear in between.
    grid : Grid
        Of the fixed frame, at right angles.
    path : Path
        ``.h5``, or ``.tfm``.

    Raises
    ------
    LatticeMismatchError
        When field and grid differ in shape.
    """
    if field.shape != (*grid.shape, 3):
        raise LatticeMismatchError(f"the field has shape {field.shape}", expected=f"{(*grid.shape, 3)}")
    image = sitk.GetImageFromArray(np.ascontiguousarray(field.transpose(2, 1, 0, 3)), isVector=True)
    image.SetOrigin(grid.origin.tolist())
    image.SetSpacing(grid.spacing.tolist())
    image.SetDirection(grid.direction.ravel().tolist())
    # The last one is applied first.
    both = sitk.CompositeTransform([_versor(transform), sitk.DisplacementFieldTransform(image)])
    sitk.WriteTransform(both, str(path))


def map_by_itk_file(path: Path, points: ArrayLike) -> FloatArray:
    """Map points (LPS mm, shape (n, 3)) by a transform file, as ITK does: fixed to moving."""
    transform = sitk.ReadTransform(str(path))
    rows = np.asarray(points, dtype=np.float64)
    return np.array([transform.TransformPoint(row.tolist()) for row in rows]).reshape(rows.shape)


def _versor(transform: RigidTransform) -> sitk.VersorRigid3DTransform:
    out = sitk.VersorRigid3DTransform()
    out.SetMatrix(transform.matrix[:3, :3].ravel().tolist())
    out.SetTranslation(transform.matrix[:3, 3].tolist())
    return out
