from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.lesions import lesions_of, on_lattice
from osteotrace.model.codes import ANATOMICAL_STRUCTURE, MORPHOLOGICALLY_ABNORMAL, Code
from osteotrace.model.values import Severity
from osteotrace.space import Grid
from scene import CT, PET, Ball, images

BALL = Ball((0.0, 0.0, 0.0), 12.0)


def test_lesions_are_numbered_within_their_exam() -> None:
    regions = (BALL.region(PET, 2, "b"), BALL.region(PET, 1, "a"), BALL.region(CT, 1, "c"))
    lesions, problems = lesions_of(images(BALL, regions=regions))
    assert [(x.id, x.name, x.series_id) for x in lesions] == [
        ("E2-R1", "c", CT),
        ("E3-R1", "a", PET),
        ("E3-R2", "b", PET),
    ]
    assert problems == ()


def test_size_and_place_come_from_the_mask() -> None:
    lesions, _ = lesions_of(images(BALL, regions=(BALL.region(CT, 1),)))
    (lesion,) = lesions
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.05)
    assert lesion.longest_diameter_mm == pytest.approx(24.0, abs=3.0)
    assert lesion.centroid_mm == pytest.approx((0, 0, 0), abs=0.5)


def test_an_anatomical_structure_is_no_lesion() -> None:
    region = replace(BALL.region(CT, 1, "Liver"), category=ANATOMICAL_STRUCTURE)
    lesions, problems = lesions_of(images(BALL, regions=(region,)))
    assert lesions == ()
    assert problems[0].severity is Severity.EXCLUDED
    assert problems[0].found == "the region 'Liver' is an anatomical structure (Anatomical Structure)"


def test_a_region_called_tissue_is_taken_and_said() -> None:
    region = replace(BALL.region(CT, 1, "x"), category=Code("85756007", "SCT", "Tissue"))
    lesions, problems = lesions_of(images(BALL, regions=(region,)))
    assert len(lesions) == 1
    assert problems[0].severity is Severity.INFERRED


def test_type_and_tracking_uid_are_kept() -> None:
    region = replace(BALL.region(CT, 1), category=MORPHOLOGICALLY_ABNORMAL, tracking_uid="2.25.7")
    lesions, problems = lesions_of(images(BALL, regions=(region,)))
    assert lesions[0].tracking_uid == "2.25.7"
    assert problems == ()


def test_a_region_without_image_is_named() -> None:
    region = replace(BALL.region(CT, 1, "x"), series_id="gone")
    lesions, problems = lesions_of(images(BALL, regions=(region,)))
    assert lesions == ()
    assert problems[0].found == "the region 'x' has no image"


def test_a_mask_on_its_own_lattice_is_brought_to_the_image() -> None:
    mask = BALL.mask(PET)
    ct = images(BALL).volume(CT)
    assert ct is not None
    moved = on_lattice(mask, ct.grid)
    assert moved is not None
    moved.grid.offset_in(ct.grid)
    assert moved.volume_ml == pytest.approx(mask.volume_ml, rel=0.1)


def test_a_mask_outside_the_image_is_none() -> None:
    ct = images(BALL).volume(CT)
    assert ct is not None
    affine = ct.grid.affine.copy()
    affine[:3, 3] += 1000.0
    far = Grid(ct.grid.shape, affine, ct.grid.frame_of_reference_uid)
    assert on_lattice(BALL.mask(CT), far) is None
