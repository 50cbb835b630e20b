"""The whole result of a run."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Numbering
from osteotrace.model.bone_scan import BoneScan
from osteotrace.model.lesion import Finding, Lesion, LesionTrack
from osteotrace.model.patient import Patient, Timeline
from osteotrace.model.problem import Problem
from osteotrace.model.skeleton import NotRead, Skeleton

SCHEMA_VERSION = "2"
UNNUMBERED = Numbering(())


@dataclass(frozen=True, slots=True)
class StageCost:
    """Time and memory of one stage."""

    stage: str
    seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result comes from.

    Attributes
    ----------
    inputs_sha256 : str
        Over the sorted hashes of all files that were read.
    settings : tuple of (str, str)
        Command line settings that change the result.
    corrections : tuple of str
        Each correction of a person that was honoured, in words.
    """

    osteotrace_version: str
    criteria_version: str
    criteria_sha256: str
    inputs_sha256: str
    n_files: int
    series_instance_uids: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    corrections: tuple[str, ...]
    stages: tuple[StageCost, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Workup:
    """One patient: exams, alignments, skeleton, lesions, findings, identities, problems.

    Attributes
    ----------
    skeletons : tuple of Skeleton
        Of the volumes that were read for bones, those without a spine among them.
    not_read : tuple of NotRead
        The other volumes, each with the reason.
    numbering : Numbering
        The levels of the vertebrae of all skeletons together. Its problems are among those of the workup.
    bone_scans : tuple of BoneScan
        Of the exams with planar images, in order of time.
    """

    patient: Patient
    timeline: Timeline
    alignments: tuple[Alignment, ...]
    lesions: tuple[Lesion, ...]
    findings: tuple[Finding, ...]
    tracks: tuple[LesionTrack, ...]
    problems: tuple[Problem, ...]
    provenance: Provenance
    skeletons: tuple[Skeleton, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    numbering: Numbering = UNNUMBERED
    bone_scans: tuple[BoneScan, ...] = ()
    schema_version: str = SCHEMA_VERSION

    def lesion(self, lesion_id: str) -> Lesion:
        """Lesion of an id."""
        return next(x for x in self.lesions if x.id == lesion_id)

    def findings_of(self, track: LesionTrack) -> tuple[Finding, ...]:
        """Findings of all outlines of a track."""
        return tuple(f for f in self.findings if f.lesion_id in track.lesion_ids)
