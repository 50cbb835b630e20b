"""Levels for all vertebrae of a patient, with certainty, alternatives and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from osteotrace.anatomy.chain import Chain, Posterior, infer
from osteotrace.anatomy.joined import Row, join, usable
from osteotrace.anatomy.landmarks import Landmarks, landmarks_of
from osteotrace.anatomy.settings import Settings
from osteotrace.anatomy.signs import Signs
from osteotrace.anatomy.spine_prior import spines
from osteotrace.errors import DeclarationError
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import (
    Anatomy,
    Bone,
    BoneRef,
    Certainty,
    NumberedVertebra,
    Numbering,
    Possible,
    SpineCount,
)
from osteotrace.model.corrections import Corrections, Level
from osteotrace.model.criteria import Criteria
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

_LEAST_TO_TURN: Final = 5  # shorter rows look much the same from both ends
_TURNED: Final = float(np.log(100.0))  # evidence for a row that stands on its head


def number(
    anatomies: Sequence[Anatomy],
    alignments: tuple[Alignment, ...],
    corrections: Corrections,
    criteria: Criteria,
) -> Numbering:
    """Give every vertebra its level.

    All volumes of the patient are taken together: those that are aligned share their vertebrae, and all share
    how many thoracic and lumbar vertebrae there are.

    Parameters
    ----------
    anatomies : sequence of Anatomy
        One per volume.
    alignments : tuple of Alignment
        Between their frames of reference; volumes in one frame need none.
    corrections : Corrections
        Of these the levels that a person gave are honoured, whatever else was seen.

    Raises
    ------
    DeclarationError
        A person names a volume or a point without vertebra, or levels that cannot stand together.
    """
    settings = Settings.of(criteria)
    told = _told(anatomies, corrections, settings)
    rows = join(anatomies, alignments, told, settings.same_vertebra_mm)
    problems = [*_unplaced(anatomies), *_unconnected(rows)]
    upright = []
    for row in rows:
        if _is_upside_down(row, settings):
            problems.append(_upside_down(row))
        else:
            upright.append(row)
    if anatomies and not rows:
        problems.append(_no_spine())
    if not upright:
        return Numbering(tuple(v for row in rows for v in _unnumbered(row)), (), tuple(problems))
    posterior = infer([row.chain for row in upright], spines(settings), settings)
    _refuse_impossible(posterior, corrections)
    likely = posterior.spines[int(np.argmax(posterior.weights))]
    count = (likely.thoracic, likely.lumbar)
    vertebrae: list[NumberedVertebra] = []
    for row in rows:
        if row in upright:
            levels = posterior.levels[upright.index(row)]
            vertebrae += _numbered(row, levels, count, settings)
            problems += _contradictions(row, levels, anatomies, settings)
        else:
            vertebrae += _unnumbered(row)
    problems += _overruled(upright, posterior, settings)
    if not any(vertebra.possible for vertebra in vertebrae):
        problems.append(_no_spine())
    return Numbering(tuple(vertebrae), _counts(posterior, settings), tuple(problems))


def _told(anatomies: Sequence[Anatomy], corrections: Corrections, settings: Settings) -> dict[BoneRef, str]:
    """The bones that a person's points mean."""
    told: dict[BoneRef, str] = {}
    for item in corrections.items:
        if isinstance(item, Level):
            anatomy = next((a for a in anatomies if a.series_id == item.series), None)
            if anatomy is None:
                raise DeclarationError(
                    "a level is given for a volume without anatomy",
                    where=item.series,
                    expected="the id of a series that inspect lists",
                )
            ref = BoneRef(anatomy.series_id, _vertebra_at(anatomy, item, settings).id)
            if told.setdefault(ref, item.level) != item.level:
                raise DeclarationError(
                    f"one vertebra is called {told[ref]} and {item.level}",
                    where=item.series,
                    expected="one level each",
                    remedy="delete one of them",
                )
    return told


def _vertebra_at(anatomy: Anatomy, item: Level, settings: Settings) -> Bone:
    bones = usable(anatomy)
    if anatomy.grid.contains(item.point_mm):
        i, j, k = (
            np.rint(anatomy.grid.indices(item.point_mm)).astype(int).clip(0, np.array(anatomy.grid.shape) - 1)
        )
        inside = [bone for bone in bones if bone.label == anatomy.labels[i, j, k]]
        if inside:
            return inside[0]
    distance = [float(np.linalg.norm(np.subtract(b.centroid_mm, item.point_mm))) for b in bones]
    if not bones or min(distance) > settings.point_reach_mm:
        raise DeclarationError(
            f"no vertebra was found at the point that should be {item.level}",
            where=item.series,
            expected=f"a point within {settings.point_reach_mm:g} mm of the centre of a vertebra",
        )
    return bones[int(np.argmin(distance))]


def _refuse_impossible(posterior: Posterior, corrections: Corrections) -> None:
    if not np.isfinite(posterior.log_evidence):
        given = ", ".join(item.level for item in corrections.items if isinstance(item, Level))
        raise DeclarationError(
            f"the given levels cannot stand together: {given}",
            where="corrections.toml",
            expected="levels in the order of the vertebrae, with no more missing than the gaps have room for",
            remedy="delete one of them",
        )


def _is_upside_down(row: Row, settings: Settings) -> bool:
    """Whether the row fits far better from tail to head, or a sacrum is on top."""
    if row.sacrum_above:
        return True
    if len(row.members) < _LEAST_TO_TURN:
        return False
    bare = Chain(
        tuple(Signs(signs.confidence) for signs in row.chain.signs),
        row.chain.gap_mm,
        row.chain.bend_deg,
        row.chain.aside_mm,
        np.full(len(row.members), np.nan),
    )
    usual = spines(settings)[:1]
    upright, turned = (infer([chain], usual, settings).log_evidence for chain in (bare, bare.reversed))
    return turned - upright > _TURNED


def _numbered(
    row: Row, levels: Sequence[Mapping[str, float]], count: tuple[int, int], settings: Settings
) -> tuple[NumberedVertebra, ...]:
    seen = landmarks_of(row, [_best(table) for table in levels], count)
    return tuple(_vertebra(row, index, table, seen, settings) for index, table in enumerate(levels))


def _best(table: Mapping[str, float]) -> str | None:
    """The most probable level; None where it is more probable that there is no vertebra at all."""
    return max(table, key=lambda name: table[name]) if sum(table.values()) > 1 / 2 else None


def _vertebra(
    row: Row, index: int, table: Mapping[str, float], seen: Landmarks, settings: Settings
) -> NumberedVertebra:
    bones, told = row.members[index], row.chain.signs[index].told
    best = _best(table)
    if best is None:
        return NumberedVertebra(bones, (), Certainty.UNCERTAIN, ("most probably not a vertebra",))
    ranked = sorted(table.items(), key=lambda entry: -entry[1])
    possible = tuple(
        Possible(level, min(probability, 1.0))
        for level, probability in ranked
        if probability >= settings.alternative_probability
    )
    if told:
        reasons: tuple[str, ...] = (f"a person says that it is {told}",)
        return NumberedVertebra(bones, possible, Certainty.CERTAIN, reasons, overruled=True)
    certainty = _certainty(table[best], settings)
    limits = _limits(row, index, best, seen)
    if not seen.any:  # one vertebra too many at an end shifts the whole row, however well it fits
        certainty = Certainty.UNCERTAIN
    elif limits and certainty is Certainty.CERTAIN:
        certainty = Certainty.PROBABLE
    return NumberedVertebra(bones, possible, certainty, (*seen.reasons(best, bones), *limits))


def _certainty(probability: float, settings: Settings) -> Certainty:
    if probability >= settings.certain_probability:
        return Certainty.CERTAIN
    return Certainty.PROBABLE if probability >= settings.probable_probability else Certainty.UNCERTAIN


def _limits(row: Row, index: int, level: str, seen: Landmarks) -> tuple[str, ...]:
    """Why a level cannot be certain, however probable it is."""
    limits = []
    if seen.lacking:
        limits.append(seen.lacking)
    elif not seen.reach(row.members[index], row.doubtful):
        limits.append("the landmarks are in a volume whose alignment is doubtful")
    limits += [] if seen.told else seen.odd
    others = {declared for declared, _ in row.chain.signs[index].declared} - {level}
    if others:
        limits.append(f"another program calls it {', '.join(sorted(others))}")
    if "+" in level:
        limits.append("fused with its neighbour, or not told apart")
    return tuple(limits)


def _contradictions(
    row: Row, levels: Sequence[Mapping[str, float]], anatomies: Sequence[Anatomy], settings: Settings
) -> list[Problem]:
    """Levels that a program gave and that all else speaks against; one problem per volume."""
    problems = []
    for anatomy in anatomies:
        bones = {bone.id: bone for bone in anatomy.vertebrae if bone.declared_level}
        odd = [
            f"{bone.declared_level} ({_best(table) or 'no vertebra'} is more likely)"
            for refs, table in zip(row.members, levels, strict=True)
            for ref in refs
            if ref.series_id == anatomy.series_id
            and (bone := bones.get(ref.bone_id)) is not None
            and table.get(bone.declared_level, 0.0) < settings.contradiction_probability
        ]
        if odd:
            problems.append(
                Problem(
                    Severity.WARNING,
                    "level-contradiction",
                    f"{anatomy.made_by} gives levels that what was seen speaks against: {', '.join(odd)}",
                    where=anatomy.series_id,
                    remedy="look at the ribs and the sacrum, and give a level in corrections.toml",
                )
            )
    return problems


def _overruled(rows: Sequence[Row], posterior: Posterior, settings: Settings) -> list[Problem]:
    """What would have been said without the person's word, where that is another thing."""
    if not any(signs.told for row in rows for signs in row.chain.signs):
        return []
    untold = [_without_told(row.chain) for row in rows]
    without = infer(untold, spines(settings), settings)
    problems = []
    for row, tables in zip(rows, without.levels, strict=True):
        for signs, refs, table in zip(row.chain.signs, row.members, tables, strict=True):
            if signs.told and table.get(signs.told, 0.0) < settings.contradiction_probability:
                problems.append(
                    Problem(
                        Severity.INFO,
                        "level-overruled",
                        f"a person says {signs.told} where what was seen says {_best(table)}",
                        where=refs[0].series_id,
                    )
                )
    return problems


def _without_told(chain: Chain) -> Chain:
    signs = tuple(replace(seen, told="") for seen in chain.signs)
    return replace(chain, signs=signs)


def _counts(posterior: Posterior, settings: Settings) -> tuple[SpineCount, ...]:
    counts = [
        SpineCount(spine.thoracic, spine.lumbar, float(weight))
        for spine, weight in zip(posterior.spines, posterior.weights, strict=True)
        if weight >= settings.alternative_probability
    ]
    return tuple(sorted(counts, key=lambda count: -count.probability))


def _unnumbered(row: Row) -> tuple[NumberedVertebra, ...]:
    reasons = ("the vertebrae stand upside down",)
    return tuple(NumberedVertebra(refs, (), Certainty.UNCERTAIN, reasons) for refs in row.members)


def _unplaced(anatomies: Sequence[Anatomy]) -> list[Problem]:
    return [
        Problem(
            Severity.EXCLUDED,
            "vertebra-place",
            f"{lost} vertebrae have no finite place and are left out",
            where=anatomy.series_id,
        )
        for anatomy in anatomies
        if (lost := len(anatomy.vertebrae) - len(usable(anatomy)))
    ]


def _unconnected(rows: Sequence[Row]) -> list[Problem]:
    return [
        Problem(
            Severity.INFO,
            "numbered-apart",
            "numbered on its own: no alignment that is good enough connects it with the other volumes",
            where=", ".join(sorted({ref.series_id for refs in row.members for ref in refs})),
        )
        for row in rows[1:]
    ]


def _upside_down(row: Row) -> Problem:
    return Problem(
        Severity.EXCLUDED,
        "upside-down",
        "the vertebrae stand upside down; no levels are given",
        where=row.members[0][0].series_id,
        expected="a volume whose header says which end is the head",
        remedy="check the orientation in the header",
    )


def _no_spine() -> Problem:
    return Problem(Severity.INFO, "no-spine", "no spine found: no vertebra in any volume")
