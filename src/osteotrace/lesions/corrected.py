"""A person overrules: outlines added, replaced or taken out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from osteotrace.errors import DeclarationError
from osteotrace.lesions.imported import measured, replace_mask
from osteotrace.model.corrections import (
    AddMask,
    Corrections,
    Different,
    NotALesion,
    ReplaceMask,
    Same,
    find_lesions,
)
from osteotrace.model.fields import file_sha256
from osteotrace.model.imaging import Volume
from osteotrace.model.lesion import Lesion, Origin
from osteotrace.model.patient import PatientImages
from osteotrace.space import Mask, read_nifti


def correct(lesions: Sequence[Lesion], corrections: Corrections, images: PatientImages) -> tuple[Lesion, ...]:
    """Apply the corrections that concern outlines: not a lesion, replaced mask, added mask.

    Raises
    ------
    DeclarationError
        When a correction names a lesion or series that is not there, or its mask does not fit.
    """
    dropped = {
        lesion.id
        for item in corrections.items
        if isinstance(item, NotALesion)
        for lesion in find_lesions(item.lesion, lesions)
    }
    replaced = {
        lesion.id: _replaced(lesion, item, images)
        for item in corrections.items
        if isinstance(item, ReplaceMask)
        for lesion in find_lesions(item.lesion, lesions)
    }
    kept = [replaced.get(x.id, x) for x in lesions if x.id not in dropped]
    for item in corrections.items:
        if isinstance(item, AddMask):
            kept.append(_added(item, [*lesions, *kept], images))
    return tuple(kept)


def identity_pairs(
    lesions: Sequence[Lesion], corrections: Corrections
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Pairs of outline ids that a person calls the same, and different."""
    same: list[tuple[str, str]] = []
    different: list[tuple[str, str]] = []
    for item in corrections.items:
        if isinstance(item, Same | Different):
            named = [[x.id for x in find_lesions(ref, lesions)] for ref in item.lesions]
            target = same if isinstance(item, Same) else different
            target.extend((a, b) for one, other in combinations(named, 2) for a in one for b in other)
    return tuple(same), tuple(different)


def _replaced(lesion: Lesion, item: ReplaceMask, images: PatientImages) -> Lesion:
    mask = _mask(item, _volume(lesion.series_id, images, item))
    return replace_mask(lesion, mask, _origin(item))


def _added(item: AddMask, known: Sequence[Lesion], images: PatientImages) -> Lesion:
    volume = _volume(item.series, images, item)
    exam = images.exam_of(item.series)
    if exam is None:
        raise DeclarationError(f"no exam holds the series {item.series}", where=item.file.name)
    numbers = {int(x.id.rpartition("R")[2]) for x in known if x.exam_id == exam.id}
    lesion_id = f"{exam.id}-R{max(numbers, default=0) + 1}"
    return measured(lesion_id, item.name, exam.id, item.series, _mask(item, volume), _origin(item))


def _volume(series_id: str, images: PatientImages, item: AddMask | ReplaceMask) -> Volume:
    volume = images.volume(series_id)
    if volume is None:
        raise DeclarationError(
            f"no volume has the series id {series_id}",
            where=item.file.name,
            expected="the id of a series that inspect lists",
        )
    return volume


def _mask(item: AddMask | ReplaceMask, volume: Volume) -> Mask:
    image = read_nifti(item.file, volume.grid.frame_of_reference_uid)
    if not image.grid.same_as(volume.grid):
        raise DeclarationError(
            f"the mask lies on another lattice: {image.grid}",
            where=item.file.name,
            expected=f"that of its series: {volume.grid}",
            remedy="draw or resample it on that series",
        )
    inside = image.values > 0 if item.label is None else image.values == item.label
    if not np.any(inside):
        raise DeclarationError("the mask is empty", where=item.file.name, expected="at least one voxel")
    return Mask.from_array(np.asarray(inside), volume.grid)


def _origin(item: AddMask | ReplaceMask) -> Origin:
    return Origin("corrected", f"sha256:{file_sha256(item.file)}", "NIfTI", item.label or 1)
