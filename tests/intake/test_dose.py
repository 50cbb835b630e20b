"""RT dose as a volume in gray."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_images import counted, image, save
from osteotrace.intake import read_study
from osteotrace.model.values import Modality, Quantity

PIXELS = np.stack([counted(k, np.uint16) for k in range(3)])


def dose(folder, **more):
    values = {
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DoseGridScaling": "0.001",
        "GridFrameOffsetVector": [0.0, 2.5, 5.0],
        "ImageType": None,
    }
    made = image(PIXELS, "RTDOSE", position=(-10.0, -20.0, 30.0), **(values | more))
    return save(made, folder / "dose.dcm")


@pytest.mark.parametrize("offsets", [[0.0, 2.5, 5.0], [30.0, 32.5, 35.0]], ids=["relative", "absolute"])
def test_dose_in_gray_at_its_place(tmp_path, offsets):
    dose(tmp_path, GridFrameOffsetVector=offsets)
    (volume,) = read_study(tmp_path).volumes
    assert (volume.series.modality, volume.series.quantity, volume.series.unit) == (
        Modality.RTDOSE,
        Quantity.DOSE,
        "Gy",
    )
    np.testing.assert_allclose(volume.values, PIXELS.transpose(2, 1, 0) * 0.001, rtol=1e-6)
    np.testing.assert_allclose(volume.grid.origin, (-10, -20, 30))
    np.testing.assert_allclose(volume.grid.spacing, (1.5, 2.0, 2.5))


def test_frames_that_go_down_are_turned_over(tmp_path):
    dose(tmp_path, GridFrameOffsetVector=[0.0, -2.5, -5.0])
    (volume,) = read_study(tmp_path).volumes
    np.testing.assert_allclose(volume.grid.origin, (-10, -20, 25))
    np.testing.assert_allclose(volume.values[:, :, 0], PIXELS[2].T * 0.001, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"DoseUnits": "RELATIVE"}, "Dose Units is RELATIVE"),
        ({"DoseGridScaling": None}, "Dose Grid Scaling is absent"),
        ({"GridFrameOffsetVector": [0.0, 2.5]}, "2 frame offsets for 3 dose frames"),
        ({"GridFrameOffsetVector": [7.0, 9.5, 12.0]}, "the first frame offset is 7"),
        ({"GridFrameOffsetVector": [0.0, 2.5, 9.0]}, "slice distances from 2.500 to 6.500 mm"),
    ],
)
def test_a_dose_that_cannot_be_given_in_gray_or_placed_is_refused(tmp_path, wrong, words):
    dose(tmp_path, **wrong)
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert words in found.problems[0].found
