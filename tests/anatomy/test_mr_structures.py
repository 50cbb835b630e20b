import dataclasses

import numpy as np
import pytest

from anatomy.fake_network import SHAPE, box, canonical, mr_volume, network_with, spine
from osteotrace.anatomy import mr
from osteotrace.anatomy.mr_structures import large_parts
from osteotrace.anatomy.segment import segment_mr
from osteotrace.anatomy.settings import MrSettings, packaged_settings
from osteotrace.errors import CriterionError
from osteotrace.model.criteria import parse_criteria

GRID = canonical()


def textured():
    return np.random.default_rng(0).uniform(80, 100, SHAPE).astype(np.float32)


def segmented(**more):
    body, core, discs = spine()
    canal = box((5, 50, 9), (125, 60, 15))
    drawn = {"body": body * 0.95, "core": core * 0.95, "disc": discs, "canal": canal} | more
    return segment_mr(mr_volume(textured(), GRID), network_with(**drawn))


def volume_ml(anatomy, name):
    (item,) = anatomy.called(name)
    return (anatomy.labels == item.label).sum() * GRID.voxel_volume_mm3 / 1000.0


def test_muscles_are_parted_at_the_midline_of_the_bodies():
    muscle = box((10, 62, 2), (120, 74, 8)) + box((10, 62, 16), (120, 74, 22))
    anatomy = segmented(paraspinal=muscle)
    left, right = (anatomy.mask(anatomy.called(f"back muscles {side}")[0]) for side in ("left", "right"))
    assert left.points[:, 0].min() > GRID.center[0] > right.points[:, 0].max()
    assert volume_ml(anatomy, "back muscles left") == pytest.approx(110 * 12 * 6 * 3.90625e-3, rel=0.05)
    assert all(item.coarse for item in anatomy.structures)


def test_a_small_piece_of_muscle_is_left_out():
    anatomy = segmented(psoas=box((20, 40, 1), (30, 50, 4)))
    assert not anatomy.called("iliopsoas left")
    assert not anatomy.called("iliopsoas right")


def test_the_sacrum_is_sought_below_the_last_body_only():
    high, low = box((0, 2, 2), (40, 18, 20)), box((112, 30, 4), (127, 70, 20))
    anatomy = segmented(sacrum=high + low)
    rows = np.flatnonzero((anatomy.labels == anatomy.called("sacrum")[0].label).any(axis=(1, 2)))
    assert rows.min() > 100


def test_probabilities_of_small_parts_are_left_out():
    share = box((0, 0, 0), (4, 4, 4)) + box((20, 20, 5), (50, 50, 15))
    kept = large_parts(share, GRID, 5.0, packaged_settings())
    assert kept[2, 2, 2] == 0
    assert kept[30, 30, 10] == 1
    assert large_parts(share, GRID, 0.0, packaged_settings()) is share


def test_left_of_the_bodies_follows_a_curved_spine():
    bodies = np.zeros(SHAPE, np.int32)
    bodies[10:20, 20:40, 4:8], bodies[60:70, 20:40, 14:18] = 1, 2
    found = mr.MrBodies(GRID, bodies, 0, np.zeros((9, *SHAPE), np.float32), np.ones(SHAPE, bool), 1.0)
    beside = mr.sideways_mm(found)
    assert beside[15, 0, 8] > 0 > beside[65, 0, 12]
    assert np.isnan(beside[5]).all()
    assert mr.behind_bodies_mm(found)[15, 60] == pytest.approx((60 - 29.5) * 1.25)


def test_settings_are_frozen_and_come_from_the_criteria():
    settings = packaged_settings()
    assert settings.bodies_min == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.bodies_min = 1
    entry = '[[criterion]]\nid = "a.b"\nvalue = 1\nunit = "1"\nsource = "s"\nkind = "project"\n'
    entry = 'version = "1.0.0"\n' + entry
    with pytest.raises(CriterionError, match=r"anatomy_mr\.surer_probabilities"):
        MrSettings.of(parse_criteria(entry.encode(), "x"))
