"""Stored values, whatever they are packed in, and what becomes of them."""

from __future__ import annotations

import subprocess
import sys

import jpeg_ls
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_images import ROOT, counted, image, pixel_module, save, write_stack
from osteotrace.intake import read_study, scan
from osteotrace.intake.frames import frames_of
from osteotrace.intake.pixels import stored_values
from osteotrace.intake.voxels import stack_values
from osteotrace.model.values import Quantity

PLACES = [(0.0, 0.0, 3.0 * k) for k in range(4)]


def only_volume(folder):
    (volume,) = read_study(folder).volumes
    return volume


def expected(pixels):
    return np.stack(pixels).transpose(2, 1, 0)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda s: s.name,
)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_every_transfer_syntax_gives_the_same_values(tmp_path, syntax, dtype):
    lowest = 300 if dtype is np.int16 else 0
    pixels = [counted(k, dtype, 40, 36) - dtype(lowest) for k in range(4)]
    write_stack(tmp_path, pixels=pixels, syntax=syntax)
    volume = only_volume(tmp_path)
    np.testing.assert_array_equal(volume.values, expected(pixels) - 1024.0)
    assert volume.series.transfer_syntax_uid == syntax


def test_values_are_a_view_that_needs_no_copy_for_simpleitk(tmp_path):
    write_stack(tmp_path)
    volume = only_volume(tmp_path)
    assert volume.values.dtype == np.int16
    assert volume.values.T.flags.c_contiguous
    assert not volume.values.flags.writeable


def test_values_stay_integers_only_where_they_fit(tmp_path):
    big = [np.full((6, 5), 40000, np.uint16)] * 4
    write_stack(tmp_path, pixels=big, RescaleIntercept=0)
    volume = only_volume(tmp_path)
    assert volume.values.dtype == np.float32
    assert volume.values.max() == 40000


def test_an_intercept_may_bring_them_back_into_range(tmp_path):
    write_stack(tmp_path, pixels=[np.full((6, 5), 33000, np.uint16)] * 4, RescaleIntercept=-1024)
    assert only_volume(tmp_path).values.dtype == np.int16
    assert only_volume(tmp_path).values.max() == 33000 - 1024


def test_the_slope_of_every_slice_counts(tmp_path):
    slopes = [0.5, 1.0, 2.0, 4.0]
    for k, (place, slope) in enumerate(zip(PLACES, slopes, strict=True)):
        made = image(counted(k), number=k + 1, position=place, RescaleSlope=slope, RescaleIntercept=0)
        save(made, tmp_path / f"{k}.dcm")
    wanted = expected([counted(k) * s for k, s in enumerate(slopes)])
    np.testing.assert_allclose(only_volume(tmp_path).values, wanted, rtol=1e-7)


def test_a_factor_counts_for_slope_and_intercept(tmp_path):
    paths = write_stack(tmp_path, RescaleSlope=2, RescaleIntercept=10)
    (patient,) = scan(tmp_path).patients
    frames = [f for i in patient.instances for f in frames_of(i)]
    assert len(paths) == len(frames)
    wanted = (expected([counted(k) for k in range(4)]) * 2 + 10) * 0.25
    np.testing.assert_allclose(stack_values(frames, 0.25), wanted, rtol=1e-6)


@pytest.mark.parametrize("signed", [True, False])
def test_unused_high_bits_do_not_count(tmp_path, signed):
    values = counted(3, np.int16) - (200 if signed else 0)
    stored = (values.astype(np.uint16) & 0x0FFF) | 0x5000  # an old overlay in the upper four bits
    for k, place in enumerate(PLACES):
        made = image(stored, "MR", number=k + 1, position=place)
        made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, int(signed)
        save(made, tmp_path / f"{k}.dcm")
    np.testing.assert_array_equal(only_volume(tmp_path).values[:, :, 0], values.T)


def test_a_modality_lut_is_applied(tmp_path):
    lut = Dataset()
    lut.LUTDescriptor = [256, 0, 16]
    lut.ModalityLUTType = "HU"
    lut.LUTData = (np.arange(256, dtype=np.uint16) * 3).tobytes()
    lut["LUTData"].VR = "OW"
    pixels = [counted(0, np.uint8)] * 4
    write_stack(tmp_path, pixels=pixels, RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=[lut])
    np.testing.assert_array_equal(only_volume(tmp_path).values, expected(pixels) * 3)


def test_padding_is_recorded_not_repaired(tmp_path):
    pixels = [counted(k) for k in range(4)]
    pixels[1][0, 0] = -2000
    write_stack(tmp_path, pixels=pixels, PixelPaddingValue=-2000)
    found = read_study(tmp_path)
    assert found.volumes[0].values.min() == -3024
    assert [(p.code, p.found) for p in found.problems] == [
        ("padding", "voxels of -3024 lie outside the reconstruction")
    ]


def test_a_ct_without_hounsfield_units_is_not_called_one(tmp_path):
    write_stack(tmp_path, RescaleType="US")
    found = read_study(tmp_path)
    assert found.volumes[0].series.quantity is Quantity.UNKNOWN
    assert "Rescale Type is US" in found.problems[0].found


def truncated(path, missing):
    path.write_bytes(path.read_bytes()[:-missing])


BREAKERS = {
    "pixel data end after": lambda path: truncated(path, 7),
    "the file ends before its pixels": lambda path: truncated(path, 2 * 30 + 12),
    "samples per pixel": lambda path: save(_colour(), path),
    "its pixels are stored in another format": lambda path: save(_second(counted(1, np.uint16)), path),
    "Bits Allocated is": lambda path: save(_second(None, BitsAllocated=24), path),
}


def _second(pixels, **more):
    module = {} if pixels is None else pixel_module(pixels)
    base = pixel_module(counted(1)) | module | more
    return image(None, number=2, position=PLACES[1], **base)


def _colour():
    return _second(None, SamplesPerPixel=3, PhotometricInterpretation="RGB", PixelData=bytes(180))


@pytest.mark.parametrize("words", BREAKERS)
def test_a_damaged_file_refuses_its_series_and_the_rest_goes_on(tmp_path, words):
    BREAKERS[words](write_stack(tmp_path)[1])
    write_stack(tmp_path, series=2)
    found = read_study(tmp_path)
    assert [v.series.series_instance_uid for v in found.volumes] == [f"{ROOT}.2.2"]
    assert len(found.problems) == 1
    assert found.problems[0].severity == "excluded"
    assert words in found.problems[0].found
    assert "CT1-002.dcm" in found.problems[0].where


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless], ids=lambda s: s.name)
def test_a_damaged_compressed_frame_is_a_named_exclusion(tmp_path, syntax):
    path = write_stack(tmp_path, syntax=syntax, pixels=[counted(k, rows=40, columns=36) for k in range(4)])[2]
    data = bytearray(path.read_bytes())
    pixels = data.index(b"\xe0\x7f\x10\x00")
    data[pixels + 30 : -8] = bytes(len(data) - pixels - 38)
    path.write_bytes(data)
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert "cannot be decoded" in found.problems[0].found
    assert "CT1-003.dcm" in found.problems[0].where


_READ_ALL = """
import sys
from pathlib import Path
from osteotrace.errors import PixelError
from osteotrace.intake import scan
from osteotrace.intake.frames import frames_of
from osteotrace.intake.pixels import stored_values

(patient,) = scan(Path(sys.argv[1])).patients
for instance in patient.instances:
    try:
        stored_values(frames_of(instance))
    except PixelError:
        pass
print(len(patient.instances))
"""


def test_damaged_jpeg_ls_never_keeps_the_decoder_busy(tmp_path):
    """Without the stop behind the stream CharLS reads foreign memory, and may take minutes or die of it."""
    rng = np.random.default_rng(0)
    flat = np.zeros((32, 32), dtype=np.int16)
    for number in range(60):
        pixels = flat + rng.integers(0, 3 + 40 * (number % 3), flat.shape).astype(np.int16)
        path = tmp_path / f"{number}.dcm"
        save(image(pixels, series=number + 1, number=number + 1), path, JPEGLSLossless)
        data = bytearray(path.read_bytes())
        start = data.index(b"\xff\xda") + 10
        for place in rng.integers(start, len(data) - 10, 1 + number % 4):
            data[place : place + 6] = bytes(rng.choice([0, 0, 255, 127], 6).astype(np.uint8))
        path.write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", _READ_ALL, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "60"), ended.stderr


def test_every_jpeg_ls_stream_is_followed_by_a_stop(tmp_path, monkeypatch):
    """Whether CharLS runs away depends on what lies behind the stream in memory: here it is a marker."""
    seen = []
    real = jpeg_ls.decode_pixel_data
    monkeypatch.setattr(
        jpeg_ls, "decode_pixel_data", lambda src, **k: seen.append(bytes(src)) or real(src, **k)
    )
    pixels = np.stack([counted(n, np.uint16) for n in range(3)])
    made = image(pixels, "NM", ImageType=["ORIGINAL", "PRIMARY", "STATIC"], ImagePositionPatient=None)
    save(made, tmp_path / "multi.dcm", JPEGLSLossless)
    for number, one in enumerate(read_study(tmp_path).planar):
        np.testing.assert_array_equal(one.counts, pixels[number].T)
    assert len(seen) == 3
    assert all(b"\xff" * 64 in src[-65:] for src in seen)


def test_a_slope_of_zero_is_refused(tmp_path):
    write_stack(tmp_path, RescaleSlope=0)
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert (found.problems[0].code, found.problems[0].found) == ("quantity", "Rescale Slope is 0")


def test_jpeg_lossless_of_a_real_scan_is_equal_to_the_plain_copy(case_dir):
    (patient,) = scan(case_dir("nm_wholebody_bone")).patients
    plain, packed = (stored_values(frames_of(i)) for i in patient.instances)
    np.testing.assert_array_equal(plain, packed)


def test_a_decoder_that_dies_does_not_take_the_program_with_it(case_dir, tmp_path):
    source = case_dir("nm_wholebody_bone") / "nm1_ant_jpeg_lossless.dcm"
    data = bytearray(source.read_bytes())
    scan_header = data.index(b"\xff\xda")
    data[scan_header - 40 : scan_header] = bytes(40)
    (tmp_path / "broken.dcm").write_bytes(data)
    found = read_study(tmp_path)
    assert found.planar == ()
    assert [p.code for p in found.problems] == ["pixels"]
    assert "broken.dcm" in found.problems[0].where
