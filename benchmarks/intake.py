"""Voxels, affine and seconds of the intake against dcm2niix, on every image series under a folder.

Each folder with DICOM files directly in it is read by :func:`osteotrace.intake.read_study` and converted by
the native dcm2niix of the PyPI package, three times each; the best time counts. Both results are brought to
one order of axes. A series is equal when

- every voxel of the rescaled image is the same: exactly for whole numbers, to 1e-6 relative for floats (an
  SUV is first divided by its factor, which dcm2niix does not apply);
- every step of the lattice, and the place of the slice at which dcm2niix anchors the stack, are the same to
  1e-3 mm.

dcm2niix takes the slice step from one pair of slices, in single precision. Where the positions in the header
are uneven in their last digits, its far end drifts from them. The column "far end" shows how far the two
lattices part there; it is no part of the verdict.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dcm2niix
import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

from _common import SeriesFiles, arguments, dicom_folders, finish, nothing_found, table, unpacked
from osteotrace.errors import OsteotraceError
from osteotrace.intake import read_study
from osteotrace.model.imaging import NuclearFacts, Volume
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Quantity

REPEATS = 3
AFFINE_TOLERANCE_MM = 1e-3
VOXEL_TOLERANCE = 1e-6
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
REASONS = {
    "RTSTRUCT": "contours, no image",
    "RWV": "a mapping of values, no image",
    "SEG": "a segmentation: a region, not an image",
    "SR": "a report, no image",
}
COLUMNS = (
    "folder",
    "series",
    "image",
    "shape",
    "voxels",
    "affine mm",
    "far end mm",
    "s",
    "dcm2niix s",
    "verdict",
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Values and where they are, in an order of axes as near to LPS as the lattice allows.

    Attributes
    ----------
    values : ndarray, shape (i, j, k)
        Rescaled values as the header says (no SUV).
    affine : ndarray, shape (4, 4)
        Index to LPS mm.
    """

    values: NDArray[Any]
    affine: FloatArray


@dataclass(frozen=True, slots=True)
class Difference:
    """How two lattices of one series differ; ``why`` is empty when they are equal by the rules above."""

    voxels: float
    step_mm: float
    far_end_mm: float
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One image series in both readers; seconds belong to the folder that it lies in."""

    folder: str
    series: SeriesFiles
    shape: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What one folder gave, and its seconds; of the ``unpaired`` series the peer wrote nothing."""

    comparisons: tuple[Comparison, ...]
    unpaired: tuple[SeriesFiles, ...]
    ours_s: float
    theirs_s: float


def canonical(values: NDArray[Any], affine: FloatArray) -> Lattice:
    """Flip and swap axes until i, j, k run along L, P, S as closely as they can."""
    to_ras = nibabel.orientations.io_orientation(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    to_lps = nibabel.orientations.ornt_transform(to_ras, nibabel.orientations.axcodes2ornt("LPS"))
    moved = nibabel.orientations.apply_orientation(values, to_lps)
    return Lattice(moved, affine @ nibabel.orientations.inv_ornt_aff(to_lps, values.shape))


def rescaled(volume: Volume) -> NDArray[Any]:
    """Values as the rescale attributes give them: an SUV without its factor."""
    facts = volume.series.facts
    if volume.series.quantity is Quantity.SUVBW and isinstance(facts, NuclearFacts) and facts.suv_factor:
        return volume.values.astype(np.float64) / facts.suv_factor
    return volume.values


def of_peer(path: Path) -> Iterator[Lattice]:
    """Read the volumes of a NIfTI file that dcm2niix wrote; RAS becomes LPS."""
    image = nibabel.Nifti1Image.from_filename(path)
    values = np.asarray(image.dataobj)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    for extra in np.ndindex(values.shape[3:]):
        yield canonical(values[(..., *extra)], affine)


def corners(lattice: Lattice, slice_axis: int, end: int) -> FloatArray:
    """Voxel centres at the four corners of the first (0) or last (-1) slice; LPS mm, shape (4, 3)."""
    ends = [[0, n - 1] for n in lattice.values.shape]
    ends[slice_axis] = [ends[slice_axis][end]]
    index = np.array(list(itertools.product(*ends)), dtype=np.float64)
    return np.asarray(index @ lattice.affine[:3, :3].T + lattice.affine[:3, 3])


def voxel_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest relative difference of two images of one shape; infinite where only one of them is zero."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if np.array_equal(a, b):
        return 0.0
    parts = a != b
    with np.errstate(divide="ignore"):
        return float((np.abs(a - b)[parts] / np.abs(b)[parts]).max())


def compare(ours: Lattice, theirs: Lattice, slice_axis: int) -> Difference:
    """Compare one volume of each reader.

    Parameters
    ----------
    slice_axis : int
        The axis of the canonical order along which slices were stacked.
    """
    if ours.values.shape != theirs.values.shape:
        return Difference(np.inf, np.inf, np.inf, f"shape {theirs.values.shape} in dcm2niix")
    voxels = voxel_difference(ours.values, theirs.values)
    ends = [np.abs(corners(ours, slice_axis, e) - corners(theirs, slice_axis, e)).max() for e in (0, -1)]
    step = np.abs(ours.affine[:3, :3] - theirs.affine[:3, :3]).max()
    affine = float(max(step, min(ends)))
    whole = np.issubdtype(theirs.values.dtype, np.integer)
    why = "voxels differ" if voxels > (0.0 if whole else VOXEL_TOLERANCE) else ""
    if affine > AFFINE_TOLERANCE_MM:
        why = f"{why}; lattice differs".removeprefix("; ")
    return Difference(voxels, affine, float(max(ends)), why)


def run_peer(folder: Path, out: Path) -> None:
    """Convert a folder with the native dcm2niix, uncompressed, files named by Series Instance UID."""
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "%j", "-o", str(out), str(folder)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def best_seconds(action: Callable[[], object]) -> float:
    """Shortest of three runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def time_peer(folder: Path, out: Path) -> float:
    """Shortest of three conversions, each to a new folder; the last one is kept in ``out``."""

    def once() -> None:
        target = out / str(len(list(out.iterdir())))
        target.mkdir()
        run_peer(folder, target)

    return best_seconds(once)


def compare_series(folder: str, series: SeriesFiles, images: PatientImages, peer: Path) -> Comparison:
    """Pair the volumes of one series in both readers and keep the worst difference."""
    volumes = [v for v in images.volumes if v.series.series_instance_uid == series.uid]
    theirs = [lattice for path in sorted(peer.glob(f"{series.uid}*.nii")) for lattice in of_peer(path)]
    shape = " + ".join("x".join(str(n) for n in v.grid.shape) for v in volumes) or "-"
    if not volumes or len(volumes) != len(theirs):
        why = f"{len(volumes)} volumes here, {len(theirs)} in dcm2niix"
        return Comparison(folder, series, shape, Difference(np.inf, np.inf, np.inf, why))
    pairs = [min((_compared(v, t) for t in theirs), key=_badness) for v in volumes]
    return Comparison(folder, series, shape, max(pairs, key=_badness))


def _compared(volume: Volume, theirs: Lattice) -> Difference:
    ours = canonical(rescaled(volume), np.array(volume.grid.affine))
    slice_axis = int(np.abs(volume.grid.affine[:3, 2]).argmax())
    return compare(ours, theirs, slice_axis)


def _badness(difference: Difference) -> tuple[bool, float, float]:
    return (bool(difference.why), difference.voxels, difference.step_mm)


def measure_folder(root: Path, folder: Path, series: tuple[SeriesFiles, ...]) -> FolderResult:
    """Read one folder with both readers, three times each, and compare what they found."""
    name = str(folder.relative_to(root))
    try:
        ours_s = best_seconds(lambda: read_study(folder))
        images = read_study(folder)
    except OsteotraceError as error:
        difference = Difference(np.inf, np.inf, np.inf, f"refused: {error}")
        return FolderResult(tuple(Comparison(name, s, "-", difference) for s in series), (), 0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="osteotrace-peer-") as out:
        theirs_s = time_peer(folder, Path(out))
        peer = Path(out) / "0"
        paired = tuple(s for s in series if any(peer.glob(f"{s.uid}*.nii")))
        pairs = tuple(compare_series(name, s, images, peer) for s in paired)
    return FolderResult(pairs, tuple(s for s in series if s not in paired), ours_s, theirs_s)


def exclusion(series: SeriesFiles) -> str:
    """Why a series is no volume to compare; empty when it is one."""
    if series.modality in REASONS:
        return REASONS[series.modality]
    if not series.has_pixels:
        return "no pixels"
    header = pydicom.dcmread(series.files[0], stop_before_pixels=True)
    if "ImageOrientationPatient" not in header and "SharedFunctionalGroupsSequence" not in header:
        return "planar view: no position" if series.modality == "NM" else "no position in the patient"
    if "LOCALIZER" in header.get("ImageType", ()):
        return "localizer: planning slices, no volume"
    return "one slice: no volume" if len(series.files) * int(header.get("NumberOfFrames") or 1) == 1 else ""


def rows_of(result: FolderResult) -> Iterator[tuple[object, ...]]:
    """Table rows of one folder; its seconds stand in the first."""
    for n, pair in enumerate(result.comparisons):
        times = (f"{result.ours_s:.3f}", f"{result.theirs_s:.3f}") if n == 0 else ("", "")
        d = pair.difference
        syntax = " JPEG-LS" if pair.series.transfer_syntax in JPEG_LS else ""
        image = f"{pair.series.modality}{syntax}"
        verdict = d.why or "equal"
        numbers = (f"{d.voxels:.1e}", f"{d.step_mm:.1e}", f"{d.far_end_mm:.1e}")
        yield (pair.folder, f"...{pair.series.uid[-10:]}", image, pair.shape, *numbers, *times, verdict)


def ratio(results: list[FolderResult]) -> float | None:
    """Our seconds over dcm2niix seconds, summed; None when nothing was timed."""
    theirs = sum(r.theirs_s for r in results)
    return round(sum(r.ours_s for r in results) / theirs, 3) if theirs else None


def is_jpeg_ls_ct(result: FolderResult) -> bool:
    """Whether the folder holds JPEG-LS CT."""
    return any(c.series.modality == "CT" and c.series.transfer_syntax in JPEG_LS for c in result.comparisons)


def main() -> None:
    """Compare, print the table of what was left out, the table of images, and the JSON line."""
    data = arguments("intake against dcm2niix")
    results: list[FolderResult] = []
    excluded: list[tuple[str, str, str]] = []
    with unpacked(data) as root:
        for folder, found in dicom_folders(root).items():
            left_out = {s.uid: why for s in found if (why := exclusion(s))}
            images = tuple(s for s in found if s.uid not in left_out)
            if images:
                results.append(measure_folder(root, folder, images))
                left_out |= {s.uid: "dcm2niix writes nothing of it" for s in results[-1].unpaired}
            name = str(folder.relative_to(root))
            excluded += [
                (name, f"{s.modality} ...{s.uid[-10:]}", left_out[s.uid]) for s in found if s.uid in left_out
            ]
    pairs = [pair for result in results for pair in result.comparisons]
    if not pairs:
        nothing_found(data)
    table("left out, as there is no volume to compare", ("folder", "series", "why"), excluded)
    table("intake against dcm2niix", COLUMNS, [row for r in results for row in rows_of(r)])
    finish(
        series=len(pairs),
        equal=sum(not pair.difference.why for pair in pairs),
        excluded=len(excluded),
        ratio_vs_dcm2niix=ratio(results),
        ratio_jpegls=ratio([r for r in results if is_jpeg_ls_ct(r)]),
    )


if __name__ == "__main__":
    main()
