"""Planar nuclear medicine: one image per view (PS3.3 C.8.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteotrace.errors import InputError, PixelError
from osteotrace.intake import header as hd
from osteotrace.intake.describe import series_record
from osteotrace.intake.frames import Frame, frame_of, image_type
from osteotrace.intake.instance import Instance
from osteotrace.intake.nuclear import tracer_attribute
from osteotrace.intake.pet_header import tracer_in
from osteotrace.intake.voxels import stack_values
from osteotrace.model.imaging import Attribute, NuclearFacts, PlanarImage, Series
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Basis, Modality, Quantity, Severity, View

_PLANAR_TYPES = frozenset({"STATIC", "WHOLE BODY"})
# View Code Sequence (0054,0220), CID 26: SNOMED CT, and its older SNOMED RT form.
_VIEW_OF_CODE = {
    "399321004": View.ANTERIOR,
    "G-5215": View.ANTERIOR,
    "399001007": View.POSTERIOR,
    "G-5216": View.POSTERIOR,
}
_VIEW_WORDS = (
    (View.ANTERIOR, re.compile(r"(?<![a-z])ant(?:erior)?(?![a-z])", re.IGNORECASE)),
    (View.POSTERIOR, re.compile(r"(?<![a-z])post(?:erior)?(?![a-z])", re.IGNORECASE)),
)
_FEW_FRAMES = 8
_MAX_FRAMES = 1024  # of one file; more come from damaged headers
_TEXTS = ("ViewPosition", "ImageID", "SeriesDescription", "ImageComments")


@dataclass(frozen=True, slots=True, eq=False)
class ReadPlanar:
    """Planar images of one series."""

    series: tuple[Series, ...]
    images: tuple[PlanarImage, ...]
    problems: tuple[Problem, ...]


def read_planar(instances: Sequence[Instance], *, pixels: bool) -> ReadPlanar:
    """Read the NM instances of one series; what is no static or whole-body image is left out by name."""
    problems: list[Problem] = []
    series: list[Series] = []
    images: list[PlanarImage] = []
    for instance in sorted(instances, key=lambda i: (i.instance_number, i.sop_instance_uid)):
        frames, doubts = _frames(instance)
        counts, more = _counts(frames) if pixels else ([None] * len(frames), [])
        problems += [*doubts, *more]
        for frame, values in zip(frames, counts, strict=True):
            if pixels and values is None:
                continue
            record = _record(_series_id(instance, len(series)), frame)
            image = None if values is None else _image(values, record)
            if image is not None and (twin := _twin(image, images)) is not None:
                problems.append(_repeated(frame, twin))
                continue
            series.append(record)
            images += [image] if image is not None else []
    return ReadPlanar(tuple(series), tuple(images), (*problems, *_views_missing(series)))


def _series_id(instance: Instance, before: int) -> str:
    uid = instance.series_instance_uid
    return f"{uid}#{before + 1}" if before else uid


def _frames(instance: Instance) -> tuple[list[Frame], list[Problem]]:
    """Views of a file, or why it has none."""
    kind, count = nm_kind(instance.header), instance.format.number_of_frames
    if kind not in _PLANAR_TYPES:
        return [], [_not_planar(instance, kind)]
    if count > _MAX_FRAMES:
        return [], [
            problem_of(PixelError(f"{count} frames", where=instance.path.name, expected="one a view"))
        ]
    return [frame_of(instance, instance.header, n) for n in range(count)], []


def _counts(frames: Sequence[Frame]) -> tuple[list[NDArray[Any] | None], list[Problem]]:
    """Counts of the views of one file (columns, rows); None where they cannot be had, with the reason.

    All at once, which is fast; one by one when that fails and there are few.
    """
    if not frames:
        return [], []
    try:
        values = stack_values(frames)
        if values.min() < 0:
            raise PixelError("counts below 0", where=frames[0].instance.path.name, expected="counts")
    except InputError as error:
        if 1 < len(frames) <= _FEW_FRAMES:
            single = [_counts([frame]) for frame in frames]
            return [one[0][0] for one in single], [p for one in single for p in one[1]]
        return [None] * len(frames), [problem_of(error)]
    return [values[:, :, n] for n in range(len(frames))], []


def nm_kind(header: Dataset) -> str:
    """Third value of Image Type: STATIC, WHOLE BODY, TOMO ...; STATIC when a single frame does not tell."""
    tokens = image_type(header)
    if len(tokens) > 2:
        return tokens[2]
    return "STATIC" if hd.whole(header, "NumberOfFrames", 1) <= 1 else ""


def view_of(header: Dataset, number: int) -> Attribute:
    """View of a frame: coded by its detector, else a word of a description, else unknown."""
    detector = hd.first_item(header, "DetectorInformationSequence")
    detectors = hd.items(header, "DetectorInformationSequence")
    vector = hd.numbers(header, "DetectorVector")
    if number < len(vector) and 1 <= int(vector[number]) <= len(detectors):
        detector = detectors[int(vector[number]) - 1]
    code = hd.first_item(detector, "ViewCodeSequence")
    coded = _VIEW_OF_CODE.get(hd.text(code, "CodeValue"))
    if coded is not None:
        return Attribute(coded.value, Basis.DECLARED, f"ViewCodeSequence={hd.text(code, 'CodeValue')}")
    if len(vector) > 1 and len(set(vector)) > 1:  # one description cannot tell several detectors apart
        return Attribute(None, Basis.UNKNOWN)
    return _view_in_words(header)


def _view_in_words(header: Dataset) -> Attribute:
    told = [(keyword, hd.text(header, keyword)) for keyword in _TEXTS]
    found = {view: keyword for keyword, text in told for view, pattern in _VIEW_WORDS if pattern.search(text)}
    if len(found) != 1:
        return Attribute(None, Basis.UNKNOWN)
    view, keyword = found.popitem()
    return Attribute(view.value, Basis.INFERRED, f"{keyword}: {hd.text(header, keyword)}")


def _record(series_id: str, frame: Frame) -> Series:
    tracer = tracer_attribute(tracer_in(frame.header))
    form = frame.instance.format
    facts = NuclearFacts(
        tracer,
        view=view_of(frame.header, frame.number),
        planar_shape=(form.columns, form.rows),
        planar_pixel_mm=_pixel_mm(frame.header),
    )
    return series_record(series_id, [frame], Modality.NM, Quantity.COUNTS, None, facts)


def _image(counts: NDArray[Any], series: Series) -> PlanarImage:
    facts = series.facts
    assert isinstance(facts, NuclearFacts)
    return PlanarImage(counts, facts.planar_pixel_mm, View(facts.view.value or View.UNKNOWN), series)


def _pixel_mm(header: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing (0028,0030), which is rows then columns, as (i, j); None when it is absent or 0."""
    spacing = hd.numbers(header, "PixelSpacing")
    return (spacing[1], spacing[0]) if len(spacing) == 2 and min(spacing) > 0 else None


def _twin(image: PlanarImage, others: Sequence[PlanarImage]) -> PlanarImage | None:
    same = (o for o in others if o.view is image.view and np.array_equal(o.counts, image.counts))
    return next(same, None)


def _repeated(frame: Frame, twin: PlanarImage) -> Problem:
    return Problem(
        Severity.WARNING,
        "duplicate-image",
        "the same picture is there under another SOP Instance UID; it was read once",
        f"series {twin.series.id}: {frame.instance.path.name}",
    )


def _not_planar(instance: Instance, kind: str) -> Problem:
    is_spect = "TOMO" in kind
    return Problem(
        Severity.EXCLUDED,
        "spect" if is_spect else "nm",
        f"{'SPECT' if is_spect else 'NM'} of Image Type {kind or 'unknown'} is not assessed",
        f"series {instance.series_instance_uid}: {instance.path.name}",
        "STATIC or WHOLE BODY",
    )


def _views_missing(series: Sequence[Series]) -> tuple[Problem, ...]:
    unknown = [s for s in series if isinstance(s.facts, NuclearFacts) and s.facts.view.value is None]
    return tuple(
        Problem(
            Severity.WARNING,
            "view",
            "it is not known whether this is the view from the front or from the back",
            f"series {s.id}",
            "View Code Sequence (0054,0220)",
            "left and right are not told",
        )
        for s in unknown
    )
