"""The declared sections of the report."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from osteotrace.model.workup import Workup

_FACTS: Final[Mapping[str, Callable[[Workup], bool]]] = MappingProxyType({
    "always": lambda _: True,
    "has_exams": lambda workup: bool(workup.timeline.exams),
    "has_alignments": lambda workup: bool(workup.alignments),
    "has_skeletons": lambda workup: bool(workup.skeletons or workup.not_read),
    "has_bone_scans": lambda workup: bool(workup.bone_scans),
    "has_tracks": lambda workup: bool(workup.tracks),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the report.

    Attributes
    ----------
    id : str
        Anchor, and name of its template.
    when : str
        Fact of the result that it needs.
    """

    id: str
    title: str
    when: str
    lead: str

    @property
    def template(self) -> str:
        """File name of the template."""
        return f"{self.id}.html"


@cache
def all_sections() -> tuple[Section, ...]:
    """Sections of ``sections.toml``, in their order."""
    text = resources.files("osteotrace.outputs.report").joinpath("sections.toml").read_text(encoding="utf-8")
    return tuple(Section(**entry) for entry in tomllib.loads(text)["section"])


def sections_of(workup: Workup) -> tuple[Section, ...]:
    """The sections that a result needs."""
    return tuple(s for s in all_sections() if _FACTS[s.when](workup))
