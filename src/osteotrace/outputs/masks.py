"""Masks and label images as NIfTI files with BIDS-like names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from osteotrace.model.fields import ArrayRef, file_sha256
from osteotrace.model.imaging import Exam, Series
from osteotrace.model.workup import Workup
from osteotrace.outputs.folder import OutputFolder
from osteotrace.outputs.scrub import Scrubber
from osteotrace.space import LabelImage, Mask, write_nifti


@dataclass(frozen=True, slots=True, eq=False)
class NamedMask:
    """A mask or label image and the file that it goes to, relative to the folder of results."""

    name: str
    mask: Mask | LabelImage


def save_masks(workup: Workup, folder: OutputFolder) -> dict[int, ArrayRef]:
    """Write every mask of the lesions and findings, and the labels of every skeleton.

    A mask that a lesion and a finding share is written once.

    Returns
    -------
    dict of int to ArrayRef
        By ``id(mask)``, as :func:`osteotrace.model.workup_json.workup_to_json` wants them.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    refs: dict[int, ArrayRef] = {}
    for one in named_masks(workup):
        path = folder.save(one.name, _writer(one.mask))
        refs[id(one.mask)] = ArrayRef(one.name, file_sha256(path), one.mask.grid)
    return refs


def named_masks(workup: Workup) -> tuple[NamedMask, ...]:
    """Masks and their files: ``nifti/sub-01_ses-day068_CT_CT_desc-L1E2R1_mask.nii.gz``.

    The label holds the track, the outline, and ``mapped`` where it was carried over from another series. The
    labels of a skeleton end in ``desc-skeleton_dseg.nii.gz``. No name of a patient or of an outline is used.
    """
    places = {s.id: (e, s) for e in workup.timeline.exams for s in e.series}
    scrubber = Scrubber.of(workup.patient, {}, ())
    seen: set[int] = set()
    used: set[str] = set()
    out: list[NamedMask] = []
    for series_id, label, mask in _labelled(workup):
        if id(mask) not in seen:
            seen.add(id(mask))
            out.append(NamedMask(_free(_stem(*places[series_id], label, scrubber), used), mask))
    for skeleton in workup.skeletons:
        if skeleton.labels is not None:
            stem = _stem(*places[skeleton.series_id], "skeleton", scrubber)
            out.append(NamedMask(_free(stem, used, "dseg"), skeleton.labels))
    return tuple(out)


def _labelled(workup: Workup) -> Iterator[tuple[str, str, Mask]]:
    track_of = {i: track.id for track in workup.tracks for i in track.lesion_ids}
    for lesion in workup.lesions:
        yield lesion.series_id, _word(track_of.get(lesion.id, "") + lesion.id), lesion.mask
    for finding in workup.findings:
        label = _word(track_of.get(finding.lesion_id, "") + finding.lesion_id)
        yield (
            finding.series_id,
            label + ("mapped" if finding.region == "mapped" else "measured"),
            finding.mask,
        )


def _stem(exam: Exam, series: Series, label: str, scrubber: Scrubber) -> str:
    session = "undated" if exam.day is None else f"day{exam.day:03d}"
    name = _word(scrubber(series.name)) or "series"
    return f"nifti/sub-01_ses-{session}_{exam.modality}_{name}_desc-{label}"


def _free(stem: str, used: set[str], kind: str = "mask") -> str:
    """A name that was not used yet: the second of a kind is ``run-2``."""
    name, number = f"{stem}_{kind}.nii.gz", 1
    while name in used:
        number += 1
        name = f"{stem}_run-{number}_{kind}.nii.gz"
    used.add(name)
    return name


def _word(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9]+", "", plain)


def _writer(mask: Mask | LabelImage) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_nifti(path, mask.values, mask.grid)

    return write
