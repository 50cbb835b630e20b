"""What the fuzzer starts from: small real files of every kind, and the tiny synthetic patient."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from _common import ARCHIVE_SUFFIX
from _tiny import (
    compress,
    write_contours,
    write_dose,
    write_enhanced_ct,
    write_images,
    write_segmentation,
)

_SLICES = 3  # of a series; two make a volume
_CONTEXT = 2  # series beside a drawing
_MEMBERS_READ = 40  # of an archive
_LARGEST = 1_500_000  # bytes of a seed file
_IMAGES = frozenset({"CT", "MR", "NM", "PT"})

CASE_TOML = """\
[patient]
id = "P01"
sex = "M"
age_years = 39

[[event]]
kind = "radiotherapy"
date = 2000-10-02
text = "T11 to L2"
dose_gy = 36.0
fractions = 20

[[event]]
kind = "reading"
day = 3
modality = "MR"
lesions = ["mass T12"]

[[image]]
file = "t1.nii.gz"
modality = "MR"
quantity = "MR signal"
date = 2000-09-03
weighting = "T1W"
fat_suppression = false
frame = "spine"

[[image]]
file = "mask.nii.gz"
mask_of = "t1.nii.gz"
labels = { 1 = "L1 lesion", 2 = "L5 lesion" }
"""
CORRECTIONS_TOML = """\
[[same]]
lesions = ["E1-R1", { source_uid = "1.2.3.4", number = 2 }]
by = "reader 1"
date = 2000-10-01

[[different]]
lesions = ["E1-R1", "E1-R2"]

[[not_a_lesion]]
lesion = { tracking_uid = "2.25.77" }
note = "haemangioma"

[[add_mask]]
file = "mask.nii.gz"
series = "1.2.840.1.5"
name = "left iliac wing"

[[replace_mask]]
lesion = "E2-R1"
file = "mask.nii.gz"
label = 1
"""
SIDECAR_TOML = 'modality = "MR"\nquantity = "MR signal"\ndate = 2000-09-03\nweighting = "T1W"\n'
MASK_TOML = 'mask_of = "t1.nii.gz"\nlabels = { 1 = "a", 2 = "b" }\n'


@dataclass(frozen=True, slots=True)
class Seed:
    """Files that go into one folder together, and which of them are to be damaged.

    Attributes
    ----------
    kind : str
        Row of the table, for example ``CT JPEG-LS``.
    files : tuple of (str, bytes)
        Name and content.
    targets : tuple of str
        Names of the files that are mutated.
    """

    kind: str
    files: tuple[tuple[str, bytes], ...]
    targets: tuple[str, ...]

    @property
    def is_dicom(self) -> bool:
        """Whether the targets are DICOM."""
        return self.targets[0].endswith(".dcm")


def seeds(data: Path | None) -> tuple[Seed, ...]:
    """All seeds, in an order that depends on the data alone."""
    return (*_synthetic(), *(_real(data) if data is not None else ()))


def _synthetic() -> Iterator[Seed]:
    with tempfile.TemporaryDirectory(prefix="osteotrace-fuzz-seeds-") as name:
        root = Path(name)
        for channel in ("CT", "PT", "T1"):
            yield _seed(f"synthetic {channel}", write_images(root / channel, channel)[:_SLICES])
        through_lesion = sorted((root / "CT").glob("IM*.dcm"))[4:8]
        context = {p.name: p.read_bytes() for p in through_lesion}
        for kind, path in (
            ("synthetic RTSTRUCT", write_contours(root / "rt.dcm")),
            ("synthetic SEG", write_segmentation(root / "seg.dcm")),
        ):
            files = context | {path.name: path.read_bytes()}
            yield Seed(kind, tuple(sorted(files.items())), (path.name,))
        yield _seed("synthetic enhanced CT", (write_enhanced_ct(root / "enhanced.dcm"),))
        yield _seed("synthetic dose", (write_dose(root / "dose.dcm"),))
        for words, syntax in (
            ("RLE", RLELossless),
            ("JPEG-LS", JPEGLSLossless),
            ("JPEG 2000", JPEG2000Lossless),
        ):
            series = write_images(root / words, "CT")[:_SLICES]
            yield _seed(f"synthetic CT {words}", tuple(compress(path, UID(syntax)) for path in series))
    yield from _nifti(_volume(np.int16), _labels())
    yield from _declarations(_volume(np.int16), _labels())


def _seed(kind: str, paths: tuple[Path, ...]) -> Seed:
    return Seed(kind, tuple((p.name, p.read_bytes()) for p in paths), tuple(p.name for p in paths))


def _nifti(image: bytes, mask: bytes, kind: str = "synthetic NIfTI") -> Iterator[Seed]:
    files = {
        "t1.nii.gz": image,
        "t1.toml": SIDECAR_TOML.encode(),
        "mask.nii.gz": mask,
        "mask.toml": MASK_TOML.encode(),
    }
    yield Seed(f"{kind} image", tuple(files.items()), ("t1.nii.gz",))
    yield Seed(f"{kind} mask", tuple(files.items()), ("mask.nii.gz",))
    plain = files | {"t1.nii": gzip.decompress(image)}
    del plain["t1.nii.gz"]
    plain["mask.toml"] = MASK_TOML.replace(".gz", "").encode()
    yield Seed(f"{kind} unpacked", tuple(plain.items()), ("t1.nii",))


def _declarations(image: bytes, mask: bytes) -> Iterator[Seed]:
    files = {"t1.nii.gz": image, "mask.nii.gz": mask}
    for name, content in (("case.toml", CASE_TOML), ("corrections.toml", CORRECTIONS_TOML)):
        yield Seed(name, (*files.items(), (name, content.encode())), (name,))
    for name, content in (("t1.toml", SIDECAR_TOML), ("mask.toml", MASK_TOML)):
        sides = {"t1.toml": SIDECAR_TOML.encode(), "mask.toml": MASK_TOML.encode()} | {name: content.encode()}
        yield Seed("sidecar", (*files.items(), *sides.items()), (name,))


def _volume(dtype: type[np.generic]) -> bytes:
    values = np.random.default_rng(3).integers(0, 900, (12, 10, 6)).astype(dtype)
    return _as_nifti(values)


def _labels() -> bytes:
    labels = np.zeros((12, 10, 6), dtype=np.uint8)
    labels[2:5, 3:6, 1:3], labels[7:9, 3:6, 3:5] = 1, 2
    return _as_nifti(labels)


def _as_nifti(values: np.ndarray) -> bytes:
    image = nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0]))
    return gzip.compress(image.to_bytes(), mtime=0)


def _real(data: Path) -> Iterator[Seed]:
    """One seed for every kind of real file: SOP class, transfer syntax and modality."""
    found: dict[str, Seed] = {}
    for members in _folders(data):
        for seed in _of_folder(members):
            known = found.get(seed.kind)
            if known is None or _rank(seed) < _rank(known):
                found[seed.kind] = seed
    yield from (found[kind] for kind in sorted(found))
    images = sorted(p for p in data.rglob("*.nii.gz") if p.stat().st_size < _LARGEST)
    for path in sorted(images, key=lambda p: (p.stat().st_size, p.name))[:1]:
        yield from _nifti(path.read_bytes(), path.read_bytes(), "real NIfTI")


def _rank(seed: Seed) -> tuple[int, int]:
    """Series of several slices first, then the smallest."""
    return (-len(seed.targets), sum(len(content) for _, content in seed.files))


def _folders(data: Path) -> Iterator[list[tuple[str, bytes]]]:
    """Files that lie together in a folder, or in the archives of a folder."""
    folders: dict[Path, list[tuple[str, bytes]]] = {}
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        members = folders.setdefault(path.parent, [])
        if path.name.endswith(ARCHIVE_SUFFIX):
            members += _of_archive(path)
        elif path.suffix == ".dcm" and len(members) < _MEMBERS_READ:
            members.append((path.name, path.read_bytes()))
    yield from folders.values()


def _of_archive(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path, "r|*") as packed:
        members = ((m.name, packed.extractfile(m)) for m in packed if m.isfile())
        return [
            (name, stream.read()) for name, stream in islice(members, _MEMBERS_READ) if stream is not None
        ]


def _of_folder(members: list[tuple[str, bytes]]) -> Iterator[Seed]:
    by_series: dict[str, list[tuple[float, str, bytes, Dataset]]] = {}
    for name, content in members:
        header = _header(content)
        if header is not None and len(content) <= _LARGEST:
            place = float((header.get("ImagePositionPatient") or [0, 0, 0])[2])
            key = f"{header.get('SeriesInstanceUID')} {_kind(header)}"
            by_series.setdefault(key, []).append((place, name, content, header))
    images = [m[:_SLICES] for m in map(_in_order, by_series.values()) if _modality(m) in _IMAGES]
    images = sorted(images, key=lambda m: len(m[0][2]))[:_CONTEXT]
    for series in map(_in_order, by_series.values()):
        is_image = _modality(series) in _IMAGES
        targets = series[:_SLICES] if is_image else series[:1]
        together = targets if is_image else [*targets, *(m for one in images for m in one)]
        files = {f"{n:02d}.dcm": content for n, (_, _, content, _) in enumerate(together)}
        yield Seed(_kind(series[0][3]), tuple(files.items()), tuple(list(files)[: len(targets)]))


def _in_order(
    series: list[tuple[float, str, bytes, Dataset]],
) -> list[tuple[float, str, bytes, Dataset]]:
    return sorted(series, key=lambda m: m[:2])


def _modality(series: list[tuple[float, str, bytes, Dataset]]) -> str:
    return str(series[0][3].get("Modality", ""))


def _kind(header: Dataset) -> str:
    syntax = UID(header.file_meta.get("TransferSyntaxUID", ""))
    packed = f" {syntax.name.split(',')[0]}" if syntax.is_compressed else ""
    labelmap = " labelmap" if header.get("SegmentationType") == "LABELMAP" else ""
    return f"real {header.get('Modality', '?')}{labelmap}{packed}"


def _header(content: bytes) -> Dataset | None:
    try:
        return pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        return None


__all__ = ["Seed", "seeds"]
