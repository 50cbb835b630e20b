"""Where a lesion lies in another image."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.alignment import Alignment, route
from osteotrace.model.imaging import Volume
from osteotrace.model.lesion import Lesion
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Verdict
from osteotrace.space import Mask, covered_fraction, map_mask


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A volume on which lesions are looked up.

    Attributes
    ----------
    code : str
        Short name of the series in the workup, for example ``E2-S1``.
    """

    volume: Volume
    exam_id: str
    code: str


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A lesion on one volume.

    Attributes
    ----------
    mask : Mask
        On the lattice of the volume.
    drawn : bool
        Outlined on this very series.
    coverage : float
        Share of the lesion inside the field of view, 0 to 1.
    error_mm : float
        Predicted 95% radius of the place.
    """

    lesion: Lesion
    target: Target
    mask: Mask
    drawn: bool
    coverage: float
    error_mm: float

    @property
    def finding_id(self) -> str:
        """``E1-R1@E2-S1``: lesion at series."""
        return f"{self.lesion.id}@{self.target.code}"


def target_of(volume: Volume, images: PatientImages) -> Target | None:
    """The volume with its exam, or None when no exam holds its series."""
    exam = images.exam_of(volume.series.id)
    if exam is None:
        return None
    number = [s.id for s in exam.series].index(volume.series.id) + 1
    return Target(volume, exam.id, f"{exam.id}-S{number}")


def place_of(lesion: Lesion, target: Target, alignments: tuple[Alignment, ...]) -> Place | None:
    """Carry a lesion over to a volume; None when it cannot be placed or lies wholly outside."""
    if lesion.series_id == target.volume.series.id:
        return Place(lesion, target, lesion.mask, drawn=True, coverage=1.0, error_mm=0.0)
    grid = target.volume.grid
    way = route(alignments, lesion.mask.grid.frame_of_reference_uid, grid.frame_of_reference_uid)
    carried = way.at(lesion.centroid_mm) if way is not None else None
    if carried is None or carried.verdict is Verdict.FAILED:
        return None
    mask = map_mask(lesion.mask, grid, mask_to_onto=carried.motion)
    if mask is None:
        return None
    coverage = covered_fraction(lesion.mask, grid, carried.motion)
    return Place(lesion, target, mask, drawn=False, coverage=coverage, error_mm=carried.radius_mm)
