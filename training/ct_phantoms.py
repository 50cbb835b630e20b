"""Label maps of whole procedural bodies: ``ct_phantoms.py OUT --seeds A B``. Needs osteotrace's phantom room.

Every seed is another person: sex, age, size and weight, curves, a T13 or an L6 now and then, wedge fractures,
worn discs. The maps are kept as xz, uint8, axes inferior, posterior, left.
"""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

import numpy as np

from ct_codes import VERTEBRAE, tissue_of
from osteotrace.phantom.body import BodyOptions, build_body
from osteotrace.phantom.body.shapes import sampled
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body

STEP_MM = 2.0
WIDTH_MM, DEPTH_MM, BELOW_MM, ABOVE_MM = 540.0, 360.0, 330.0, 190.0
BODY_OF = dict(VERTEBRAE)


def random_options(rng: np.random.Generator) -> BodyOptions:
    """A random person."""
    sex = "MF"[int(rng.integers(2))]
    t13, l6 = bool(rng.random() < 0.12), bool(rng.random() < 0.14)
    plain = BodyOptions(sex=sex, t13=t13, l6=l6).levels[8:]
    wedged = rng.choice(plain, int(rng.integers(1, 4)), replace=False) if rng.random() < 0.35 else ()
    worn = rng.choice(plain, int(rng.integers(1, 6)), replace=False) if rng.random() < 0.5 else ()
    tall = float(rng.normal(1.76 if sex == "M" else 1.64, 0.08))
    return BodyOptions(
        sex=sex,
        age_years=int(rng.integers(20, 92)),
        size_m=float(np.clip(tall, 1.42, 2.0)),
        weight_kg=float(np.clip(rng.normal(27.0, 6.0), 18.0, 44.0)) * tall**2,
        cobb_deg=float(rng.choice([0.0, 0.0, 12.0, 25.0, 40.0])),
        cobb_apex=str(rng.choice(["T7", "T9", "T12", "L2"])),
        extra_kyphosis_deg=float(rng.uniform(-12, 32)),
        t13=t13,
        l6=l6,
        rib_pairs=11 if not t13 and rng.random() < 0.06 else None,
        wedges=tuple((str(level), float(rng.uniform(10, 55))) for level in wedged),
        degenerative=tuple(str(level) for level in worn),
    )


def tissues_on(body: Body, lines: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Tissues on the lattice of three lines of coordinates (left, back, head; mm); uint8, shape (x, y, z)."""
    out = np.zeros([len(line) for line in lines], np.uint8)
    fronts = {bone.part.name: dict(bone.pieces).get("body") for bone in body.bones}
    for part in body.parts:
        tissue = tissue_of(part.name, part.label)
        _paint(out, lines, part.shape, tissue)
        front = fronts.get(part.name)
        if front is not None:
            _paint(out, lines, front, BODY_OF[tissue], only=tissue)
    return out


def _paint(
    out: np.ndarray, lines: tuple[np.ndarray, ...], field: Field, tissue: int, only: int | None = None
) -> None:
    box = tuple(
        slice(int(np.searchsorted(line, low)), int(np.searchsorted(line, high, side="right")))
        for line, low, high in zip(lines, field.low, field.high, strict=True)
    )
    if any(s.start >= s.stop for s in box):
        return
    inside = sampled(field, [line[s] for line, s in zip(lines, box, strict=True)]) < 0
    if only is not None:
        inside &= out[box] == only
    out[box][inside] = tissue


def label_map(seed: int) -> np.ndarray:
    """Tissues of a random person; uint8, axes inferior, posterior, left."""
    body = build_body(random_options(np.random.default_rng([seed, 77])), seed)
    centres = np.array([bone.centroid for bone in body.bones])
    left = np.arange(-WIDTH_MM / 2, WIDTH_MM / 2, STEP_MM)
    back = centres[:, 1].mean() - DEPTH_MM / 2 + np.arange(0, DEPTH_MM, STEP_MM)
    head = np.arange(-BELOW_MM, centres[:, 2].max() + ABOVE_MM, STEP_MM)
    out = tissues_on(body, (left, back, head)).transpose(2, 1, 0)[::-1]
    filled = np.argwhere(out.any(axis=(1, 2)))
    return np.ascontiguousarray(out[filled[0, 0] : filled[-1, 0] + 1])


def packed(labels: np.ndarray) -> bytes:
    """Shape and values, compressed."""
    head = np.array(labels.shape, "<u2").tobytes()
    return lzma.compress(head + labels.tobytes(), preset=4)


def unpacked(data: bytes) -> np.ndarray:
    """The reverse of `packed`."""
    raw = lzma.decompress(data)
    shape = tuple(int(n) for n in np.frombuffer(raw[:6], "<u2"))
    return np.frombuffer(raw[6:], np.uint8).reshape(shape).copy()


def main() -> None:
    """Write one file a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=[5001, 5024], help="first and last")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in range(given.seeds[0], given.seeds[1] + 1):
        path = given.out / f"phantom_{seed}.xz"
        if path.exists():
            continue
        data = packed(label_map(seed))
        path.write_bytes(data)


if __name__ == "__main__":
    main()
