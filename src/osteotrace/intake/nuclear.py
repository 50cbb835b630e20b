"""PET: uptake values or the reason why there are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from osteotrace.errors import InputError, SuvError
from osteotrace.intake import header as hd
from osteotrace.intake.dicom_file import read_dicom
from osteotrace.intake.frames import Frame
from osteotrace.intake.pet_header import pet_header, real_world_values, tracer_in
from osteotrace.intake.suv import check_real_world_value, suv_factor, uptake_time
from osteotrace.intake.suv_body import normaliser, plausible_weight
from osteotrace.intake.suv_record import PetHeader, RealWorldValue, SuvFactor, SuvVariant
from osteotrace.intake.tracer import Tracer
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import UNKNOWN, Attribute, NuclearFacts
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Basis, Quantity, Severity

_SECONDS = 60.0
_QUANTITY_OF_UNITS = {"BQML": Quantity.ACTIVITY, "CNTS": Quantity.COUNTS, "PROPCNTS": Quantity.COUNTS}


@dataclass(frozen=True, slots=True)
class Uptake:
    """What the values of a PET series mean.

    Attributes
    ----------
    factor : float
        Multiply rescaled values by it; 1 when there is no SUV.
    """

    quantity: Quantity
    factor: float
    facts: NuclearFacts
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A real-world value and the file that it stands in."""

    value: RealWorldValue
    path: Path


def uptake(frames: Sequence[Frame], mappings: Sequence[Mapping], criteria: Criteria) -> Uptake:
    """SUV of a PET series; when it is refused the quantity is what Units (0054,1001) says, with a problem."""
    headers = [f.header for f in frames]
    tracer = tracer_in(headers[0])
    doubts = _tracer_problem(tracer, headers[0])
    mine = _mappings_of(frames, mappings)
    try:
        header = pet_header(headers)
    except SuvError as error:
        return _refused(error, headers[0], tracer, (*doubts, *_unused(mine)))
    try:
        factor = suv_factor(header, criteria)
    except SuvError as error:
        would_be = _factor_of_corrected(header, criteria)
        wrong = () if would_be is None else _mismatches(frames, mine, would_be, criteria)
        return _refused(error, headers[0], tracer, (*doubts, *_unused(mine), *wrong))
    where = f"series {header.series_instance_uid}"
    notes = tuple(Problem(Severity.INFERRED, "suv", note, where) for note in (*header.notes, *factor.notes))
    wrong = _mismatches(frames, mine, factor.factor, criteria)
    facts = _facts(header, factor, tracer, criteria)
    return Uptake(Quantity.SUVBW, factor.factor, facts, (*doubts, *notes, *wrong))


def _refused(error: SuvError, header: Dataset, tracer: Tracer, problems: tuple[Problem, ...]) -> Uptake:
    quantity = _QUANTITY_OF_UNITS.get(hd.text(header, "Units").upper(), Quantity.UNKNOWN)
    refusal = problem_of(error, Severity.REFUSED)
    return Uptake(quantity, 1.0, NuclearFacts(tracer_attribute(tracer)), (refusal, *problems))


def _factor_of_corrected(header: PetHeader, criteria: Criteria) -> float | None:
    """Factor that dose, weight and times alone would give, to judge a real-world value by; never applied."""
    corrections = criteria.texts("suv.corrections_required")
    corrected = dataclasses.replace(header, units="BQML", corrected_image=corrections)
    try:
        return suv_factor(corrected, criteria).factor
    except SuvError:
        return None


def tracer_attribute(tracer: Tracer) -> Attribute:
    """The tracer as an attribute."""
    if tracer.basis is Basis.UNKNOWN:
        return Attribute(None, Basis.UNKNOWN, tracer.text)
    return Attribute(tracer.name, tracer.basis, tracer.text)


def read_mappings(paths: Iterable[Path]) -> tuple[tuple[Mapping, ...], tuple[Problem, ...]]:
    """Real-world values of Real World Value Mapping files."""
    mappings: list[Mapping] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found = read_dicom(path)
        except InputError as error:
            problems.append(problem_of(error))
            continue
        if found is not None:
            mappings += [Mapping(value, path) for value in real_world_values(found.header)]
    return tuple(mappings), tuple(problems)


def _facts(header: PetHeader, factor: SuvFactor, tracer: Tracer, criteria: Criteria) -> NuclearFacts:
    return NuclearFacts(
        tracer_attribute(tracer),
        suv_factor=factor.factor,
        suv_basis=factor.basis,
        uptake_min=_uptake_min(header, criteria),
        injected_bq=header.dose_bq,
        weight_kg=header.weight_kg,
        size_m=header.size_m,
        lean_body_mass_kg=_lean_body_mass(header, criteria),
        view=UNKNOWN,
    )


def _lean_body_mass(header: PetHeader, criteria: Criteria) -> float | None:
    try:
        return normaliser(header, SuvVariant.LBM_JANMA, criteria) * plausible_weight(header, criteria)
    except SuvError:
        return None


def _uptake_min(header: PetHeader, criteria: Criteria) -> float | None:
    try:
        return uptake_time(header, criteria) / _SECONDS
    except SuvError:
        return None


def _tracer_problem(tracer: Tracer, header: Dataset) -> tuple[Problem, ...]:
    where = f"series {hd.text(header, 'SeriesInstanceUID')}"
    if tracer.basis is Basis.UNKNOWN:
        return (
            Problem(
                Severity.WARNING,
                "tracer",
                f"the tracer is unknown ({tracer.text})",
                where,
                "Radiopharmaceutical Code Sequence (0054,0304)",
                "rules made for FDG are not applied",
            ),
        )
    if tracer.basis is Basis.INFERRED:
        return (
            Problem(
                Severity.INFERRED, "tracer", f"the tracer is taken to be {tracer.name}, {tracer.text}", where
            ),
        )
    return ()


def _mappings_of(frames: Sequence[Frame], mappings: Sequence[Mapping]) -> tuple[Mapping, ...]:
    """The mappings to SUVbw that speak of these frames."""
    uids = {f.instance.sop_instance_uid for f in frames}
    series = frames[0].instance.series_instance_uid
    to_suv = (m for m in mappings if m.value.variant is SuvVariant.BW)
    return tuple(m for m in to_suv if series in m.value.series_uids or uids & set(m.value.sop_uids))


def _mismatches(
    frames: Sequence[Frame], mappings: Sequence[Mapping], factor: float, criteria: Criteria
) -> tuple[Problem, ...]:
    """Real-world values that disagree with the factor from the headers."""
    slopes = {f.slope for f in frames}
    tolerance = criteria.number("suv.rwv_tolerance")
    found = (
        check_real_world_value(
            m.value.slope,
            factor,
            tolerance,
            rescale_slope=frames[0].slope if len(slopes) == 1 else None,
            where=m.path.name,
        )
        for m in mappings
    )
    return tuple(dict.fromkeys(p for p in found if p is not None))


def _unused(mappings: Sequence[Mapping]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            Severity.WARNING,
            "real-world-value",
            f"a real-world value slope of {m.value.slope:g} is given for a series without SUV; not used",
            m.path.name,
        )
        for m in mappings
    )
