"""Alignments as Spatial Registration (PS3.3 A.39.1) and Deformable Spatial Registration (A.39.2).

The frame of reference of the object, the *registered* one, is the fixed frame of the alignment. A matrix of a
Spatial Registration maps points of the frame that its item names to the registered frame: that of the moving
frame is the inverse of the motion fixed to moving, which the alignment holds. A Deformable Spatial
Registration goes the other way: from a point x of the registered frame it finds that of the source,
post(pre(x) + d(pre(x))); here pre is the identity, d what the bones do beside the whole, and post the motion
of the whole.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import Exam
from osteotrace.model.workup import Workup
from osteotrace.outputs.dicom.common import new_object, words
from osteotrace.space import FloatArray, Grid

# CID 7100 RegistrationMethod.
_BY_CONTENT = ("125024", "DCM", "Image Content-based Alignment")
_IDENTITY = ("125021", "DCM", "Frame of Reference Identity")


def spatial_registration(workup: Workup, alignment: Alignment, exam: Exam) -> FileDataset:
    """The rigid motion of the whole as Spatial Registration.

    Parameters
    ----------
    alignment : Alignment
        Between two frames, not failed.
    exam : Exam
        Of the fixed series; the object goes into its study.
    """
    made = _object(workup, alignment, exam, SpatialRegistrationStorage, "rigid")
    fixed, moving = alignment.frames
    made.RegistrationSequence = Sequence(
        [
            _rigid_item(fixed, np.eye(4), _IDENTITY, ""),
            _rigid_item(moving, alignment.transform.inverse.matrix, _BY_CONTENT, quality(alignment)),
        ]
    )
    return made


def deformable_registration(
    workup: Workup, alignment: Alignment, exam: Exam, field: FloatArray, grid: Grid
) -> FileDataset:
    """The motions of all bones as Deformable Spatial Registration.

    Parameters
    ----------
    field : ndarray, shape (i, j, k, 3)
        Displacement before the motion of the whole at the points of ``grid``, LPS mm.
    grid : Grid
        Lattice of the fixed frame.
    """
    made = _object(workup, alignment, exam, DeformableSpatialRegistrationStorage, "bones")
    item = Dataset()
    item.SourceFrameOfReferenceUID = alignment.frames[1]
    item.RegistrationTypeCodeSequence = Sequence([_code(_BY_CONTENT)])
    item.DeformableRegistrationGridSequence = Sequence([_grid(field, grid)])
    item.PreDeformationMatrixRegistrationSequence = Sequence([_matrix(np.eye(4))])
    item.PostDeformationMatrixRegistrationSequence = Sequence([_matrix(alignment.transform.matrix)])
    made.DeformableRegistrationSequence = Sequence([item])
    return made


def quality(alignment: Alignment) -> str:
    """Verdict and predicted error in words."""
    error = "unknown" if alignment.error_mm is None else f"{alignment.error_mm:.1f} mm"
    return f"{alignment.verdict}, predicted 95% radius {error}"


def _object(workup: Workup, alignment: Alignment, exam: Exam, sop_class: str, kind: str) -> FileDataset:
    matrix = np.array2string(alignment.transform.matrix, precision=6, floatmode="fixed")
    identity = (*alignment.frames, alignment.fixed_series, alignment.moving_series, kind, matrix)
    made = new_object(workup, exam, sop_class, identity, "REG")
    made.FrameOfReferenceUID = alignment.frames[0]
    made.PositionReferenceIndicator = ""
    made.ContentLabel = "BONES" if kind == "bones" else "RIGID"
    made.ContentDescription = words(quality(alignment))
    made.ContentCreatorName = ""
    made.SeriesDescription = words(f"Alignment, {kind}")
    return made


def _rigid_item(frame: str, matrix: FloatArray, code: tuple[str, str, str], comment: str) -> Dataset:
    registration = Dataset()
    if comment:
        registration.FrameOfReferenceTransformationComment = words(comment)
    registration.RegistrationTypeCodeSequence = Sequence([_code(code)])
    registration.MatrixSequence = Sequence([_matrix(matrix)])
    item = Dataset()
    item.FrameOfReferenceUID = frame
    item.MatrixRegistrationSequence = Sequence([registration])
    return item


def _matrix(matrix: FloatArray) -> Dataset:
    out = Dataset()
    out.FrameOfReferenceTransformationMatrixType = "RIGID"
    out.FrameOfReferenceTransformationMatrix = [_decimal(value) for value in np.asarray(matrix).ravel()]
    return out


def _grid(field: FloatArray, grid: Grid) -> Dataset:
    """Deformable Registration Grid: vectors in the order of the axes, the first running fastest."""
    out = Dataset()
    out.ImagePositionPatient = [_decimal(value) for value in grid.origin]
    out.ImageOrientationPatient = [_decimal(value) for value in grid.direction[:, :2].T.ravel()]
    out.GridDimensions = list(grid.shape)
    out.GridResolution = [float(value) for value in grid.spacing]
    out.VectorGridData = np.ascontiguousarray(field.transpose(2, 1, 0, 3), dtype="<f4").tobytes()
    return out


def _code(code: tuple[str, str, str]) -> Dataset:
    out = Dataset()
    out.CodeValue, out.CodingSchemeDesignator, out.CodeMeaning = code
    return out


def _decimal(value: float) -> str:
    """A DS of at most 16 characters."""
    for digits in range(13, 0, -1):
        text = f"{float(value):.{digits}f}".rstrip("0").rstrip(".")
        if len(text) <= 16:
            return "0" if text in ("-0", "") else text
    return f"{float(value):.9g}"
