"""What the report says of the skeleton."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.anatomy import NumberedVertebra
from osteotrace.model.label_schemes import structure
from osteotrace.model.skeleton import Skeleton
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import alternatives_word


@dataclass(frozen=True, slots=True)
class VertebraLine:
    """One vertebra of the patient."""

    level: str
    certainty: str
    probability: str
    alternatives: str
    seen: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesSkeleton:
    """What one series shows of the skeleton, or why it was not read."""

    series: str
    found: str
    made_by: str
    is_read: bool


@dataclass(frozen=True, slots=True)
class SkeletonBlock:
    """The section on the skeleton.

    Attributes
    ----------
    counts : tuple of str
        How many vertebrae the patient can have.
    figures : tuple of str
        Names of the pictures, one per exam.
    """

    counts: tuple[str, ...]
    vertebrae: tuple[VertebraLine, ...]
    series: tuple[SeriesSkeleton, ...]
    figures: tuple[str, ...]

    @property
    def is_read(self) -> bool:
        """Whether any series was read for bones."""
        return any(line.is_read for line in self.series)


def skeleton_block(workup: Workup) -> SkeletonBlock:
    """Counts, vertebrae, series and pictures."""
    names = {s.id: f"{s.name} ({e.id})" for e in workup.timeline.exams for s in e.series}
    order = list(names)
    read = [(order.index(s.series_id), _read(s, names)) for s in workup.skeletons]
    left = [
        (order.index(n.series_id), SeriesSkeleton(names[n.series_id], n.reason, "", is_read=False))
        for n in workup.not_read
    ]
    return SkeletonBlock(
        tuple(
            f"{count.thoracic} thoracic and {count.lumbar} lumbar vertebrae: {count.probability:.0%}"
            for count in workup.numbering.counts
        ),
        tuple(_vertebra(v, names) for v in workup.numbering.vertebrae),
        tuple(line for _, line in sorted(read + left, key=lambda pair: pair[0])),
        tuple(f"spine_{exam.id}" for exam in workup.timeline.exams),
    )


def _read(skeleton: Skeleton, names: dict[str, str]) -> SeriesSkeleton:
    return SeriesSkeleton(names[skeleton.series_id], found_word(skeleton), skeleton.made_by, is_read=True)


def found_word(skeleton: Skeleton) -> str:
    """``8 vertebrae, sacrum, 12 ribs``; ``no bone`` where none was found."""
    kinds: dict[str, int] = {}
    for bone in skeleton.bones:
        kind = structure(bone.name).kind
        word = {"vertebra": "vertebrae", "rib": "ribs"}.get(kind, bone.name)
        kinds[word] = kinds.get(word, 0) + 1
    counted = ("vertebrae", "ribs")
    words = [f"{n} {word if n > 1 else _ONE[word]}" for word in counted if (n := kinds.get(word, 0))]
    return ", ".join([*words, *(word for word in kinds if word not in counted)]) or "no bone"


_ONE = {"vertebrae": "vertebra", "ribs": "rib"}


def _vertebra(vertebra: NumberedVertebra, names: dict[str, str]) -> VertebraLine:
    first = vertebra.possible[0].level if vertebra.possible else "not a vertebra"
    return VertebraLine(
        first,
        str(vertebra.certainty),
        f"{vertebra.probability:.0%}" if vertebra.possible else "",
        alternatives_word(vertebra.alternatives),
        tuple(names[bone.series_id] for bone in vertebra.bones),
        vertebra.reasons,
    )
