"""What a lesion figure shows, before it is drawn: for every series the place of the lesion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from osteotrace.model.alignment import route
from osteotrace.model.imaging import Exam
from osteotrace.model.lesion import Finding, LesionTrack, Presence
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Modality, Verdict
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.planes import Slice, slices_through
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.figures.window import Window, windows_of
from osteotrace.outputs.words import presence_word, shown_finding
from osteotrace.space import FloatArray

_PIXELS = 256  # along a side of a panel
_TURNED_DEG = 2.0  # a smaller turn is not worth a word
# The patient lies most alike in these; their orientation is taken for all panels of a lesion.
_REFERENCE_MODALITIES = (Modality.CT, Modality.PT, Modality.MR)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesPanel:
    """One series in a lesion figure.

    Attributes
    ----------
    presence : Presence or None
        What was said of the lesion on this series.
    slices : tuple of Slice
        Axial, coronal, sagittal.
    windows : tuple of Window
        Each is shown in a column of its own.
    turned : str
        How the picture was turned to match the others; empty when it was not.
    """

    exam: Exam
    series_name: str
    finding: Finding
    presence: Presence | None
    slices: tuple[Slice, ...]
    windows: tuple[Window, ...]
    turned: str

    @property
    def word(self) -> str:
        """What was said of the lesion here."""
        return presence_word(self.presence) if self.presence else "measured"

    @property
    def basis(self) -> str:
        """How the place is known."""
        drawn = self.finding.region == "drawn"
        return "outlined here" if drawn else f"mapped ±{self.finding.error_mm:.1f} mm"

    @property
    def place(self) -> str:
        """Both in one."""
        return f"{self.word} · {self.basis}"


def panels_of(
    workup: Workup, images: PatientImages, track: LesionTrack, side_mm: float, settings: DisplaySettings
) -> tuple[SeriesPanel, ...]:
    """Panels of all series with an image and a finding of the track, in order of time."""
    return tuple(_panels(workup, images, track, side_mm, settings))


def left_out(workup: Workup, track: LesionTrack, shown: tuple[SeriesPanel, ...]) -> tuple[str, ...]:
    """``CT thorax: not covered`` for every series that the figure does not show."""
    names = {s.id: s.name for e in workup.timeline.exams for s in e.series}
    there = {p.finding.series_id for p in shown}
    return tuple(
        f"{names[p.series_id]}: {presence_word(p)}" for p in track.presence if p.series_id not in there
    )


def _panels(
    workup: Workup, images: PatientImages, track: LesionTrack, side_mm: float, settings: DisplaySettings
) -> Iterator[SeriesPanel]:
    frame, name = _reference(workup, images, track)
    presence = {p.series_id: p for p in track.presence}
    for exam in workup.timeline.exams:
        for series in exam.series:
            finding = shown_finding(workup, track, series.id)
            volume = images.volume(series.id)
            if finding is None or volume is None:
                continue
            axes, turned = _axes(workup, frame, volume.grid.frame_of_reference_uid, name)
            slices = slices_through(volume, finding.mask, finding.mask.centroid, axes, side_mm, _PIXELS)
            windows = windows_of(series.quantity, [s.values for s in slices], settings)
            yield SeriesPanel(exam, series.name, finding, presence.get(series.id), slices, windows, turned)


def _reference(workup: Workup, images: PatientImages, track: LesionTrack) -> tuple[str, str]:
    """Frame whose axes all panels take, and the name of its series."""
    volumes = [v for v in images.volumes if shown_finding(workup, track, v.series.id)]
    order = [m for m in _REFERENCE_MODALITIES if any(v.series.modality is m for v in volumes)]
    first = next((v for v in volumes if order and v.series.modality is order[0]), None)
    return (first.grid.frame_of_reference_uid, first.series.name) if first else ("", "")


def _axes(workup: Workup, reference: str, frame: str, name: str) -> tuple[FloatArray, str]:
    """Directions of the reference frame in another frame; its own ones where no alignment is usable."""
    way = route(workup.alignments, reference, frame)
    if reference == frame:
        return np.eye(3), ""
    if way is None:
        return np.eye(3), f"not turned to {name}"
    degrees = way.transform.rotation_deg
    doubt = ", doubtful" if way.verdict is Verdict.DOUBTFUL else ""
    word = f"turned {degrees:.0f}° to {name}{doubt}" if degrees >= _TURNED_DEG else doubt.removeprefix(", ")
    return way.transform.matrix[:3, :3], word
