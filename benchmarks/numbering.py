"""Levels of vertebrae from their places and what is seen at them, against labelled points of real CT.

    python benchmarks/numbering.py --data DIR [--seed N] [--cases N]

Parts of real spines are cut out at random; every place gets an error of 1 to 3 mm (root mean square), and now
and then one vertebra is missed or a false one is added. Only patients take part whose spines are not in the
shipped statistics; spines with an L6, a T13 or without a T12 never are.

What is seen of landmarks is simulated, mistakes included, in three ways:

- ``none``: nothing;
- ``half``: the sacrum without a rib, as in a lumbar MR, or the last rib without sacrum and first rib. Both
  leave open what several in a hundred people have otherwise: the honest answer is "probable";
- ``settling``: the dens or the first rib (``from above``), or the last rib and the sacrum (``between``), as
  often as random parts show them. Where the simulated detector sees such a landmark wrongly (no rib at T12),
  the case is counted as ``misled`` instead.

The spines with an unusual count are real ones with an L6, with a T13 or without a T12, and usual ones into
which a T13 was put. They are shown in the same ways, ``settling`` always ``from above``. Without that, a T13
above five lumbar vertebrae looks exactly like a T12: nobody could tell. How often it is then called certain
is counted apart (``unseen_variants``): such spines are rarer than one in thirty.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _common import finish, nothing_found, table
from _spines import PointSpine, is_held_out, point_spines
from osteotrace.anatomy import number
from osteotrace.model.anatomy import Anatomy, Bone, Certainty
from osteotrace.model.corrections import Corrections
from osteotrace.model.criteria import load_criteria
from osteotrace.space import Grid

WAYS = ("none", "half", "settling")
"""What is asked for."""

SETTLED = ("from above", "between")
LEAST = 5  # vertebrae of a part: the smallest field of view of a spine exam
PLACE_ERROR_MM = (1.0, 3.0)
MISSED_SHARE, EXTRA_SHARE = 0.15, 0.15
RIB_SEEN, LAST_RIB_SEEN, RIB_FALSE, DENS_SEEN = 0.99, 0.95, 0.005, 0.97  # on one side at least
SACRUM_BELOW_MM = np.array([0.0, 8.0, -31.0])  # about the centre of its upper part, from the last body
VARIANT_CASES = 30  # of each kind and way
TRIES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One vertebra as a detector finds it; the level is the truth, empty for a false one. Place: LPS mm."""

    level: str
    place: NDArray[np.float64]
    surety: float
    rib: float | None
    dens: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A part of a spine as a detector would deliver it.

    Attributes
    ----------
    kind : str
        ``usual``, ``L6``, ``T13``, ``no T12``.
    way : str
        ``none``, ``half``, one of `SETTLED`, ``misled`` or ``unseen``.
    truth : tuple of str
        Level per vertebra of the anatomy; empty for a false one.
    """

    kind: str
    way: str
    anatomy: Anatomy
    truth: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went. Silently wrong: any level that is called certain and is wrong."""

    kind: str
    way: str
    right: bool
    certain: bool
    silent_wrong: bool


def main() -> None:
    """Measure and write the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=300)
    options = parser.parse_args()
    spines = point_spines(options.data)
    if not spines:
        nothing_found(options.data)
    outcomes = [outcome(case) for case in cases(spines, options.cases, np.random.default_rng(options.seed))]
    report(outcomes)


def cases(spines: Sequence[PointSpine], n: int, rng: np.random.Generator) -> Iterator[Case]:
    """Usual spines in three equal parts, then the unusual ones."""
    usual = [s for s in spines if not s.variant and is_held_out(s.patient) and len(s.levels) >= LEAST]
    for way in WAYS:
        for _ in range(n // len(WAYS)):
            yield drawn(usual, "usual", way, rng)
    pools = {kind: [s for s in spines if s.variant == kind] for kind in ("L6", "no T12", "T13")}
    pools["T13"] += [with_t13(s) for s in usual if {"T1", "T12", "L5"} <= set(s.levels)]
    for kind, pool in pools.items():
        for way in (*WAYS, "unseen"):
            for _ in range(VARIANT_CASES if pool else 0):
                yield drawn(pool, kind, way, rng)


def with_t13(spine: PointSpine) -> PointSpine:
    """A usual spine with a vertebra more between T12 and L1; what is above moves up by their distance."""
    first = spine.levels.index("L1")
    step = spine.points[first - 1] - spine.points[first]
    points = np.concatenate([spine.points[:first] + step, spine.points[first - 1 :]])
    return PointSpine(
        spine.scan, spine.patient, (*spine.levels[:first], "T13", *spine.levels[first:]), points
    )


def drawn(pool: Sequence[PointSpine], kind: str, way: str, rng: np.random.Generator) -> Case:
    """A random part of a random spine that shows what it should."""
    for _ in range(TRIES * len(pool)):
        spine = pool[int(rng.integers(len(pool)))]
        if len(spine.levels) <= LEAST:
            continue
        start = int(rng.integers(0, len(spine.levels) - LEAST + 1))
        stop = int(rng.integers(start + LEAST, len(spine.levels) + 1))
        if fits(spine, range(start, stop), kind, way):
            return detected(spine, range(start, stop), kind, way, rng)
    raise ValueError(f"no part of the {kind} spines shows what {way!r} needs")


def fits(spine: PointSpine, part: range, kind: str, way: str) -> bool:
    """Whether a part of a spine shows the landmarks of a way, and no others; a variant has to be in it."""
    levels = spine.levels[part.start : part.stop]
    above = "C2" in levels or {"C7", "T1"} <= set(levels)
    last_rib = any(a[0] == "T" and b[0] == "L" for a, b in itertools.pairwise(levels))
    sacrum = part.stop == len(spine.levels) and levels[-1] in ("L5", "L6")
    is_usual = kind == "usual"
    if not (is_usual or (last_rib if kind != "L6" else "L6" in levels)):
        return False
    match way:
        case "none":
            return True
        case "half":
            return not above and (last_rib != sacrum or (sacrum and not is_usual))
        case "settling":
            return above or (is_usual and last_rib and sacrum)
        case _:
            return last_rib and sacrum and not above


def detected(spine: PointSpine, part: range, kind: str, way: str, rng: np.random.Generator) -> Case:
    """What a detector might find of a part."""
    levels, points = spine.levels[part.start : part.stop], spine.points[part.start : part.stop]
    error = rng.uniform(*PLACE_ERROR_MM) / np.sqrt(3)
    sacrum = way != "none" and _shows_sacrum(spine, part)
    looked = way in ("settling", "unseen") or (
        way == "half" and not sacrum
    )  # ribs are not seen beside a sacrum
    found = [
        Detection(
            level,
            place + rng.normal(0, error, 3),
            float(rng.uniform(0.97, 1.0)),
            _rib(level, spine.levels, rng) if looked else None,
            float(level == "C2" and rng.random() < DENS_SEEN) if looked else None,
        )
        for level, place in zip(levels, points, strict=True)
    ]
    if rng.random() < MISSED_SHARE:
        found.pop(int(rng.integers(1, len(found) - 1)))
    if rng.random() < EXTRA_SHARE:
        found.insert(*_extra(found, rng))
    place = points[-1] + SACRUM_BELOW_MM + rng.normal(0, 5, 3) if sacrum else None
    if way == "settling":
        above = "C2" in levels or {"C7", "T1"} <= set(levels)
        way = SETTLED[0] if above else SETTLED[1]
        way = "misled" if any(_misleads(item, spine) for item in found) else way
    return Case(kind, way, _anatomy(found, place), tuple(item.level for item in found))


def _misleads(item: Detection, spine: PointSpine) -> bool:
    """Whether a sign is wrong where it is a landmark: at C2, and on both sides of the first and last rib."""
    last = [level for level in spine.levels if level[0] == "T"][-1:]
    if item.level == "C2":
        return not item.dens
    at_end = item.level in ("C7", "T1", "L1", *last)
    return at_end and item.rib is not None and (item.rib > 1 / 2) != (item.level[0] == "T")


def _extra(found: Sequence[Detection], rng: np.random.Generator) -> tuple[int, Detection]:
    """Where in the row, and a detection that is no vertebra, between two that are."""
    after = int(rng.integers(0, len(found) - 1))
    here, there = found[after].place, found[after + 1].place
    place = here + rng.uniform(0.2, 0.8) * (there - here) + rng.normal(0, 5, 3)
    return after + 1, Detection("", place, float(rng.uniform(0.2, 0.7)), None, None)


def _shows_sacrum(spine: PointSpine, part: range) -> bool:
    return part.stop == len(spine.levels) and spine.levels[-1] in ("L5", "L6")


def _rib(level: str, levels: Sequence[str], rng: np.random.Generator) -> float:
    thoracic = [v for v in levels if v[0] == "T"]
    is_last = bool(thoracic) and level == thoracic[-1]
    chance = (LAST_RIB_SEEN if is_last else RIB_SEEN) if level[0] == "T" else RIB_FALSE
    return 0.99 if rng.random() < chance else 0.01


def _anatomy(found: Sequence[Detection], sacrum: NDArray[np.float64] | None) -> Anatomy:
    bones = [
        Bone(f"V{n}", "vertebra", n, _vector(item.place), item.surety, False, rib=item.rib, dens=item.dens)
        for n, item in enumerate(found, 1)
    ]
    if sacrum is not None:
        bones.append(Bone("sacrum", "sacrum", len(bones) + 1, _vector(sacrum), 1.0, False))
    grid = Grid((1, 1, 1), np.eye(4), "frame")
    return Anatomy("series", np.zeros(grid.shape, np.uint16), grid, tuple(bones), (), frozenset(), "points")


def _vector(place: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(place[0]), float(place[1]), float(place[2])


def outcome(case: Case) -> Outcome:
    """Number a case and compare."""
    numbering = number([case.anatomy], (), Corrections(), load_criteria())
    found = [numbering.of("series", bone.id) for bone in case.anatomy.vertebrae]
    pairs = [
        (vertebra, level) for vertebra, level in zip(found, case.truth, strict=True) if vertebra is not None
    ]
    real = [(vertebra, level) for vertebra, level in pairs if level]
    return Outcome(
        case.kind,
        case.way,
        right=len(pairs) == len(found) and all(vertebra.level == level for vertebra, level in real),
        certain=all(vertebra.certainty is Certainty.CERTAIN for vertebra, _ in real),
        silent_wrong=any(v.certainty is Certainty.CERTAIN and v.level != level for v, level in pairs),
    )


def report(outcomes: Sequence[Outcome]) -> None:
    """Table per kind and way, and the JSON line."""
    rows = []
    for kind, way in dict.fromkeys((o.kind, o.way) for o in outcomes):
        part = [o for o in outcomes if (o.kind, o.way) == (kind, way)]
        count = Counter(right=sum(o.right for o in part), certain=sum(o.certain for o in part))
        both = sum(o.right and o.certain for o in part)
        rows.append(
            (kind, way, len(part), count["right"], count["certain"], both, sum(o.silent_wrong for o in part))
        )
    table(
        "Numbering",
        ("spine", "landmarks", "cases", "right", "certain", "certain and right", "silently wrong"),
        rows,
    )
    counted = [o for o in outcomes if o.way != "unseen"]
    unseen = [o for o in outcomes if o.way == "unseen"]
    usual = [o for o in counted if o.kind == "usual"]
    variants = [o for o in counted if o.kind != "usual"]
    finish(
        cases=len(counted),
        right=sum(o.right for o in counted),
        uncertain=sum(not o.certain for o in counted),
        silent_wrong=sum(o.silent_wrong for o in counted),
        certain_right_rate=_certain_right(o for o in usual if o.way in SETTLED),
        certain_right_rate_from_above=_certain_right(o for o in usual if o.way == SETTLED[0]),
        certain_right_rate_half=_certain_right(o for o in usual if o.way == "half"),
        certain_right_rate_variants=_certain_right(o for o in variants if o.way in SETTLED),
        unseen_variants=len(unseen),
        unseen_variants_silent_wrong=sum(o.silent_wrong for o in unseen),
    )


def _certain_right(outcomes: Iterator[Outcome]) -> float:
    hits = [o.right and o.certain for o in outcomes]
    return round(float(np.mean(hits)), 4) if hits else 0.0


if __name__ == "__main__":
    main()
