"""Where the points of a skeleton lie in the front plane, as a function of few numbers.

The front plane has millimetres to the patient's left and towards the feet. A pose is the motion of the whole
(place, turn, scale, pitch, twist), bends of the spine at heights (everything rides on them), and for each
region a shift, a turn and a pitch of its own. All but the motion of the whole is linear in its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.planar import PlanarFit, Skeleton
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import SPINE
from osteotrace.space import FloatArray

WHOLE = ("left", "down", "turn", "pitch", "twist", "across", "along", "heads")
_PER_REGION = 4  # left, down, turn, pitch
_FEWEST_POINTS = 30  # of a region that moves of its own
_LIMBS = ("arm", "leg", "shoulder", "skull")
BREATHING = ("thorax", "sternum")


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """What of a skeleton can move, and how far it usually does.

    Attributes
    ----------
    centre : ndarray, shape (3,)
        About which the whole turns; LPS, mm.
    knots : ndarray, shape (k,)
        Heights of the bends, ascending, mm.
    names : tuple of str
        Regions that move of their own.
    centres : ndarray, shape (r, 3)
        About which they turn; LPS, mm.
    sd : ndarray, shape (n,)
        Usual size of each number of the pose; infinite where anything goes.
    start : ndarray, shape (n,)
        The pose of no motion.
    """

    centre: FloatArray
    knots: FloatArray
    names: tuple[str, ...]
    centres: FloatArray
    sd: FloatArray
    start: FloatArray

    @property
    def size(self) -> int:
        """Numbers of a pose."""
        return len(self.sd)


def chain_of(skeleton: Skeleton, settings: PlanarSettings) -> Chain:
    """The chain of a skeleton."""
    points = np.asarray(skeleton.points, np.float64)
    low, high = np.percentile(points[:, 2], [2.0, 98.0])
    count = max(2, round(float(high - low) / settings.knot_mm) + 1)
    names, centres = [], []
    for number, name in enumerate(skeleton.regions):
        own = skeleton.region == number
        if name != SPINE and int(own.sum()) >= _FEWEST_POINTS:
            names.append(name)
            centres.append(points[own].mean(axis=0))
    slack = settings.standard_slack if skeleton.source == "standard" else 1.0
    scale = settings.sd_scale_standard if skeleton.source == "standard" else settings.sd_scale
    turn = np.radians(settings.sd_turn_deg)
    whole = [np.inf, np.inf, turn, settings.sd_tilt, settings.sd_tilt, scale, scale, settings.sd_heads_mm]
    bends = [settings.sd_bend_mm * slack] * (2 * count)
    own_sd = [sd for name in names for sd in _region_sd(name, settings, slack)]
    start = np.zeros(len(whole) + len(bends) + len(own_sd))
    return Chain(
        points.mean(axis=0),
        np.linspace(low, high, count),
        tuple(names),
        np.array(centres).reshape(-1, 3),
        np.array([*whole, *bends, *own_sd]),
        start,
    )


def _region_sd(name: str, settings: PlanarSettings, slack: float) -> list[float]:
    limb = name.startswith(_LIMBS)
    shift = (settings.sd_limb_mm if limb else settings.sd_region_mm) * slack
    turn = np.radians(settings.sd_limb_turn_deg if limb else settings.sd_region_turn_deg)
    return [shift, shift, float(turn) * slack, settings.sd_tilt]


def moved(chain: Chain, pose: FloatArray, points: FloatArray, region: NDArray[np.int16]) -> FloatArray:
    """Front-plane points of skeleton points, shape (n, 2), mm.

    Parameters
    ----------
    region : ndarray, shape (n,)
        Place of each point's region in ``chain.names``; -1 where it has none of its own.
    """
    fields = local_fields(chain, points, region)
    own = np.tensordot(pose[len(WHOLE) :], fields, axes=1)
    return np.asarray(whole(chain, pose, points) + own)


def whole(chain: Chain, pose: FloatArray, points: FloatArray) -> FloatArray:
    """Motion of the whole alone, shape (n, 2)."""
    left, down, turn, pitch, twist, across, along = pose[:7]
    x, y, z = (np.asarray(points, np.float64) - chain.centre).T
    cosine, sine = np.cos(turn), np.sin(turn)
    u = np.exp(across) * (cosine * x + sine * z) + twist * y
    w = np.exp(along) * (-sine * x + cosine * z) + pitch * y
    return np.stack([left + u, down - w], axis=-1)


def whole_fields(chain: Chain, pose: FloatArray, points: FloatArray) -> FloatArray:
    """Derivatives of the front-plane points by the numbers of the whole but the heads, shape (7, n, 2)."""
    turn, across, along = pose[2], pose[5], pose[6]
    x, y, z = (np.asarray(points, np.float64) - chain.centre).T
    cosine, sine = np.cos(turn), np.sin(turn)
    wide, tall = np.exp(across), np.exp(along)
    one, none = np.ones_like(x), np.zeros_like(x)
    pairs = [
        (one, none),
        (none, one),
        (wide * (-sine * x + cosine * z), tall * (cosine * x + sine * z)),
        (none, -y),
        (y, none),
        (wide * (cosine * x + sine * z), none),
        (none, -tall * (-sine * x + cosine * z)),
    ]
    return np.array([np.stack(pair, axis=-1) for pair in pairs])


def local_fields(chain: Chain, points: FloatArray, region: NDArray[np.int16]) -> FloatArray:
    """Front-plane shift of each point per unit of each further number, shape (size - 8, n, 2)."""
    points = np.asarray(points, np.float64)
    hats = _hats(chain.knots, points[:, 2])
    out = np.zeros((chain.size - len(WHOLE), len(points), 2))
    for n, hat in enumerate(hats):
        out[2 * n, :, 0] = hat
        out[2 * n + 1, :, 1] = hat
    for n in range(len(chain.names)):
        own = region == n
        x, y, z = (points[own] - chain.centres[n]).T
        at = 2 * len(hats) + _PER_REGION * n
        out[at, own, 0] = 1.0
        out[at + 1, own, 1] = 1.0
        out[at + 2, own, 0], out[at + 2, own, 1] = z, x
        out[at + 3, own, 1] = -y
    return out


def _hats(knots: FloatArray, heights: FloatArray) -> FloatArray:
    """Weights of linear interpolation between the knots, shape (k, n)."""
    return np.array([np.interp(heights, knots, row) for row in np.eye(len(knots))])


def own_regions(chain: Chain, skeleton: Skeleton) -> NDArray[np.int16]:
    """For each point of a skeleton the place of its region in ``chain.names``, or -1."""
    table = [chain.names.index(name) if name in chain.names else -1 for name in (*skeleton.regions, "")]
    return np.asarray(np.array(table, np.int16)[np.asarray(skeleton.region)])


def pose_of(fit: PlanarFit) -> tuple[Chain, FloatArray]:
    """Chain and pose that a fit holds."""
    knots = np.array(fit.knots_mm)
    numbers = [
        *fit.place_mm,
        fit.turn,
        fit.pitch,
        fit.twist,
        *np.log(fit.scale),
        0.0,
        *(shift for bend in fit.bends_mm for shift in bend),
    ]
    for region in fit.regions:
        numbers += [*region.shift_mm, region.turn, region.pitch] if region.name != SPINE else []
    moving = [region for region in fit.regions if region.name != SPINE]
    pose = np.array(numbers, dtype=np.float64)
    chain = Chain(
        np.array(fit.centre_mm),
        knots,
        tuple(region.name for region in moving),
        np.array([region.centre_mm for region in moving]).reshape(-1, 3),
        np.full(len(pose), np.inf),
        np.zeros(len(pose)),
    )
    return chain, pose
