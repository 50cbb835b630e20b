"""From what a person asks for to the plan of a phantom patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from osteotrace.errors import DeclarationError
from osteotrace.phantom.body import BodyOptions, body_from_labels, build_body
from osteotrace.phantom.index_case import Spec, index_case, specification
from osteotrace.phantom.plan import CasePlan
from osteotrace.phantom.random_case import random_case, random_options
from osteotrace.phantom.records import Body, Person
from osteotrace.phantom.sessions import chosen


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """What is asked for.

    Attributes
    ----------
    case : {"index", "random"}
        The published case, or a patient drawn from the seed.
    seed : int
        Of everything random. The index case has the same anatomy for every seed.
    hard : bool
        Random patients with more lesions, more mimics and more motion.
    counterfactual : str
        Alteration of the index case; empty for the case as published.
    exams : tuple of str
        Which exams are made; empty takes all.
    labels : Path or None
        Label map in TotalSegmentator's numbering on which a random patient is built.
    """

    case: Literal["index", "random"] = "index"
    seed: int = 0
    hard: bool = False
    counterfactual: str = ""
    exams: tuple[str, ...] = ()
    labels: Path | None = None


def plan_case(request: CaseRequest) -> CasePlan:
    """Plan of the patient asked for.

    Raises
    ------
    DeclarationError
        When the request contradicts itself or names something that does not exist.
    InputError
        When the label map cannot be used.
    """
    _check(request)
    if request.case == "index":
        spec = specification(request.counterfactual)
        plan = index_case(_index_body(spec), request.seed, request.counterfactual)
    else:
        plan = random_case(_random_body(request), request.seed, request.hard)
    return replace(plan, sessions=chosen(plan.sessions, request.exams))


def _check(request: CaseRequest) -> None:
    wrong = ""
    if request.case == "random" and request.counterfactual:
        wrong = "a random patient has no counterfactual"
    elif request.case == "index" and (request.hard or request.labels is not None):
        wrong = "the index case takes neither --hard nor --labels"
    elif request.seed < 0:
        wrong = f"the seed is {request.seed}"
    if wrong:
        raise DeclarationError(
            wrong,
            where="phantom",
            expected="--case index [--counterfactual NAME], or --case random [--hard] [--labels FILE]",
            remedy="leave out what does not belong together",
        )


def _index_body(spec: Spec) -> Body:
    person = spec["person"]
    options = BodyOptions(
        sex=person["sex"],
        age_years=int(person["age_years"]),
        size_m=float(person["size_m"]),
        weight_kg=float(person["weight_kg"]),
    )
    return build_body(options, int(spec["body"]["seed"]))


def _random_body(request: CaseRequest) -> Body:
    options = random_options(request.seed, request.hard)
    if request.labels is None:
        return build_body(options, request.seed)
    person = Person(options.sex, options.age_years, options.size_m or 1.70, options.weight_kg or 72.0)
    return body_from_labels(request.labels, person, request.seed)
