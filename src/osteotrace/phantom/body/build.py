"""Put the body together: every part in the order of drawing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from osteotrace.phantom.body import (
    axial,
    belly_organs,
    canal,
    cavities,
    chest_organs,
    contour,
    labels,
    limbs,
    pelvis,
    shoulder,
    soft,
    thorax,
    tissues,
    vertebra,
)
from osteotrace.phantom.body.contour import Sections
from osteotrace.phantom.body.options import BodyOptions
from osteotrace.phantom.body.shapes import noise, sampled
from osteotrace.phantom.body.spine_curve import Spine, build_spine, drawn_size
from osteotrace.phantom.body.thorax import Chest, Rib
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body, Bone, Material, Part, Person
from osteotrace.space import FloatArray

_BONE_MM: Final = 1.0
_LONG_MM: Final = 1.25
_THREADS: Final = 2
_RELIEF_MM: Final = 6.0
_ROUGH_MM: Final = 0.35
_BMI: Final = {"M": (25.0, 2.5), "F": (24.0, 3.0)}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the shapes are drawn from."""

    person: Person
    options: BodyOptions
    spine: Spine
    chest: Chest
    ribs: list[Rib]
    cage: Sections
    tissues: Mapping[str, Material]
    seed: int

    def step(self, usual: float) -> float:
        """Step of a lattice, mm: wider for a large person, so that memory does not grow."""
        return usual * max(self.spine.scale, 1.0)

    def rng(self, name: str) -> np.random.Generator:
        """A generator of its own for each name."""
        return generator(self.seed, name)


def generator(seed: int, name: str) -> np.random.Generator:
    """A generator from a seed and a name, the same on every machine."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


def build_body(options: BodyOptions, seed: int) -> Body:
    """A patient's anatomy without disease.

    Parameters
    ----------
    options : BodyOptions
        Person and variants.
    seed : int
        Everything that the options leave open is drawn from it.

    Returns
    -------
    Body
        In a frame of its own (LPS mm, supine); its origin is the middle of the endplate of S1.
    """
    plan = plan_of(options, seed)
    jobs: list[Callable[[], Sequence[Bone | Part]]] = [
        partial(make, plan)
        for make in (_soft_parts, _pelvis, _discs, _nerves, _girdle, _thorax, _extremities)
    ]
    jobs += [partial(_vertebra, plan, v.level) for v in plan.spine.vertebrae]
    relief = _relief(plan)
    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(lambda job: [_roughened(item, relief) for item in job()], jobs))
    soft_parts, pelvic, discs, nerves, girdle, chest, distal, *spine = done
    made = [*pelvic, *girdle, *chest, *distal, *(item for group in spine for item in group)]
    bones = [item for item in made if isinstance(item, Bone)]
    over = [item for item in made if isinstance(item, Part)]
    parts = [*soft_parts, *discs, *nerves, *(bone.part for bone in bones), *over]
    bones.sort(key=lambda bone: -float(bone.centroid[2]))
    return Body(plan.person, tuple(p for p in parts if isinstance(p, Part)), tuple(bones), options.variants)


def _relief(plan: Plan) -> Field:
    """Smooth noise in space: how far the surface of bone lies off the ideal one, mm."""
    high = np.array([330.0, 260.0, 820.0]) * max(plan.spine.scale, 1.0)
    low = -high * np.array([1.0, 1.0, 1.2])
    shape = np.ceil((high - low) / _RELIEF_MM).astype(int)
    values = _ROUGH_MM * noise([int(n) for n in shape], (2.0, 2.0, 2.0), plan.rng("relief"))
    return Field(np.clip(values, -2.2 * _ROUGH_MM, 2.2 * _ROUGH_MM), low, _RELIEF_MM, 0.0)


def _roughened(item: Bone | Part, relief: Field) -> Bone | Part:
    """No bone is as smooth as its primitives, nor are its sides alike."""
    if isinstance(item, Part):
        soft_tissue = item.carrier in ("wall", "viscera")
        return item if soft_tissue else replace(item, shape=_with_relief(item.shape, relief))
    pieces = tuple((name, _with_relief(field, relief)) for name, field in item.pieces)
    return replace(item, part=replace(item.part, shape=_with_relief(item.part.shape, relief)), pieces=pieces)


def _with_relief(field: Field, relief: Field) -> Field:
    lines = [o + field.step * np.arange(n) for o, n in zip(field.origin, field.values.shape, strict=True)]
    return Field(field.values + sampled(relief, lines), field.origin, field.step)


def plan_of(options: BodyOptions, seed: int) -> Plan:
    """Draw person, spine and chest."""
    rng = generator(seed, "person")
    size = drawn_size(options, rng)
    mean, sd = _BMI[options.sex]
    drawn = float(np.clip(rng.normal(mean, sd), mean - 2 * sd, mean + 2 * sd)) * size**2
    weight = options.weight_kg if options.weight_kg is not None else drawn
    person = Person(options.sex, options.age_years, round(size, 3), round(weight, 1))
    spine = build_spine(options, size, generator(seed, "spine"))
    chest = thorax.chest_of(spine, options)
    ribs = thorax.ribs_of(spine, chest, options)
    cage = contour.rib_cage(spine, chest, ribs)
    return Plan(
        person, options, spine, chest, ribs, cage, tissues.of_person(person, generator(seed, "tissues")), seed
    )


def soft_part(
    name: str,
    carrier: str,
    field: Field,
    fill: Material,
    shell: Material | None = None,
    shell_mm: float = 0.0,
) -> Part:
    """A part that is no bone."""
    return Part(name, labels.number_of(name), carrier, field, fill, shell, shell_mm)


def bone_of(
    name: str,
    field: Field,
    fill: Material,
    shell: tuple[Material, float],
    centroid: FloatArray | None = None,
    axes: FloatArray | None = None,
    pieces: tuple[tuple[str, Field], ...] = (),
    hinge: FloatArray | None = None,
) -> Bone:
    """A bone that carries itself."""
    part = Part(name, labels.number_of(name), name, field, fill, shell[0], shell[1])
    words = labels.in_words(name)
    middle = centre_of(field) if centroid is None else centroid
    turn = np.eye(3) if axes is None else axes
    return Bone(part, words, labels.verse_number(words), middle, turn, pieces, hinge)


def centre_of(field: Field) -> FloatArray:
    """Centre of the inside of a shape, mm."""
    inside = field.values < 0
    weights = [inside.sum(axis=tuple(i for i in range(3) if i != axis)) for axis in range(3)]
    index = [float((w * np.arange(len(w))).sum() / max(w.sum(), 1)) for w in weights]
    return np.asarray(field.origin + field.step * np.array(index))


def shell_of(plan_tissues: Mapping[str, Material], kind: str) -> tuple[Material, float]:
    """Cortex of a kind of bone, and its thickness in mm."""
    name = "endplate" if kind == "vertebra" else "cortex"
    return plan_tissues[name], tissues.constants()[f"{kind}_shell_mm"]


def _vertebra(plan: Plan, level: str) -> list[Bone]:
    v = plan.spine.of(level)
    draw = {"C1": axial.atlas_fields, "C2": axial.axis_fields}.get(level, vertebra.vertebra_fields)
    whole, front, rear = draw(v, _BONE_MM)
    marrow = tissues.marrow_of(level, plan.tissues)
    pieces = (("body", front), ("posterior", rear))
    return [
        bone_of(
            f"vertebrae_{level}", whole, marrow, shell_of(plan.tissues, "vertebra"), v.centre, v.axes, pieces
        )
    ]


def _pelvis(plan: Plan) -> list[Bone | Part]:
    spine, flat = plan.spine, shell_of(plan.tissues, "flat")
    marrow = {kind: tissues.marrow_of(kind, plan.tissues) for kind in ("sacrum", "coccyx", "hip", "femur")}
    sacrum = axial.sacrum_field(spine, plan.step(_BONE_MM))
    top, axes = axial.sacral_frames(spine)[0]
    centre = top - axes[:, 2] * 12.0
    found: list[Bone | Part] = [
        bone_of("sacrum", sacrum, marrow["sacrum"], (flat[0], flat[1] * 0.8), centre, axes),
        bone_of(
            "coccyx",
            axial.coccyx_field(spine, _BONE_MM),
            marrow["coccyx"],
            shell_of(plan.tissues, "vertebra"),
        ),
    ]
    hips = pelvis.hip_fields(spine, sacrum, plan.step(_BONE_MM))
    femora, shafts = pelvis.femur_fields(spine, plan.step(_LONG_MM))
    for side, hip, femur, shaft in zip(("left", "right"), hips, femora, shafts, strict=True):
        found.append(bone_of(f"hip_{side}", hip, marrow["hip"], flat, axes=pelvis.pelvic_axes(spine)))
        found.append(bone_of(f"femur_{side}", femur, marrow["femur"], shell_of(plan.tissues, "long")))
        found.append(soft_part(f"femur_{side}_cortex", f"femur_{side}", shaft, plan.tissues["cortex"]))
    return found


def _girdle(plan: Plan) -> list[Bone | Part]:
    spine, chest, flat = plan.spine, plan.chest, shell_of(plan.tissues, "flat")
    marrow = {kind: tissues.marrow_of(kind, plan.tissues) for kind in ("clavicle", "scapula", "humerus")}
    clavicles = shoulder.clavicle_fields(spine, chest, _BONE_MM)
    scapulae = shoulder.scapula_fields(spine, chest, plan.ribs, plan.step(_BONE_MM))
    humeri, shafts = shoulder.humerus_fields(spine, chest, plan.step(_LONG_MM))
    found: list[Bone | Part] = []
    for row, side in enumerate(("left", "right")):
        found.append(bone_of(f"clavicula_{side}", clavicles[row], marrow["clavicle"], flat))
        found.append(bone_of(f"scapula_{side}", scapulae[row], marrow["scapula"], (flat[0], 1.0)))
        found.append(
            bone_of(f"humerus_{side}", humeri[row], marrow["humerus"], shell_of(plan.tissues, "long"))
        )
        found.append(
            soft_part(f"humerus_{side}_cortex", f"humerus_{side}", shafts[row], plan.tissues["cortex"])
        )
    skull = shoulder.skull_field(spine, plan.step(_LONG_MM))
    found.append(bone_of("skull", skull, plan.tissues["diploe"], shell_of(plan.tissues, "skull")))
    return found


def _thorax(plan: Plan) -> list[Bone | Part]:
    chest, shell = plan.chest, shell_of(plan.tissues, "rib")
    marrow = tissues.marrow_of("rib", plan.tissues)
    found: list[Bone | Part] = []
    for rib in plan.ribs:
        name = f"rib_{'left' if rib.side > 0 else 'right'}_{rib.number}"
        field = thorax.rib_field(rib, plan.step(_LONG_MM))
        found.append(bone_of(name, field, marrow, shell, hinge=np.asarray(rib.tube.line[0])))
    sternum = thorax.sternum_field(chest, _BONE_MM)
    found.append(bone_of("sternum", sternum, tissues.marrow_of("sternum", plan.tissues), (shell[0], 1.0)))
    return found


def _discs(plan: Plan) -> list[Part]:
    found = []
    below = plan.spine.vertebrae[2:]
    for upper, lower in zip(plan.spine.vertebrae[1:-1], below, strict=True):
        name = f"intervertebral_disc_{upper.level}_{lower.level}"
        whole, core = vertebra.disc_fields(upper, lower, _BONE_MM)
        found += _disc(plan, name, whole, core, worn=upper.worn_below)
    last = plan.spine.vertebrae[-1]
    top, axes = axial.sacral_frames(plan.spine)[0]
    scale = plan.spine.scale
    sizes = {**last.sizes, "width": 50.0 * scale, "depth": 33.0 * scale, "height": 20.0}
    sacral = replace(last, level="L6", centre=top - axes[:, 2] * 10.0, axes=axes, sizes=sizes)
    whole, core = vertebra.disc_fields(last, sacral, _BONE_MM)
    return [*found, *_disc(plan, f"intervertebral_disc_{last.level}_S1", whole, core, worn=last.worn_below)]


def _disc(plan: Plan, name: str, whole: Field, core: Field, *, worn: bool) -> list[Part]:
    return disc_parts(name, whole, core, plan.person, plan.tissues, plan.rng(name), worn=worn)


def disc_parts(
    name: str,
    whole: Field,
    core: Field,
    person: Person,
    of: Mapping[str, Material],
    rng: np.random.Generator,
    *,
    worn: bool,
) -> list[Part]:
    """Annulus and nucleus; the nucleus dries with age and wear."""
    ring, gel = of["disc_annulus"], of["disc_nucleus"]
    age = (person.age_years - 25) / 60
    left = 1.0 - float(np.clip(age + (0.5 if worn else 0.0) + 0.15 * rng.standard_normal(), 0.0, 1.0))
    pd = ring.pd + left * (gel.pd - ring.pd)
    t2 = ring.t2_ms + (0.15 + 0.85 * left) * (gel.t2_ms - ring.t2_ms)
    dried = replace(gel, pd=pd, t2_ms=t2)
    return [soft_part(name, "wall", whole, ring), soft_part(f"{name}_nucleus", "wall", core, dried)]


def _nerves(plan: Plan) -> list[Part]:
    water, brain = canal.brain_fields(plan.spine, plan.rng("brain"))
    return [
        soft_part("cranial_csf", "wall", water, plan.tissues["csf"]),
        soft_part("brain", "wall", brain, plan.tissues["brain"]),
        *canal_parts(canal.canal_of(plan.spine), plan.tissues, plan.rng("roots")),
    ]


def canal_parts(line: canal.CanalLine, of: Mapping[str, Material], rng: np.random.Generator) -> list[Part]:
    """Epidural fat, thecal sac, roots and cord, in the order of drawing."""
    foramina, nerves = canal.foraminal_fields(line)
    shapes = (
        ("spinal_epidural_fat", canal.epidural_field(line), "epidural_fat"),
        ("foraminal_fat", foramina, "epidural_fat"),
        ("spinal_nerves", nerves, "nerve_root"),
        ("spinal_csf", canal.sac_field(line), "csf"),
        ("cauda_equina", canal.roots_field(line, rng), "nerve_root"),
        ("spinal_cord", canal.cord_field(line), "cord"),
    )
    return [soft_part(name, "wall", field, of[tissue]) for name, field, tissue in shapes if field is not None]


def _soft_parts(plan: Plan) -> list[Part]:
    """Skin, fat, muscle, cavities and organs, in the order of drawing."""
    t, spine, chest, person = plan.tissues, plan.spine, plan.chest, plan.person
    skin = contour.trunk(spine, chest, plan.cage, plan.ribs, person)
    outline = soft.outline_of(skin, spine, person)
    limb = contour.fat_mm(person, "limb")
    outer = soft.envelope(spine, chest, outline.skin, (0.0, 0.0, 0.0), person)
    inner = soft.envelope(spine, chest, outline.muscle, (limb * 1.4, limb, 4.5))
    room = cavities.cavities_of(spine, chest, plan.cage, outline.muscle, person)
    thoracic, belly = cavities.cavity_fields(room)
    parts = [
        soft_part("skin", "wall", outer, t["fat"], t["skin"], 1.8),
        soft_part("body_wall_muscle", "wall", inner, t["muscle"]),
        soft_part(
            "body_wall_muscle_fat",
            "wall",
            soft.septa(inner, 1.8, (26, 20, 60), 1.0, plan.rng("wall fat")),
            t["fat"],
        ),
        *_arms(plan, limb),
        soft_part("thoracic_cavity", "viscera", thoracic, t["visceral_fat"]),
        soft_part("abdominal_cavity", "viscera", belly, t["visceral_fat"]),
        soft_part("ischioanal_fat", "wall", soft.ischioanal_field(spine), t["visceral_fat"]),
    ]
    return [*parts, *_viscera(plan, room, belly), *_muscles(plan, inner), *_cartilages(plan)]


def _arms(plan: Plan, fat: float) -> Iterable[Part]:
    """Soft tissue of arms and lower legs, which moves with humerus and femur."""
    spine, chest = plan.spine, plan.chest
    shapes = (
        ("arm", "humerus", soft.arm_fields(spine, chest, 0.0), soft.arm_fields(spine, chest, fat)),
        (
            "forearm",
            "humerus",
            limbs.arm_sleeves(spine, chest, 0.0),
            limbs.arm_sleeves(spine, chest, fat * 0.6),
        ),
        ("leg", "femur", limbs.leg_sleeves(spine, 0.0), limbs.leg_sleeves(spine, fat)),
    )
    t = plan.tissues
    for name, bone, outer, inner in shapes:
        for row, side in enumerate(("left", "right")):
            yield soft_part(f"{name}_{side}", f"{bone}_{side}", outer[row], t["fat"], t["skin"], 1.8)
            yield soft_part(f"{name}_{side}_muscle", f"{bone}_{side}", inner[row], t["muscle"])


def _extremities(plan: Plan) -> list[Part]:
    """Bones of forearms and lower legs: parts that move with humerus and femur."""
    marrow, shell = tissues.marrow_of("femur", plan.tissues), shell_of(plan.tissues, "long")
    groups = (
        ("humerus", limbs.arm_bones(plan.spine, plan.chest)),
        ("femur", limbs.leg_bones(plan.spine)),
    )
    return [
        soft_part(f"{name}_{side}", f"{carrier}_{side}", fields[row], marrow, shell[0], shell[1] * 1.5)
        for carrier, bones in groups
        for name, fields in bones.items()
        for row, side in enumerate(("left", "right"))
    ]


def _muscles(plan: Plan, wall: Field) -> list[Part]:
    """Named muscles, each in a thin layer of fat, with fat inside of the back muscles."""
    t, found = plan.tissues, []
    share = float(np.clip(0.06 + 0.003 * (plan.person.age_years - 40), 0.04, 0.3))
    fields = soft.muscles_of(plan.spine)
    for name, field in fields.items():
        clipped = soft.within(field, wall, 0.5)
        around = Field(clipped.values - np.float32(1.4), clipped.origin, clipped.step)
        found.append(soft_part(f"{name}_fascia_fat", "wall", soft.within(around, wall, 0.0), t["fat"]))
    for name, field in fields.items():
        clipped = soft.within(field, wall, 0.5)
        found.append(soft_part(name, "wall", clipped, t["muscle"]))
        if not name.startswith("iliopsoas"):
            grain = (3.5, 3.5, 16.0)
            strands = soft.streaks(clipped, share, grain, 0.8, plan.rng(name))
            found.append(soft_part(f"{name}_fat", "wall", strands, t["fat"]))
    return found


def _cartilages(plan: Plan) -> list[Part]:
    field = thorax.cartilage_field(plan.ribs, plan.chest, plan.step(_LONG_MM))
    return [soft_part("costal_cartilages", "wall", field, plan.tissues["cartilage"])]


_WALLS: Final = {
    "heart": ("blood", "myocardium", 9.0),
    "aorta": ("blood", "vessel_wall", 1.5),
    "trachea": ("air", "trachea_wall", 1.6),
    "esophagus": ("bowel_gas", "esophagus", 4.0),
    "stomach": ("stomach", "bladder_wall", 3.5),
    "small_bowel": ("bowel", "bladder_wall", 1.5),
    "colon": ("stool", "bladder_wall", 2.5),
    "duodenum": ("bowel", "bladder_wall", 2.5),
    "urinary_bladder": ("urine", "bladder_wall", 3.0),
    "gallbladder": ("bile", "bladder_wall", 1.5),
    "prostate": ("prostate", "bladder_wall", 1.0),
}
_FILLS: Final = {
    "lung": "lung",
    "lung_vessels": "blood",
    "kidney": "kidney",
    "adrenal": "adrenal",
    "thyroid": "thyroid",
    "liver": "liver",
    "spleen": "spleen",
    "pancreas": "pancreas",
    "colon_gas": "bowel_gas",
    "colon_stool": "stool",
}


def _viscera(plan: Plan, room: cavities.Cavities, belly: Field) -> list[Part]:
    lungs = chest_organs.lung_fields(room)
    fields = {
        **lungs,
        "lung_vessels": chest_organs.lung_vessel_field(room, list(lungs.values()), plan.rng("lung vessels")),
        **chest_organs.vessel_fields(room),
        "heart": chest_organs.heart_field(room),
        **chest_organs.airway_fields(room),
        **belly_organs.organ_fields(room, belly, plan.rng("organs")),
    }
    return [viscus(name, field, plan.tissues) for name, field in fields.items()]


def viscus(name: str, field: Field, t: Mapping[str, Material]) -> Part:
    """An organ with its wall."""
    if name in _WALLS:
        fill, wall, thick = _WALLS[name]
        return soft_part(name, "viscera", field, t[fill], t[wall], thick)
    key = name if name in _FILLS else name.split("_")[0]
    return soft_part(name, "viscera", field, t[_FILLS.get(key, "blood")])


def label_at(body: Body, points: FloatArray) -> np.ndarray:
    """Index of the part drawn at body points: -1 outside of the body.

    Parameters
    ----------
    points : ndarray, shape (..., 3)
        Body frame, mm.

    Returns
    -------
    ndarray of int16, shape (...)
        Index into ``body.parts``.
    """
    found = np.full(points.shape[:-1], -1, dtype=np.int16)
    low, high = points.reshape(-1, 3).min(axis=0), points.reshape(-1, 3).max(axis=0)
    for index, part in enumerate(body.parts):
        if (part.shape.low <= high).all() and (part.shape.high >= low).all():
            found[part.shape.at(points) < 0] = index
    return found
