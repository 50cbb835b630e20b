"""One rigid pose between two frames of reference, from all their series together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteotrace.model.values import Modality
from osteotrace.registration.coarse import search
from osteotrace.registration.edge_search import search_edges
from osteotrace.registration.edges import edge_agreement
from osteotrace.registration.evidence import BINS, Field, Pair, evidence, overlap
from osteotrace.registration.pyramid import Level, Prepared
from osteotrace.registration.refine import Tether, climb, draw_samples
from osteotrace.registration.settings import Settings
from osteotrace.space import FloatArray, threads
from osteotrace.space.grid import apply_affine

# Samples of each probe series, poses that go on to the next level, iterations, and how much a larger
# overlap is preferred there: less and less, because a correct pose needs no reward for overlap.
_SAMPLES = (1200, 4000, 10000)
_KEPT = (7, 4, 3)
_ITERATIONS = (15, 20, 25)
_OVERLAP_POWER = (0.5, 0.25, 0.0)
_RANK_POWER = 0.5
# Edges tell turns apart that mutual information confounds; their differences are small, so they count twice.
_EDGE_POWER = 2.0
_FROM_SEARCH = 14
_FROM_EDGES = 6
_LEAST_FOCUS_MM = 40.0
_FOLLOWED = 2  # optima from which the uptake is followed
_ROUNDS = 2
_DRAWS = 2  # independent draws of samples


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Poses of a probe frame in a field frame.

    Attributes
    ----------
    pose : ndarray, shape (4, 4)
        Mean of the estimates; probe frame to field frame, LPS mm.
    estimates : dict of str to ndarray, shape (4, 4)
        The optimum of each kind of pair (MR-CT, MR-PT ...) next to the best pose.
    rivals : tuple of (float, ndarray)
        Score and pose of the distinct optima, best first.
    pairs : tuple of Pair
        The pairs of the level before the last, for quick checks.
    probes, fields : sequence of Prepared
        The series.
    """

    pose: FloatArray
    estimates: dict[str, FloatArray]
    rivals: tuple[tuple[float, FloatArray], ...]
    pairs: tuple[Pair, ...]
    probes: Sequence[Prepared]
    fields: Sequence[Prepared]

    def opinions(self, settings: Settings) -> Callable[[FloatArray], tuple[float, float]]:
        """Evidence and agreement of edges (each 0 and more) of any pose."""
        edges = _edges(self.probes, self.fields, settings, 1)
        return lambda pose: (evidence(self.pairs, pose, _RANK_POWER)[0], edges(pose))


def score(opinions: tuple[float, float]) -> float:
    """Evidence times the power of the agreement of edges, by which poses are ranked."""
    value, agreement = opinions
    return float(value * agreement**_EDGE_POWER)


def find_pose(
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    settings: Settings,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Found | None:
    """Search everywhere, then climb from the best places with ever finer images.

    Parameters
    ----------
    probes : sequence of Prepared
        Series of the frame with the smaller field of view; samples are drawn from them.
    fields : sequence of Prepared
        Series of the other frame.
    settings : Settings
    seed : int
        Of the sampling.
    tick : callable
        Called after each step, twice.

    Returns
    -------
    Found or None
        None when no pose lets the bodies overlap enough.
    """
    starts = _searched(probes, fields, settings)
    tick()
    with ThreadPoolExecutor(threads()) as pool:
        seeds = [seed * _DRAWS + n for n in range(_DRAWS)]
        draws = list(pool.map(lambda s: _refined(probes, fields, settings, s, starts), seeds))
    tick()
    found = [draw for draw in draws if draw is not None]
    return _consensus(found, probes, fields, settings) if found else None


def best_of(
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    settings: Settings,
    seed: int,
    poses: Sequence[FloatArray],
) -> Found | None:
    """The pose that the whole images like best of a few that are given; coarser than :func:`find_pose`.

    Parameters
    ----------
    probes, fields, settings, seed
        As of :func:`find_pose`.
    poses : sequence of ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm; each climbs to its optimum.

    Returns
    -------
    Found or None
        None when no pose lets the bodies overlap enough.
    """
    scored, levels = _climbed(probes, fields, settings, seed, list(poses), settings.levels_mm[:-1])
    if not scored:
        return None
    best = scored[0][1]
    return Found(best, {"all": best}, tuple(scored), levels[-1], probes, fields)


def _consensus(
    draws: Sequence[Found], probes: Sequence[Prepared], fields: Sequence[Prepared], settings: Settings
) -> Found:
    """Mean of the draws of samples that found the same pose as the best of them.

    Where several poses explain the images almost equally well, the samples that happened to be drawn decide
    between them; the draws are judged on the samples of the first.
    """
    judges = draws[0].pairs
    scored = [(evidence(judges, draw.pose, _RANK_POWER)[0], draw.pose) for draw in draws]
    best = with_edges(scored, probes, fields, settings)[0][1]
    points = judges[0].samples.points
    near = [d for d in draws if distance(d.pose, best, points) <= settings.distinct_mm]
    rivals = next(d.rivals for d in draws if d.pose is best)
    estimates = {f"{name} ({n})": e for n, d in enumerate(near, 1) for name, e in d.estimates.items()}
    return Found(mean_pose([d.pose for d in near], points), estimates, rivals, judges, probes, fields)


def _refined(
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    settings: Settings,
    seed: int,
    poses: list[FloatArray],
) -> Found | None:
    """Climb from the given poses with ever finer images, on one draw of samples."""
    scored, levels = _climbed(probes, fields, settings, seed, poses, settings.levels_mm)
    if not scored:
        return None
    pets = [p for p in (*fields, *probes) if p.modality is Modality.PT]
    points = levels[-1][0].samples.points
    if not pets:
        around = estimates_by_kind(levels[-1], scored[0][1])
        mean = mean_pose(list(around.values()), points)
        return Found(mean, around, tuple(scored), levels[-2], probes, fields)
    scene = _Scene(probes, fields, pets[0], settings, seed)
    near = _near_uptake(scene, levels[-2], [pose for _, pose in scored[:_FOLLOWED]])
    uptake = {f"{k} by uptake": e for k, e in estimates_by_kind(scene.pairs(2, near), near).items()}
    avid = mean_pose(list(uptake.values()), points)
    whole = _near_avid(scene, levels[-2], [*(pose for _, pose in scored), avid], avid)
    # A limb is not rigid: muscles and a mass slide along the bone. The mean has the smallest greatest error.
    mean = mean_pose([whole, avid], points)
    return Found(mean, {"all": whole} | uptake, tuple(scored), levels[-2], probes, fields)


def _climbed(
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    settings: Settings,
    seed: int,
    poses: list[FloatArray],
    levels_mm: Sequence[float],
) -> tuple[list[tuple[float, FloatArray]], list[tuple[Pair, ...]]]:
    """Distinct optima next to the poses at the last of some levels, best first; the pairs of each level."""
    scored: list[tuple[float, FloatArray]] = []
    levels: list[tuple[Pair, ...]] = []
    for number, spacing in enumerate(levels_mm):
        pairs = make_pairs(probes, fields, spacing, settings.focus_share, _SAMPLES[number], seed + number)
        climbed = [climb(pairs, pose, _OVERLAP_POWER[number], _ITERATIONS[number])[1] for pose in poses]
        kept = [pose for pose in climbed if overlap(pairs, pose) >= settings.min_overlap / 2]
        rank = [evidence(pairs, pose, _RANK_POWER)[0] for pose in kept]
        points = pairs[0].samples.points
        scored = distinct(list(zip(rank, kept, strict=True)), points[::20], settings.distinct_mm)
        scored = with_edges(scored, probes, fields, settings, min(number, 1))
        poses = [pose for _, pose in scored[: _KEPT[number]]]
        levels.append(pairs)
    return scored, levels


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """Series of two frames, one a PET, whose uptake tells where the alignment matters most."""

    probes: Sequence[Prepared]
    fields: Sequence[Prepared]
    pet: Prepared
    settings: Settings
    seed: int

    def pairs(self, number: int, pose: FloatArray) -> tuple[Pair, ...]:
        """Pairs of one level whose samples follow the uptake as the pose places it."""
        spacing = self.settings.levels_mm[number]
        to_pet = pose if any(self.pet is f for f in self.fields) else np.eye(4)
        weights = [
            focus_weight(self.probes, p, spacing, self.settings.focus_share)
            * uptake_weight(p.at(spacing), self.pet.at(spacing), to_pet, self.settings)
            for p in self.probes
        ]
        return _pairs(self.probes, weights, self.fields, spacing, _SAMPLES[number], self.seed)


def _near_uptake(scene: _Scene, judges: Sequence[Pair], starts: Sequence[FloatArray]) -> FloatArray:
    """Follow the uptake from each start with all pairs together; the result that all tissue likes best."""
    ends = []
    for start in starts:
        pose = start
        for _ in range(_ROUNDS):
            pose = climb(scene.pairs(1, pose), pose, 0.0, _ITERATIONS[1])[1]
        ends.append((evidence(judges, pose, _RANK_POWER)[0], pose))
    return with_edges(ends, scene.probes, scene.fields, scene.settings)[0][1]


def _near_avid(
    scene: _Scene, pairs: tuple[Pair, ...], starts: Sequence[FloatArray], avid: FloatArray
) -> FloatArray:
    """What all tissue says, held near the pose of the avid tissue.

    Along the bone the evidence of all tissue is a long flat ridge; where on it the optimum lies depends on
    the samples. The tether chooses the part of the ridge next to the avid tissue.
    """
    tether = Tether(avid, scene.settings.tether_mm)
    points = pairs[0].samples.points
    ends = []
    for start in starts:
        pose = climb(pairs, start, 0.0, _ITERATIONS[-1], tether)[1]
        worth = float(np.exp(-tether.loss(pose, points)[0]))
        ends.append((worth * evidence(pairs, pose, _RANK_POWER)[0], pose))
    return with_edges(ends, scene.probes, scene.fields, scene.settings)[0][1]


def uptake_weight(level: Level, pet: Level, pose: FloatArray, settings: Settings) -> FloatArray:
    """Blurred uptake at the voxels of an image, from the floor (body median) to 1 (98th percentile)."""
    matrix = np.linalg.inv(pet.grid.affine) @ pose @ level.grid.affine
    values = ndimage.affine_transform(
        pet.ranks, matrix[:3, :3], matrix[:3, 3], output_shape=level.grid.shape, order=1, mode="constant"
    )
    blurred = ndimage.gaussian_filter(values, settings.uptake_reach_mm / level.spacing_mm)
    low, high = np.quantile(blurred[level.body >= 0.5], [0.5, 0.98])
    share = np.clip((blurred - low) / max(float(high - low), 1e-6), 0.0, 1.0)
    return np.asarray(settings.uptake_floor + (1.0 - settings.uptake_floor) * share, dtype=np.float64)


def with_edges(
    scored: Sequence[tuple[float, FloatArray]],
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    settings: Settings,
    number: int = 1,
) -> list[tuple[float, FloatArray]]:
    """Scores times the agreement of edges at one level, best first."""
    edges = _edges(probes, fields, settings, number)
    out = [(score((value, edges(pose))), pose) for value, pose in scored]
    return sorted(out, key=lambda s: -s[0])


def _edges(
    probes: Sequence[Prepared], fields: Sequence[Prepared], settings: Settings, number: int
) -> Callable[[FloatArray], float]:
    """Mean agreement of edges of all pairs of series at one level, for any pose."""
    spacing = settings.levels_mm[number]
    weights = [focus_weight(probes, probe, spacing, settings.focus_share) for probe in probes]

    def agreement(pose: FloatArray) -> float:
        each = [
            edge_agreement(probe.at(spacing), weight, field.at(spacing), pose)
            for probe, weight in zip(probes, weights, strict=True)
            for field in fields
        ]
        return float(np.mean(each))

    return agreement


def estimates_by_kind(pairs: Sequence[Pair], pose: FloatArray) -> dict[str, FloatArray]:
    """Optimum of each kind of pair alone, and of all together when there are several, next to a pose."""
    groups = {kind: [p for p in pairs if p.kind == kind] for kind in sorted({p.kind for p in pairs})}
    if len(groups) > 1:
        groups["all"] = list(pairs)
    return {name: climb(group, pose, 0.0, _ITERATIONS[-1])[1] for name, group in groups.items()}


def mean_pose(poses: Sequence[FloatArray], points: FloatArray) -> FloatArray:
    """Pose with the mean rotation that brings the middle of the points to the mean place."""
    middle = points.mean(axis=0)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_matrix([p[:3, :3] for p in poses]).mean().as_matrix()
    place = np.mean([p[:3, :3] @ middle + p[:3, 3] for p in poses], axis=0)
    out[:3, 3] = place - out[:3, :3] @ middle
    return out


def make_pairs(
    probes: Sequence[Prepared],
    fields: Sequence[Prepared],
    spacing_mm: float,
    focus_share: float,
    n: int,
    seed: int,
) -> tuple[Pair, ...]:
    """Every probe series against every field series at one level, samples drawn around the middle."""
    weights = [focus_weight(probes, probe, spacing_mm, focus_share) for probe in probes]
    return _pairs(probes, weights, fields, spacing_mm, n, seed)


def _pairs(
    probes: Sequence[Prepared],
    weights: Sequence[FloatArray],
    fields: Sequence[Prepared],
    spacing_mm: float,
    n: int,
    seed: int,
) -> tuple[Pair, ...]:
    rng = np.random.default_rng(seed)
    lookups = [(Field(f.at(spacing_mm)), f.modality) for f in fields]
    out = []
    for probe, weight in zip(probes, weights, strict=True):
        samples = draw_samples(probe.at(spacing_mm), weight, n, rng, BINS)
        out += [Pair(look, samples, f"{probe.modality}-{modality}") for look, modality in lookups]
    return tuple(out)


def focus_weight(
    probes: Sequence[Prepared], probe: Prepared, spacing_mm: float, focus_share: float
) -> FloatArray:
    """Weight of each voxel: body (as any series of the frame shows it) times a Gaussian around its middle."""
    level = probe.at(spacing_mm)
    points = level.grid.points(np.moveaxis(np.indices(level.grid.shape), 0, -1))
    body = level.body.astype(np.float64)
    for other in probes:
        if other is not probe:
            body = np.maximum(body, _body_at(other, points, spacing_mm))
    middle = (points * body[..., None]).sum(axis=(0, 1, 2)) / max(float(body.sum()), 1e-9)
    width = np.array(level.grid.shape) * level.spacing_mm
    spread = np.maximum(_LEAST_FOCUS_MM, focus_share * width)
    to_axes = np.eye(4)
    to_axes[:3, :3] = level.grid.direction.T
    offset = apply_affine(to_axes, points - middle) / spread
    return np.asarray(body * np.exp(-0.5 * (offset**2).sum(axis=-1)))


def distinct(
    scored: Sequence[tuple[float, FloatArray]], points: FloatArray, apart_mm: float
) -> list[tuple[float, FloatArray]]:
    """Poses in order of score without those that move the points as a better one does."""
    out: list[tuple[float, FloatArray]] = []
    for value, pose in sorted(scored, key=lambda s: -s[0]):
        if all(distance(pose, other, points) > apart_mm for _, other in out):
            out.append((value, pose))
    return out


def distance(one: FloatArray, other: FloatArray, points: FloatArray) -> float:
    """Mean distance (mm) between where two poses put the points."""
    difference = one - other
    return float(np.linalg.norm(apply_affine(difference, points), axis=1).mean())


def _searched(probes: Sequence[Prepared], fields: Sequence[Prepared], settings: Settings) -> list[FloatArray]:
    """Collect starts from one or two pairs of series, different in as much as there are different ones."""
    couples = [(probes[0], fields[0])]
    if len(probes) > 1 or len(fields) > 1:
        couples.append((probes[1 % len(probes)], fields[1 % len(fields)]))
    poses: list[FloatArray] = []
    for probe, field in couples:
        found = search(
            probe,
            field,
            spacing_mm=settings.coarse_mm,
            limit_deg=settings.rotation_limit_deg,
            step_deg=settings.rotation_step_deg,
            min_overlap=settings.min_overlap,
        )
        near = search_edges(
            probe,
            field,
            spacing_mm=settings.near_mm,
            limit_deg=settings.near_limit_deg,
            step_deg=settings.near_step_deg,
            min_overlap=settings.min_overlap,
        )
        poses += [c.pose for c in found[:_FROM_SEARCH]]
        poses += [c.pose for c in near[:_FROM_EDGES]]
    return poses


def _body_at(other: Prepared, points: FloatArray, spacing_mm: float) -> FloatArray:
    level = other.at(spacing_mm)
    index = np.rint(level.grid.indices(points)).astype(int)
    shape = np.array(level.grid.shape)
    inside = ((index >= 0) & (index < shape)).all(axis=-1)
    i, j, k = np.moveaxis(np.clip(index, 0, shape - 1), -1, 0)
    return np.asarray(level.body[i, j, k] * inside, dtype=np.float64)
