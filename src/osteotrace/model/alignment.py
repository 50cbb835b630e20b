"""How two frames of reference lie to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osteotrace.errors import FrameMismatchError
from osteotrace.model.fields import TransformField
from osteotrace.model.values import Verdict
from osteotrace.space import RigidTransform


@dataclass(frozen=True, slots=True)
class Alignment:
    """A motion between two frames and how far it can be trusted.

    Attributes
    ----------
    transform : RigidTransform
        From the fixed frame to the moving frame: maps a point of the fixed image to the same anatomy
        in the moving image; LPS mm.
    method : {"identity", "rigid"}
        Identity: same frame of reference (checked for plausibility).
    fixed_series, moving_series : str
        Ids of the series that were compared.
    residual_mm : float or None
        Spread of independent estimates.
    overlap : float
        Share of the smaller field of view that both see, 0 to 1.
    error_mm : float or None
        Predicted 95% radius of the error at a point in the overlap; None when failed.
    verdict : Verdict
        A failed alignment never produces a match.
    reasons : tuple of str
        Why the verdict is not better, or what it rests on.
    """

    transform: TransformField
    method: Literal["identity", "rigid"]
    fixed_series: str
    moving_series: str
    residual_mm: float | None
    overlap: float
    error_mm: float | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()

    @property
    def frames(self) -> tuple[str, str]:
        """Fixed and moving frame of reference UID."""
        return (self.transform.from_frame, self.transform.to_frame)


@dataclass(frozen=True, slots=True)
class Route:
    """A chain of alignments from one frame to another.

    Attributes
    ----------
    error_mm : float
        Predicted 95% radius: the square root of the sum of squares along the chain.
    verdict : Verdict
        The worst of the chain.
    """

    transform: RigidTransform
    error_mm: float
    verdict: Verdict


def route(alignments: tuple[Alignment, ...], from_frame: str, to_frame: str) -> Route | None:
    """Motion between two frames through usable alignments; None when they are not connected.

    The way with the smallest predicted error is taken; failed alignments are never used. Inside one
    frame nothing moves; the error and verdict are those of the worst plausibility check there.
    """
    if from_frame == to_frame:
        return _inside(alignments, from_frame)
    best: dict[str, Route] = {from_frame: Route(RigidTransform.identity(from_frame), 0.0, Verdict.GOOD)}
    edges = [e for a in alignments if a.verdict is not Verdict.FAILED for e in _both_ways(a)]
    for _ in range(len(edges) + 1):
        for start, edge in edges:
            if start in best:
                _relax(best, best[start], edge)
    return best.get(to_frame)


def _inside(alignments: tuple[Alignment, ...], frame: str) -> Route:
    checks = [a for a in alignments if a.frames == (frame, frame)]
    error = max((a.error_mm or 0.0 for a in checks), default=0.0)
    doubtful = any(a.verdict is not Verdict.GOOD for a in checks)
    return Route(RigidTransform.identity(frame), error, Verdict.DOUBTFUL if doubtful else Verdict.GOOD)


def _both_ways(alignment: Alignment) -> list[tuple[str, Route]]:
    fixed, moving = alignment.frames
    if fixed == moving:
        return []
    error = alignment.error_mm or 0.0
    return [
        (fixed, Route(alignment.transform, error, alignment.verdict)),
        (moving, Route(alignment.transform.inverse, error, alignment.verdict)),
    ]


def _relax(best: dict[str, Route], way: Route, edge: Route) -> None:
    if edge.transform.from_frame != way.transform.to_frame:
        raise FrameMismatchError("an alignment starts in another frame")
    error = float((way.error_mm**2 + edge.error_mm**2) ** 0.5)
    target = edge.transform.to_frame
    if target not in best or error < best[target].error_mm - 1e-9:
        verdict = Verdict.DOUBTFUL if Verdict.DOUBTFUL in (way.verdict, edge.verdict) else Verdict.GOOD
        best[target] = Route(way.transform.then(edge.transform), error, verdict)
