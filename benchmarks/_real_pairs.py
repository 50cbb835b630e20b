"""Real scans for `alignment.py`: warped by a known motion of every vertebra, and sessions with labels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from _common import unpack_case
from mr_vertebrae import volume_of
from osteotrace import intake
from osteotrace.anatomy import segment
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality
from osteotrace.space import FloatArray, Grid, Polyrigid, motion_of, read_nifti

_CASES = ("acrin_nsclc_fdg_pet_042_petct", "crlm_ct_1006")
_MR = ("VB1/VB1_02", "VB1/VB1_08", "VB2/VB2_02", "VB3/VB3_01")
_SESSIONS = (("VB1_02", "VB1_03"), ("VB1_06", "VB1_07"), ("VB1_02", "VB1_06"), ("VB1_03", "VB1_07"))
_JOINT_DEG, _JOINT_MM = 1.5, 0.4  # standard deviation of a joint's motion
_BEND_DEG = 1.2  # of every joint
_NOISE = 0.03
_EVERY = 4  # voxels


@dataclass(frozen=True, slots=True, eq=False)
class RealPair:
    """Two volumes and where points of the first lie in the second."""

    name: str
    fixed: Volume
    moving: Volume
    anatomies: tuple[Anatomy, Anatomy]
    here: FloatArray
    there: FloatArray


def warped_pairs(data: Path, criteria: Criteria) -> Iterator[RealPair]:
    """Every scan against itself, warped and with another contrast; points of its vertebrae."""
    for name, volume in _scans(data, criteria):
        anatomy = segment(volume)
        if len(anatomy.vertebrae) >= 3:
            yield _warped(name, volume, anatomy)


def session_pairs(data: Path) -> Iterator[RealPair]:
    """T1 to TIRM and session to session of one patient; centres of the manual labels that both have."""
    folder = data / "nifti" / "mr_lumbar_fastcleverseg" / "VB1"
    for one, other in _SESSIONS:
        if not all((folder / f"{name}_mr.nii.gz").is_file() for name in (one, other)):
            continue
        volumes = [volume_of(read_nifti(folder / f"{n}_mr.nii.gz", f"frame {n}"), n) for n in (one, other)]
        centres = [_centres(folder / f"{n}_vb.nii.gz", f"frame {n}") for n in (one, other)]
        both = sorted(set(centres[0]) & set(centres[1]))
        here, there = (np.array([c[label] for label in both]) for c in centres)
        first, second = volumes
        yield RealPair(f"{one} to {other}", first, second, (segment(first), segment(second)), here, there)


def rigid_to_labels_mm(pair: RealPair) -> float:
    """Median distance that the best rigid fit to the points themselves leaves."""
    here, there = pair.here - pair.here.mean(axis=0), pair.there - pair.there.mean(axis=0)
    u, _, v = np.linalg.svd(there.T @ here)
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v
    return float(np.median(np.linalg.norm(here @ turn.T - there, axis=1)))


def _scans(data: Path, criteria: Criteria) -> Iterator[tuple[str, Volume]]:
    for case in _CASES:
        folder = data / "dicom" / case
        if folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as temporary:
                source = unpack_case(folder, Path(temporary) / case)
                patient = intake.only_patient(intake.scan(source), source)
                volumes = intake.read_patient(patient, criteria).volumes
                ct = [v for v in volumes if v.series.modality is Modality.CT]
                if ct:
                    yield case, max(ct, key=lambda v: v.grid.shape[2])
    for name in _MR:
        file = data / "nifti" / "mr_lumbar_fastcleverseg" / f"{name}_mr.nii.gz"
        if file.is_file():
            yield name, volume_of(read_nifti(file, f"frame {name}"), name)


def _warped(name: str, volume: Volume, anatomy: Anatomy) -> RealPair:
    rng = np.random.default_rng(len(name))
    centres = np.array([bone.centroid_mm for bone in anatomy.vertebrae])
    blend = _bend(centres, rng)
    frame = f"{volume.grid.frame_of_reference_uid}.1"
    affine = blend.common @ volume.grid.affine
    grid = Grid(volume.grid.shape, affine, frame)
    values = _contrast(_pulled(volume, blend, grid), volume, rng)
    series = replace(volume.series, id=f"{volume.series.id} warped", grid=grid)
    moving = Volume(values, grid, series)
    around = rng.uniform(-14.0, 14.0, (8, 3))
    here = np.concatenate([centres, *(centres + step for step in around)])
    here = here[volume.grid.contains(here) & grid.contains(blend.apply(here))]
    return RealPair(name, volume, moving, (anatomy, segment(moving)), here, blend.apply(here))


def _bend(centres: FloatArray, rng: np.random.Generator) -> Polyrigid:
    common = motion_of([[*np.radians(rng.normal(0, 3.0, 3)), 0, 0, 0]])[0]
    middle = centres.mean(axis=0)
    common[:3, 3] = middle - common[:3, :3] @ middle + rng.uniform(-20, 20, 3)
    own, motions = np.eye(4), []
    for number, centre in enumerate(centres):
        turn = np.radians(rng.normal((_BEND_DEG, 0.0, 0.0), _JOINT_DEG)) * (number > 0)
        step = motion_of(np.concatenate([turn, np.zeros(3)])[None])[0]
        joint = centre if number == 0 else (centre + centres[number - 1]) / 2
        step[:3, 3] = joint - step[:3, :3] @ joint + rng.normal(0, _JOINT_MM, 3)
        own = own @ step
        motions.append(common @ own)
    arch = np.array([0.0, 35.0, -6.0])
    return Polyrigid.of(common, motions, [[c, c + arch] for c in centres], 8.0)


def _pulled(volume: Volume, blend: Polyrigid, grid: Grid) -> FloatArray:
    """Values of the volume where the warp takes each voxel of the grid from; linear.

    The warp is inverted on every fourth voxel and is linear in between.
    """
    coarse = tuple(-(-n // _EVERY) + 1 for n in grid.shape)
    knots = np.moveaxis(np.indices(coarse), 0, -1).reshape(-1, 3) * _EVERY
    source = volume.grid.indices(blend.invert(grid.points(knots))).reshape(*coarse, 3)
    out = np.empty(grid.shape, dtype=np.float64)
    low = float(volume.values.min())
    for k in range(grid.shape[2]):
        place = np.moveaxis(np.indices((*grid.shape[:2], 1)), 0, -1)[..., 0, :] + [0, 0, k]
        at = (place / _EVERY).reshape(-1, 3).T
        index = [map_coordinates(source[..., axis], at, order=1, mode="nearest") for axis in range(3)]
        values = map_coordinates(volume.values, index, order=1, mode="constant", cval=low)
        out[..., k] = values.reshape(grid.shape[:2])
    return out


def _contrast(values: FloatArray, volume: Volume, rng: np.random.Generator) -> FloatArray:
    """CT: a little less contrast, noise. MR: another gamma and shading, noise."""
    spread = float(np.percentile(values, 98) - np.percentile(values, 2))
    if volume.series.modality is Modality.CT:
        changed = np.where(values > -300, values * 0.92 + 8.0, values)
    else:
        top = float(np.percentile(values, 99.5))
        shading = 1.0 + 0.3 * np.linspace(-1, 1, values.shape[2])
        changed = np.clip(values / top, 0, 1) ** 0.6 * top * shading
    return np.asarray(changed + rng.normal(0, _NOISE * spread, values.shape), dtype=np.float32)


def _centres(file: Path, frame: str) -> dict[int, FloatArray]:
    image = read_nifti(file, frame)
    labels = np.asarray(image.values).astype(int)
    found = [int(n) for n in np.unique(labels) if n]
    return {n: image.grid.points(np.argwhere(labels == n).mean(axis=0)) for n in found}
