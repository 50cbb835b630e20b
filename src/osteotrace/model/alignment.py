"""How two frames of reference lie to each other: as a whole, and bone by bone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from osteotrace.errors import FrameMismatchError
from osteotrace.model.fields import TransformField
from osteotrace.model.values import Verdict
from osteotrace.space import FloatArray, Polyrigid, RigidTransform

Vector = tuple[float, float, float]
"""Three numbers in LPS."""

ANCHOR_MM = 14.0
"""Between the anchors of a bone: what lies farther from all of them is outside of it."""


@dataclass(frozen=True, slots=True)
class BoneMotion:
    """Motion of one bone from the fixed to the moving frame.

    Attributes
    ----------
    name : str
        As in the `Anatomy`: ``vertebra``, ``sacrum``, ``hip bone left`` ...
    fixed_id, moving_id : str
        Id of the bone in the `Anatomy` of the series; empty where that frame does not show it.
    fixed_series, moving_series : str
        Series that were compared here; patients move between the series of a session.
    transform : RigidTransform
        Fixed frame to moving frame, LPS mm.
    centre_mm : Vector
        Of the bone, fixed frame, LPS mm.
    anchors_mm : tuple of Vector
        Points spread over the bone, fixed frame, LPS mm; near them this motion rules.
    source : {"images", "neighbours"}
        Whether its own images were followed, or the motion is that which its neighbours suggest.
    residual_mm : float or None
        How far what its own images say lies from the motion that is used, at the bone; None without images.
    overlap : float
        Share of the bone that both fields of view hold, 0 to 1.
    margin : float or None
        Relative advantage in agreement over copies shifted along the spine; None where not tested.
    radius_mm : float
        Predicted 95% radius of the error at points of the bone, root mean square over it.
    growth : float
        What is added to the radius for each mm away from the bone, beyond the spacing of its anchors.
    verdict : Verdict
    reasons : tuple of str
        Why the verdict is not better.
    radius_form : tuple of float
        Square of the radius at a point: a quadratic form in (x, y, z, 1) from `centre_mm`; upper triangle
        of a symmetric matrix, row by row, 10 numbers (1, mm, mm²). Empty: `radius_mm` at every point.
    vague : bool
        Whether the verdict is that of its mean radius, or of how little of it is seen: at a place the radius
        there decides.
    """

    name: str
    fixed_id: str
    moving_id: str
    fixed_series: str
    moving_series: str
    transform: TransformField
    centre_mm: Vector
    anchors_mm: tuple[Vector, ...]
    source: Literal["images", "neighbours"]
    residual_mm: float | None
    overlap: float
    margin: float | None
    radius_mm: float
    growth: float
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    radius_form: tuple[float, ...] = ()
    vague: bool = False

    def square_radius(self, points: FloatArray) -> FloatArray:
        """Square of the predicted 95% radius by the motion of this bone, mm²; points (n, 3), LPS mm."""
        if not self.radius_form:
            return np.full(len(points), self.radius_mm**2)
        form = np.zeros((4, 4))
        form[np.triu_indices(4)] = self.radius_form
        form = (form + form.T) / (1.0 + np.eye(4))
        place = np.column_stack([points - np.array(self.centre_mm), np.ones(len(points))])
        return np.asarray(np.maximum(((place @ form) * place).sum(axis=1), 0.0))


@dataclass(frozen=True)  # no slots: the blend is kept
class Alignment:
    """A motion between two frames and how far it can be trusted.

    Attributes
    ----------
    transform : RigidTransform
        From the fixed frame to the moving frame: maps a point of the fixed image to the same anatomy
        in the moving image; LPS mm. With `bones` it is the motion of the whole, and :meth:`apply` is exact.
    method : {"identity", "rigid", "bones"}
        Identity: same frame of reference (checked for plausibility). Bones: one rigid motion a bone.
    fixed_series, moving_series : str
        Ids of the series that were compared.
    residual_mm : float or None
        Spread of independent estimates.
    overlap : float
        Share of the smaller field of view that both see, 0 to 1.
    error_mm : float or None
        Predicted 95% radius of the error at a point in the overlap; None when failed. With `bones` that of
        the least sure bone that is not failed; :meth:`radius_at` tells it for a place.
    verdict : Verdict
        A failed alignment never produces a match.
    reasons : tuple of str
        Why the verdict is not better, or what it rests on.
    bones : tuple of BoneMotion
        Empty: one rigid motion for all.
    blend_mm : float
        Distance over which the motions of two bones pass into each other.
    good_radius_mm, failed_radius_mm : float or None
        Largest predicted 95% radius of a place that is good, and of one that is doubtful; None where the
        verdict of its bone holds at every place.
    border : float
        Factor, in the radius, of how far the motions of the bones that a point may belong to put it apart.
    """

    transform: TransformField
    method: Literal["identity", "rigid", "bones"]
    fixed_series: str
    moving_series: str
    residual_mm: float | None
    overlap: float
    error_mm: float | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    bones: tuple[BoneMotion, ...] = ()
    blend_mm: float = 6.0
    good_radius_mm: float | None = None
    failed_radius_mm: float | None = None
    border: float = 0.0

    @property
    def frames(self) -> tuple[str, str]:
        """Fixed and moving frame of reference UID."""
        return (self.transform.from_frame, self.transform.to_frame)

    @cached_property
    def blend(self) -> Polyrigid | None:
        """The motions of all bones as one map, made once; None when there are none."""
        if not self.bones:
            return None
        motions = [bone.transform.matrix for bone in self.bones]
        anchors = [bone.anchors_mm for bone in self.bones]
        return Polyrigid.of(self.transform.matrix, motions, anchors, self.blend_mm)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Map points (LPS mm, shape (..., 3)) from the fixed to the moving frame."""
        blend = self.blend
        return self.transform.apply(points) if blend is None else blend.apply(points)

    def apply_back(self, points: ArrayLike) -> FloatArray:
        """Map points (LPS mm, shape (..., 3)) from the moving to the fixed frame."""
        blend = self.blend
        return self.transform.inverse.apply(points) if blend is None else blend.invert(points)

    def near(self, point: ArrayLike) -> RigidTransform:
        """Rigid motion at a point of the fixed frame, LPS mm; for things much smaller than a bone."""
        blend = self.blend
        return self.transform if blend is None else RigidTransform(blend.motions(point)[0], *self.frames)

    def radius_at(self, points: ArrayLike) -> FloatArray:
        """Predicted 95% radius of the error at points of the fixed frame, shape (..., 3) to (...), mm."""
        shape = np.asarray(points).shape[:-1]
        blend = self.blend
        if blend is None:
            return np.full(shape, self.error_mm or 0.0)
        weights, distances = blend.weights(points)
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        near = (weights * np.column_stack([bone.square_radius(flat) for bone in self.bones])).sum(axis=1)
        outside = np.maximum(distances - ANCHOR_MM, 0.0)
        far = (weights * outside) @ np.array([bone.growth for bone in self.bones])
        unsure = self.border**2 * self._apart(flat, distances)
        return np.asarray(np.sqrt(near + far**2 + unsure)).reshape(shape)

    def _apart(self, points: FloatArray, distances: FloatArray) -> FloatArray:
        """Mean square distance, mm², to where the bones that points may belong to move them.

        An outline may hold the rim of the next bone: in a socket it matters which of the two a point is of.
        """
        share = (distances**2 + ANCHOR_MM**2) ** -4.0
        share /= share.sum(axis=1, keepdims=True)
        moved = self.apply(points)
        each = [((b.transform.apply(points) - moved) ** 2).sum(axis=1) for b in self.bones]
        return np.asarray((share * np.column_stack(each)).sum(axis=1))

    def bone_at(self, point: ArrayLike) -> BoneMotion | None:
        """The bone whose motion rules at a point of the fixed frame."""
        blend = self.blend
        return None if blend is None else self.bones[int(blend.weights(point)[0][0].argmax())]

    def verdict_at(self, point: ArrayLike) -> Verdict:
        """Verdict at a point of the fixed frame: of the whole, or of the bone there if that is worse.

        A bone that is vague as a whole may be sure where it touches one that is not, and a place far from the
        bones is vague: there the radius decides.
        """
        bone = self.bone_at(point)
        if bone is None:
            return self.verdict
        if self.good_radius_mm is None or self.failed_radius_mm is None:
            return worst(self.verdict, bone.verdict)
        radius = float(self.radius_at(point))
        there = Verdict.DOUBTFUL if radius > self.good_radius_mm else Verdict.GOOD
        if not bone.vague:
            return worst(self.verdict, bone.verdict, there)
        return worst(self.verdict, Verdict.FAILED if radius > self.failed_radius_mm else there)


@dataclass(frozen=True, slots=True)
class Leg:
    """One alignment of a route, walked from fixed to moving or backward."""

    alignment: Alignment
    backward: bool

    def apply(self, points: ArrayLike) -> FloatArray:
        """Map points, shape (..., 3), LPS mm."""
        return self.alignment.apply_back(points) if self.backward else self.alignment.apply(points)

    def fixed_points(self, points: ArrayLike) -> FloatArray:
        """Where points at which the leg starts lie in the fixed frame of its alignment."""
        return self.alignment.apply_back(points) if self.backward else np.asarray(points, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What a route says of one place.

    Attributes
    ----------
    motion : RigidTransform
        There; for things much smaller than a bone.
    radius_mm : float
        Predicted 95% radius of the error.
    verdict : Verdict
        The worst along the chain; failed where a bone is.
    """

    motion: RigidTransform
    radius_mm: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Route:
    """A chain of alignments from one frame to another.

    Attributes
    ----------
    transform : RigidTransform
        Motion of the whole; :meth:`apply` and :meth:`at` follow the bones.
    error_mm : float
        Predicted 95% radius: the square root of the sum of squares along the chain.
    verdict : Verdict
        The worst of the chain.
    legs : tuple of Leg
        From the first frame to the last; empty inside one frame.
    """

    transform: RigidTransform
    error_mm: float
    verdict: Verdict
    legs: tuple[Leg, ...] = ()

    @property
    def follows_bones(self) -> bool:
        """Whether any alignment of the chain has motions of bones."""
        return any(leg.alignment.bones for leg in self.legs)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Map points (LPS mm, shape (..., 3)) from the first to the last frame."""
        if not self.follows_bones:
            return self.transform.apply(points)
        moved = np.asarray(points, dtype=np.float64)
        for leg in self.legs:
            moved = leg.apply(moved)
        return moved

    def at(self, point: ArrayLike) -> Carried:
        """Motion, error and verdict at a point of the first frame; LPS mm."""
        if not self.follows_bones:
            return Carried(self.transform, self.error_mm, self.verdict)
        motion, total, verdict = RigidTransform.identity(self.transform.from_frame), 0.0, self.verdict
        here = np.asarray(point, dtype=np.float64)
        for leg in self.legs:
            fixed = leg.fixed_points(here)
            step = leg.alignment.near(fixed)
            motion = motion.then(step.inverse if leg.backward else step)
            total += float(leg.alignment.radius_at(fixed)) ** 2
            verdict = worst(verdict, leg.alignment.verdict_at(fixed))
            here = fixed if leg.backward else leg.apply(here)  # backward the two are the same
        return Carried(motion, float(total**0.5), verdict)

    def near(self, point: ArrayLike) -> RigidTransform:
        """Rigid motion at a point of the first frame; for things much smaller than a bone."""
        return self.at(point).motion

    def radius_at(self, point: ArrayLike) -> float:
        """Predicted 95% radius of the error at a point of the first frame, mm."""
        return self.at(point).radius_mm

    def verdict_at(self, point: ArrayLike) -> Verdict:
        """The worst verdict along the chain at a point of the first frame; failed where a bone is."""
        return self.at(point).verdict


def worst(*verdicts: Verdict) -> Verdict:
    """The least trust among verdicts; good when there is none."""
    order = (Verdict.FAILED, Verdict.DOUBTFUL)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.GOOD)


def route(alignments: tuple[Alignment, ...], from_frame: str, to_frame: str) -> Route | None:
    """Motion between two frames through usable alignments; None when they are not connected.

    A good alignment of the two frames themselves that follows bones is taken: what it predicts holds at its
    bones, and a detour knows only the bones that all of its images show. Else the way with the smallest
    predicted error is taken, among good alignments, or where these do not connect the frames among doubtful
    ones too; failed alignments are never used. Inside one frame nothing moves; the error and verdict are
    those of the worst plausibility check there.
    """
    if from_frame == to_frame:
        return _inside(alignments, from_frame)
    known = [a for a in alignments if a.verdict is not Verdict.FAILED]
    good = [a for a in known if a.verdict is Verdict.GOOD]
    direct = [a for a in good if a.bones and set(a.frames) == {from_frame, to_frame}]
    ways = (_best_way(some, from_frame, to_frame) for some in (direct, good, known))
    return next((way for way in ways if way is not None), None)


def _best_way(alignments: Sequence[Alignment], from_frame: str, to_frame: str) -> Route | None:
    """The way with the smallest predicted error; None when the frames are not connected."""
    best: dict[str, Route] = {from_frame: Route(RigidTransform.identity(from_frame), 0.0, Verdict.GOOD)}
    edges = [e for a in alignments for e in _both_ways(a)]
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
    there, back = Leg(alignment, backward=False), Leg(alignment, backward=True)
    return [
        (fixed, Route(alignment.transform, error, alignment.verdict, (there,))),
        (moving, Route(alignment.transform.inverse, error, alignment.verdict, (back,))),
    ]


def _relax(best: dict[str, Route], way: Route, edge: Route) -> None:
    if edge.transform.from_frame != way.transform.to_frame:
        raise FrameMismatchError("an alignment starts in another frame")
    error = float((way.error_mm**2 + edge.error_mm**2) ** 0.5)
    target = edge.transform.to_frame
    if target not in best or error < best[target].error_mm - 1e-9:
        verdict = worst(way.verdict, edge.verdict)
        best[target] = Route(way.transform.then(edge.transform), error, verdict, (*way.legs, *edge.legs))
