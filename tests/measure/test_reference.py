"""Reference tissue, and a lesion against it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibsi import volume_of
from osteotrace.errors import SpaceError
from osteotrace.measure import ReferenceTissue, reference_tissue, signal_ratio
from osteotrace.model.values import Quantity
from osteotrace.space import Mask
from strategies import centred_grid

GRID = centred_grid((4, 1, 1), (1.0, 1.0, 4.0))
EVERYWHERE = Mask(np.ones((4, 1, 1), dtype=bool), GRID)


def muscle(values: list[float]) -> ReferenceTissue:
    data = np.array(values, dtype=np.float32).reshape(4, 1, 1)
    return reference_tissue("muscle", volume_of(data, GRID, Quantity.MR_SIGNAL), EVERYWHERE)


def test_a_reference_tissue_is_measured() -> None:
    tissue = muscle([90, 100, 100, 130])
    assert (tissue.name, tissue.series_id, tissue.n_voxels) == ("muscle", "1.5", 4)
    assert (tissue.median, tissue.mean) == (100.0, 105.0)
    assert tissue.cv == pytest.approx(np.std([90, 100, 100, 130], ddof=1) / 105)


@pytest.mark.parametrize("values", [[0, 0, 0, 0], [-1, -2, 3, 0], [0, 0, 0, 9]])
def test_a_tissue_without_signal_is_no_reference(values: list[float]) -> None:
    with pytest.raises(SpaceError) as caught:
        muscle(values)
    assert str(caught.value) == "the reference tissue muscle has no positive signal [1.5]"


def test_the_ratio_and_its_interval() -> None:
    tissue = ReferenceTissue("muscle", "1.5", 400, 200.0, 200.0, 0.1)
    ratio = signal_ratio(180.0, tissue, n_effective=100.0)
    assert ratio.value == pytest.approx(0.9)
    assert ratio.low == pytest.approx(0.9 * (1 - 0.02))  # 2 CV / sqrt(n), criteria.md 2.2
    assert ratio.high == pytest.approx(0.9 * (1 + 0.02))


@given(st.floats(0, 1e4), st.floats(1, 1e4), st.floats(0, 1), st.floats(0, 1e5))
def test_the_interval_holds_the_ratio_and_narrows_with_voxels(
    lesion: float, median: float, cv: float, n: float
) -> None:
    tissue = ReferenceTissue("muscle", "1.5", 10, median, median, cv)
    few, many = signal_ratio(lesion, tissue, n), signal_ratio(lesion, tissue, 4 * n + 4)
    assert few.low <= few.value <= few.high
    assert many.high - many.low <= few.high - few.low + 1e-9


def test_fewer_than_one_voxel_counts_as_one() -> None:
    tissue = ReferenceTissue("muscle", "1.5", 10, 100.0, 100.0, 0.2)
    assert signal_ratio(100.0, tissue, 0.0) == signal_ratio(100.0, tissue, 1.0)
