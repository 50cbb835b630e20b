"""Every lesion measured in every exam that covers its place, also where nobody outlined it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from osteotrace.findings.place import Place, place_of, target_of
from osteotrace.findings.values import values_of
from osteotrace.model.alignment import Alignment
from osteotrace.model.criteria import Criteria
from osteotrace.model.lesion import Finding, Lesion
from osteotrace.model.patient import PatientImages

Progress = Callable[[str, int, int], None]


def measure(
    lesions: Sequence[Lesion],
    images: PatientImages,
    alignments: tuple[Alignment, ...],
    criteria: Criteria,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Measure each lesion on each volume that it can be placed on ("forced reading").

    Where a lesion was outlined, the outline is measured. Elsewhere it is carried over by the alignment
    and what lies there is measured; its size is then not a measurement and is missing with that reason.
    A failed alignment, or a place outside the field of view, gives no finding.

    Parameters
    ----------
    alignments : tuple of Alignment
        Between the frames of reference of ``images``.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    tuple of Finding
        In the order of lesions, then of exams and series.
    """
    findings = []
    targets = [t for v in images.volumes if (t := target_of(v, images)) is not None]
    for done, lesion in enumerate(lesions):
        for target in targets:
            place = place_of(lesion, target, alignments)
            if place is not None:
                findings.append(_finding(place, criteria))
        if progress is not None:
            progress("measuring", done + 1, len(lesions))
    return tuple(findings)


def _finding(place: Place, criteria: Criteria) -> Finding:
    return Finding(
        id=place.finding_id,
        lesion_id=place.lesion.id,
        exam_id=place.target.exam_id,
        series_id=place.target.volume.series.id,
        region="drawn" if place.drawn else "mapped",
        coverage=place.coverage,
        error_mm=place.error_mm,
        mask=place.mask,
        values=values_of(place, criteria),
    )
