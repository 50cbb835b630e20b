"""What a phantom patient is made of: materials, parts, bones, inserts, postures.

The body has a frame of its own: LPS, mm, supine, x to the left, y to the back, z to the head. An exam has
another one; a :class:`Posture` says where each bone and each soft tissue of the body lies in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray, frozen_array


@dataclass(frozen=True, slots=True)
class Material:
    """What a tissue is to every scanner; means and textures.

    Attributes
    ----------
    pd : float
        Proton density relative to water (water and fat protons together).
    t1_ms, t2_ms : float
        Relaxation of the water protons at 1.5 T.
    fat : float
        Share of the protons that belongs to fat, 0 to 1; fat has relaxation times of its own.
    gadolinium_mm : float
        Concentration some minutes after 0.1 mmol/kg, mmol/L; shortens T1 and T2 of the water.
    hu : float
        CT number at 120 kV.
    suv : float
        FDG, g/mL, one hour after injection.
    bone_tracer : float
        Tc-99m MDP concentration relative to normal trabecular bone.
    mr_texture, hu_texture, uptake_texture : float
        SD of the texture: relative for MR signal and uptake, in HU for CT.
    grain_mm : float
        Correlation length of the texture.
    """

    pd: float
    t1_ms: float
    t2_ms: float
    fat: float = 0.0
    gadolinium_mm: float = 0.0
    hu: float = 0.0
    suv: float = 0.0
    bone_tracer: float = 0.0
    mr_texture: float = 0.0
    hu_texture: float = 0.0
    uptake_texture: float = 0.0
    grain_mm: float = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One structure of the body.

    Attributes
    ----------
    name : str
        Unique; TotalSegmentator's class name where it has one, for example ``vertebrae_T11``, ``liver``.
    label : int
        Number in TotalSegmentator's ``total`` task, 0 where it has none.
    carrier : str
        What carries it between exams: the name of a bone (rigid), ``wall`` (soft tissue that follows the
        skeleton) or ``viscera`` (soft tissue that slides along the wall and breathes).
    shape : Field
        Signed distance in the body frame, mm.
    fill : Material
        Of the inside.
    shell : Material or None
        Of a layer below the surface: cortical bone, the wall of an organ.
    shell_mm : float
        Thickness of that layer.
    """

    name: str
    label: int
    carrier: str
    shape: Field
    fill: Material
    shell: Material | None = None
    shell_mm: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Bone:
    """A bone: a part that moves rigidly, with what is known of it.

    Attributes
    ----------
    part : Part
        ``part.carrier`` is its own name.
    code_name : str
        Level or bone in words: ``T11``, ``sacrum``, ``left hip bone``, ``right rib 5``.
    verse : int
        VerSe number of a vertebra, sacrum or coccyx; 0 otherwise.
    centroid : ndarray of float64, shape (3,)
        Centre of the vertebral body; of other bones the centre of volume. Body frame, mm.
    axes : ndarray of float64, shape (3, 3)
        Columns: the bone's own left, posterior and cranial direction.
    pieces : tuple of (str, Field)
        ``body`` and ``posterior`` of a vertebra; empty otherwise.
    hinge : ndarray of float64, shape (3,), or None
        Point about which it breathes: the costovertebral joint of a rib.
    """

    part: Part
    code_name: str
    verse: int
    centroid: FloatArray
    axes: FloatArray
    pieces: tuple[tuple[str, Field], ...] = ()
    hinge: FloatArray | None = None

    @property
    def name(self) -> str:
        """Name of the part."""
        return self.part.name


@dataclass(frozen=True, slots=True)
class Person:
    """Who the body is of."""

    sex: Literal["M", "F"]
    age_years: int
    size_m: float
    weight_kg: float


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A patient's anatomy without disease.

    Attributes
    ----------
    parts : tuple of Part
        In the order of drawing, later ones over earlier ones; the bones are among them.
    bones : tuple of Bone
        From head to feet.
    variants : tuple of str
        What is unusual: ``T13``, ``L6``, ``scoliosis``, ``wedge fracture L1`` ...
    """

    person: Person
    parts: tuple[Part, ...]
    bones: tuple[Bone, ...]
    variants: tuple[str, ...] = ()

    def bone(self, name: str) -> Bone:
        """The bone of a part name or of a name in words; KeyError when there is none."""
        for bone in self.bones:
            if name in (bone.name, bone.code_name):
                return bone
        raise KeyError(name)

    def part(self, name: str) -> Part:
        """The part of this name; KeyError when there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)


@dataclass(frozen=True, slots=True, eq=False)
class Insert:
    """Something in or on the body on the day of one exam: a lesion, a mimic, a needle.

    Attributes
    ----------
    id : str
        Unique in the patient; the same at every date.
    carrier : str
        As of a part.
    within : {"marrow", "bone", "free"}
        Where it is shown: inside the marrow of the carrying bone, inside the whole bone, or everywhere.
    shape : Field
        Signed distance at the reference size, body frame, mm.
    growth_mm : float
        The surface on this day lies this far outside the reference surface (negative: shrunk).
    material : Material
        Of the inside.
    core : tuple of (Field, Material) or None
        An inner region of another material (lytic centre, necrosis, nodule), drawn inside the shape.
    """

    id: str
    carrier: str
    within: Literal["marrow", "bone", "free"]
    shape: Field
    growth_mm: float
    material: Material
    core: tuple[Field, Material] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SoftMap:
    """Where a soft tissue of the exam lies in the body: displacement on a coarse lattice in exam space.

    Attributes
    ----------
    displacement : ndarray of float32, shape (x, y, z, 3)
        Body point minus exam point, mm.
    origin : ndarray of float64, shape (3,)
        Exam point of sample (0, 0, 0), mm.
    step : float
        Distance of samples, mm; linear in between, the edge value beyond.
    """

    displacement: NDArray[np.float32]
    origin: FloatArray
    step: float

    def __post_init__(self) -> None:
        """Freeze."""
        object.__setattr__(self, "displacement", frozen_array(self.displacement, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Posture:
    """How the patient lies in one frame of reference.

    Attributes
    ----------
    frame_of_reference_uid : str
        Of the exam.
    rigid : dict of str to ndarray, shape (4, 4)
        For every bone, by part name: body point to exam point.
    soft : dict of str to SoftMap
        ``wall`` and ``viscera``: exam point to body point.
    """

    frame_of_reference_uid: str
    rigid: dict[str, FloatArray] = field(default_factory=dict)
    soft: dict[str, SoftMap] = field(default_factory=dict)

    def to_exam(self, bone: str, points: FloatArray) -> FloatArray:
        """Exam points of body points of a bone, shape (..., 3), mm."""
        motion = self.rigid[bone]
        return np.asarray(points @ motion[:3, :3].T + motion[:3, 3], dtype=np.float64)
