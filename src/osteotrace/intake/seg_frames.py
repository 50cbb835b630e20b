"""Frames of a segmentation: their pixels and where each of them lies (DICOM PS3.3 C.8.20.2, C.7.6.16)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, ExplicitVRBigEndian

from osteotrace.errors import PixelError, RegionError
from osteotrace.intake import header as hd
from osteotrace.intake.region_header import numbers, whole
from osteotrace.intake.region_voxels import BESIDE, whole_steps
from osteotrace.space import FloatArray, Grid

# Deflated Image Frame Compression (PS3.5 A.4.13): every frame is a raw deflate stream.
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_MAX_PIXELS = 1 << 26  # of one frame; larger ones come from damaged headers


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where a frame lies.

    Attributes
    ----------
    origin : ndarray, shape (3,)
        Centre of the first pixel; LPS, mm.
    steps : ndarray, shape (3, 2)
        From column to column and from row to row; mm.
    segment : int
        Referenced Segment Number; 0 when the frame is of all segments (labelmap).
    """

    origin: FloatArray
    steps: FloatArray
    segment: int

    @property
    def normal(self) -> FloatArray:
        """Unit vector perpendicular to the frame."""
        cross = np.cross(self.steps[:, 0], self.steps[:, 1])
        return np.asarray(cross / np.linalg.norm(cross))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Pixels of one segment on one frame, cropped to what is set.

    Attributes
    ----------
    start : tuple of int
        Row and column of the first pixel of ``values``.
    """

    plane: Plane
    start: tuple[int, int]
    values: NDArray[np.bool_]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Column and row of every pixel that is set; shape (n, 2)."""
        return np.asarray((np.argwhere(self.values) + self.start)[:, ::-1])

    @property
    def corners(self) -> FloatArray:
        """First and last pixel of the piece; LPS mm, shape (2, 3)."""
        first = np.array(self.start[::-1])
        last = first + np.array(self.values.shape[::-1]) - 1
        return np.asarray(np.array([first, last]) @ self.plane.steps.T + self.plane.origin)


def planes(dataset: Dataset, is_labelmap: bool) -> list[Plane]:
    """Place of every frame, in the order of the pixel data.

    Raises
    ------
    RegionError
        When a frame does not say where it lies.
    """
    shared = hd.first_item(dataset, "SharedFunctionalGroupsSequence")
    groups = hd.items(dataset, "PerFrameFunctionalGroupsSequence")
    n = hd.whole(dataset, "NumberOfFrames")
    if not groups or len(groups) != n:
        raise RegionError(f"{n} frames, but {len(groups)} functional groups", expected="one for every frame")
    return [_plane(group, shared, is_labelmap) for group in groups]


def _plane(group: Dataset, shared: Dataset, is_labelmap: bool) -> Plane:
    position = numbers(_group(group, shared, "PlanePositionSequence"), "ImagePositionPatient", 3)
    axes = numbers(_group(group, shared, "PlaneOrientationSequence"), "ImageOrientationPatient", 6).reshape(
        2, 3
    )
    row_mm, column_mm = numbers(_group(group, shared, "PixelMeasuresSequence"), "PixelSpacing", 2)
    lengths = np.linalg.norm(axes, axis=1)
    square = abs(float(axes[0] @ axes[1]))
    if min(row_mm, column_mm) <= 0 or np.abs(lengths - 1).max() > 1e-3 or square > 1e-3:
        raise RegionError("a frame has no valid orientation or pixel spacing", expected="unit vectors and mm")
    segment = 0
    if not is_labelmap:
        identification = _group(group, shared, "SegmentIdentificationSequence")
        segment = whole(identification, "ReferencedSegmentNumber")
        if segment < 1:
            raise RegionError(f"a frame is of segment {segment}", expected="segment numbers from 1 on")
    return Plane(position, (axes * [[column_mm], [row_mm]]).T, segment)


def _group(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    return next(iter(hd.items(group, keyword)), hd.first_item(shared, keyword))


def slice_spacing(dataset: Dataset) -> float | None:
    """Declared distance of neighbouring slices, mm; None when not told."""
    shared = hd.first_item(dataset, "SharedFunctionalGroupsSequence")
    group = hd.first_item(dataset, "PerFrameFunctionalGroupsSequence")
    measures = _group(group, shared, "PixelMeasuresSequence")
    declared = hd.number(measures, "SpacingBetweenSlices") or hd.number(measures, "SliceThickness")
    return abs(declared) if declared else None


def frames(dataset: Dataset) -> Iterator[NDArray[Any]]:
    """Pixels of every frame, shape (rows, columns), decoded one at a time.

    Raises
    ------
    PixelError
        When they are absent, too few, or cannot be decoded.
    """
    rows, columns = hd.whole(dataset, "Rows"), hd.whole(dataset, "Columns")
    if not 0 < rows * columns <= _MAX_PIXELS or hd.whole(dataset, "SamplesPerPixel", 1) != 1:
        raise PixelError(f"frames of {rows} x {columns} pixels", expected="one sample a pixel")
    syntax = (
        UID(hd.text(dataset.file_meta, "TransferSyntaxUID")) if hasattr(dataset, "file_meta") else UID("")
    )
    try:
        if syntax == _DEFLATED_FRAMES:
            yield from _deflated(dataset, rows, columns)
        elif (
            syntax.is_valid and syntax.is_transfer_syntax and syntax.is_compressed and not syntax.is_deflated
        ):
            yield from iter_pixels(dataset, raw=True)
        else:
            yield from _native(dataset, rows, columns, syntax)
    except PixelError:
        raise
    except Exception as error:  # pydicom and the decoders raise many kinds of error on damaged pixels
        raise PixelError(
            f"the pixels cannot be decoded ({type(error).__name__})",
            where=str(syntax),
            expected="whole frames in a transfer syntax that is known",
        ) from error


def _native(dataset: Dataset, rows: int, columns: int, syntax: UID) -> Iterator[NDArray[Any]]:
    data = bytes(dataset.PixelData)
    bits = hd.whole(dataset, "BitsAllocated")
    if bits not in {1, 8, 16} or (syntax == ExplicitVRBigEndian and bits != 8):
        raise PixelError(f"{bits} bits a pixel", where=str(syntax), expected="1, 8 or 16 bits, little endian")
    n, size = hd.whole(dataset, "NumberOfFrames"), rows * columns
    if len(data) * 8 < n * size * bits:
        held = len(data) * 8 // (size * bits)
        raise PixelError(f"the pixel data hold {held} of {n} frames", expected="a whole file")
    for number in range(n):
        yield _unpacked(data, number * size, size, bits).reshape(rows, columns)


def _unpacked(data: bytes, start: int, count: int, bits: int) -> NDArray[Any]:
    """Pixels from a buffer; a 1-bit frame may begin inside a byte (PS3.5 8.1.1, least significant first)."""
    if bits != 1:
        return np.frombuffer(data, f"<u{bits // 8}", count, start * bits // 8)
    first = start // 8
    packed = np.frombuffer(data, np.uint8, (start + count + 7) // 8 - first, first)
    return np.unpackbits(packed, bitorder="little")[start - 8 * first :][:count]


def _deflated(dataset: Dataset, rows: int, columns: int) -> Iterator[NDArray[Any]]:
    bits, n = hd.whole(dataset, "BitsAllocated"), hd.whole(dataset, "NumberOfFrames")
    limit = rows * columns * max(bits, 1) // 8 + 2
    for frame in generate_frames(dataset.PixelData, number_of_frames=n):
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, limit)
        yield _unpacked(inflated, 0, rows * columns, bits).reshape(rows, columns)


def cropped(plane: Plane, values: NDArray[np.bool_]) -> Piece | None:
    """What is set on a frame (rows, columns); None when nothing is."""
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    if rows.size == 0:
        return None
    cut = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Piece(plane, (int(rows[0]), int(columns[0])), cut.copy())


def on_lattice(pieces: Sequence[Piece], grid: Grid) -> NDArray[np.int64] | None:
    """Voxel indices (n, 3) of all pixels; None when they do not lie on the voxels of a grid.

    Any order and direction of the axes is accepted: the frames of a sagittal segmentation lie on the
    voxels of an axial image when their positions do.
    """
    parts = []
    for piece in pieces:
        reach = np.array(piece.start[::-1], dtype=np.float64) + piece.values.shape[::-1]
        index_map = whole_steps(piece.plane.origin, piece.plane.steps, reach, grid)
        if index_map is None:
            return None
        parts.append(piece.pixels @ index_map[:, :2].T + index_map[:, 2])
    return np.concatenate(parts)


def own_grid(dataset: Dataset, all_planes: Sequence[Plane], frame_uid: str) -> Grid:
    """Lattice of a segmentation by its own positions.

    Raises
    ------
    RegionError
        When its frames are not parallel, or not evenly spaced.
    """
    base = all_planes[0]
    if any(np.abs(p.steps - base.steps).max() > 1e-4 for p in all_planes):
        raise RegionError("the frames of the segmentation are not parallel", expected="one orientation")
    depth = np.array([(p.origin - base.origin) @ base.normal for p in all_planes])
    spacing = _spacing(np.unique(np.round(depth, 4)), slice_spacing(dataset))
    number = np.round((depth - depth.min()) / spacing).astype(np.int64)
    first, last = all_planes[int(depth.argmin())], all_planes[int(depth.argmax())]
    n = int(number.max())
    step = (last.origin - first.origin) / n if n else base.normal * spacing
    error = [p.origin - (first.origin + k * step) for p, k in zip(all_planes, number, strict=True)]
    if np.abs(error).max() > BESIDE * spacing:
        raise RegionError(
            "the frames of the segmentation are not evenly spaced", expected="a regular lattice"
        )
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = base.steps, step, first.origin
    return Grid((hd.whole(dataset, "Columns"), hd.whole(dataset, "Rows"), n + 1), affine, frame_uid)


def _spacing(depths: FloatArray, declared: float | None) -> float:
    """Slice distance: as declared when all distances are multiples of it, else the smallest distance."""
    gaps = np.diff(depths)
    gaps = gaps[gaps > 1e-3]
    if gaps.size == 0:
        if declared is None:
            raise RegionError(
                "one slice of unknown thickness", expected="SpacingBetweenSlices or SliceThickness"
            )
        return declared
    if declared is not None and np.abs(gaps / declared - np.round(gaps / declared)).max() <= BESIDE:
        return declared if (np.round(gaps / declared) >= 1).all() else float(gaps.min())
    return float(gaps.min())
