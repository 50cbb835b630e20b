"""Images and what is known about them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from osteotrace.errors import LatticeMismatchError
from osteotrace.model.codes import Code
from osteotrace.model.fields import GridField
from osteotrace.model.values import Basis, Modality, Quantity, View
from osteotrace.space import Grid, Mask, frozen_array


@dataclass(frozen=True, slots=True)
class Attribute:
    """A fact about an acquisition and how it is known.

    Attributes
    ----------
    value : str or None
        None exactly when the basis is unknown.
    basis : Basis
        Declared by a header attribute, inferred, or unknown.
    source : str
        The attribute or rule that it comes from, for example ``ScanOptions=FS``.
    """

    value: str | None
    basis: Basis
    source: str = ""


UNKNOWN = Attribute(None, Basis.UNKNOWN)


@dataclass(frozen=True, slots=True)
class MrFacts:
    """Acquisition of an MR series. Times in ms, field strength in tesla, b-value in s/mm².

    ``dixon`` names the part of a chemical-shift acquisition: water, fat, in phase, opposed phase; else empty.
    """

    weighting: Attribute
    fat_suppression: Attribute
    contrast: Attribute
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    field_strength_t: float | None = None
    b_value: float | None = None
    dixon: str = ""
    kind: Literal["mr"] = "mr"


@dataclass(frozen=True, slots=True)
class CtFacts:
    """Acquisition of a CT series."""

    kvp: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    contrast: Attribute = UNKNOWN
    kind: Literal["ct"] = "ct"


@dataclass(frozen=True, slots=True)
class NuclearFacts:
    """Acquisition of a PET or NM image.

    Attributes
    ----------
    tracer : Attribute
        ``FDG``, ``NaF``, ``PSMA``, ``DOTATATE``, ``MDP``, ``HDP`` ...; FDG rules apply to FDG only.
    suv_factor : float or None
        g/mL per unit of the rescaled image; None when the SUV was refused.
    suv_basis : str
        How the reference time of the decay was found.
    uptake_min : float or None
        Injection to scan, minutes.
    lean_body_mass_kg : float or None
        Janmahasatian 2005; None when height, weight or sex is not known.
    planar_shape : tuple of int or None
        Columns and rows of a planar image; None for a volume.
    planar_pixel_mm : tuple of float or None
        Distance of its pixel centres along a row and down a column; None when the header does not tell.
    """

    tracer: Attribute
    suv_factor: float | None = None
    suv_basis: str = ""
    uptake_min: float | None = None
    injected_bq: float | None = None
    weight_kg: float | None = None
    size_m: float | None = None
    lean_body_mass_kg: float | None = None
    view: Attribute = UNKNOWN
    planar_shape: tuple[int, int] | None = None
    planar_pixel_mm: tuple[float, float] | None = None
    kind: Literal["nuclear"] = "nuclear"


@dataclass(frozen=True, slots=True)
class OtherFacts:
    """Nothing special is known (dose, NIfTI without declaration)."""

    kind: Literal["other"] = "other"


Facts = Annotated[MrFacts | CtFacts | NuclearFacts | OtherFacts, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Series:
    """One image of an exam: what one volume or planar image is made of.

    Attributes
    ----------
    id : str
        Unique in the patient: the Series Instance UID, with ``#2``, ``#3`` when one DICOM series had to
        be split (geometry, echo, b-value, phase or time).
    series_instance_uid, study_instance_uid, sop_class_uid : str
        From the header; for NIfTI made from the file's content.
    name : str
        What a person calls it in a table, for example ``T2 FS`` or ``CT``.
    datetime : datetime or None
        Start of the acquisition as the header tells it.
    grid : Grid or None
        None for a planar image.
    source : str
        ``dicom`` or ``nifti``.
    """

    id: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    modality: Modality
    name: str
    description: str
    body_part: Attribute
    datetime: dt.datetime | None
    quantity: Quantity
    unit: str
    grid: GridField | None
    facts: Facts
    n_instances: int
    manufacturer: str = ""
    model_name: str = ""
    transfer_syntax_uid: str = ""
    source: Literal["dicom", "nifti"] = "dicom"


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Values in patient space.

    Attributes
    ----------
    values : ndarray, shape grid.shape
        In ``series.unit``; int16 where that is exact, float32 otherwise. Read-only.
    grid : Grid
        Where they are.
    series : Series
        What they are.
    """

    values: NDArray[Any]
    grid: Grid
    series: Series

    def __post_init__(self) -> None:
        """Check and freeze."""
        if self.values.shape != self.grid.shape:
            raise LatticeMismatchError(
                f"values have shape {self.values.shape}", expected=f"{self.grid.shape}"
            )
        object.__setattr__(self, "values", frozen_array(self.values))


@dataclass(frozen=True, slots=True, eq=False)
class PlanarImage:
    """Counts of one view of a planar acquisition.

    Attributes
    ----------
    counts : ndarray, shape (columns, rows)
        Indexed (i, j) as in a volume.
    pixel_mm : tuple of float or None
        Distance of pixel centres along i and j; None when the header does not tell.
    """

    counts: NDArray[Any]
    pixel_mm: tuple[float, float] | None
    view: View
    series: Series

    def __post_init__(self) -> None:
        """Freeze."""
        object.__setattr__(self, "counts", frozen_array(self.counts))


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A drawn or computed region as intake delivers it, on the lattice of one series.

    Attributes
    ----------
    name : str
        As the source calls it (ROI Name, Segment Label, file name).
    mask : Mask
        On the lattice of the image, or on its own lattice in the image's frame of reference.
    series_id : str
        The image that it was drawn on.
    source_uid : str
        SOP Instance UID of the RTSTRUCT, SEG or SR (or a hash of the NIfTI file).
    source_kind : {"RTSTRUCT", "SEG", "SR", "NIfTI"}
    number : int
        ROI Number, Segment Number or label.
    placed : Attribute
        Declared: the source names the image. Inferred: same frame of reference, image absent.
    category, type : Code or None
        SegmentedPropertyCategory / Type, or None when the source gives none.
    tracking_uid, tracking_id : str
        Identity given by the source, empty when none.
    """

    name: str
    mask: Mask
    series_id: str
    source_uid: str
    source_kind: Literal["RTSTRUCT", "SEG", "SR", "NIfTI"]
    number: int
    placed: Attribute
    category: Code | None = None
    type: Code | None = None
    tracking_uid: str = ""
    tracking_id: str = ""


@dataclass(frozen=True, slots=True)
class Exam:
    """All series of one visit to one scanner: one modality, one study, one day.

    Attributes
    ----------
    id : str
        ``E1``, ``E2`` ... in order of time.
    name : str
        For tables, for example ``MR 2024-03-01``.
    day : int or None
        Days since the first dated exam; None when the date is unknown.
    stations : tuple of tuple of str
        Series ids of one sequence that together cover the spine; the overlap counts once.
    """

    id: str
    name: str
    modality: Modality
    datetime: dt.datetime | None
    day: int | None
    series: tuple[Series, ...]
    stations: tuple[tuple[str, ...], ...] = ()
