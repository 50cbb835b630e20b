"""A body on somebody's label map: any map in TotalSegmentator's numbering."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import edt
import numpy as np
from scipy import ndimage

from osteotrace.errors import DeclarationError
from osteotrace.phantom.body import contour, soft, tissues, vertebra
from osteotrace.phantom.body.build import (
    bone_of,
    canal_parts,
    disc_parts,
    generator,
    shell_of,
    soft_part,
    viscus,
)
from osteotrace.phantom.body.canal import CanalLine
from osteotrace.phantom.body.label_map import LabelMap, label_map, shape_of, split, vertebrae_of
from osteotrace.phantom.body.labels import TOTAL
from osteotrace.phantom.body.options import USUAL_LEVELS
from osteotrace.phantom.body.shapes import cropped
from osteotrace.phantom.body.spine_curve import Vertebra
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body, Bone, Material, Part, Person
from osteotrace.space import NiftiImage, read_nifti

_FRAME_UID: Final = "2.25.1"  # of the map; the body has a frame of its own
_BONE_MM: Final = 1.0
_SOFT_MM: Final = 2.0
_COARSE_MM: Final = 4.0
_CLOSE_MM: Final = 48.0  # gaps between labels up to twice this are body
_THREADS: Final = 2
_MUSCLES: Final = ("gluteus", "autochthon", "iliopsoas")
_LONG: Final = {
    "femur": (6.0, 120.0),
    "humerus": (4.0, 70.0),
}  # cortex and its distance from the upper end, mm
_CHEST: Final = ("lung", "heart", "aorta", "pulmonary", "superior", "esophagus", "trachea", "brachiocephalic")
_KINDS: Final = {
    "hip": "flat",
    "scapula": "flat",
    "clavicula": "flat",
    "sternum": "flat",
    "sacrum": "flat",
    "rib": "rib",
    "femur": "long",
    "humerus": "long",
    "skull": "skull",
}
_MARROW: Final = {"clavicula": "clavicle"}


def body_from_labels(source: Path | NiftiImage, person: Person, seed: int) -> Body:
    """A patient's anatomy on a label map.

    Parameters
    ----------
    source : path or NiftiImage
        Labels in TotalSegmentator's numbering (task ``total``, 117 classes), on any grid.
    person : Person
        Whom the tissues are drawn for.
    seed : int
        Of tissues and textures.

    Returns
    -------
    Body
        In the patient space of the map. The outline is that of the skeleton and organs with a margin;
        canal, cord and discs are estimated from the vertebrae.

    Raises
    ------
    DeclarationError
        The map shows fewer than two whole vertebrae.
    InputError
        The file cannot be read.
    """
    image = read_nifti(source, _FRAME_UID) if isinstance(source, Path) else source
    labels = label_map(image)
    where = source.name if isinstance(source, Path) else "label map"
    if sum(labels.has(name) for name in TOTAL if name.startswith("vertebrae_")) < 2:
        raise _too_little(where)
    of = tissues.of_person(person, generator(seed, "tissues"))
    shapes = _shapes(labels)
    spine = vertebrae_of(
        labels, {name[10:]: f for name, f in shapes.items() if name.startswith("vertebrae_")}
    )
    if len(spine) < 2:
        raise _too_little(where)
    bones = [_bone(name, field, spine, of) for name, field in shapes.items() if _is_bone(name)]
    bones.sort(key=lambda bone: -float(bone.centroid[2]))
    soft_parts = _soft(labels, shapes, person, of, seed)
    discs = [
        part for upper, lower in itertools.pairwise(spine) for part in _disc(upper, lower, person, of, seed)
    ]
    canal = canal_parts(_line(spine), of, generator(seed, "roots"))
    cortices = [_cortex(bone, of) for bone in bones if bone.name.split("_")[0] in _LONG]
    parts = (*soft_parts, *discs, *canal, *(bone.part for bone in bones), *cortices)
    return Body(person, parts, tuple(bones))


def _too_little(where: str) -> DeclarationError:
    return DeclarationError(
        "the label map shows fewer than two whole vertebrae",
        where=where,
        expected="TotalSegmentator's 117 classes",
        remedy="give the labels of task total, version 2",
    )


def _is_bone(name: str) -> bool:
    first = name.split("_")[0]
    return first == "vertebrae" or first in _KINDS


def _shapes(labels: LabelMap) -> dict[str, Field]:
    """Shapes of all classes; the first sacral vertebra belongs to the sacrum."""
    groups: dict[str, tuple[str, ...]] = {
        name: (name,) for name in TOTAL if labels.has(name) and name not in ("sacrum", "vertebrae_S1")
    }
    if labels.has("sacrum") or labels.has("vertebrae_S1"):
        groups["sacrum"] = ("sacrum", "vertebrae_S1")
    groups.pop("spinal_cord", None)

    def one(name: str) -> Field:
        return shape_of(labels, groups[name], _BONE_MM if _is_bone(name) else _SOFT_MM)

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(groups, pool.map(one, groups), strict=True))


def _bone(name: str, field: Field, spine: tuple[Vertebra, ...], of: Mapping[str, Material]) -> Bone:
    first = name.split("_")[0]
    shell = shell_of(of, _KINDS.get(first, "vertebra"))
    known = {f"vertebrae_{v.level}": v for v in spine}
    if name in known:
        v = known[name]
        marrow = tissues.marrow_of(v.level, of)
        return bone_of(name, field, marrow, shell, v.centre, v.axes, split(v, field))
    if first == "vertebrae":  # cut by the border: it stands like its neighbour
        nearest = min(spine, key=lambda v: abs(USUAL_LEVELS.index(v.level) - USUAL_LEVELS.index(name[10:])))
        return bone_of(name, field, tissues.marrow_of(name[10:], of), shell, axes=nearest.axes)
    marrow = of["diploe"] if first == "skull" else tissues.marrow_of(_MARROW.get(first, first), of)
    hinge = _rib_head(field, spine) if first == "rib" else None
    return bone_of(name, field, marrow, shell, hinge=hinge)


def _rib_head(field: Field, spine: tuple[Vertebra, ...]) -> np.ndarray:
    """The point of a rib nearest to a vertebral body."""
    inside = np.argwhere(field.values < 0) * field.step + field.origin
    centres = np.array([v.centre for v in spine])
    away = np.linalg.norm(inside[:, None, :] - centres[None], axis=2).min(axis=1)
    return np.asarray(inside[int(away.argmin())])


def _cortex(bone: Bone, of: Mapping[str, Material]) -> Part:
    """Thick cortex of the shaft of a long bone."""
    wall, below = _LONG[bone.name.split("_")[0]]
    field = bone.part.shape
    z = field.lattice_points()[..., 2]
    top = float(z[field.values < 0].max()) - below
    values = np.maximum(
        np.maximum(field.values, -(field.values + np.float32(wall))), (z - top).astype(np.float32)
    )
    return soft_part(
        f"{bone.name}_cortex", bone.name, cropped(Field(values, field.origin, field.step)), of["cortex"]
    )


def _disc(
    upper: Vertebra, lower: Vertebra, person: Person, of: Mapping[str, Material], seed: int
) -> list[Part]:
    name = f"intervertebral_disc_{upper.level}_{lower.level}"
    whole, core = vertebra.disc_fields(upper, lower, _BONE_MM)
    return disc_parts(name, whole, core, person, of, generator(seed, name), worn=False)


def _line(spine: tuple[Vertebra, ...]) -> CanalLine:
    """The canal, prolonged by half a vertebra above and one below."""
    first, last = spine[0], spine[-1]
    above = first.canal_centre + first.axes[:, 2] * first.sizes["gap"] * 0.8
    below = last.canal_centre - last.axes[:, 2] * last.sizes["gap"] * 0.9
    lower = below - last.axes[:, 2] * 24.0 + last.axes[:, 1] * 12.0
    return CanalLine(spine, [above], [below, lower])


def _soft(
    labels: LabelMap, shapes: Mapping[str, Field], person: Person, of: Mapping[str, Material], seed: int
) -> list[Part]:
    """Skin, fat, muscle wall, cavities, organs and named muscles, in the order of drawing."""
    arms = ("humerus_left", "humerus_right", "scapula_left", "scapula_right")
    fat = contour.fat_mm(person, "belly")
    outer = _closed(labels, [name for name in shapes if name not in arms], _CLOSE_MM, fat + 4.0)
    wall = Field(outer.values + np.float32(fat), outer.origin, outer.step)
    parts = [
        soft_part("skin", "wall", outer, of["fat"], of["skin"], 1.8),
        soft_part("body_wall_muscle", "wall", cropped(wall, 6.0), of["muscle"]),
    ]
    organs = [
        name
        for name in shapes
        if not _is_bone(name) and not name.startswith(_MUSCLES) and name not in ("brain", "costal_cartilages")
    ]
    chest = [name for name in organs if name.startswith(_CHEST)]
    rest = [name for name in organs if name not in chest]
    for name, group in (("thoracic_cavity", chest), ("abdominal_cavity", rest)):
        if group:
            filled = _closed(labels, group, 16.0, 3.0)
            parts.append(soft_part(name, "viscera", soft.within(filled, wall, 4.0), of["visceral_fat"]))
    parts += [viscus(name, shapes[name], of) for name in organs]
    for name in shapes:
        if name.startswith(_MUSCLES):
            parts.append(soft_part(name, "wall", shapes[name], of["muscle"]))
            if not name.startswith("iliopsoas"):
                strands = soft.streaks(shapes[name], 0.08, (3.5, 3.5, 16.0), 0.8, generator(seed, name))
                parts.append(soft_part(f"{name}_fat", "wall", strands, of["fat"]))
    if "brain" in shapes:
        parts.append(soft_part("brain", "wall", shapes["brain"], of["brain"]))
    if "costal_cartilages" in shapes:
        parts.append(soft_part("costal_cartilages", "wall", shapes["costal_cartilages"], of["cartilage"]))
    return parts


def _closed(labels: LabelMap, names: list[str], reach: float, margin: float) -> Field:
    """The closing of a union of classes by `reach` mm, made larger by `margin` mm.

    The ends of the map are prolonged, so that the outline does not close inside of it.
    """
    union = shape_of(labels, names, _COARSE_MM)
    ahead = int(np.ceil((reach + margin) / _COARSE_MM)) + 2
    inside = np.pad(union.values < 0, ((ahead, ahead), (ahead, ahead), (0, 0)))
    inside = np.pad(inside, ((0, 0), (0, 0), (ahead, ahead)), mode="edge")
    step = (_COARSE_MM,) * 3
    grown = edt.edt(~inside, anisotropy=step, black_border=False) < reach
    shrunk = edt.edt(grown, anisotropy=step, black_border=False) - edt.edt(
        ~grown, anisotropy=step, black_border=False
    )
    values = (reach - margin) - ndimage.gaussian_filter(shrunk.astype(np.float32), 1.5)
    keep = slice(ahead - 2, values.shape[2] - ahead + 2)
    origin = union.origin - np.array([ahead, ahead, 2]) * _COARSE_MM
    return cropped(Field(np.ascontiguousarray(values[:, :, keep]), origin, _COARSE_MM), 9.0)
