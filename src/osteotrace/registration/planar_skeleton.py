"""The skeleton of a CT as points that take up tracer, and the standard skeleton."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.errors import RegionError
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.imaging import Volume
from osteotrace.model.planar import Skeleton
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.space import FloatArray, Grid, resample

SPINE = "spine"
REGIONS = (
    SPINE,
    "skull",
    "pelvis",
    "sternum",
    "thorax left",
    "thorax right",
    "shoulder left",
    "shoulder right",
    "arm left",
    "arm right",
    "leg left",
    "leg right",
)
_KINDS = {
    "vertebra": SPINE,
    "skull": "skull",
    "sacrum": "pelvis",
    "coccyx": "pelvis",
    "hip bone": "pelvis",
    "ilium": "pelvis",
    "sternum": "sternum",
    "costal cartilages": "sternum",
    "rib": "thorax",
    "scapula": "shoulder",
    "clavicle": "shoulder",
    "humerus": "arm",
    "radius": "arm",
    "ulna": "arm",
    "femur": "leg",
    "tibia": "leg",
    "fibula": "leg",
    "patella": "leg",
}
UNNAMED = "bone"
_FILE = "standard_skeleton.npz"
_ML = 1000.0


def region_of(name: str) -> str | None:
    """Region of a bone of :mod:`osteotrace.model.label_schemes`; None when it has none."""
    for start, kind in _KINDS.items():
        if name.startswith(start):
            if kind in REGIONS:
                return kind
            side = next((s for s in ("left", "right") if s in name), None)
            return None if side is None else f"{kind} {side}"
    return None


def skeleton_of(anatomy: Anatomy, volume: Volume, settings: PlanarSettings) -> Skeleton:
    """Bones of a CT as points.

    Bones that the anatomy names, and what is dense enough to be bone and connected widely enough, without a
    name. Attenuation is that of the body's own CT numbers.

    Parameters
    ----------
    anatomy : Anatomy
        Of the volume; its lattice may differ.
    volume : Volume
        CT, HU.

    Raises
    ------
    RegionError
        When the CT shows too little bone to be fitted.
    """
    grid = _upright(volume.grid, settings.voxel_mm)
    hu = resample(np.asarray(volume.values, np.float32), volume.grid, grid, fill=-1000.0)
    body = _body(hu, settings.body_hu)
    named = _named(anatomy, grid)
    dense = body & (hu > settings.bone_hu) & (named == 0)
    # A voxel beside a named bone is its rim, not another bone.
    dense &= ~ndimage.binary_dilation(named > 0, iterations=1)
    dense = _large(dense, settings.unnamed_ml / (settings.voxel_mm**3 / _ML))
    where = np.argwhere((named > 0) | dense)
    if len(where) * settings.voxel_mm**3 / _ML < settings.least_bone_ml:
        raise RegionError(
            f"the CT shows {len(where) * settings.voxel_mm**3 / _ML:.0f} mL of bone",
            where=volume.series.id,
            expected=f"at least {settings.least_bone_ml:.0f} mL, to be fitted to a bone scan",
        )
    label = named[tuple(where.T)]
    points = grid.points(where)
    names, bone, region, kept = _sorted_out(anatomy, points, label)
    front, back = _depths(hu, body, settings.voxel_mm)
    index = tuple(where[kept].T)
    return _thinned(
        Skeleton(
            points=points[kept],
            weight=np.full(int(kept.sum()), settings.voxel_mm**3 / _ML),
            bone=bone[kept],
            region=region[kept],
            front_mm=front[index],
            back_mm=back[index],
            bones=names,
            regions=REGIONS,
            source="ct",
            series_id=volume.series.id,
            frame_of_reference_uid=volume.grid.frame_of_reference_uid,
        ),
        settings.most_points,
    )


@cache
def standard_skeleton() -> Skeleton:
    """The skeleton of an adult that stands in where no CT shows the patient's own; made from the phantom."""
    with resources.files(__package__).joinpath(_FILE).open("rb") as stream, np.load(stream) as file:
        return Skeleton(
            points=file["points"].astype(np.float32),
            weight=file["weight"],
            bone=file["bone"],
            region=file["region"],
            front_mm=file["front_mm"].astype(np.float32),
            back_mm=file["back_mm"].astype(np.float32),
            bones=tuple(str(name) for name in file["bones"]),
            regions=REGIONS,
            source="standard",
        )


def _upright(grid: Grid, step: float) -> Grid:
    """Lattice along the patient's axes that holds the whole field of view."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij")).reshape(3, -1).T
    corners = grid.points(ends)
    low, high = corners.min(axis=0), corners.max(axis=0)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = low
    shape = np.maximum(1, np.floor((high - low) / step).astype(int) + 1)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, grid.frame_of_reference_uid)


def _body(hu: NDArray[np.float32], body_hu: float) -> NDArray[np.bool_]:
    """The largest piece above the threshold without thin things like the table, holes filled by slice."""
    tissue = ndimage.binary_opening(hu > body_hu, iterations=2)
    label, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(hu.shape, dtype=bool)
    largest = label == 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
    filled = np.stack([ndimage.binary_fill_holes(s) for s in np.moveaxis(largest, 2, 0)], axis=2)
    return np.asarray(filled)


def _named(anatomy: Anatomy, grid: Grid) -> NDArray[np.uint16]:
    """Labels of the bones at the voxel centres of another grid, nearest neighbour."""
    matrix = np.linalg.inv(anatomy.grid.affine) @ grid.affine
    out = np.zeros(grid.shape, np.uint16)
    ndimage.affine_transform(
        np.asarray(anatomy.labels), matrix[:3, :3], matrix[:3, 3], grid.shape, out, order=0, cval=0
    )
    bones = {bone.label for bone in anatomy.bones if region_of(bone.name) is not None}
    out[~np.isin(out, list(bones))] = 0
    return out


def _large(mask: NDArray[np.bool_], voxels: float) -> NDArray[np.bool_]:
    label, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(label.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= voxels)[label])


def _depths(
    hu: NDArray[np.float32], body: NDArray[np.bool_], step: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water before and behind each voxel, mm; y runs to the back."""
    density = np.where(body, np.clip(1.0 + hu / 1000.0, 0.0, 2.0), 0.0).astype(np.float32) * step
    front = np.cumsum(density, axis=1) - density / 2
    return np.asarray(front, np.float32), np.asarray(density.sum(axis=1, keepdims=True) - front, np.float32)


def _sorted_out(
    anatomy: Anatomy, points: FloatArray, label: NDArray[np.uint16]
) -> tuple[tuple[str, ...], NDArray[np.int16], NDArray[np.int16], NDArray[np.bool_]]:
    """Names of the bones; bone and region of each point; and which points are used."""
    by_label = {bone.label: bone for bone in anatomy.bones if region_of(bone.name) is not None}
    names = [UNNAMED, *(_title(bone) for bone in by_label.values())]
    bone = np.zeros(len(points), np.int16)
    region = np.full(len(points), -1, np.int16)
    for number, (value, item) in enumerate(by_label.items(), start=1):
        own = label == value
        bone[own] = number
        region[own] = REGIONS.index(region_of(item.name) or SPINE)
    free = label == 0
    region[free] = _guessed(anatomy, points[free])
    return tuple(names), bone, region, region >= 0


def _title(bone: Bone) -> str:
    return f"vertebra {bone.declared_level or bone.id}" if bone.name == "vertebra" else bone.name


def _guessed(anatomy: Anatomy, points: FloatArray) -> NDArray[np.int16]:
    """Regions of unnamed bone by its place against the vertebrae; -1 where it cannot be said.

    Ribs and pelvis are parted by the waist, where there is no bone beside the spine; what lies above goes
    with the chest wall of its side, but far out below the uppermost vertebrae with the shoulder.
    """
    spine = np.array([b.centroid_mm for b in anatomy.vertebrae])
    if len(spine) < _FEWEST_VERTEBRAE:
        return np.full(len(points), REGIONS.index(SPINE), np.int16)
    order = np.argsort(spine[:, 2])
    middle = np.interp(points[:, 2], spine[order, 2], spine[order, 0])
    out = np.where(points[:, 0] > middle, REGIONS.index("thorax left"), REGIONS.index("thorax right"))
    lowest = float(spine[:, 2].min())
    crest = _crest(points[np.abs(points[:, 0] - middle) > _LATERAL_MM, 2], lowest)
    if crest is not None:
        out[points[:, 2] < crest] = REGIONS.index("pelvis")
        lowest = max(lowest, crest - _CREST_ABOVE_MM)
    far = np.abs(points[:, 0] - middle) > _SHOULDER_OUT_MM
    girdle = far & (points[:, 2] > float(spine[:, 2].max()) - _SHOULDER_BELOW_MM)
    out[girdle & (points[:, 0] > middle)] = REGIONS.index("shoulder left")
    out[girdle & (points[:, 0] <= middle)] = REGIONS.index("shoulder right")
    near = np.abs(points[:, 0] - middle) < _BESIDE_SPINE_MM
    spinal = near & (points[:, 2] > lowest - _BESIDE_SPINE_MM)
    behind = points[:, 1] > np.interp(points[:, 2], spine[order, 2], spine[order, 1]) - _BESIDE_SPINE_MM
    out[spinal & behind] = REGIONS.index(SPINE)
    return np.asarray(out, np.int16)


def _crest(heights: FloatArray, lowest: float) -> float | None:
    """Height above which bone beside the spine is chest and below which it is pelvis; None without pelvis."""
    if not len(heights):
        return None
    taken = np.unique(np.round(heights / _BIN_MM))
    gaps = np.diff(taken) * _BIN_MM
    waist = int(np.argmax(gaps)) if len(gaps) else 0
    if len(gaps) and gaps[waist] > _WAIST_MM and taken[waist] * _BIN_MM - heights.min() > _PELVIS_TALL_MM:
        return float(taken[waist] + 0.5) * _BIN_MM
    return lowest + _CREST_ABOVE_MM if lowest - float(heights.min()) > _PELVIS_BELOW_MM else None


# Where unnamed bone belongs, from the vertebrae; usual sizes of adults, a coarse assignment only.
_FEWEST_VERTEBRAE = 3
_PELVIS_BELOW_MM = 120.0
_CREST_ABOVE_MM = 45.0
_LATERAL_MM = 60.0
_WAIST_MM = 20.0
_PELVIS_TALL_MM = 60.0
_BIN_MM = 4.0
_SHOULDER_OUT_MM = 85.0
_SHOULDER_BELOW_MM = 110.0
_BESIDE_SPINE_MM = 45.0


def _thinned(skeleton: Skeleton, most: int) -> Skeleton:
    """At most this many points, evenly taken; the others' weight goes with them."""
    every = -(-len(skeleton.points) // most)
    if every == 1:
        return skeleton
    kept = slice(None, None, every)
    return Skeleton(
        skeleton.points[kept],
        skeleton.weight[kept] * every,
        skeleton.bone[kept],
        skeleton.region[kept],
        skeleton.front_mm[kept],
        skeleton.back_mm[kept],
        skeleton.bones,
        skeleton.regions,
        skeleton.source,
        skeleton.series_id,
        skeleton.frame_of_reference_uid,
    )
