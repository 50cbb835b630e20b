"""How a skeleton lies in the views of a planar bone scan, and what that says of lesions and hot spots.

A parallel-hole collimator projects along the body's front-to-back axis. A point of the skeleton (LPS, mm) has
a place in the *front plane*: millimetres to the patient's left and towards the feet, the same for both views.
A view maps that plane to its columns and rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteotrace.model.values import Verdict, View
from osteotrace.space import FloatArray, frozen_array

Source: TypeAlias = Literal["ct", "standard"]
"""Where a skeleton comes from: a CT of the patient, or the standard skeleton that ships with osteotrace."""


@dataclass(frozen=True, slots=True)
class FittedView:
    """One view of the scan as it was fitted.

    Attributes
    ----------
    series_id : str
        Of the planar image.
    view : View
        What the fit takes it for; see the reasons of the fit where that is not what the header says.
    shape : tuple of int
        Columns and rows.
    pixel_mm : tuple of float
        Along a row and down a column.
    offset_mm : float
        Place of the edge of its first column (anterior) or last column (posterior) in the front plane, mm to
        the patient's left.
    """

    series_id: str
    view: View
    shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    offset_mm: float

    def pixels(self, plane: ArrayLike) -> FloatArray:
        """Column and row (fractional, centres at whole numbers) of front-plane points, shape (n, 2)."""
        point = np.asarray(plane, dtype=np.float64)
        column = (point[..., 0] - self.offset_mm) / self.pixel_mm[0] - 0.5
        if self.view is View.POSTERIOR:
            column = self.shape[0] - 1 - column
        return np.stack([column, point[..., 1] / self.pixel_mm[1] - 0.5], axis=-1)

    def plane(self, pixels: ArrayLike) -> FloatArray:
        """Points of the front plane (mm) of columns and rows, shape (n, 2)."""
        pixel = np.asarray(pixels, dtype=np.float64)
        column = self.shape[0] - 1 - pixel[..., 0] if self.view is View.POSTERIOR else pixel[..., 0]
        left = (column + 0.5) * self.pixel_mm[0] + self.offset_mm
        return np.stack([left, (pixel[..., 1] + 0.5) * self.pixel_mm[1]], axis=-1)


@dataclass(frozen=True, slots=True)
class RegionFit:
    """What one region of the skeleton does beside the motion of the whole.

    Attributes
    ----------
    name : str
        ``spine``, ``pelvis``, ``thorax left`` ...
    centre_mm : tuple of float
        About which it turns; LPS of the skeleton.
    shift_mm : tuple of float
        To the left and towards the feet, in the front plane.
    turn, pitch : float
        Radians, small: turn in the front plane (head to the left); shift towards the head per mm of depth.
    error_mm : float or None
        Predicted 95% radius of its points in the front plane; None when failed.
    residual_mm : float
        Root mean square of the shift of its points against the motion of the whole.
    verdict : Verdict
    reasons : tuple of str
        Why the verdict is not better.
    """

    name: str
    centre_mm: tuple[float, float, float]
    shift_mm: tuple[float, float]
    turn: float
    pitch: float
    error_mm: float | None
    residual_mm: float
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanarFit:
    """A skeleton fitted to the views of one planar scan.

    Attributes
    ----------
    source : {"ct", "standard"}
    series_id, frame_of_reference_uid : str
        Of the CT; empty for the standard skeleton.
    views : tuple of FittedView
        One or two.
    centre_mm : tuple of float
        Reference point of the skeleton; LPS.
    place_mm : tuple of float
        Where it lies in the front plane: to the left, towards the feet.
    turn, pitch, twist : float
        Radians, small: in the front plane; shift towards the head per mm of depth; shift to the left per mm
        of depth.
    scale : tuple of float
        Across and along the body.
    knots_mm : tuple of float
        Heights (LPS z) of the spine at which it bends.
    bends_mm : tuple of tuple of float
        Shift at each knot, to the left and towards the feet; linear in between, constant beyond.
    regions : tuple of RegionFit
        The regions that the skeleton has.
    agreement : float
        Correlation of the expected and the measured counts without their broad parts, -1 to 1.
    margin : float
        Agreement over that of the best distinct place.
    error_mm : float or None
        Largest predicted 95% radius of the regions that did not fail; None when the fit failed.
    verdict : Verdict
    reasons : tuple of str
        Why the verdict is not better, or what it rests on.
    """

    source: Source
    series_id: str
    frame_of_reference_uid: str
    views: tuple[FittedView, ...]
    centre_mm: tuple[float, float, float]
    place_mm: tuple[float, float]
    turn: float
    pitch: float
    twist: float
    scale: tuple[float, float]
    knots_mm: tuple[float, ...]
    bends_mm: tuple[tuple[float, float], ...]
    regions: tuple[RegionFit, ...]
    agreement: float
    margin: float
    error_mm: float | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()

    def region(self, name: str) -> RegionFit | None:
        """The region of a name, or None when the skeleton lacks it."""
        return next((region for region in self.regions if region.name == name), None)


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A skeleton as points that take up tracer.

    Attributes
    ----------
    points : ndarray of float32, shape (n, 3)
        LPS, mm.
    weight : ndarray of float32, shape (n,)
        Share of the uptake, mL of bone.
    bone, region : ndarray of int16, shape (n,)
        Place in `bones` and `regions`.
    front_mm, back_mm : ndarray of float32, shape (n,)
        Water that attenuates as much as what lies in front of the point, and behind it.
    bones : tuple of str
        ``vertebra V7``, ``hip bone left``, ``bone`` where nobody named it.
    regions : tuple of str
    source : {"ct", "standard"}
    series_id, frame_of_reference_uid : str
        Of the CT; empty for the standard skeleton.
    """

    points: NDArray[Any]
    weight: NDArray[Any]
    bone: NDArray[Any]
    region: NDArray[Any]
    front_mm: NDArray[Any]
    back_mm: NDArray[Any]
    bones: tuple[str, ...]
    regions: tuple[str, ...]
    source: Source
    series_id: str = ""
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        """Freeze."""
        for name, kind in (
            ("points", np.float32),
            ("weight", np.float32),
            ("bone", np.int16),
            ("region", np.int16),
            ("front_mm", np.float32),
            ("back_mm", np.float32),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), kind))


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """Where a lesion appears in one view.

    Attributes
    ----------
    series_id : str
    view : View
    pixels : ndarray of bool, shape (columns, rows)
        Its projection, widened by the resolution of the camera.
    column, row : float
        Its centre.
    share : float
        Of its counts that reach this head, attenuation alone, 0 to 1.
    depth_mm : float
        Water between it and this head.
    others : float
        Share of the normal bone counts in the footprint that come from other bones, 0 to 1.
    covered : bool
        Whether its centre lies in the view.
    """

    series_id: str
    view: View
    pixels: NDArray[np.bool_]
    column: float
    row: float
    share: float
    depth_mm: float
    others: float
    covered: bool

    def __post_init__(self) -> None:
        """Freeze."""
        object.__setattr__(self, "pixels", frozen_array(self.pixels, bool))


@dataclass(frozen=True, slots=True, eq=False)
class Footprints:
    """Where a lesion appears in a scan.

    Attributes
    ----------
    region, bone : str
        Of the skeleton, nearest to the lesion.
    views : tuple of Footprint
    better : View
        Which view sees it better.
    error_mm : float or None
        Predicted 95% radius of its place; None when its region failed.
    verdict : Verdict
        Of its region.
    reasons : tuple of str
    """

    region: str
    bone: str
    views: tuple[Footprint, ...]
    better: View
    error_mm: float | None
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bone that a hot spot can lie in.

    Attributes
    ----------
    bone, region : str
    probability : float
        Among the bones of the skeleton, 0 to 1.
    distance_mm : float
        From the hot spot to the nearest projected point of the bone.
    depth_mm : tuple of float
        Water in front of and behind the bone there.
    source : {"ct", "standard"}
    reasons : tuple of str
    """

    bone: str
    region: str
    probability: float
    distance_mm: float
    depth_mm: tuple[float, float]
    source: Source
    reasons: tuple[str, ...]
