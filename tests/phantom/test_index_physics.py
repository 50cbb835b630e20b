"""What the scanners show of the index case equals what its truth says, within the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.phantom import CasePlan, CaseRequest, make, plan_case
from osteotrace.phantom.lesions import tissue
from osteotrace.phantom.protocols import CtProtocol, MrProtocol, PetProtocol
from osteotrace.phantom.scanner import acquire_ct, acquire_mr, insert_box, insert_share
from osteotrace.phantom.scanner.mr_signal import total
from osteotrace.phantom.scanner.pet import noise_free, with_noise
from osteotrace.space import Grid


@pytest.fixture(scope="module")
def plan() -> CasePlan:
    return plan_case(CaseRequest())


def visit(plan: CasePlan, series_id: str):
    session, series = next((s, x) for s in plan.sessions for x in s.series if x.id == series_id)
    return make._visit(plan, session, series)


def test_t11_reaches_its_suv_without_noise_and_in_twenty_noisy_scans(plan: CasePlan) -> None:
    seen = visit(plan, "pet71-pet")
    protocol, grid = seen.series.protocol, seen.grid
    assert isinstance(protocol, PetProtocol)
    assert isinstance(grid, Grid)
    box = insert_box(seen.scene, "B01", grid, margin_mm=30.0)
    assert box is not None
    inside = insert_share(seen.scene, "B01", box, samples=(2, 2, 2)) >= 0.3
    still = noise_free(seen.scene, protocol, box)
    assert float(still[inside].max()) == pytest.approx(2.19, rel=0.01)
    found = [float(with_noise(still, protocol, box, seed)[inside].max()) for seed in range(20)]
    assert np.mean(found) == pytest.approx(2.19, rel=0.05)
    assert all(value == pytest.approx(2.19, rel=0.15) for value in found)


def test_no_other_osteoblastic_lesion_is_focally_hot(plan: CasePlan) -> None:
    seen = visit(plan, "pet71-pet")
    marrow = plan.body.bone("L3").part.fill.suv
    others = [i for i in seen.scene.inserts if i.id.startswith("B") and i.id != "B01"]
    assert len(others) >= 15
    assert all(i.material.suv <= 1.4 * marrow for i in others)


@pytest.mark.parametrize(
    ("series", "lesion", "wanted", "within"),
    [
        ("mr0-t1", "B04", 0.70, 0.08),
        ("mr0-t2fs", "B04", 2.2, 0.25),
        ("mr0-t1", "M01", 1.0, 0.10),
    ],
)
def test_lesion_over_muscle_is_what_the_report_says(
    plan: CasePlan, series: str, lesion: str, wanted: float, within: float
) -> None:
    seen = visit(plan, series)
    assert isinstance(seen.series.protocol, MrProtocol)
    assert isinstance(seen.grid, Grid)
    ideal = replace(
        seen.series.protocol, coil_bias=0.0, saturation_band=False, fat_failure=0.0, ghosting=0.0, noise=0.01
    )
    values = acquire_mr(seen.scene, ideal, seen.grid, 3)
    inside = insert_share(seen.scene, lesion, seen.grid, samples=(1, 1, 2)) > 0.95
    assert inside.sum() > 20
    muscle = plan.body.part("autochthon_left").fill
    material = next(i for i in seen.scene.inserts if i.id == lesion).material
    assert total(material, ideal) / total(muscle, ideal) == pytest.approx(wanted, abs=within)
    found = float(np.median(values[inside])) / 260.0
    assert found == pytest.approx(total(material, ideal) / total(muscle, ideal), rel=0.12)


def test_the_density_of_a_lesion_comes_back(plan: CasePlan) -> None:
    seen = visit(plan, "ct69")
    assert isinstance(seen.series.protocol, CtProtocol)
    assert isinstance(seen.grid, Grid)
    box = insert_box(seen.scene, "B17", seen.grid, margin_mm=20.0)
    assert box is not None
    values = acquire_ct(seen.scene, seen.series.protocol, box, 1)
    inside = insert_share(seen.scene, "B17", box, samples=(2, 2, 2)) > 0.99
    assert float(np.median(values[inside])) == pytest.approx(430.0, abs=30.0)


def test_the_golden_tissue_is_the_one_that_is_used() -> None:
    tumour = tissue("tumour")
    assert (tumour.pd, tumour.t1_ms, tumour.t2_ms) == (0.65, 1400.0, 90.0)
