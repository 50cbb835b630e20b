"""Stored values of a stack to values with a meaning, in the smallest type that is exact enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut

from osteotrace.errors import PixelError, QuantityError
from osteotrace.intake.frames import Frame
from osteotrace.intake.pixels import stored_values

_INT16 = np.iinfo(np.int16)


def stack_values(frames: Sequence[Frame], factor: float = 1.0) -> NDArray[Any]:
    """Rescaled values of frames in the order given (PS3.3 C.11.1): (stored × slope + intercept) × factor.

    Parameters
    ----------
    frames : sequence of Frame
        In the order of the volume. Slope and intercept are taken frame by frame: PET series differ.
    factor : float
        Applied on top, for example to SUV.

    Returns
    -------
    ndarray, shape (columns, rows, frames)
        Transposed view of a C-contiguous array. int16 where that is exact, else float32.

    Raises
    ------
    PixelError, QuantityError
        When pixels cannot be had, or a slope is 0.
    """
    for frame in frames:
        if frame.slope == 0:
            raise QuantityError(
                "Rescale Slope is 0", where=frame.instance.path.name, expected="another number"
            )
    stored = stored_values(frames)
    if "ModalityLUTSequence" in frames[0].header:
        return _through_lut(frames, stored).T
    slopes = np.array([f.slope for f in frames]) * factor
    intercepts = np.array([f.intercept for f in frames]) * factor
    return _rescaled(stored, slopes, intercepts).T


def _rescaled(
    stored: NDArray[Any], slopes: NDArray[np.float64], intercepts: NDArray[np.float64]
) -> NDArray[Any]:
    slope, intercept = slopes[0], intercepts[0]
    is_uniform = (slopes == slope).all() and (intercepts == intercept).all()
    if is_uniform and stored.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [
            int(stored.min()) * int(slope) + int(intercept),
            int(stored.max()) * int(slope) + int(intercept),
        ]
        if _INT16.min <= min(ends) and max(ends) <= _INT16.max:
            return _as_int16(stored, int(slope), int(intercept))
    out = np.empty(stored.shape, dtype=np.float32)
    for k, plane in enumerate(stored):
        out[k] = plane * slopes[k] + intercepts[k]
    if not np.isfinite(out).all():
        raise PixelError("some values are not finite", expected="numbers")
    return out


def _as_int16(stored: NDArray[Any], slope: int, intercept: int) -> NDArray[np.int16]:
    """Exact because the caller has checked that the results fit: arithmetic modulo 2^16 then gives them."""
    if stored.dtype.itemsize == 2:
        out: NDArray[np.int16] = stored.view(np.int16)
    else:
        out = stored.astype(np.int16)
    if slope != 1:
        np.multiply(out, np.int64(slope).astype(np.int16), out=out)
    if intercept != 0:
        np.add(out, np.int64(intercept).astype(np.int16), out=out)
    return out


def _through_lut(frames: Sequence[Frame], stored: NDArray[Any]) -> NDArray[np.float32]:
    try:
        planes = [apply_modality_lut(p, f.header) for p, f in zip(stored, frames, strict=True)]
    except Exception as error:  # pydicom raises many kinds of error on a damaged table
        raise QuantityError(
            f"the Modality LUT cannot be applied ({type(error).__name__})", where=frames[0].instance.path.name
        ) from error
    return np.asarray(planes, dtype=np.float32)
