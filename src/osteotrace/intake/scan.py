"""What is in a folder: one pass over the headers of all files."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from osteotrace.errors import NothingFoundError, UnreadableFileError
from osteotrace.intake import header as hd
from osteotrace.intake import storage
from osteotrace.intake.dicom_file import DicomFile, pixel_format, read_dicom
from osteotrace.intake.duplicates import without_duplicates
from osteotrace.intake.identity import Identity, PatientKey, identity_of
from osteotrace.intake.instance import Instance
from osteotrace.intake.region_object import RegionObject
from osteotrace.intake.regions import REGION_SOP_CLASSES
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Severity

Progress = Callable[[str, int, int], None]

_NIFTI_ENDINGS = (".nii", ".nii.gz")
# Files that belong to the input but are no image.
_COMPANIONS = frozenset({".toml"})
_WARNINGS_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class PatientScan:
    """The files of one patient, headers only.

    Attributes
    ----------
    key : PatientKey
        What told this patient from others.
    identities : tuple of Identity
        The different names, birth dates and sexes in the headers; one when they agree.
    instances : tuple of Instance
        Image files.
    drawings : tuple of RegionObject
        RTSTRUCT, SEG and SR.
    mappings : tuple of Path
        Real World Value Mapping files.
    nifti : tuple of Path
        NIfTI files; they belong to the only patient of the scan.
    """

    key: PatientKey
    identities: tuple[Identity, ...]
    instances: tuple[Instance, ...]
    drawings: tuple[RegionObject, ...] = ()
    mappings: tuple[Path, ...] = ()
    nifti: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def n_files(self) -> int:
        """Number of files."""
        return len(self.instances) + len(self.drawings) + len(self.mappings) + len(self.nifti)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What was found.

    Attributes
    ----------
    patients : tuple of PatientScan
        In order of Patient ID.
    problems : tuple of Problem
        Of files that belong to no patient.
    files : tuple of Path
        All files that were seen, in order.
    kinds : tuple of (str, int)
        How many files of what kind were seen, most frequent first.
    """

    patients: tuple[PatientScan, ...]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    kinds: tuple[tuple[str, int], ...]


def scan(path: Path, progress: Progress | None = None) -> Scan:
    """Read the headers of everything under a path.

    Parameters
    ----------
    path : Path
        A file or a folder of any depth; links are followed once.
    progress : callable, optional
        Called with ("scan", done, total).

    Raises
    ------
    NothingFoundError
        When the path does not exist.
    """
    if not os.path.lexists(path):
        raise NothingFoundError(
            "there is no such file or folder", where=path.name, expected="a folder with DICOM"
        )
    collected = _Collected()
    files = tuple(_files(path, collected))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n, file in enumerate(files):
            _take(collected, file, caught)
            if progress is not None:
                progress("scan", n + 1, len(files))
        return collected.result(files)


class _Collected:
    """What the pass has found so far; lives only inside :func:`scan`."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.instances: dict[PatientKey, list[Instance]] = {}
        self.drawings: dict[PatientKey, list[RegionObject]] = {}
        self.mappings: dict[PatientKey, list[Path]] = {}
        self.identities: dict[PatientKey, dict[Identity, None]] = {}
        self.others: dict[tuple[PatientKey, str, str], int] = {}
        self.nifti: list[Path] = []
        self.warned: dict[str, list[str]] = {}

    def result(self, files: tuple[Path, ...]) -> Scan:
        keys = sorted(self.identities)
        if self.nifti and not keys:
            keys = [PatientKey("", "", "")]
        problems = [*self.problems, *self._not_dicom(), *self._warnings()]
        patients = tuple(self._patient(key, self.nifti if len(keys) == 1 else []) for key in keys)
        if len(keys) > 1 and self.nifti:
            problems.append(_nifti_of_nobody(len(self.nifti)))
        return Scan(patients, tuple(problems), files, tuple(self.kinds.most_common()))

    def _patient(self, key: PatientKey, nifti: list[Path]) -> PatientScan:
        instances, problems = without_duplicates(self.instances.get(key, []))
        return PatientScan(
            key,
            tuple(self.identities.get(key, {})),
            instances,
            tuple(self.drawings.get(key, [])),
            tuple(self.mappings.get(key, [])),
            tuple(nifti),
            (*problems, *self._other_objects(key)),
        )

    def _other_objects(self, key: PatientKey) -> Iterator[Problem]:
        for (owner, sop_class, series), count in self.others.items():
            if owner == key:
                name = storage.class_name(sop_class)
                yield Problem(
                    Severity.EXCLUDED,
                    "not-an-image",
                    f"{_file_words(count)} of {name}",
                    f"series {series or 'without UID'}",
                )

    def _not_dicom(self) -> Iterator[Problem]:
        for kind, count in self.kinds.most_common():
            if kind.startswith("."):
                yield Problem(
                    Severity.INFO,
                    "not-dicom",
                    f"{_file_words(count)} {kind} {'is' if count == 1 else 'are'} neither DICOM nor NIfTI",
                )

    def _warnings(self) -> Iterator[Problem]:
        for message, names in self.warned.items():
            where = ", ".join(names[:_WARNINGS_SHOWN]) + (" ..." if len(names) > _WARNINGS_SHOWN else "")
            yield Problem(Severity.INFO, "header", f"{len(names)} files: {message}", where)


def _nifti_of_nobody(count: int) -> Problem:
    return Problem(
        Severity.EXCLUDED,
        "nifti",
        f"{count} NIfTI files beside DICOM of more than one patient",
        expected="one patient",
        remedy="give one folder per patient",
    )


def _take(collected: _Collected, file: Path, caught: list[warnings.WarningMessage]) -> None:
    caught.clear()
    if file.name.lower().endswith(_NIFTI_ENDINGS):
        collected.nifti.append(file)
        collected.kinds["NIfTI"] += 1
        return
    try:
        found = read_dicom(file)
    except UnreadableFileError as error:
        collected.problems.append(problem_of(error))
        collected.kinds["unreadable"] += 1
        return
    if found is None:
        suffix = file.suffix.lower()
        collected.kinds["companion" if suffix in _COMPANIONS else suffix or ".(no ending)"] += 1
        return
    _take_dicom(collected, found)
    for warning in caught:
        message = _without_values(str(warning.message))
        collected.warned.setdefault(message, []).append(file.name)


def _without_values(message: str) -> str:
    """First sentence of a warning without what stands in quotes: it may be a name."""
    parts = message.split("\n")[0].split("'")
    return "'…'".join(parts[::2]) if len(parts) > 1 else parts[0]


def _take_dicom(collected: _Collected, found: DicomFile) -> None:
    header = found.header
    sop_class, sop_uid = hd.text(header, "SOPClassUID"), hd.text(header, "SOPInstanceUID")
    if sop_class == storage.DICOMDIR or "DirectoryRecordSequence" in header:
        collected.kinds["DICOMDIR"] += 1
        return
    ends_early = found.pixels is None and not hd.text(header, "SeriesInstanceUID")
    if not sop_class or not sop_uid or ends_early:
        collected.kinds["unreadable"] += 1
        collected.problems.append(problem_of(_damaged(found.path)))
        return
    collected.kinds["DICOM"] += 1
    key, identity = identity_of(header)
    collected.identities.setdefault(key, {})[identity] = None
    modality, series = hd.text(header, "Modality"), hd.text(header, "SeriesInstanceUID")
    if storage.is_image(sop_class, modality):
        collected.instances.setdefault(key, []).append(_instance(found))
    elif sop_class in REGION_SOP_CLASSES:
        collected.drawings.setdefault(key, []).append(_drawing(found))
    elif sop_class == storage.REAL_WORLD_VALUE_MAPPING:
        collected.mappings.setdefault(key, []).append(found.path)
    else:
        other = (key, sop_class, series)
        collected.others[other] = collected.others.get(other, 0) + 1


def _file_words(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _damaged(path: Path) -> UnreadableFileError:
    return UnreadableFileError(
        "the DICOM header does not say what the file is, or ends before",
        where=path.name,
        expected="SOP Class UID, SOP Instance UID and Series Instance UID",
        remedy="export the file again",
    )


def _instance(found: DicomFile) -> Instance:
    header = found.header
    sop_class = hd.text(header, "SOPClassUID")
    return Instance(
        path=found.path,
        sop_class_uid=sop_class,
        sop_instance_uid=hd.text(header, "SOPInstanceUID"),
        series_instance_uid=hd.text(header, "SeriesInstanceUID") or "unnamed series",
        study_instance_uid=hd.text(header, "StudyInstanceUID"),
        modality=storage.modality_of(sop_class),
        instance_number=hd.whole(header, "InstanceNumber"),
        header=header,
        pixels=found.pixels,
        format=pixel_format(header),
    )


def _drawing(found: DicomFile) -> RegionObject:
    header = found.header
    return RegionObject(
        path=found.path,
        sop_class_uid=hd.text(header, "SOPClassUID"),
        sop_instance_uid=hd.text(header, "SOPInstanceUID"),
        series_instance_uid=hd.text(header, "SeriesInstanceUID"),
        study_instance_uid=hd.text(header, "StudyInstanceUID"),
        frame_of_reference_uid=hd.text(header, "FrameOfReferenceUID"),
    )


def _files(path: Path, collected: _Collected) -> Iterator[Path]:
    """Files under a path in order of name; each real folder once, so that loops of links end.

    What is no regular file (a pipe, a device, a link that leads nowhere) is recorded and never opened: to
    open a pipe waits for ever.
    """
    for file in _entries(path, collected):
        if file.is_file():
            yield file
        else:
            kind = "a link that leads nowhere" if file.is_symlink() else "no regular file"
            error = UnreadableFileError(
                f"this is {kind}", where=file.name, expected="a file", remedy="remove it"
            )
            collected.problems.append(problem_of(error))
            collected.kinds["unreadable"] += 1


def _entries(path: Path, collected: _Collected) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    seen: set[Path] = set()

    def refused(error: OSError) -> None:
        unreadable = UnreadableFileError(
            f"the folder cannot be opened ({type(error).__name__})",
            where=Path(error.filename or "").name,
            remedy="check its permissions",
        )
        collected.problems.append(problem_of(unreadable))

    for folder, folders, names in os.walk(path, onerror=refused, followlinks=True):
        real = Path(os.path.realpath(folder))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))
