"""Which volumes of a patient are read for the skeleton: for each part of the body the best suited one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from osteotrace.anatomy.mr import slices_are_sagittal
from osteotrace.anatomy.settings import MrSettings
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Exam, MrFacts, Volume
from osteotrace.model.patient import PatientImages
from osteotrace.model.skeleton import NotRead
from osteotrace.model.values import Modality, Quantity

_READ: Final = (Modality.CT, Modality.MR)
_WEIGHTINGS: Final = ("T1W", "T2W", "PD", "STIR")  # the most like what the network was taught first
_FINE_MM: Final = 2.0  # slices of a CT that are thinner show its reader no more
_UNLIKE: Final = frozenset({"fat", "opposed phase"})  # parts of a Dixon acquisition


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The volumes that are read, in the order of exams, and why the others are not."""

    volumes: tuple[Volume, ...]
    not_read: tuple[NotRead, ...]


def choose(images: PatientImages, criteria: Criteria, wanted: Collection[str] = ()) -> Choice:
    """Choose the volumes that are read for the skeleton.

    Of the volumes of one exam in one frame of reference, the best suited one is read, and each further one
    that shows enough of the body above or below those that are read already: so both stations of a spine are
    read, and a whole spine is read once and not in every contrast. Of two CTs of the same part the one with
    thin slices is read.

    Parameters
    ----------
    wanted : collection of str
        Ids of series that are read in any case: a person gave a level on them.
    """
    taken: list[Volume] = []
    left: list[NotRead] = []
    codes = {s.id: f"{e.id}-S{n}" for e in images.timeline.exams for n, s in enumerate(e.series, start=1)}
    least = criteria.number("anatomy.new_height_share")
    settings = MrSettings.of(criteria)
    for exam in images.timeline.exams:
        for group in _groups(exam, images):
            chosen: list[Volume] = []
            enough = (1.0 - least) * max(_height(volume) for volume in group)
            for volume in sorted(group, key=lambda v: _suitability(v, wanted, settings, enough)):
                reason = _unsuited(volume) or _covered(volume, chosen, codes, least)
                if reason and volume.series.id not in wanted:
                    left.append(NotRead(volume.series.id, reason))
                else:
                    chosen.append(volume)
            taken += chosen
    order = list(codes)
    return Choice(
        tuple(sorted(taken, key=lambda v: order.index(v.series.id))),
        tuple(sorted(left, key=lambda n: order.index(n.series_id))),
    )


def _groups(exam: Exam, images: PatientImages) -> list[list[Volume]]:
    """Volumes of an exam by frame of reference and modality."""
    groups: dict[tuple[str, str], list[Volume]] = {}
    for series in exam.series:
        volume = images.volume(series.id)
        if volume is not None:
            key = (volume.grid.frame_of_reference_uid, series.modality)
            groups.setdefault(key, []).append(volume)
    return list(groups.values())


def _unsuited(volume: Volume) -> str:
    """Why a volume is not read, whatever else there is; empty when it can be."""
    series = volume.series
    if series.modality not in _READ:
        return f"bones are not searched in {series.modality}"
    if series.quantity is Quantity.ADC:
        return "bones are not searched in maps of diffusion"
    if isinstance(series.facts, MrFacts):
        if series.facts.b_value or series.facts.weighting.value == "DWI":
            return "bones are not searched in diffusion-weighted images"
        if series.facts.dixon in _UNLIKE:
            return f"bones are not searched in the {series.facts.dixon} image of a Dixon acquisition"
    return ""


def _suitability(
    volume: Volume, wanted: Collection[str], settings: MrSettings, enough_mm: float
) -> tuple[bool, bool, int, bool, float, float, float, str]:
    """Sorts the best suited first; of CTs that are tall enough the one with the thinnest slices."""
    is_ct = volume.series.modality is Modality.CT
    return (
        volume.series.id not in wanted,
        volume.series.modality is Modality.MR and not slices_are_sagittal(volume.grid, settings),
        _contrast(volume),
        is_ct and _height(volume) < enough_mm,
        max(_FINE_MM, float(np.abs(volume.grid.affine[2, :3]).max())) if is_ct else 0.0,
        -_height(volume),
        float(np.prod(volume.grid.spacing)),
        volume.series.id,
    )


def _contrast(volume: Volume) -> int:
    """Rank of the contrast of an MR; without a contrast agent first."""
    facts = volume.series.facts
    if not isinstance(facts, MrFacts):
        return 0
    weighting = facts.weighting.value
    rank = _WEIGHTINGS.index(weighting) if weighting in _WEIGHTINGS else len(_WEIGHTINGS)
    return 2 * rank + int(facts.contrast.value == "yes")


def _heights(volume: Volume) -> tuple[float, float]:
    """Lower and upper end of the field of view along the body, mm."""
    z = volume.grid.corners[:, 2]
    return float(z.min()), float(z.max())


def _height(volume: Volume) -> float:
    bottom, top = _heights(volume)
    return top - bottom


def _covered(volume: Volume, chosen: Sequence[Volume], codes: dict[str, str], least: float) -> str:
    """Which volumes show the part of the body already; empty when it shows enough of its own."""
    bottom, top = _heights(volume)
    overlaps = {codes[v.series.id]: _overlap(_heights(v), (bottom, top)) for v in chosen}
    steps = np.linspace(bottom, top, 101)
    ends = [_heights(v) for v in chosen]
    seen = np.any([(steps >= low) & (steps <= high) for low, high in ends] or [steps > np.inf], axis=0)
    if 1.0 - float(seen.mean()) >= least:
        return ""
    seen_in = [code for code, overlap in overlaps.items() if overlap > 0]
    return f"{' and '.join(seen_in)} show{'' if len(seen_in) > 1 else 's'} this part already"


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    return min(a[1], b[1]) - max(a[0], b[0])
