"""How results are put into words, the same in figures and report."""

from __future__ import annotations

from collections.abc import Sequence

from osteotrace.model.anatomy import Certainty, NumberedVertebra, Possible
from osteotrace.model.bone_scan import BoneScan
from osteotrace.model.imaging import Exam
from osteotrace.model.lesion import Finding, LesionTrack, NotCovered, NotSeen, Presence, Seen, Unassessable
from osteotrace.model.planar import Candidate
from osteotrace.model.site import UNASKED, Site
from osteotrace.model.workup import Workup

_VERTEBRA = "vertebra "


def presence_word(entry: Presence) -> str:
    """The four answers to "is the lesion there?"."""
    match entry:
        case Seen():
            return "seen"
        case NotSeen():
            return "not seen"
        case NotCovered():
            return "not covered"
        case Unassessable():
            return "cannot be assessed"


def day_word(day: int | None) -> str:
    """``day 3`` or ``undated``."""
    return "undated" if day is None else f"day {day}"


def exam_label(exam: Exam) -> str:
    """Name and day of an exam, the day only where the name does not hold it."""
    day = day_word(exam.day)
    return exam.name if day in exam.name or exam.day is None else f"{exam.name} · {day}"


def track_label(track: LesionTrack) -> str:
    """``L1 'GTV_Mass'``."""
    return f"{track.id} '{track.name}'" if track.name else track.id


def level_mark(vertebra: NumberedVertebra | None) -> str:
    """``T11``, ``T11?`` where probable, ``T11/T12?`` where uncertain, ``?`` without a level."""
    if vertebra is None or not vertebra.possible:
        return "?"
    if vertebra.certainty is Certainty.CERTAIN:
        return vertebra.possible[0].level
    shown = vertebra.possible[: 2 if vertebra.certainty is Certainty.UNCERTAIN else 1]
    return "/".join(one.level for one in shown) + "?"


def alternatives_word(possible: Sequence[Possible]) -> str:
    """``T12 31%, L1 4%``."""
    return ", ".join(f"{one.level} {one.probability:.0%}" for one in possible)


def site_word(site: Site) -> str:
    """Where a lesion lies; empty where no skeleton was asked."""
    return "" if site == UNASKED else str(site)


def candidate_word(workup: Workup, scan: BoneScan, one: Candidate) -> str:
    """Bone that a hot spot can lie in: ``T11`` or ``T11?`` of a vertebra with a level, else its name."""
    if not one.bone.startswith(_VERTEBRA):
        return "bone without a name" if one.bone == "bone" else one.bone
    own = one.bone.removeprefix(_VERTEBRA)
    if one.source == "standard" or scan.of_ct is None:
        return own
    series = scan.of_ct.series_id
    bones = (bone for skeleton in workup.skeletons if skeleton.series_id == series for bone in skeleton.bones)
    found = next((b for b in bones if b.name == "vertebra" and own == (b.declared_level or b.id)), None)
    vertebra = None if found is None else workup.numbering.of(series, found.id)
    return level_mark(vertebra) if vertebra is not None and vertebra.possible else one.bone


def shown_finding(workup: Workup, track: LesionTrack, series_id: str) -> Finding | None:
    """The finding that stands for a track on a series: drawn there, or mapped with the smallest error."""
    here = [f for f in workup.findings_of(track) if f.series_id == series_id]
    return min(here, key=lambda f: (f.region != "drawn", f.error_mm, -f.coverage), default=None)


def joined(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_UNIT_WORDS = {
    "[hnsf'U]": "HU",
    "g/ml{SUVbw}": "g/mL",
    "g/ml{SUVlbm(Janma)}": "g/mL",
    "g/ml{SUVlbm}": "g/mL",
    "um2/s": "µm²/s",
    "10-6.mm2/s": "µm²/s",
    "Bq/ml": "Bq/mL",
    "{counts}": "counts",
    "{ratio}": "",
    "ml": "mL",
    "cm3": "cm³",
    "1": "",
}


def unit_word(ucum: str) -> str:
    """A UCUM unit as radiologists write it; unknown ones stay as they are."""
    return _UNIT_WORDS.get(ucum, ucum)


def number_word(value: float) -> str:
    """Three significant digits, never an exponent for numbers of everyday size."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.2e}"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 4
    return f"{value:.{digits}f}"
