"""The skeletons of a patient: the embedded networks, another program, or files that it left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from osteotrace import __version__
from osteotrace.anatomy.adapters import run_totalsegmentator
from osteotrace.anatomy.choose import choose
from osteotrace.anatomy.files import LabelFiles, anatomies_of_files
from osteotrace.anatomy.keep import as_stored, key_of, load, networks_digest, save
from osteotrace.anatomy.segment import segment
from osteotrace.errors import ProgramError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Region, Volume
from osteotrace.model.patient import PatientImages
from osteotrace.model.problem import Problem
from osteotrace.model.skeleton import NotRead
from osteotrace.model.values import Severity
from osteotrace.space import threads

Progress = Callable[[str, int, int], None]

Program = Literal["builtin", "totalsegmentator", "none"]

Source = Program | LabelFiles
"""What ``--anatomy`` asks for."""

PROGRAMS: Final[tuple[Program, ...]] = ("builtin", "totalsegmentator", "none")

_AT_ONCE: Final = 2  # volumes: while the network reads one, what it said of another is put in order
_NOT_ASKED: Final = "no skeleton was asked for (--anatomy none)"


@dataclass(frozen=True, eq=False)  # no slots: the digest is kept
class Skeletons:
    """What is known of the bones of a patient.

    Attributes
    ----------
    anatomies : tuple of Anatomy
        Of the volumes that were read, in the order of exams.
    not_read : tuple of NotRead
        The other volumes, each with the reason.
    problems : tuple of Problem
        Limits of the anatomies, and why nothing was read where nothing was. None of them leaves an exam out.
    """

    anatomies: tuple[Anatomy, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    problems: tuple[Problem, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Over all labels and who made them: whatever rests on the skeletons changes with it."""
        digest = hashlib.sha256()
        for one in self.anatomies:
            digest.update(f"{one.series_id}\0{one.made_by}\0{one.bones!r}\0".encode())
            for part in as_stored(one.labels):
                digest.update(part)
        return digest.hexdigest()[:24]


def source_of(text: str) -> Source:
    """Read the value of ``--anatomy``.

    Raises
    ------
    DeclarationError
        Neither a program nor a file or folder.
    """
    for program in PROGRAMS:
        if text == program:
            return program
    return LabelFiles.parse(text)


def read(
    images: PatientImages,
    criteria: Criteria,
    *,
    source: Source = "builtin",
    wanted: Collection[str] = (),
    regions: Sequence[Region] = (),
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Skeletons:
    """Find the bones of a patient.

    Parameters
    ----------
    wanted : collection of str
        Ids of series that are read in any case.
    regions : sequence of Region
        Segments of DICOM SEG that are bones, where the source is files.
    cache : Path, optional
        Folder in which each skeleton is kept as soon as it is there, and from which it is taken again.
    progress : callable, optional
        Called with ("skeleton", done, total).

    Raises
    ------
    DeclarationError, RegionError
        Files that cannot be used.
    ProgramError
        TotalSegmentator was asked for and cannot be run.
    """
    if source == "none":
        return Skeletons((), _rest(images, (), _NOT_ASKED))
    if isinstance(source, LabelFiles):
        anatomies = anatomies_of_files(source, regions, images)
        left = _rest(images, anatomies, "no label map was given for this series")
        return Skeletons(anatomies, left, _problems(anatomies))
    choice = choose(images, criteria, wanted)
    anatomies_read: list[Anatomy] = []
    pool = ThreadPoolExecutor(min(_AT_ONCE, threads()) if source == "builtin" else 1)
    try:
        coming = [pool.submit(_kept, volume, source, criteria, cache) for volume in choice.volumes]
        for done, one in enumerate(coming):
            if progress is not None:
                progress("skeleton", done, len(choice.volumes))
            anatomies_read.append(one.result())
    except ProgramError as error:
        if source != "builtin":
            raise
        return Skeletons((), _rest(images, (), error.found), (_unavailable(error),))
    finally:
        pool.shutdown(cancel_futures=True)
    if progress is not None and choice.volumes:
        progress("skeleton", len(choice.volumes), len(choice.volumes))
    return Skeletons(tuple(anatomies_read), choice.not_read, _problems(anatomies_read))


def _kept(volume: Volume, source: Program, criteria: Criteria, cache: Path | None) -> Anatomy:
    """The skeleton of a volume, from the cache where it is there."""
    if cache is None:
        return _made(volume, source)
    key = key_of(volume, source, __version__, criteria.sha256, networks_digest())
    file = cache / f"skeleton-{key}.npz"
    kept = load(file)
    if kept is not None:
        return kept
    made = _made(volume, source)
    save(made, file)
    return made


def _made(volume: Volume, source: Program) -> Anatomy:
    return (
        run_totalsegmentator(volume, threads=threads()) if source == "totalsegmentator" else segment(volume)
    )


def _rest(images: PatientImages, anatomies: Sequence[Anatomy], reason: str) -> tuple[NotRead, ...]:
    there = {anatomy.series_id for anatomy in anatomies}
    return tuple(NotRead(v.series.id, reason) for v in images.volumes if v.series.id not in there)


def _problems(anatomies: Sequence[Anatomy]) -> tuple[Problem, ...]:
    """Limits of the skeletons; an exam stays in use without a skeleton, so nothing counts as left out."""
    return tuple(as_limit(p) for anatomy in anatomies for p in anatomy.problems)


def as_limit(problem: Problem) -> Problem:
    """A problem that leaves no exam out: excluded becomes information."""
    excluded = problem.severity in (Severity.EXCLUDED, Severity.REFUSED)
    return replace(problem, severity=Severity.INFO) if excluded else problem


def _unavailable(error: ProgramError) -> Problem:
    return Problem(
        Severity.WARNING,
        "no-skeleton",
        f"bones were not searched and vertebrae have no level: {error.found}",
        expected=error.expected,
        remedy=error.remedy,
    )
