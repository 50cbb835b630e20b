"""Contours as a physician would have drawn them: near the truth, not on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from contourpy import contour_generator

from osteotrace.phantom.anatomy import Ellipsoid, PhantomLesion, lesions
from osteotrace.phantom.scanners import Scan
from osteotrace.space import FloatArray

_STEP = 0.5  # mm between the points on which an outline is traced

# A reader outlines on PET what is clearly hotter than marrow (SUV).
_VISIBLE_UPTAKE = 2.5


def outlines(scan: Scan, seed: int) -> tuple[tuple[str, tuple[FloatArray, ...]], ...]:
    """Closed contours on the slices of a scan, for each lesion that a reader sees there.

    Returns
    -------
    tuple of (name, contours)
        Each contour has shape (n, 3), LPS mm in the frame of the scanner.
    """
    rng = np.random.default_rng(seed)
    found = []
    for lesion in lesions():
        drawn = _as_drawn(lesion.solid, rng)
        if _visible(lesion, scan):
            contours = tuple(c for k in range(scan.grid.shape[2]) for c in _on_slice(drawn, scan, k))
            found.append((lesion.name, contours))
    return tuple((name, contours) for name, contours in found if contours)


def _visible(lesion: PhantomLesion, scan: Scan) -> bool:
    place = scan.to_body.inverse.apply(lesion.solid.center)
    hot = scan.channel != "PT" or lesion.uptake >= _VISIBLE_UPTAKE
    return hot and bool(scan.grid.contains(place))


def _as_drawn(solid: Ellipsoid, rng: np.random.Generator) -> Ellipsoid:
    scale = 1 + rng.normal(0, 0.04)
    x, y, z = (float(c + rng.normal(0, 0.5)) for c in solid.center)
    a, b, c = (float(h * scale) for h in solid.half)
    return replace(solid, center=(x, y, z), half=(a, b, c))


def _on_slice(solid: Ellipsoid, scan: Scan, k: int) -> list[FloatArray]:
    center = scan.grid.indices(scan.to_body.inverse.apply(solid.center))
    reach = (max(solid.half) + 2.0) / scan.grid.spacing[:2]
    lines = [
        np.arange(c - r, c + r, _STEP / s)
        for c, r, s in zip(center[:2], reach, scan.grid.spacing, strict=False)
    ]
    i, j = np.meshgrid(*lines, indexing="ij")
    points = scan.grid.points(np.stack([i, j, np.full_like(i, k)], axis=-1))
    inside = solid.inside(scan.to_body.apply(points.reshape(-1, 3))).reshape(i.shape)
    # contourpy numbers the columns (here j) first
    traced = contour_generator(z=np.pad(inside.astype(float), 1)).lines(0.5)
    paths = (np.asarray(line)[:, ::-1] for line in traced)
    return [_to_patient(path - 1, lines, k, scan) for path in paths if len(path) > 4]


def _to_patient(path: FloatArray, lines: list[FloatArray], k: int, scan: Scan) -> FloatArray:
    step = [line[1] - line[0] for line in lines]
    i = lines[0][0] + path[:-1:2, 0] * step[0]
    j = lines[1][0] + path[:-1:2, 1] * step[1]
    return scan.grid.points(np.stack([i, j, np.full_like(i, k)], axis=-1))
