import numpy as np

from anatomy.fake_network import SHAPE, STEP, box, canonical, mr_volume, network_with, spine
from osteotrace.anatomy import ct, segment
from osteotrace.anatomy.segment import segment_ct
from osteotrace.model.values import Modality
from osteotrace.space import Grid


def shell(inner, outer):
    return (outer > 0) & ~(inner > 0)


def trunk():
    """Soft tissue around four vertebrae: spongy bodies in cortex, each with an arch behind and below."""
    hu = np.full(SHAPE, 40.0, np.float32)
    for top in (10, 40, 70, 100):
        hu[box((top - 1, 19, 4), (top + 23, 49, 20)) > 0] = 500
        hu[box((top, 20, 5), (top + 22, 48, 19)) > 0] = 140
        hu[box((top + 2, 48, 7), (top + 12, 56, 9)) > 0] = 400
        hu[box((top + 2, 48, 15), (top + 12, 56, 17)) > 0] = 400
        hu[box((top + 2, 56, 7), (top + 20, 60, 17)) > 0] = 400
        hu[box((top + 10, 60, 11), (top + 24, 72, 13)) > 0] = 400
    return hu


GRID = canonical()


def drawn():
    body, core, discs = spine()
    return {"body": body * 0.95, "core": core * 0.95, "disc": discs}


def fitted(hu, **channels):
    """A network that sees the channels on the lattice that is cut out of the volume."""
    lattice = ct.spine_region(hu, GRID)
    start = np.array(lattice.offset_in(GRID))
    low, high = np.maximum(start, 0), np.minimum(start + lattice.shape, SHAPE)
    put = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    out = {}
    for name, values in channels.items():
        out[name] = np.zeros(lattice.shape, np.float32)
        out[name][put] = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return network_with(**out)


def test_whole_vertebrae_have_cortex_and_their_own_arch():
    hu = trunk()
    anatomy = segment_ct(mr_volume(hu, GRID, Modality.CT), fitted(hu, **drawn()))
    assert [b.name for b in anatomy.bones] == ["vertebra"] * 4
    for number, top in enumerate((10, 40, 70, 100), start=1):
        assert anatomy.labels[top + 6, 30, 12] == number
        assert anatomy.labels[top + 6, 58, 12] == number
        assert anatomy.labels[top + 22, 70, 12] == number
        assert anatomy.labels[top - 1, 30, 12] == number
    assert "sacrum" not in anatomy.searched


def test_a_volume_without_bone_holds_no_spine():
    volume = mr_volume(np.full(SHAPE, 40.0, np.float32), GRID, Modality.CT)
    assert [p.code for p in segment(volume).problems] == ["no-spine-found"]


def test_bone_that_is_no_spine_is_not_labelled():
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[20:100, 20:60, 8:20] = 300 * np.random.default_rng(1).normal(1, 0.3, (80, 40, 12))
    anatomy = segment(mr_volume(hu, GRID, Modality.CT))
    assert [p.code for p in anatomy.problems] == ["no-spine-found"]


def test_a_ct_that_faces_backwards_is_named():
    hu = trunk()
    network = fitted(hu, **(drawn() | {"canal": box((5, 4, 9), (125, 16, 15))}))
    assert segment_ct(mr_volume(hu, GRID, Modality.CT), network).problems[0].code == "faces-backwards"


def test_the_spine_is_sought_in_the_back_of_a_large_trunk():
    grid = Grid((100, 100, 30), np.diag([4.0, 4.0, 5.0, 1.0]), "1")
    hu = np.full(grid.shape, 0.0, np.float32)
    hu[48:54, 80:88] = 400
    hu[48:54, 2:4] = 400
    lattice = ct.spine_region(hu, grid)
    assert lattice.contains(grid.points((51, 84, 15)))
    assert not lattice.contains(grid.points((51, 3, 15)))
    assert np.allclose(lattice.spacing, STEP)


def test_seeds_spread_along_the_mask_and_only_where_they_may():
    seeds = np.zeros((1, 1, 9), np.int32)
    seeds[0, 0, 0], seeds[0, 0, 8] = 1, 2
    mask = np.ones(seeds.shape, bool)
    assert ct.spread_along(seeds, mask).ravel().tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2]
    mask[0, 0, 2] = False
    assert ct.spread_along(seeds, mask).ravel().tolist() == [1, 1, 0, 2, 2, 2, 2, 2, 2]
    allowed = np.array([1, 1, 1, 1, 1, 1, 1, 2, 2], np.int32).reshape(1, 1, 9)
    assert ct.spread_along(seeds, mask | True, allowed).ravel().tolist() == [1, 1, 1, 1, 1, 1, 1, 2, 2]
