"""The skeleton as the result keeps it: what was found in each volume, and which volumes were not read."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.anatomy import Anatomy, Bone, Outlined
from osteotrace.model.fields import LabelsField
from osteotrace.space import LabelImage


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """What was found of the skeleton in one volume.

    Attributes
    ----------
    series_id : str
        The volume.
    bones, structures : tuple
        As in :class:`osteotrace.model.anatomy.Anatomy`.
    searched : tuple of str
        Names that would have been found, had they been in view; in order of the alphabet.
    made_by : str
        Program and version, or model and hash.
    labels : LabelImage or None
        None where nothing was found. In ``workup.json`` a file.
    """

    series_id: str
    bones: tuple[Bone, ...]
    structures: tuple[Outlined, ...]
    searched: tuple[str, ...]
    made_by: str
    labels: LabelsField | None = None

    @classmethod
    def of(cls, anatomy: Anatomy) -> Skeleton:
        """The record of an anatomy; its problems are those of the whole result."""
        labelled = bool(anatomy.bones or anatomy.structures)
        return cls(
            anatomy.series_id,
            anatomy.bones,
            anatomy.structures,
            tuple(sorted(anatomy.searched)),
            anatomy.made_by,
            LabelImage(anatomy.labels, anatomy.grid) if labelled else None,
        )


@dataclass(frozen=True, slots=True)
class NotRead:
    """A volume in which no skeleton was looked for, and why."""

    series_id: str
    reason: str
