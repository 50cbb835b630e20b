"""The skeleton of one volume, and the levels of the vertebrae of a patient.

`Anatomy` says what was found in one volume: instances of bones, other structures, a label image. It holds
no levels of its own making: a vertebra is a vertebra, until `Numbering` says which, for all volumes of the
patient together, how certain that is, and what else it could be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import LatticeMismatchError, RegionError
from osteotrace.model.label_schemes import structure, verse_number
from osteotrace.model.problem import Problem
from osteotrace.space import Grid, Mask, frozen_array

Vector: TypeAlias = tuple[float, float, float]
"""Three numbers in LPS."""


@dataclass(frozen=True, slots=True)
class BodySize:
    """Size of a vertebral body, mm; a side that the field of view cuts is None.

    Attributes
    ----------
    height_mm : float or None
        From the lower to the upper endplate, in the middle of the body.
    width_mm : float or None
        Left to right, at half height.
    depth_mm : float or None
        Front to back, at half height.
    """

    height_mm: float | None = None
    width_mm: float | None = None
    depth_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a bone stands; unit vectors in LPS.

    Attributes
    ----------
    cranial : Vector
        Along the axis of the bone, towards the head.
    upper_endplate, lower_endplate : Vector or None
        Normals of the endplates of a vertebral body, both towards the head; None where one was not seen.
    """

    cranial: Vector
    upper_endplate: Vector | None = None
    lower_endplate: Vector | None = None


@dataclass(frozen=True, slots=True)
class Bone:
    """One instance of a bone in one volume.

    Attributes
    ----------
    id : str
        Unique in its `Anatomy`; for vertebrae ``V1``, ``V2`` ... from head to tail.
    name : str
        A name of :mod:`osteotrace.model.label_schemes`: ``vertebra``, ``sacrum``, ``hip bone left``,
        ``rib right 7`` ... A vertebra is always ``vertebra``; the level that a program gave it stands in
        `declared_level`.
    label : int
        Its value in the label image.
    centroid_mm : Vector
        LPS. Of a vertebra: of its body, where body and posterior part can be told apart. Of a sacrum: of its
        uppermost 30 mm, which is the body of S1, more or less.
    confidence : float
        That this is one whole bone of this name (for a vertebra: one, not two and not a part), 0 to 1.
    touches_edge : bool
        Whether the field of view may cut it.
    size_mm : BodySize or None
        Of a vertebra, where it was measured.
    orientation : Orientation or None
        Where it was measured.
    rib : float or None
        Of a vertebra: probability that a rib joins it, on either side; None when nobody could see: ribs were
        not looked for, or their place is outside the field of view.
    dens : float or None
        Of a vertebra: probability that it has the dens, so that it is C2; None when nobody looked.
    declared_level : str
        Level that the program which made the labels gave it, for example ``T11``; empty when it gave none.
    """

    id: str
    name: str
    label: int
    centroid_mm: Vector
    confidence: float
    touches_edge: bool
    size_mm: BodySize | None = None
    orientation: Orientation | None = None
    rib: float | None = None
    dens: float | None = None
    declared_level: str = ""


@dataclass(frozen=True, slots=True)
class Outlined:
    """A structure that is not a bone, in one volume.

    Attributes
    ----------
    name : str
        A name of :mod:`osteotrace.model.label_schemes`: ``spinal canal``, ``back muscles left`` ...
    label : int
        Its value in the label image.
    coarse : bool
        Whether the outline only says where the structure is, and is no basis for measurements.
    """

    name: str
    label: int
    coarse: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What was found of the skeleton and around it in one volume.

    Attributes
    ----------
    series_id : str
        The volume.
    labels : ndarray of uint16, shape grid.shape
        0 is background; every other value is the label of one bone or structure. Read-only.
    grid : Grid
        Lattice of the labels, in the frame of reference of the volume; it may be coarser than the volume.
    bones : tuple of Bone
        Vertebrae from head to tail first.
    structures : tuple of Outlined
        Other structures that were found.
    searched : frozenset of str
        Names that would have been found, had they been there. A name in here without a bone or structure
        was looked for and is not in view; a name that is not in here is unknown.
    made_by : str
        Program and version, or model and hash.
    problems : tuple of Problem
        ``no spine found`` and other limits.

    Raises
    ------
    LatticeMismatchError
        Labels and grid differ in shape.
    RegionError
        Two bones or structures share an id or a label.
    """

    series_id: str
    labels: NDArray[Any]
    grid: Grid
    bones: tuple[Bone, ...]
    structures: tuple[Outlined, ...]
    searched: frozenset[str]
    made_by: str
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        """Check and freeze."""
        labels = frozen_array(self.labels, np.uint16)
        if labels.shape != self.grid.shape:
            raise LatticeMismatchError(f"labels have shape {labels.shape}", expected=f"{self.grid.shape}")
        _refuse_repeats([bone.id for bone in self.bones], "id", self.series_id)
        labelled: tuple[Bone | Outlined, ...] = (*self.bones, *self.structures)
        _refuse_repeats([item.label for item in labelled], "label", self.series_id)
        object.__setattr__(self, "labels", labels)

    @property
    def vertebrae(self) -> tuple[Bone, ...]:
        """The vertebrae, in the order of `bones`; the sacrum is not among them."""
        return tuple(bone for bone in self.bones if structure(bone.name).kind == "vertebra")

    def called(self, name: str) -> tuple[Bone | Outlined, ...]:
        """Bones and structures of a name; empty when there is none."""
        labelled: tuple[Bone | Outlined, ...] = (*self.bones, *self.structures)
        return tuple(item for item in labelled if item.name == name)

    def mask(self, item: Bone | Outlined) -> Mask | None:
        """Voxels of a bone or structure on the lattice of the labels; None when it has none there."""
        inside = self.labels == item.label
        return Mask.from_array(inside, self.grid) if inside.any() else None


class Certainty(StrEnum):
    """How far the level of a vertebra can be trusted.

    Certain: a landmark that can settle it was seen, or a person said so, and all else that was seen agrees.
    Probable: the most likely level by far, but resting on a usual number of vertebrae that this patient was
    not seen to have. Uncertain: do not use the level without its alternatives.
    """

    CERTAIN = "certain"
    PROBABLE = "probable"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Possible:
    """A level that a vertebra can have.

    Attributes
    ----------
    level : str
        ``T11``; two for a block of fused vertebrae, ``L2+L3``.
    probability : float
        Given all that was seen of the patient, 0 to 1.
    """

    level: str
    probability: float


@dataclass(frozen=True, slots=True)
class BoneRef:
    """A bone of one volume."""

    series_id: str
    bone_id: str


@dataclass(frozen=True, slots=True)
class NumberedVertebra:
    """One vertebra of the patient, in every volume that shows it.

    Attributes
    ----------
    bones : tuple of BoneRef
        The instances that are this vertebra.
    possible : tuple of Possible
        Most probable first; what stands at less than the criterion ``numbering.alternative_probability`` is
        left out. Empty for a detection that most probably is no vertebra.
    certainty : Certainty
    reasons : tuple of str
        What the level rests on, and what speaks against it.
    overruled : bool
        Whether a person gave the level.
    """

    bones: tuple[BoneRef, ...]
    possible: tuple[Possible, ...]
    certainty: Certainty
    reasons: tuple[str, ...]
    overruled: bool = False

    @property
    def level(self) -> str | None:
        """The most probable level (the upper one of a block); None when it most probably is no vertebra."""
        return self.possible[0].level.split("+")[0] if self.possible else None

    @property
    def verse(self) -> int | None:
        """The level as a VerSe number."""
        return None if self.level is None else verse_number(self.level)

    @property
    def probability(self) -> float:
        """Of the most probable level; 0 when there is none."""
        return self.possible[0].probability if self.possible else 0.0

    @property
    def alternatives(self) -> tuple[Possible, ...]:
        """The levels that it could have instead."""
        return self.possible[1:]


@dataclass(frozen=True, slots=True)
class SpineCount:
    """How many vertebrae a patient can have.

    Attributes
    ----------
    thoracic, lumbar : int
        Usually 12 and 5.
    probability : float
        Given all that was seen of the patient, 0 to 1.
    """

    thoracic: int
    lumbar: int
    probability: float


@dataclass(frozen=True, slots=True)
class Numbering:
    """The levels of all vertebrae of a patient.

    Attributes
    ----------
    vertebrae : tuple of NumberedVertebra
        From head to tail, one group of connected volumes after the other.
    counts : tuple of SpineCount
        Most probable first.
    problems : tuple of Problem
        Contradictions between programs, volumes and a person's word; volumes without alignment.
    """

    vertebrae: tuple[NumberedVertebra, ...]
    counts: tuple[SpineCount, ...] = ()
    problems: tuple[Problem, ...] = ()

    def of(self, series_id: str, bone_id: str) -> NumberedVertebra | None:
        """The vertebra that a bone of a volume is, or None."""
        ref = BoneRef(series_id, bone_id)
        return next((vertebra for vertebra in self.vertebrae if ref in vertebra.bones), None)


def _refuse_repeats(values: Iterable[object], what: str, where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise RegionError(f"two structures have the {what} {value}", where=where, expected="each once")
        seen.add(value)
