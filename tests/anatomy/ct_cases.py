"""Spines of boxes on the lattice of the CT network, and a network that sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from anatomy.fake_network import mr_volume
from osteotrace.anatomy.ct_segment import segment_ct
from osteotrace.anatomy.network import Network
from osteotrace.model.values import Modality
from osteotrace.space import Grid

CLASSES = (
    "other",
    "vertebra body",
    "vertebra posterior",
    "sacrum",
    "hip bone",
    "rib",
    "sternum",
    "scapula",
    "femur",
    "other bone",
    "skull",
    "intervertebral disc",
    "spinal canal",
    "lung",
    "heart",
    "kidney",
    "liver",
    "urinary bladder",
    "aorta",
    "vena cava",
    "back muscles",
    "iliopsoas",
)
CHANNELS = (*CLASSES, "core", "axis", "to centre i", "to centre j", "to centre k")
SHAPE = (110, 72, 90)
STEP = 2.0
TOPS = (8, 23, 38, 53)
PITCH = 15


def canonical(shape=SHAPE, step=STEP):
    """A lattice along inferior, posterior, left."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([[0, 0, -step], [0, step, 0], [step, 0, 0]], axis=1)
    affine[:3, 3] = (-90.0, -70.0, 110.0)
    return Grid(shape, affine, "1.2.3")


@dataclass
class Drawn:
    """What the network is to see; arrays on the lattice of the network."""

    shape: tuple[int, int, int] = SHAPE
    classes: np.ndarray = field(init=False)
    core: np.ndarray = field(init=False)
    axis: np.ndarray = field(init=False)
    to_centre: np.ndarray = field(init=False)
    hu: np.ndarray = field(init=False)

    def __post_init__(self):
        self.classes = np.zeros(self.shape, np.uint8)
        self.core = np.zeros(self.shape, bool)
        self.axis = np.zeros(self.shape, bool)
        self.to_centre = np.zeros((3, *self.shape), np.float32)
        self.hu = np.full(self.shape, 40.0, np.float32)

    def box(self, name, start, stop, hu=400.0):
        """One class in a box."""
        place = tuple(slice(max(0, a), b) for a, b in zip(start, stop, strict=True))
        self.classes[place] = CLASSES.index(name)
        self.hu[place] = hu
        return place

    def vertebra(self, top, ribs="", height=11, below=0):
        """A body, its arch and a spinous process that hangs down; ribs on the sides named (l, r)."""
        parts = [
            self.box("vertebra posterior", (top + 2, 45, 37), (top + 8, 52, 40)),
            self.box("vertebra posterior", (top + 2, 45, 50), (top + 8, 52, 53)),
            self.box("vertebra posterior", (top + 3, 52, 37), (top + 9, 56, 53)),
            self.box("vertebra posterior", (top + 6 + below, 56, 43), (top + 14 + below, 68, 47)),
            self.box("vertebra posterior", (top + 3, 51, 27), (top + 7, 54, 37)),
            self.box("vertebra posterior", (top + 3, 51, 53), (top + 7, 54, 63)),
            self.box("vertebra body", (top, 30, 35), (top + height, 45, 55), hu=180.0),
        ]
        self.core[max(0, top + 3) : top + height - 3, 34:41, 40:50] = True
        centre = np.array([top + (height - 1) / 2, 37.0, 44.5])
        index = np.moveaxis(np.indices(self.shape), 0, -1)
        for part in parts:
            self.to_centre[(slice(None), *part)] = np.moveaxis((centre - index[part]) * STEP, -1, 0)
        for side in ribs:
            k = (57, 82) if side == "l" else (8, 33)
            self.box("rib", (top + 2, 46, k[0]), (top + 6, 50, k[1]))
        return self

    def sacrum(self, top, height=20):
        """A block below the last vertebra."""
        self.box("sacrum", (top, 34, 32), (top + height, 50, 58))
        return self

    @property
    def network(self):
        """A network that answers with this."""
        logits = np.full((len(CHANNELS), *self.shape), -8.0, np.float32)
        for n in range(len(CLASSES)):
            logits[n][self.classes == n] = 8.0
        count = len(CLASSES)
        logits[count][self.core] = 8.0
        logits[count + 1][self.axis] = 8.0
        logits[count + 2 :] = self.to_centre / 10.0
        return Network(Session(logits), CHANNELS, "0" * 12)

    def mirrored(self, axis):
        """What the network sees of the image mirrored along an axis; one that takes no notice of sides."""
        out = Drawn(self.shape)
        for name in ("classes", "core", "axis", "hu"):
            setattr(out, name, np.flip(getattr(self, name), axis))
        out.to_centre = np.flip(self.to_centre, axis + 1).copy()
        out.to_centre[axis] *= -1
        return out

    def without(self, name):
        """What the network sees where it fails to see a class."""
        out = Drawn(self.shape)
        for other in ("core", "axis", "hu", "to_centre"):
            setattr(out, other, getattr(self, other))
        out.classes = np.where(self.classes == CLASSES.index(name), 0, self.classes)
        return out

    def anatomy(self, grid=None):
        """What is made of it."""
        volume = mr_volume(self.hu, grid or canonical(self.shape), Modality.CT)
        return segment_ct(volume, self.network)


class Session:
    """Gives the logits that were drawn, padded to what is asked; then those of the next drawing, if any."""

    def __init__(self, logits, then=None):
        self.logits = logits
        self.then = then

    def run(self, names, feeds):
        answer = self._answer(feeds)
        if self.then is not None:
            self.logits = self.then
        return answer

    def _answer(self, feeds):
        shape = feeds["image"].shape[2:]
        pads = [(0, 0)] + [(0, n - m) for n, m in zip(shape, self.logits.shape[1:], strict=True)]
        return [np.pad(self.logits, pads, constant_values=-8.0)[None]]


def spine(ribs=("lr", "lr", "", ""), tops=TOPS, below=0, **options):
    """Four vertebrae, two with ribs; their spinous processes hang down `below` rows further."""
    drawn = Drawn(**options)
    for top, sides in zip(tops, ribs, strict=True):
        drawn.vertebra(top, sides, below=below)
    return drawn
