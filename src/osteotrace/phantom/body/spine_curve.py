"""The spine's curve: where each vertebra lies, how it is turned and how large it is."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from osteotrace.phantom.body.options import USUAL_LEVELS, BodyOptions
from osteotrace.space import FloatArray

_SD_OF_SIZE: Final = {"M": (1.75, 0.07), "F": (1.62, 0.065)}
_POPULATION_SIZE: Final = (1.69, 0.095)  # m, both sexes
_SIZE_SHARE: Final = 0.7  # correlation of body height and spine length
_LARGEST_Z: Final = 2.2
_SLOPE_SD: Final = 9.0  # deg; more is scatter of the labels and of head supports
_RESIDUAL: Final = 0.4  # most of what the components leave is scatter of the labels
_SACRAL_BEND: Final = (-14.0, 3.0)  # deg, of L5-S1 after L4-L5
_ENDPLATE_BEND: Final = (-14.0, 3.0)  # deg, from the direction L5-S1 to the normal of the endplate of S1
_FEMALE_WIDTH: Final = 0.93
_BEND_OF_WEDGE: Final = 0.3  # deg per percent of lost anterior height
_KYPHOTIC: Final = ("T4", "T5", "T6", "T7", "T8", "T9", "T10")
_CURVE_REACH: Final = 5.0  # vertebrae from the apex of a scoliosis to its end
_TURN_OF_COBB: Final = 0.3  # axial rotation at the apex, share of the Cobb angle


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebra: frame and sizes, mm.

    Attributes
    ----------
    centre : ndarray, shape (3,)
        Centre of the body; body frame, mm.
    axes : ndarray, shape (3, 3)
        Columns: left, posterior, cranial.
    sizes : dict of str to float
        As in ``morphology.toml``, scaled, with ``height``, ``pedicle_distance``, ``pedicle_depth``,
        ``disc`` (height of the disc below).
    wedge : float
        Lost share of the anterior height.
    worn_above, worn_below : bool
        Osteophytes at the edge.
    """

    level: str
    centre: FloatArray
    axes: FloatArray
    sizes: dict[str, float]
    wedge: float = 0.0
    worn_above: bool = False
    worn_below: bool = False

    def place(self, local: Sequence[float] | FloatArray) -> FloatArray:
        """Body point of a point given left, posterior and cranial of the centre, shape (3,)."""
        return np.asarray(self.centre + self.axes @ np.asarray(local, dtype=np.float64))

    @property
    def canal_centre(self) -> FloatArray:
        """Middle of the spinal canal at mid height, body frame."""
        return self.place((0.0, self.canal_back, 0.0))

    @property
    def canal_back(self) -> float:
        """Distance from the centre of the body back to the middle of the canal, mm."""
        if self.level == "C1":
            return 0.52 * self.sizes["canal_width"]
        return self.sizes["depth"] / 2 + self.sizes["canal_depth"] / 2


@dataclass(frozen=True, slots=True)
class Spine:
    """Vertebrae from C1 down, and the endplate of the sacrum; its middle is the origin."""

    vertebrae: tuple[Vertebra, ...]
    sacral_axes: FloatArray
    scale: float

    def of(self, level: str) -> Vertebra:
        """The vertebra of a level."""
        return next(v for v in self.vertebrae if v.level == level)


@cache
def table(name: str) -> dict[str, Any]:
    """A TOML file of this package."""
    text = resources.files("osteotrace.phantom.body").joinpath(name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def drawn_size(options: BodyOptions, rng: np.random.Generator) -> float:
    """Height of the person, m."""
    mean, sd = _SD_OF_SIZE[options.sex]
    drawn = float(np.clip(rng.normal(mean, sd), mean - 2 * sd, mean + 2 * sd))
    return drawn if options.size_m is None else options.size_m


def draw(name: str, rng: np.random.Generator, first: float | None = None) -> dict[str, float]:
    """Draw one person's values of a quantity of ``spine_statistics.toml``.

    Parameters
    ----------
    first : float or None
        Score of the first component where it is known, in SD.
    """
    found = table("spine_statistics.toml")[name]
    loadings = np.array(found["components"])
    mean, sd = np.array(found["mean"]), np.array(found["sd"])
    scores = rng.standard_normal(len(loadings))
    if first is not None:
        scores[0] = first
    rest = np.sqrt(np.maximum(1.0 - (loadings**2).sum(axis=0), 0.0)) * _RESIDUAL
    z = np.clip(scores @ loadings + rest * rng.standard_normal(len(mean)), -_LARGEST_Z, _LARGEST_Z)
    limit = _SLOPE_SD if name == "slope" else 0.12 * mean
    return dict(zip(found["items"], mean + z * np.minimum(sd, limit), strict=True))


def build_spine(options: BodyOptions, size_m: float, rng: np.random.Generator) -> Spine:
    """Draw a spine.

    Parameters
    ----------
    size_m : float
        Height of the person.
    """
    z_size = (size_m - _POPULATION_SIZE[0]) / _POPULATION_SIZE[1]
    first = _SIZE_SHARE * z_size + np.sqrt(1 - _SIZE_SHARE**2) * rng.standard_normal()
    spacing = {key.split("-")[1]: value for key, value in draw("spacing", rng, first).items()}
    levels = options.levels
    gaps = _by_level(levels, spacing)
    slopes = _slopes(options, rng)
    scale = float(size_m / table("morphology.toml")["size_m"])
    sizes = _sizes(options, gaps, scale, rng)
    sacral_slope = slopes[levels[-1]] + rng.normal(*_ENDPLATE_BEND)
    sacral_axes = turned(float(np.clip(sacral_slope, -52.0, -22.0)), 0.0, 0.0)
    return Spine(_stacked(options, gaps, slopes, sizes, sacral_axes), sacral_axes, scale)


def _usual(level: str) -> str:
    """An extra level is like the one above it."""
    return {"T13": "T12", "L6": "L5"}.get(level, level)


def _by_level(levels: Sequence[str], usual: dict[str, float]) -> dict[str, float]:
    return {level: usual[_usual(level)] for level in levels if _usual(level) in usual}


def _slopes(options: BodyOptions, rng: np.random.Generator) -> dict[str, float]:
    """Direction from the vertebra below to each one, deg; positive: it lies further back."""
    levels = options.levels
    drawn = {key.split("-")[0]: value for key, value in draw("slope", rng).items()}
    last = float(np.clip(drawn["L4"] + rng.normal(*_SACRAL_BEND), -34.0, -6.0))
    found = {level: drawn.get(_usual(level), last) for level in levels}
    if options.t13:
        found["T13"] = drawn["T12"]
    if options.l6:
        found["L5"], found["L6"] = (drawn["L4"] + last) / 2, last
    for level in _KYPHOTIC:
        _bend(found, levels, level, options.extra_kyphosis_deg / len(_KYPHOTIC))
    for level, percent in options.wedges:
        _bend(found, levels, level, percent * _BEND_OF_WEDGE)
    return found


def _bend(slopes: dict[str, float], levels: Sequence[str], at: str, angle: float) -> None:
    """Tilt all that lies above a level forward; half of it is made up for by what lies below."""
    index = levels.index(at)
    for above in levels[:index]:
        slopes[above] -= angle * 0.5
    for below in levels[index:-3]:
        slopes[below] += angle * 0.5


def _sizes(
    options: BodyOptions, gaps: dict[str, float], scale: float, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    shapes = table("morphology.toml")["vertebra"]
    wide = (
        scale
        * (_FEMALE_WIDTH if options.sex == "F" else 1.0)
        * float(np.clip(rng.normal(1.0, 0.03), 0.94, 1.06))
    )
    pedicles, depths = draw("pedicle_distance", rng), draw("pedicle_depth", rng)
    found: dict[str, dict[str, float]] = {}
    for level in options.levels:
        usual = _usual(level)
        row = USUAL_LEVELS.index(usual)
        size = {
            key: float(values[row]) * (1.0 if key in _UNSCALED else wide)
            for key, values in shapes.items()
            if key != "levels"
        }
        size["pedicle_distance"] = pedicles.get(usual, 34.0)
        size["pedicle_depth"] = depths.get(usual, 12.0)
        found[level] = size
    for above, below in zip(options.levels, (*options.levels[1:], None), strict=True):
        gap = gaps[below] if below else gaps[above]
        disc = found[above]["disc_share"] * gap
        found[above]["disc"] = disc * (0.55 if above in options.degenerative else 1.0)
        found[above]["gap"] = gap
    return found


_UNSCALED: Final = frozenset({"disc_share", "spinous_slope", "canal_width", "canal_depth"})


def turned(slope: float, tilt: float, turn: float) -> FloatArray:
    """Axes of a vertebra: cranial leans back by `slope`, left by `tilt`, turned about itself; deg."""
    s, t, r = np.radians([slope, tilt, turn])
    lean = np.array([[1, 0, 0], [0, np.cos(s), np.sin(s)], [0, -np.sin(s), np.cos(s)]])
    side = np.array([[np.cos(t), 0, np.sin(t)], [0, 1, 0], [-np.sin(t), 0, np.cos(t)]])
    about = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(side @ lean @ about)


def _scoliosis(options: BodyOptions) -> dict[str, tuple[float, float]]:
    """Direction to the vertebra above and axial rotation of each vertebra, deg; positive: left."""
    levels = options.levels
    apex = levels.index(options.cobb_apex)
    found = {}
    for index, level in enumerate(levels):
        t = (apex - index) / _CURVE_REACH
        bump = (1 + np.cos(np.pi * np.clip(t, -1, 1))) / 2
        lean = np.sin(np.pi * np.clip(t, -1, 1)) * options.cobb_deg / 2
        found[level] = (float(lean), float(-bump * options.cobb_deg * _TURN_OF_COBB))
    return found


def _stacked(
    options: BodyOptions,
    gaps: dict[str, float],
    slopes: dict[str, float],
    sizes: dict[str, dict[str, float]],
    sacral_axes: FloatArray,
) -> tuple[Vertebra, ...]:
    """Put the vertebrae on each other, from the sacrum up."""
    side = _scoliosis(options)
    wedges = dict(options.wedges)
    levels = options.levels
    found: list[Vertebra] = []
    place = np.zeros(3)
    for index in range(len(levels) - 1, -1, -1):
        level = levels[index]
        above = slopes[levels[index - 1]] if index else slopes[level]
        lean, turn = side[level]
        upright = slopes[level]
        narrowed = sizes[level]["gap"] * sizes[level]["disc_share"] - sizes[level]["disc"]
        if index == len(levels) - 1:
            body = sizes[level]["gap"] * (1 - sizes[level]["disc_share"])
            step = body / 2 + sizes[level]["disc"]
        else:
            step = gaps[levels[index + 1]] - narrowed
        place = place + step * turned(upright, lean, 0.0)[:, 2]
        ends = (slopes[level] + above) / 2
        upper_gap = gaps.get(level, sizes[level]["gap"])
        upper_share = sizes[levels[index - 1]]["disc_share"] if index else 0.2
        height = (sizes[level]["gap"] * (1 - sizes[level]["disc_share"]) + upper_gap * (1 - upper_share)) / 2
        made = Vertebra(
            level,
            place,
            turned(ends, lean, turn),
            {**sizes[level], "height": height},
            wedge=wedges.get(level, 0.0) / 100,
            worn_below=level in options.degenerative,
            worn_above=index > 0 and levels[index - 1] in options.degenerative,
        )
        found.append(made)
    return tuple(_neck(found[::-1]))


def _neck(vertebrae: list[Vertebra]) -> list[Vertebra]:
    """C1 stands about the dens: it has the direction of C2."""
    atlas, axis = vertebrae[0], vertebrae[1]
    raised = axis.place((0.0, -1.0, 15.0))
    return [
        replace(atlas, centre=raised, axes=axis.axes, sizes={**atlas.sizes, "height": 10.0}),
        *vertebrae[1:],
    ]
