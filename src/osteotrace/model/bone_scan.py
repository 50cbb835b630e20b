"""A planar bone scan in the result: the skeleton in it, where lesions would show, what hot spots can be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from osteotrace.model.planar import Candidate, PlanarFit
from osteotrace.model.values import Verdict, View

Point = tuple[float, float]
"""Two numbers: column and row of a view, or millimetres in the front plane."""


@dataclass(frozen=True, slots=True)
class RegionOutline:
    """Outline of one region of the projected skeleton.

    Attributes
    ----------
    region : str
    lines : tuple of tuple of Point
        In the front plane, mm to the patient's left and towards the feet; ``FittedView.pixels`` maps them.
    """

    region: str
    lines: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True, slots=True)
class ViewFootprint:
    """Where a lesion would show in one view.

    Attributes
    ----------
    covered : bool
        Whether its centre lies in the view. False is never "negative".
    place : Point
        Column and row of its centre, fractional; the first pixel is 0.
    half_axes_mm : tuple of float or None
        Half axes of its footprint as an ellipse, widened by the resolution of the camera; None when not
        covered.
    turn : float
        Of the long half axis, radians, from the direction of the columns to that of the rows.
    depth_mm : float
        Water between it and this head.
    share : float
        Of its counts that reach this head, attenuation alone, 0 to 1.
    others : float
        Share of the normal bone counts in the footprint that come from other bones, 0 to 1.
    """

    series_id: str
    view: View
    covered: bool
    place: Point
    half_axes_mm: tuple[float, float] | None
    turn: float
    depth_mm: float
    share: float
    others: float


@dataclass(frozen=True, slots=True)
class LesionFootprint:
    """Where a lesion would show in a bone scan.

    Attributes
    ----------
    track_id : str
    lesion_id : str
        The outline that was projected.
    carried : bool
        Outlined in another frame of reference than that of the CT, and carried over by an alignment.
    region, bone : str
        Of the skeleton, nearest to the lesion.
    views : tuple of ViewFootprint
    better : View
        Which view sees it better.
    error_mm : float
        Predicted 95% radius of its place in the front plane: of the fit, and of the alignment where it was
        carried.
    verdict : Verdict
        Good or doubtful; a failed one is not placed.
    reasons : tuple of str
        Why the verdict is not better.
    """

    track_id: str
    lesion_id: str
    carried: bool
    region: str
    bone: str
    views: tuple[ViewFootprint, ...]
    better: View
    error_mm: float
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """A lesion whose place in the bone scan cannot be said, and why."""

    track_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class LesionNearSpot:
    """A lesion whose footprint holds a hot spot, or nearly does, in the view of the spot.

    Attributes
    ----------
    track_id : str
    distance_mm : float
        From the spot to the edge of the footprint; 0 within.
    error_mm : float
        Predicted 95% radius of the place of the footprint; no lesion is named beyond it.
    """

    track_id: str
    distance_mm: float
    error_mm: float


@dataclass(frozen=True, slots=True)
class Spot:
    """A hot spot that a person points at, and the bones and lesions that it can be.

    Attributes
    ----------
    id : str
        ``F1``, ``F2`` ... in the order of ``corrections.toml``.
    name : str
        As the person calls it; empty when it has none.
    series_id : str
        Of the planar image.
    view : View
        What the fit takes the image for; what the header says where no fit used it.
    place : Point
        Column and row, fractional; the first pixel is 0.
    ratio : float or None
        Anterior over posterior counts above what is around it; None where it cannot be told.
    better : View or None
        Which view should see the most probable bone better; None when both about equally, or without bone.
    candidates : tuple of Candidate
        Bones that it can lie in, most probable first; empty where none can be said.
    lesions : tuple of LesionNearSpot
        The nearest footprint first.
    verdict : Verdict
        Of the fit and of the region of the most probable bone; failed without a bone.
    reasons : tuple of str
        Why the verdict is not better.
    """

    id: str
    name: str
    series_id: str
    view: View
    place: Point
    ratio: float | None
    better: View | None
    candidates: tuple[Candidate, ...]
    lesions: tuple[LesionNearSpot, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoneScan:
    """The planar bone scan of one exam.

    Attributes
    ----------
    exam_id : str
    fits : tuple of PlanarFit
        Of the patient's CT where there is one, then of the standard skeleton; empty when nothing was fitted.
    outlines : tuple of RegionOutline
        Of the skeleton of :attr:`shown`.
    footprints : tuple of LesionFootprint
    not_placed : tuple of NotPlaced
        The other lesions.
    reasons : tuple of str
        Why nothing was fitted, or what is assumed of the images.
    spots : tuple of Spot
        Hot spots that a person points at.
    """

    exam_id: str
    fits: tuple[PlanarFit, ...]
    outlines: tuple[RegionOutline, ...] = ()
    footprints: tuple[LesionFootprint, ...] = ()
    not_placed: tuple[NotPlaced, ...] = ()
    reasons: tuple[str, ...] = ()
    spots: tuple[Spot, ...] = ()

    @property
    def shown(self) -> PlanarFit | None:
        """The fit that figures show: the first that did not fail; None when all failed."""
        return next((fit for fit in self.fits if fit.verdict is not Verdict.FAILED), None)

    @property
    def of_ct(self) -> PlanarFit | None:
        """The fit of the patient's own CT, failed or not."""
        return next((fit for fit in self.fits if fit.source == "ct"), None)

    def with_lesions(
        self, footprints: tuple[LesionFootprint, ...], not_placed: tuple[NotPlaced, ...]
    ) -> BoneScan:
        """The same scan with the places of the lesions."""
        return replace(self, footprints=footprints, not_placed=not_placed)

    def with_spots(self, spots: tuple[Spot, ...]) -> BoneScan:
        """The same scan with the hot spots that a person points at."""
        return replace(self, spots=spots)
