"""Whether the bones of two exams are those of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteotrace.registration.bone_quality import RowMargin
from osteotrace.registration.bone_radius import unit_variance
from osteotrace.registration.patches import BonePair
from osteotrace.registration.per_bone import Fitted
from osteotrace.registration.settings import BoneSettings

ANOTHER = "another patient?"
_FEWEST_TO_KNOW = 5  # vertebrae, to tell one person from another
_SURE = 0.5  # confidence in an outline


@dataclass(frozen=True, slots=True)
class Person:
    """How much the bones of two exams are those of one person.

    Attributes
    ----------
    misfit : float
        Variance of unit weight: how far the bones, each on its own images, lie off their neighbours, over
        what is expected. Bones of another shape lie at other distances.
    own : float
        Lower quartile over the vertebrae of the advantage in agreement over the neighbours in the row.
    kind : str
        Modalities of the images that most of them are followed in: ``CT-CT``, ``CT-MR`` or ``MR-MR``.
    spacing : float or None
        Median over the neighbours in the row of how much the distance between their outlined bodies differs
        (absolute logarithm of the ratio); None where too few are outlined in both exams.
    """

    misfit: float
    own: float
    kind: str
    spacing: float | None = None


def person_of(fitted: Fitted, margins: RowMargin) -> Person | None:
    """None where too few vertebrae are followed to tell."""
    if len(margins.each) < _FEWEST_TO_KNOW:
        return None
    own = float(np.percentile(list(margins.each.values()), 25))
    kinds = Counter(patch.kind for i in margins.each if (patch := fitted.patches[i]) is not None)
    return Person(unit_variance(fitted.chain), own, kinds.most_common(1)[0][0], spacing_of(fitted.pairs))


def spacing_of(pairs: Sequence[BonePair]) -> float | None:
    """How much the distances between neighbouring bodies differ.

    A spine bends in its joints, but its bodies and discs keep their heights. A body that
    collapsed between the exams, or whose outline is lost, changes two of the distances; of many that leaves
    the median where it is.
    """
    both = [
        (pair.fixed.centre, pair.moving.centre)
        for pair in pairs
        if pair.bone.is_vertebra
        and pair.fixed is not None
        and pair.moving is not None
        and min(pair.fixed.confidence, pair.moving.confidence) > _SURE
    ]
    if len(both) < _FEWEST_TO_KNOW + 1:
        return None
    both.sort(key=lambda ends: -float(ends[0][2]))
    steps = np.linalg.norm(np.diff(np.array(both), axis=0), axis=2)
    here, there = np.maximum(steps, 1.0).T
    return float(np.median(np.abs(np.log(there / here))))


def strangeness(person: Person, s: BoneSettings) -> float:
    """The three signs together: none of them is enough alone."""
    spacing = s.usual_spacing if person.spacing is None else person.spacing
    own = min(max(person.own, -1.0), 1.0)
    return person.misfit - s.strange_per_own * own + s.strange_per_spacing * (spacing - s.usual_spacing)


def signs_of_another(person: Person | None, s: BoneSettings) -> Sequence[tuple[bool, bool, str]]:
    """Whether it fails, whether it is doubtful, and why."""
    if person is None:
        return ()
    strange = strangeness(person, s)
    good, doubtful = s.strange_of(person.kind)
    own = min(max(person.own, -1.0), 1.0)
    apart = ""
    if person.spacing is not None:
        apart = (
            f"; distances between neighbouring vertebrae differ by {person.spacing:.1%}, those of one person "
            f"by {s.usual_spacing:.1%}"
        )
    text = (
        f"the bones fit each other {np.sqrt(person.misfit / s.usual_misfit):.1f} times as badly as those of "
        f"one person do, and a quarter of the vertebrae agree only {own:+.0%} better with themselves than "
        f"with a neighbour{apart}: {ANOTHER}"
    )
    return ((strange > doubtful, strange > good, text),)
