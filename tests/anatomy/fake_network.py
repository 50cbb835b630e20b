"""A network that answers what a test wants, and spines made of boxes."""

from __future__ import annotations

import itertools

import numpy as np

from osteotrace.anatomy.network import Network
from osteotrace.model.imaging import UNKNOWN, MrFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import Grid

CHANNELS = ("body", "core", "s1", "sacrum", "disc", "canal", "paraspinal", "psoas", "upright")
SHAPE = (128, 80, 24)
STEP = (1.25, 1.25, 2.5)


class Session:
    """Gives logits for the lattice that a test has drawn, whatever the image."""

    def __init__(self, probability):
        self.logits = np.log((probability + 1e-4) / (1.0001 - probability + 1e-4)).astype(np.float32)

    def run(self, names, feeds):
        shape = feeds["image"].shape[2:]
        pads = [(0, 0)] + [(0, n - m) for n, m in zip(shape, self.logits.shape[1:], strict=True)]
        return [np.pad(self.logits, pads, constant_values=-9)[None]]


def network_with(**drawn):
    """A network that sees these channels, arrays of probabilities; others are empty, all is upright."""
    shape = next(iter(drawn.values())).shape
    zero = np.zeros(shape, np.float32)
    probability = np.stack([({"upright": zero + 1} | drawn).get(name, zero) for name in CHANNELS])
    return Network(Session(probability), CHANNELS, "0" * 12)


def canonical(shape=SHAPE, step=STEP):
    """A lattice along inferior, posterior, left."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]) * step
    affine[:3, 3] = (-30.0, -50.0, 80.0)
    return Grid(shape, affine, "1.2.3")


def box(start, stop, shape=SHAPE):
    """One where the box is."""
    out = np.zeros(shape, np.float32)
    out[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1.0
    return out


def spine(tops=(10, 40, 70, 100), height=22):
    """Bodies, cores and discs of a straight spine; each an array of probabilities."""
    body = sum(box((t, 20, 5), (t + height, 48, 19)) for t in tops)
    core = sum(box((t + 6, 27, 8), (t + height - 6, 41, 16)) for t in tops)
    discs = sum(
        (box((a + height, 20, 5), (b, 48, 19)) for a, b in itertools.pairwise(tops)),
        np.zeros(SHAPE, np.float32),
    )
    return body, core, discs


def mr_volume(values, grid, modality=Modality.MR):
    """A volume of which nothing but its values and place is known."""
    series = Series(
        id="S1",
        series_instance_uid="1",
        study_instance_uid="2",
        sop_class_uid="3",
        modality=modality,
        name="MR",
        description="",
        body_part=UNKNOWN,
        datetime=None,
        quantity=Quantity.MR_SIGNAL if modality is Modality.MR else Quantity.HU,
        unit="1",
        grid=grid,
        facts=MrFacts(UNKNOWN, UNKNOWN, UNKNOWN),
        n_instances=1,
    )
    return Volume(values, grid, series)
