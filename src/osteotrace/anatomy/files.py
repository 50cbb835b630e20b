"""Label maps of other programs, matched to the volumes that they were made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy.adapters import from_regions, read_label_maps
from osteotrace.anatomy.adapters.build import whole_numbers
from osteotrace.errors import DeclarationError, RegionError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.imaging import Region, Volume
from osteotrace.model.label_schemes import LabelScheme, schemes
from osteotrace.model.patient import PatientImages
from osteotrace.space import Grid, read_nifti

SUFFIXES: Final = (".nii", ".nii.gz")

# Words of a file or folder name that tell the program; the first that fits counts.
_WORDS: Final = (
    (re.compile(r"total[\W_]?spine[\W_]?seg"), "totalspineseg"),
    (re.compile(r"vertebrae_mr"), "totalsegmentator_vertebrae_mr"),
    (re.compile(r"total(segmentator)?_mr"), "totalsegmentator_mr"),
    (re.compile(r"totalsegmentator"), "totalsegmentator_ct"),
    (re.compile(r"seg-vert(?![a-z])"), "spineps_vertebra"),
    (re.compile(r"seg-spine(?![a-z])"), "spineps_subregion"),
    (re.compile(r"(?<![a-z])verse(?![a-z])"), "verse"),
)
_MOOSE: Final = re.compile(r"(?:clin_ct|moose)_(vertebrae|ribs|peripheral_bones|muscles|organs)")
_CORNER_MM: Final = 0.75  # voxels of an image that was written anew may lie half a voxel aside
_LARGEST_LABEL: Final = 2**16


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """What ``--anatomy FILE`` names.

    Attributes
    ----------
    path : Path
        A label map, a folder of label maps, a DICOM SEG or a folder of them.
    scheme : str
        Name of the label scheme where the user gave one; else it is told from names and labels.
    """

    path: Path
    scheme: str = ""

    @classmethod
    def parse(cls, text: str) -> LabelFiles:
        """Read ``PATH`` or ``SCHEME=PATH``.

        Raises
        ------
        DeclarationError
            No scheme is called so, or there is no such file or folder.
        """
        name, mark, rest = text.partition("=")
        path = Path(text)
        if mark and not path.exists():
            if name not in schemes():
                raise _no_scheme(name)
            path = Path(rest)
            found = cls(path, name)
        else:
            found = cls(path)
        if not path.exists():
            raise DeclarationError(
                "there is no such file or folder",
                where=path.name,
                expected="builtin, totalsegmentator, none, or a label map or a folder of label maps",
                remedy="check --anatomy",
            )
        return found

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in order of their names."""
        if self.path.is_dir():
            return tuple(f for f in sorted(self.path.rglob("*")) if f.is_file())
        return (self.path,)

    @property
    def label_maps(self) -> tuple[Path, ...]:
        """NIfTI files, in order of their names."""
        return tuple(f for f in self.files if f.name.lower().endswith(SUFFIXES))


def anatomies_of_files(
    files: LabelFiles, regions: Sequence[Region], images: PatientImages
) -> tuple[Anatomy, ...]:
    """Skeletons from label maps and segments, one for each volume that they were made of.

    Parameters
    ----------
    regions : sequence of Region
        Segments of the DICOM SEG under the same path, as intake placed them.

    Raises
    ------
    DeclarationError
        Nothing is there, a label map fits no volume or several, or the program that made it is not clear.
    RegionError
        The labels are none, or none of them is known.
    """
    anatomies = [*_of_maps(files, images), *_of_regions(regions, images)]
    if not anatomies:
        raise DeclarationError(
            "no label map and no segmentation is there",
            where=files.path.name,
            expected="NIfTI label maps, or DICOM SEG of images of this patient",
            remedy="check --anatomy",
        )
    seen: set[str] = set()
    for anatomy in anatomies:
        if anatomy.series_id in seen:
            raise DeclarationError(
                "two skeletons are given for one series",
                where=anatomy.series_id,
                expected="one program for each series",
                remedy="take one of them out of the folder",
            )
        seen.add(anatomy.series_id)
    return tuple(anatomies)


def _of_maps(files: LabelFiles, images: PatientImages) -> list[Anatomy]:
    """Label maps of one volume are read together: SPINEPS and MOOSE write several."""
    found = [(*_matched(path, images), path) for path in files.label_maps]
    found.sort(key=lambda item: (item[0].series.id, item[2].name))
    anatomies = []
    for _, group in groupby(found, key=lambda item: item[0].series.id):
        members = list(group)
        volume = members[0][0]
        maps = [(path, _scheme(files, path, labels)) for _, labels, path in members]
        anatomies.append(
            read_label_maps(
                maps,
                series_id=volume.series.id,
                frame_of_reference_uid=volume.grid.frame_of_reference_uid,
            )
        )
    return anatomies


def _of_regions(regions: Sequence[Region], images: PatientImages) -> list[Anatomy]:
    groups: dict[str, list[Region]] = {}
    for region in regions:
        groups.setdefault(region.series_id, []).append(region)
    anatomies = []
    for series_id, members in groups.items():
        volume = images.volume(series_id)
        if volume is not None:
            anatomies.append(from_regions(members, volume.grid, series_id=series_id))
    return anatomies


def _matched(path: Path, images: PatientImages) -> tuple[Volume, frozenset[int]]:
    """The volume that a label map was made of, and its labels.

    Its field of view is that of the volume, whatever the order of its axes and the size of its voxels. Where
    several volumes have the same field of view, the file name decides; else it is the first of one frame of
    reference, in which all lie alike.
    """
    image = read_nifti(path, "")
    same = [v for v in images.volumes if _same_field(image.grid, v.grid)]
    named = [v for v in same if _names(path, v, images)]
    candidates = named or same
    frames = {v.grid.frame_of_reference_uid for v in candidates}
    if len(frames) != 1:
        listed = ", ".join(_codes(v, images)[0] for v in candidates)
        raise DeclarationError(
            f"the label map has the field of view of {listed}" if listed else "the label map fits no series",
            where=path.name,
            expected="the field of view of one series",
            remedy=(
                "put the id of the series, as E1-S1, into the file name"
                if listed
                else "give label maps that were made of these images, in their space"
            ),
        )
    return candidates[0], _labels(image.values, path)


def _labels(values: NDArray[Any], path: Path) -> frozenset[int]:
    labels = whole_numbers(values)
    if labels is None or labels.max(initial=0) >= _LARGEST_LABEL:
        raise RegionError(
            "the values are no labels",
            where=path.name,
            expected=f"whole numbers from 0 to {_LARGEST_LABEL - 1}",
            remedy="do not resample",
        )
    return frozenset(int(n) for n in np.flatnonzero(np.bincount(labels.ravel())) if n)


def _same_field(a: Grid, b: Grid) -> bool:
    """Whether two grids have the same outer corners, in any order, within a voxel of the coarser one."""
    reach = _CORNER_MM * max(1.0, float(a.spacing.max()), float(b.spacing.max()))
    distance = np.linalg.norm(a.corners[:, None] - b.corners[None], axis=-1)
    return bool((distance.min(axis=0) <= reach).all() and (distance.min(axis=1) <= reach).all())


def _names(path: Path, volume: Volume, images: PatientImages) -> bool:
    name = path.name.lower()
    return any(
        re.search(rf"(?<![a-z0-9]){re.escape(code.lower())}(?![a-z0-9])", name) is not None
        for code in _codes(volume, images)
    )


def _codes(volume: Volume, images: PatientImages) -> tuple[str, str]:
    """``E1-S2`` and the Series Instance UID."""
    exam = images.exam_of(volume.series.id)
    number = [s.id for s in exam.series].index(volume.series.id) + 1 if exam else 0
    return f"{exam.id}-S{number}" if exam else volume.series.id, volume.series.series_instance_uid


def _scheme(files: LabelFiles, path: Path, labels: frozenset[int]) -> LabelScheme:
    """Label scheme of a file: as declared, by its name, or the only one that knows all its labels."""
    if files.scheme:
        return schemes()[files.scheme]
    inside = path.relative_to(files.path) if files.path.is_dir() else Path(path.name)
    for text in (path.name.lower(), str(inside).lower(), files.path.name.lower()):
        name = _told_by(text)
        if name:
            return schemes()[name]
    knowing = _knowing(schemes(), labels)
    if len(knowing) != 1:
        listed = ", ".join(knowing) or "none"
        raise DeclarationError(
            f"it is not clear which program made the label map; these know all its labels: {listed}",
            where=path.name,
            expected="the program in the name of the file or folder, as totalsegmentator or totalspineseg",
            remedy=f"--anatomy SCHEME={files.path.name}; schemes: {', '.join(schemes())}",
        )
    return schemes()[knowing[0]]


def _told_by(text: str) -> str:
    """Name of the scheme that a file name tells; empty when it tells none."""
    part = _MOOSE.search(text)
    if part:
        return f"moose_{part[1]}"
    return next((name for word, name in _WORDS if word.search(text)), "")


def _knowing(known: Mapping[str, LabelScheme], labels: Iterable[int]) -> list[str]:
    wanted = set(labels)
    return [name for name, scheme in known.items() if wanted and wanted <= set(scheme.labels)]


def _no_scheme(name: str) -> DeclarationError:
    return DeclarationError(
        f"no label scheme is called {name!r}", where="--anatomy", expected=f"one of {', '.join(schemes())}"
    )
