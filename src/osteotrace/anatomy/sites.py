"""In which bone, and at which level, each lesion lies: in every exam, and for the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from osteotrace.anatomy.place import Hit, Reach, bone_at, covers, some_points
from osteotrace.model.alignment import Alignment, Route, route
from osteotrace.model.anatomy import Anatomy, Bone, Certainty, NumberedVertebra, Numbering, Possible
from osteotrace.model.criteria import Criteria
from osteotrace.model.label_schemes import structure, structures
from osteotrace.model.lesion import Finding, Lesion, LesionTrack
from osteotrace.model.site import UNASKED, BoneSite, NoSite, Site
from osteotrace.model.values import Verdict
from osteotrace.space import Mask

_NO_BONE: Final = NoSite("no bone was found in any exam")
_NOT_SHOWN: Final = NoSite("no exam with a skeleton shows this place")


def locate(
    lesions: Sequence[Lesion],
    findings: Sequence[Finding],
    anatomies: Sequence[Anatomy],
    alignments: tuple[Alignment, ...],
    numbering: Numbering,
    criteria: Criteria,
) -> tuple[tuple[Lesion, ...], tuple[Finding, ...]]:
    """Say of each lesion, and of each finding, in which bone it lies.

    The skeleton of the very series is asked first, then that of another series in the same frame of
    reference, then those that an alignment reaches, the most exact one first. A finding that was carried over
    to an exam is placed by the skeleton of that exam; where it has none, its site is that of the lesion.

    Returns
    -------
    lesions, findings : tuple
        The same, with their sites.
    """
    scene = _Scene.of(anatomies, alignments, numbering, criteria)
    placed = {lesion.id: scene.site_of(lesion.mask, lesion.series_id) for lesion in lesions}
    return (
        tuple(replace(lesion, site=placed[lesion.id]) for lesion in lesions),
        tuple(replace(f, site=scene.site_of_finding(f, placed)) for f in findings),
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is asked for every lesion."""

    anatomies: tuple[Anatomy, ...]
    alignments: tuple[Alignment, ...]
    numbering: Numbering
    reach: Reach
    least: float
    empty: NoSite

    @classmethod
    def of(
        cls,
        anatomies: Sequence[Anatomy],
        alignments: tuple[Alignment, ...],
        numbering: Numbering,
        criteria: Criteria,
    ) -> _Scene:
        return cls(
            tuple(a for a in anatomies if a.bones),
            alignments,
            numbering,
            Reach.of(criteria),
            criteria.number("numbering.alternative_probability"),
            _NO_BONE if anatomies else UNASKED,
        )

    def site_of(self, mask: Mask, series_id: str) -> Site:
        """Site of a mask that was drawn on a series."""
        frame, centre = mask.grid.frame_of_reference_uid, mask.centroid
        ways = []
        for n, anatomy in enumerate(self.anatomies):
            way = route(self.alignments, frame, anatomy.grid.frame_of_reference_uid)
            carried = way.at(centre) if way is not None else None
            if way is not None and carried is not None and carried.verdict is not Verdict.FAILED:
                own = anatomy.series_id == series_id
                error = 0.0 if own else carried.radius_mm
                ways.append((not own, anatomy.grid.frame_of_reference_uid != frame, error, n, anatomy, way))
        ways.sort(key=lambda w: w[:4])
        return self._first([(w[4], w[5], w[2]) for w in ways], mask)

    def site_of_finding(self, finding: Finding, placed: Mapping[str, Site]) -> Site:
        """Site of a finding: as its lesion where it was drawn, else by a skeleton of the same frame."""
        of_lesion = placed[finding.lesion_id]
        if finding.region == "drawn":
            return of_lesion
        frame = finding.mask.grid.frame_of_reference_uid
        here = [a for a in self.anatomies if a.grid.frame_of_reference_uid == frame]
        here.sort(key=lambda a: a.series_id != finding.series_id)
        way = route((), frame, frame)
        assert way is not None
        answer = self._first([(a, way, finding.error_mm) for a in here], finding.mask)
        return of_lesion if answer in (self.empty, _NOT_SHOWN) else answer

    def _first(self, ways: Sequence[tuple[Anatomy, Route, float]], mask: Mask) -> Site:
        """The first skeleton in which the mask lies in a bone; else why there is none."""
        if not self.anatomies:
            return self.empty
        answer: NoSite = _NOT_SHOWN
        here = some_points(mask)
        for anatomy, way, error_mm in ways:
            points = way.apply(here)
            if not covers(anatomy, points):
                continue
            hit = bone_at(points, anatomy, error_mm, self.reach)
            if hit is not None:
                return self._site(hit, anatomy, error_mm)
            if answer is _NOT_SHOWN:
                answer = NoSite(f"no bone that was found lies within {self.reach.near_mm:g} mm")
        return answer

    def _site(self, hit: Hit, anatomy: Anatomy, error_mm: float) -> BoneSite:
        possible, certainty, reasons = self._level(hit, anatomy)
        bone = f"vertebra {possible[0].level.split('+')[0]}" if possible else hit.bone.name
        known = structures().get(bone) or structure(hit.bone.name)
        return BoneSite(
            bone=bone,
            series_id=anatomy.series_id,
            bone_id=hit.bone.id,
            share=hit.share,
            distance_mm=hit.distance_mm,
            error_mm=error_mm,
            code=known.code,
            laterality=known.laterality,
            part=hit.part,
            possible=possible,
            certainty=certainty,
            also=tuple(self._name(bone, anatomy) for bone in hit.also),
            reasons=reasons,
        )

    def _level(
        self, hit: Hit, anatomy: Anatomy
    ) -> tuple[tuple[Possible, ...], Certainty | None, tuple[str, ...]]:
        own = self._vertebra(hit.bone, anatomy)
        others = [(self._name(bone, anatomy), weight) for bone, weight in hit.rivals]
        doubt = (f"may lie in {' or '.join(name for name, _ in others)} instead",) if others else ()
        if structure(hit.bone.name).kind != "vertebra":
            return (), None, doubt
        if own is None:
            return (), Certainty.UNCERTAIN, doubt
        rivals = [(self._vertebra(bone, anatomy), weight) for bone, weight in hit.rivals]
        mixed = _mixed(
            [(own.possible, 1.0), *((v.possible, w) for v, w in rivals if v is not None)], self.least
        )
        certainty = Certainty.UNCERTAIN if len(mixed) > 1 and doubt else own.certainty
        return mixed, certainty, (*own.reasons, *doubt)

    def _vertebra(self, bone: Bone, anatomy: Anatomy) -> NumberedVertebra | None:
        return self.numbering.of(anatomy.series_id, bone.id)

    def _name(self, bone: Bone, anatomy: Anatomy) -> str:
        vertebra = self._vertebra(bone, anatomy)
        return (vertebra.level if vertebra else None) or bone.name


def _mixed(answers: Sequence[tuple[tuple[Possible, ...], float]], least: float) -> tuple[Possible, ...]:
    """Levels of several answers by their weights, the most probable first; a single answer stays."""
    if len(answers) == 1:
        return answers[0][0]
    total = sum(weight for possible, weight in answers if possible) or 1.0
    table: dict[str, float] = {}
    for possible, weight in answers:
        for one in possible:
            table[one.level] = table.get(one.level, 0.0) + one.probability * weight / total
    ranked = sorted(table.items(), key=lambda item: -item[1])
    return tuple(Possible(level, min(p, 1.0)) for level, p in ranked if p >= least)


@dataclass(frozen=True, slots=True)
class _Vote:
    """What one exam says of the place of a lesion."""

    site: BoneSite
    exam_id: str
    drawn: bool


def locate_tracks(
    tracks: Sequence[LesionTrack],
    lesions: Sequence[Lesion],
    findings: Sequence[Finding],
    criteria: Criteria,
) -> tuple[LesionTrack, ...]:
    """Say of each lesion of the patient in which bone it lies, and which exams disagree.

    A level that is certain or probable comes before uncertain ones, whose exams then disagree and no more.
    Else the bone is the one in which most outlines lie; where they are as many, the one that most exams name,
    and then the one whose place is most exact. Where outlines lie in different bones the level is uncertain.

    Parameters
    ----------
    lesions, findings : sequence
        With their sites, from :func:`locate`.
    """
    least = criteria.number("numbering.alternative_probability")
    by_id = {lesion.id: lesion for lesion in lesions}
    out = []
    for track in tracks:
        members = [by_id[i] for i in track.lesion_ids]
        site, odd = _patient_site(_votes(members, findings), least)
        out.append(replace(track, site=site or members[0].site, site_disagreements=odd))
    return tuple(out)


def _votes(members: Sequence[Lesion], findings: Sequence[Finding]) -> list[_Vote]:
    """Each skeleton's word once for each exam; what was taken over from a lesion is no word of its own."""
    ids = {lesion.id for lesion in members}
    votes = [_Vote(x.site, x.exam_id, drawn=True) for x in members if isinstance(x.site, BoneSite)]
    told = {vote.site for vote in votes}
    for finding in findings:
        site = finding.site
        if finding.lesion_id in ids and isinstance(site, BoneSite) and site not in told:
            told.add(site)
            votes.append(_Vote(site, finding.exam_id, drawn=False))
    return votes


def _patient_site(votes: Sequence[_Vote], least: float) -> tuple[BoneSite | None, tuple[str, ...]]:
    groups: dict[str, list[_Vote]] = {}
    for vote in votes:
        groups.setdefault(vote.site.bone, []).append(vote)
    if not groups:
        return None, ()
    ranked = sorted(groups.values(), key=_rank)
    first, others = ranked[0], ranked[1:]
    site = min(first, key=lambda vote: (not _is_sure(vote.site), _exactness(vote))).site
    against = [[vote for vote in group if _contradicts(vote.site, site)] for group in others]
    odd = dict.fromkeys(f"{vote.exam_id}: {vote.site}" for group in against for vote in group)
    rivals = [
        min(group, key=_exactness).site
        for group in against
        if any(vote.drawn and (_is_sure(vote.site) or not _is_sure(site)) for vote in group)
    ]
    if rivals and site.possible:
        answers = [(one.possible, 1.0) for one in (site, *rivals)]
        site = replace(
            site,
            possible=_mixed(answers, least),
            certainty=Certainty.UNCERTAIN,
            reasons=(*site.reasons, "outlines of several exams lie in different bones"),
        )
    return site, tuple(odd)


def _contradicts(one: BoneSite, other: BoneSite) -> bool:
    """Whether two places cannot be the same bone: levels that each holds possible do not meet.

    A vertebra without a level contradicts no vertebra.
    """
    if None in (one.certainty, other.certainty):  # not a vertebra
        return one.bone != other.bone
    levels = [
        {p.level for p in x.possible if x.certainty is Certainty.UNCERTAIN or p is x.possible[0]}
        for x in (one, other)
    ]
    return bool(levels[0] and levels[1] and not levels[0] & levels[1])


def _is_sure(site: BoneSite) -> bool:
    return site.certainty is not Certainty.UNCERTAIN


def _rank(group: Sequence[_Vote]) -> tuple[bool, int, int, float, str]:
    """Sorts sure levels first, then the bone with most outlines."""
    drawn = sum(vote.drawn and vote.site.share > 0 for vote in group)
    inside = sum(vote.site.share > 0 for vote in group)
    error = min(vote.site.error_mm for vote in group)
    sure = any(_is_sure(vote.site) and vote.site.share > 0 for vote in group)
    return not sure, -drawn, -inside, error, group[0].site.bone


def _exactness(vote: _Vote) -> tuple[bool, float, float]:
    return not vote.drawn, vote.site.error_mm, -vote.site.share
