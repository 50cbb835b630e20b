"""Enhanced multi-frame images: functional groups, dimensions, splits."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedMRImageStorage, JPEGLSLossless

from dicom_images import AXIAL, counted, image, save
from osteotrace.intake import read_study
from osteotrace.model.values import Basis, Quantity


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        is_items = isinstance(value, list) and value and all(isinstance(v, Dataset) for v in value)
        setattr(made, keyword, Items(value) if is_items else value)
    return made


def per_frame(z, **macros):
    content = {"FrameAcquisitionDateTime": "20240305101530"}
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=[1.0, 2.0, float(z)])],
        FrameContentSequence=[item(**content)],
        **macros,
    )


def enhanced(frames, pixels=None, shared=None, **more):
    shared_groups = {
        "PlaneOrientationSequence": [item(ImageOrientationPatient=list(AXIAL))],
        "PixelMeasuresSequence": [item(PixelSpacing=[2.0, 1.5], SliceThickness=3.0)],
        "MRTimingAndRelatedParametersSequence": [item(RepetitionTime=4000.0, FlipAngle=90.0)],
        "MREchoSequence": [item(EffectiveEchoTime=90.0)],
    } | (shared or {})
    pixels = np.stack([counted(n) for n in range(len(frames))]) if pixels is None else pixels
    plain = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    return image(
        pixels,
        "MR",
        SOPClassUID=EnhancedMRImageStorage,
        SharedFunctionalGroupsSequence=[item(**shared_groups)],
        PerFrameFunctionalGroupsSequence=frames,
        EchoPulseSequence="SPIN",
        **(plain | more),
    )


def test_frames_become_a_volume_in_any_order(tmp_path):
    save(enhanced([per_frame(z) for z in (6, 0, 3)]), tmp_path / "e.dcm")
    (volume,) = read_study(tmp_path).volumes
    np.testing.assert_array_equal(volume.values, np.stack([counted(n) for n in (1, 2, 0)]).transpose(2, 1, 0))
    np.testing.assert_allclose(volume.grid.origin, (1, 2, 0))
    np.testing.assert_allclose(volume.grid.spacing, (1.5, 2.0, 3.0))
    assert volume.series.facts.weighting.value == "T2W"
    assert volume.series.facts.echo_time_ms == 90
    assert volume.series.datetime.isoformat() == "2024-03-05T10:15:30"
    assert volume.series.n_instances == 1


def test_contrast_and_suppression_are_declared_by_macros(tmp_path):
    frame_type = [item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"], AcquisitionContrast="T1")]
    modifier = [item(SpectrallySelectedSuppression="FAT", InversionRecovery="NO")]
    shared = {"MRImageFrameTypeSequence": frame_type, "MRModifierSequence": modifier}
    save(enhanced([per_frame(z) for z in (0, 3)], shared=shared), tmp_path / "e.dcm")
    facts = read_study(tmp_path).volumes[0].series.facts
    assert (facts.weighting.value, facts.weighting.basis) == ("T1W", Basis.DECLARED)
    assert (facts.fat_suppression.value, facts.fat_suppression.basis) == ("yes", Basis.DECLARED)


def test_b_values_split_one_file(tmp_path):
    groups = [[item(DiffusionBValue=b)] for b in (0.0, 800.0)]
    frames = [per_frame(z, MRDiffusionSequence=g) for g in groups for z in (0, 3)]
    save(enhanced(frames), tmp_path / "e.dcm")
    volumes = read_study(tmp_path).volumes
    assert [v.series.facts.b_value for v in volumes] == [0, 800]
    assert [v.series.id.split("#")[1:] for v in volumes] == [[], ["2"]]
    np.testing.assert_array_equal(volumes[1].values[:, :, 0], counted(2).T)


def test_gradient_directions_split_one_file(tmp_path):
    def diffusion(direction):
        gradient = item(DiffusionGradientOrientation=direction)
        return [item(DiffusionBValue=800.0, DiffusionGradientDirectionSequence=[gradient])]

    directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    frames = [per_frame(z, MRDiffusionSequence=diffusion(d)) for d in directions for z in (0, 3)]
    save(enhanced(frames), tmp_path / "e.dcm")
    assert len(read_study(tmp_path).volumes) == 2


def test_the_rescale_of_every_frame_counts(tmp_path):
    frames = [
        per_frame(z, PixelValueTransformationSequence=[item(RescaleSlope=s, RescaleIntercept=0)])
        for z, s in ((0, 1), (3, 0.5))
    ]
    save(enhanced(frames), tmp_path / "e.dcm")
    values = read_study(tmp_path).volumes[0].values
    np.testing.assert_allclose(values[:, :, 1], counted(1).T * 0.5)


def test_compressed_frames(tmp_path):
    save(enhanced([per_frame(z) for z in (6, 3, 0)]), tmp_path / "e.dcm", JPEGLSLossless)
    (volume,) = read_study(tmp_path).volumes
    np.testing.assert_array_equal(volume.values[:, :, 0], counted(2).T)


def test_phase_images_are_no_mr_signal(tmp_path):
    shared = {"MRImageFrameTypeSequence": [item(FrameType=["ORIGINAL", "PRIMARY", "P", "NONE"])]}
    save(enhanced([per_frame(z) for z in (0, 3)], shared=shared), tmp_path / "e.dcm")
    assert read_study(tmp_path).volumes[0].series.quantity is Quantity.UNKNOWN


def test_fewer_frames_than_announced_are_refused(tmp_path):
    frames = [per_frame(z) for z in (0, 3, 6)]
    save(enhanced(frames, NumberOfFrames=3, PixelData=counted(0).tobytes()), tmp_path / "e.dcm")
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert "pixel data end after 60 bytes" in found.problems[0].found


@pytest.mark.parametrize("case", ["23x38x3", "24x38x3"])
def test_a_real_enhanced_ct_is_equal_to_its_classic_copy(case_dir, case):
    folder = case_dir("seg_sr_samples") / "dcmqi_seg_sr" / "segmentations" / case
    (classic,) = read_study(folder / "image").volumes
    (multi,) = read_study(folder / "multiframe").volumes
    np.testing.assert_array_equal(classic.values, multi.values)
    assert np.abs(classic.grid.affine - multi.grid.affine).max() < 1e-5
