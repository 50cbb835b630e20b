"""Lesions, what was measured of them, and their identity over exams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from osteotrace.model.codes import Code
from osteotrace.model.fields import MaskField
from osteotrace.model.site import UNASKED, Site
from osteotrace.model.values import Verdict


@dataclass(frozen=True, slots=True)
class Origin:
    """Who outlined a lesion.

    Attributes
    ----------
    method : {"imported", "detected", "corrected"}
    source_uid : str
        SOP Instance UID of the drawing, or detector and version.
    source_kind : str
        RTSTRUCT, SEG, SR, NIfTI, or the detector's name.
    number : int
        ROI Number, Segment Number or label.
    """

    method: Literal["imported", "detected", "corrected"]
    source_uid: str
    source_kind: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One lesion as it was outlined on one series.

    Attributes
    ----------
    id : str
        ``E1-R1``: exam and running number.
    mask : Mask
        On the lattice of the series.
    centroid_mm : tuple of float
        LPS, in the frame of reference of the series.
    volume_ml, longest_diameter_mm : float
        Of the mask. The diameter is three-dimensional (IBSI L0JK).
    site : Site
        The bone that it lies in, by the skeleton of its series or of one that an alignment reaches.
    """

    id: str
    name: str
    exam_id: str
    series_id: str
    mask: MaskField
    centroid_mm: tuple[float, float, float]
    volume_ml: float
    longest_diameter_mm: float
    origin: Origin
    type: Code | None = None
    tracking_uid: str = ""
    site: Site = UNASKED


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its meaning.

    Attributes
    ----------
    id : str
        Unique in the workup; statements point at it.
    concept, derivation : Code
        What was measured, and which statistic of it (mean, maximum ...).
    unit : str
        UCUM.
    method : str
        How, in words; cites a criterion id where a threshold is involved.
    n_voxels : int
        Voxels that it rests on.
    interval : tuple of float or None
        95% interval where one can be given.
    """

    id: str
    name: str
    concept: Code
    value: float
    unit: str
    method: str
    n_voxels: int
    derivation: Code | None = None
    interval: tuple[float, float] | None = None
    criterion_id: str | None = None
    kind: Literal["measurement"] = "measurement"


@dataclass(frozen=True, slots=True)
class Missing:
    """A number that could not be had, and why."""

    id: str
    name: str
    reason: str
    concept: Code | None = None
    kind: Literal["missing"] = "missing"


Value = Annotated[Measurement | Missing, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A radiology word for a lesion, with the measurements and the criterion that it rests on."""

    text: str
    measurement_ids: tuple[str, ...]
    criterion_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One lesion measured on one series.

    Attributes
    ----------
    region : {"drawn", "mapped"}
        Drawn on this series, or carried over from the series it was drawn on ("forced reading").
    coverage : float
        Share of the lesion inside this field of view, 0 to 1.
    mask : Mask
        What was measured, on the lattice of this series.
    error_mm : float
        Predicted 95% radius of the place; 0 when drawn here.
    site : Site
        The bone that it lies in, as this exam shows it where it shows bones.
    """

    id: str
    lesion_id: str
    exam_id: str
    series_id: str
    region: Literal["drawn", "mapped"]
    coverage: float
    error_mm: float
    mask: MaskField
    values: tuple[Value, ...]
    descriptors: tuple[Descriptor, ...] = ()
    site: Site = UNASKED


@dataclass(frozen=True, slots=True)
class Seen:
    """The lesion was outlined on this series."""

    exam_id: str
    series_id: str
    lesion_id: str
    distance_mm: float
    overlap: float
    cost: float
    confidence: float
    verdict: Verdict
    kind: Literal["seen"] = "seen"


@dataclass(frozen=True, slots=True)
class NotSeen:
    """The place is covered and lesions were outlined on this series, but not this one."""

    exam_id: str
    series_id: str
    reason: str
    finding_id: str | None = None
    kind: Literal["not_seen"] = "not_seen"


@dataclass(frozen=True, slots=True)
class NotCovered:
    """The place lies outside the field of view. Never "negative"."""

    exam_id: str
    series_id: str
    coverage: float
    kind: Literal["not_covered"] = "not_covered"


@dataclass(frozen=True, slots=True)
class Unassessable:
    """It cannot be said: no usable alignment, or nobody outlined lesions on this series."""

    exam_id: str
    series_id: str
    reason: str
    finding_id: str | None = None
    kind: Literal["unassessable"] = "unassessable"


Presence = Annotated[Seen | NotSeen | NotCovered | Unassessable, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class LesionTrack:
    """One lesion over all modalities and dates.

    Attributes
    ----------
    id : str
        ``L1``, ``L2`` ... largest first.
    tracking_uid : str
        DICOM Tracking UID (0062,0021): carried over from the source or from an earlier workup.
    lesion_ids : tuple of str
        The outlines that are this lesion.
    presence : tuple
        One entry per series of the patient.
    course : {"single", "persistent", "new", "resolved", "undetermined"}
        Over dates. New and resolved need earlier or later coverage that was read.
    site : Site
        The bone that it lies in, by all exams together.
    site_disagreements : tuple of str
        What single exams say of the bone that does not fit.
    """

    id: str
    tracking_uid: str
    name: str
    lesion_ids: tuple[str, ...]
    presence: tuple[Presence, ...]
    course: Literal["single", "persistent", "new", "resolved", "undetermined"]
    site: Site = UNASKED
    site_disagreements: tuple[str, ...] = ()
