"""Stored pixel values of frames, written straight into one array."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from osteotrace.errors import PixelError
from osteotrace.intake.frames import Frame
from osteotrace.intake.instance import Instance, PixelElement, PixelFormat
from osteotrace.intake.isolation import DecodeJob, decode_isolated

# pydicom tries gdcm first: four times as slow for JPEG-LS, and it may abort the process on damaged frames.
_PLUGIN: dict[str, str] = {
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
}
_JPEG_LS = frozenset({JPEGLSLossless, JPEGLSNearLossless})
# CharLS skips the end of a damaged stream and reads on in foreign memory until a bit is set there; bytes FF
# (a marker, which ends coded data) stop it.
_STOP = b"\xff" * 64
_JPEG = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})
_JPEG_LS_FRAME = re.compile(rb"\xff\xf7\x00\x0b.(..)(..)", re.DOTALL)  # start of a frame of one component
_FLOAT_BYTES = {"FloatPixelData": 4, "DoubleFloatPixelData": 8}
_INTEGER_BITS = (8, 16, 32)
MAX_PIXELS = 1 << 26  # of a frame; larger ones come from damaged headers


def stored_values(frames: Sequence[Frame]) -> NDArray[Any]:
    """Stored values of frames of one format.

    Returns
    -------
    ndarray, shape (frames, rows, columns)
        C-contiguous, in native byte order; integer of the stored width, or float.

    Raises
    ------
    PixelError
        When a file has no pixels, ends early, cannot be decoded, or the frames differ in format.
    """
    first = frames[0].instance
    dtype = _dtype(first)
    for frame in frames:
        _check(frame, first, dtype)
    out = _room(len(frames), first, dtype)
    jobs: list[DecodeJob] = []
    targets: list[NDArray[Any]] = []
    start = 0
    for instance, group in groupby(frames, key=lambda f: f.instance):
        numbers = [f.number for f in group]
        planes = out[start : start + len(numbers)]
        start += len(numbers)
        if _needs_isolation(instance):
            jobs.append(_job(instance, numbers))
            targets.extend(planes)
        else:
            _fill(instance, numbers, planes)
    if jobs:
        decode_isolated(jobs, targets)
    return _used_bits(out, first.format)


def _room(count: int, first: Instance, dtype: np.dtype[Any]) -> NDArray[Any]:
    shape = (count, first.format.rows, first.format.columns)
    try:
        return np.empty(shape, dtype=dtype)
    except MemoryError as error:
        size = " x ".join(str(n) for n in shape)
        raise _refusal(first, f"{size} pixels do not fit into memory", "a smaller image") from error


def _dtype(instance: Instance) -> np.dtype[Any]:
    pixels, form = instance.pixels, instance.format
    if pixels is not None and pixels.keyword in _FLOAT_BYTES:
        return np.dtype(f"f{_FLOAT_BYTES[pixels.keyword]}")
    if form.bits_allocated not in _INTEGER_BITS:
        raise _refusal(instance, f"Bits Allocated is {form.bits_allocated}", "8, 16 or 32")
    return np.dtype(f"{'i' if form.is_signed else 'u'}{form.bits_allocated // 8}")


def _check(frame: Frame, first: Instance, dtype: np.dtype[Any]) -> None:
    instance = frame.instance
    form, pixels = instance.format, instance.pixels
    if pixels is None:
        raise _refusal(instance, "the file ends before its pixels", "pixel data", "export it again")
    if form.samples_per_pixel != 1:
        raise _refusal(instance, f"{form.samples_per_pixel} samples per pixel", "grey values")
    is_image = min(form.rows, form.columns) >= 1 and form.rows * form.columns <= MAX_PIXELS
    if not is_image or form.bits_stored > form.bits_allocated:
        raise _refusal(
            instance, f"{form.rows} rows, {form.columns} columns, {form.bits_stored} bits", "an image"
        )
    same = (form.rows, form.columns, form.bits_stored, form.high_bit, _dtype(instance))
    if same != (
        first.format.rows,
        first.format.columns,
        first.format.bits_stored,
        first.format.high_bit,
        dtype,
    ):
        raise _refusal(
            instance, "its pixels are stored in another format than those of the series", "one format"
        )
    if pixels.is_encapsulated or pixels.is_deflated:
        return
    needed = form.rows * form.columns * dtype.itemsize * (frame.number + 1)
    if min(pixels.length, pixels.available) < needed:
        raise _refusal(
            instance,
            f"pixel data end after {min(pixels.length, pixels.available)} bytes",
            f"{needed} bytes",
            "copy it again",
        )


def _fill(instance: Instance, numbers: list[int], out: NDArray[Any]) -> None:
    """Read the frames of one file into ``out``, shape (frames, rows, columns)."""
    pixels = instance.pixels
    assert pixels is not None
    try:
        if pixels.is_deflated:
            _fill_inflated(instance, numbers, out)
        elif pixels.is_encapsulated:
            _fill_decoded(instance, pixels, numbers, out)
        else:
            _fill_native(instance, pixels, numbers, out)
    except PixelError:
        raise
    except Exception as error:  # decoders raise many kinds of error on damaged frames
        raise _refusal(
            instance,
            f"the pixels cannot be decoded ({type(error).__name__})",
            "undamaged frames",
            "export it again",
        ) from error


def _fill_native(instance: Instance, pixels: PixelElement, numbers: list[int], out: NDArray[Any]) -> None:
    with instance.path.open("rb", buffering=0) as stream:
        for number, target in zip(numbers, out, strict=True):
            stream.seek(pixels.offset + number * target.nbytes)
            if stream.readinto(memoryview(target).cast("B")) != target.nbytes:
                raise _refusal(instance, "the file ends within its pixels", "a whole file", "copy it again")
    if pixels.transfer_syntax_uid == ExplicitVRBigEndian:
        out.byteswap(inplace=True)


def _fill_decoded(instance: Instance, pixels: PixelElement, numbers: list[int], out: NDArray[Any]) -> None:
    with instance.path.open("rb") as stream:
        stream.seek(pixels.offset)
        data = stream.read()
    if pixels.transfer_syntax_uid in _PLUGIN:
        _check_claims(instance, data)
    for target, frame in zip(out, _decoded_frames(instance.format, pixels, data, numbers), strict=True):
        if frame.shape != target.shape:
            raise _refusal(instance, f"a decoded frame has shape {frame.shape}", f"{target.shape}")
        target[...] = frame


def _check_claims(instance: Instance, data: bytes) -> None:
    """Refuse a JPEG-LS stream that claims more pixels than the header: its decoder makes room for all.

    Inside coded data no byte above 7F follows FF (ISO/IEC 14495-1, A.1): a start of a frame is not mistaken.
    """
    form = instance.format
    for height, width in _JPEG_LS_FRAME.findall(data):
        rows, columns = int.from_bytes(height, "big"), int.from_bytes(width, "big")
        if rows * columns > form.rows * form.columns:
            found = f"a compressed frame claims {rows} rows and {columns} columns"
            expected = f"{form.rows} rows and {form.columns} columns"
            raise _refusal(instance, found, expected, "export it again")


def _decoded_frames(
    form: PixelFormat, pixels: PixelElement, data: bytes, numbers: list[int]
) -> Iterator[NDArray[Any]]:
    syntax = UID(pixels.transfer_syntax_uid)
    options = _options(form, pixels) | {"transfer_syntax_uid": syntax}
    if syntax in _JPEG_LS:
        coded = [get_frame(data, n, number_of_frames=form.number_of_frames) + _STOP for n in numbers]
        data, numbers = encapsulate(coded, has_bot=False), list(range(len(coded)))
        options["number_of_frames"] = len(coded)
    for frame, _ in get_decoder(syntax).iter_array(data, indices=numbers, raw=True, **options):
        yield frame


def _options(form: PixelFormat, pixels: PixelElement) -> dict[str, Any]:
    """Decoding options of pydicom for data without their dataset."""
    return {
        "decoding_plugin": _PLUGIN.get(pixels.transfer_syntax_uid, ""),
        "pixel_keyword": pixels.keyword,
        "rows": form.rows,
        "columns": form.columns,
        "samples_per_pixel": 1,
        "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored,
        "pixel_representation": int(form.is_signed),
        "photometric_interpretation": form.photometric_interpretation,
        "number_of_frames": form.number_of_frames,
    }


def _needs_isolation(instance: Instance) -> bool:
    """Whether the frames are in a JPEG that only GDCM decodes: it may abort on damaged ones."""
    pixels = instance.pixels
    return pixels is not None and pixels.is_encapsulated and pixels.transfer_syntax_uid in _JPEG


def _job(instance: Instance, numbers: list[int]) -> DecodeJob:
    pixels = instance.pixels
    assert pixels is not None
    options = _options(instance.format, pixels)
    return DecodeJob(instance.path, pixels.offset, tuple(numbers), pixels.transfer_syntax_uid, options)


def _fill_inflated(instance: Instance, numbers: list[int], out: NDArray[Any]) -> None:
    values = pydicom.dcmread(instance.path).pixel_array
    frames = values.reshape(-1, *out.shape[1:])
    out[...] = frames[numbers]


def _used_bits(values: NDArray[Any], form: PixelFormat) -> NDArray[Any]:
    """Values of the bits that are in use (PS3.5 8.1.1); the others may hold overlays or nothing.

    In place. Signed values that are already extended stay as they are.
    """
    if values.dtype.kind == "f" or form.bits_stored == form.bits_allocated:
        return values
    below = max(0, form.high_bit + 1 - form.bits_stored)
    above = form.bits_allocated - form.bits_stored - below
    limit = 1 << (form.bits_stored - (1 if form.is_signed else 0))
    inside = values.max() < limit and values.min() >= (-limit if form.is_signed else 0)
    if (below == 0 and inside) or above < 0:
        return values
    np.left_shift(values, above, out=values)
    np.right_shift(values, above + below, out=values)
    return values


def _refusal(instance: Instance, found: str, expected: str, remedy: str = "") -> PixelError:
    return PixelError(found, where=instance.path.name, expected=expected, remedy=remedy)
