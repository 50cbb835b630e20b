"""Lesions that somebody else outlined."""

from __future__ import annotations

from osteotrace.errors import LatticeMismatchError, OsteotraceError, RegionError
from osteotrace.measure import longest_diameter_mm
from osteotrace.model.imaging import Region
from osteotrace.model.lesion import Lesion, Origin
from osteotrace.model.patient import PatientImages
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Severity
from osteotrace.space import Grid, Mask, map_mask

# SNOMED CT categories of DICOM CID 7150 that are no lesion by themselves.
_ANATOMY = frozenset({"91723000", "123037004"})  # Anatomical Structure, Body Structure
_UNCERTAIN = frozenset({"85756007"})  # Tissue


def lesions_of(images: PatientImages) -> tuple[tuple[Lesion, ...], tuple[Problem, ...]]:
    """Turn the regions of intake into lesions, on the lattice of the series they were drawn on.

    A region whose category is an anatomical structure is left out by name. Nothing is merged here: the
    same lesion drawn on two series is two records until matching.

    Returns
    -------
    lesions : tuple of Lesion
        Numbered within each exam, in the order of exams, series, source and ROI number.
    problems : tuple of Problem
    """
    lesions: list[Lesion] = []
    problems: list[Problem] = []
    counts: dict[str, int] = {}
    order = {s.id: n for n, s in enumerate(s for exam in images.timeline.exams for s in exam.series)}
    for region in sorted(images.regions, key=lambda r: (order.get(r.series_id, -1), r.source_uid, r.number)):
        try:
            problems.extend(_check_category(region))
            lesions.append(_lesion(region, images, counts))
        except OsteotraceError as error:
            problems.append(problem_of(error))
    return tuple(lesions), tuple(problems)


def on_lattice(mask: Mask, grid: Grid) -> Mask | None:
    """The mask on the lattice of a grid of the same frame; None when it lies outside."""
    try:
        mask.grid.offset_in(grid)
    except LatticeMismatchError:
        return map_mask(mask, grid)
    inside = mask.on(grid)
    return Mask.from_array(inside, grid) if inside.any() else None


def replace_mask(lesion: Lesion, mask: Mask, origin: Origin) -> Lesion:
    """The same lesion with another outline (a person's correction)."""
    return measured(lesion.id, lesion.name, lesion.exam_id, lesion.series_id, mask, origin, lesion)


def _check_category(region: Region) -> list[Problem]:
    category = region.category
    where = f"{region.source_kind} {region.source_uid}, number {region.number}"
    if category is not None and category.value in _ANATOMY:
        raise RegionError(
            f"the region '{region.name}' is an anatomical structure ({category.meaning})",
            where=where,
            expected="a lesion",
            remedy="nothing, or change its category to Morphologically Abnormal Structure",
        )
    if category is not None and category.value in _UNCERTAIN:
        found = f"the region '{region.name}' is called {category.meaning}; it is taken as a lesion"
        return [Problem(Severity.INFERRED, "region-category", found, where)]
    return []


def _lesion(region: Region, images: PatientImages, counts: dict[str, int]) -> Lesion:
    where = f"{region.source_kind} {region.source_uid}, number {region.number}"
    volume = images.volume(region.series_id)
    exam = images.exam_of(region.series_id)
    if volume is None or exam is None:
        raise RegionError(f"the region '{region.name}' has no image", where=where, expected="a volume")
    mask = on_lattice(region.mask, volume.grid)
    if mask is None:
        raise RegionError(f"the region '{region.name}' lies outside its image", where=where)
    counts[exam.id] = counts.get(exam.id, 0) + 1
    origin = Origin("imported", region.source_uid, region.source_kind, region.number)
    lesion_id = f"{exam.id}-R{counts[exam.id]}"
    return measured(lesion_id, region.name, exam.id, region.series_id, mask, origin, region)


def measured(
    lesion_id: str,
    name: str,
    exam_id: str,
    series_id: str,
    mask: Mask,
    origin: Origin,
    like: Region | Lesion | None = None,
) -> Lesion:
    """A lesion from its mask: centroid, volume and diameter; type and Tracking UID as of ``like``."""
    x, y, z = (float(c) for c in mask.centroid)
    return Lesion(
        id=lesion_id,
        name=name,
        exam_id=exam_id,
        series_id=series_id,
        mask=mask,
        centroid_mm=(x, y, z),
        volume_ml=mask.volume_ml,
        longest_diameter_mm=longest_diameter_mm(mask),
        origin=origin,
        type=like.type if like else None,
        tracking_uid=like.tracking_uid if like else "",
    )
