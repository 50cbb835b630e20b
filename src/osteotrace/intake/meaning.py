"""What the values of a volume mean: quantity, factor, facts and problems, by modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from osteotrace.errors import QuantityError
from osteotrace.intake import header as hd
from osteotrace.intake import storage
from osteotrace.intake.adc import declared_adc_scale
from osteotrace.intake.frames import Frame
from osteotrace.intake.mr import declared_agent, is_adc, is_phase, mr_facts, read_sequence
from osteotrace.intake.nuclear import Mapping, uptake
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import CtFacts, Facts, MrFacts, OtherFacts
from osteotrace.model.problem import Problem
from osteotrace.model.values import Basis, Modality, Quantity, Severity

# Philips: floating-point scale of MR values, private element of the block "Philips MR Imaging DD 005".
_PHILIPS_SCALE = (0x2005, "Philips MR Imaging DD 005", 0x0E)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What rescaled values mean.

    Attributes
    ----------
    factor : float
        Multiply rescaled values by it to get the quantity.
    is_scale_declared : bool
        False: the unit of an ADC map is still to be concluded from the values.
    """

    modality: Modality
    quantity: Quantity
    facts: Facts
    factor: float = 1.0
    is_scale_declared: bool = True
    problems: tuple[Problem, ...] = ()


def meaning_of(frames: Sequence[Frame], mappings: Sequence[Mapping], criteria: Criteria) -> Meaning:
    """Meaning of the values of a stack.

    Raises
    ------
    QuantityError
        A dose that is not in Gy.
    """
    sop_class = frames[0].instance.sop_class_uid
    header = frames[0].header
    if sop_class in storage.CT_IMAGES:
        return _ct(header)
    if sop_class in storage.PET_IMAGES:
        found = uptake(frames, mappings, criteria)
        return Meaning(Modality.PT, found.quantity, found.facts, found.factor, problems=found.problems)
    if sop_class == storage.DOSE:
        return _dose(header)
    return _mr(header, criteria)


def _ct(header: Dataset) -> Meaning:
    facts = CtFacts(
        hd.number(header, "KVP"),
        hd.text(header, "ConvolutionKernel") or None,
        hd.number(header, "SliceThickness"),
        declared_agent(header),
    )
    unit = hd.text(header, "RescaleType")
    is_rescaled = "RescaleSlope" in header or "ModalityLUTSequence" in header
    if unit.upper() in ("", "HU") and is_rescaled:
        return Meaning(Modality.CT, Quantity.HU, facts)
    found = f"Rescale Type is {unit}" if is_rescaled else "the CT has no rescale slope"
    problem = Problem(
        Severity.WARNING,
        "quantity",
        f"{found}: the values are not known to be Hounsfield units",
        f"series {hd.text(header, 'SeriesInstanceUID')}",
        "Rescale Type (0028,1054) HU",
    )
    return Meaning(Modality.CT, Quantity.UNKNOWN, facts, problems=(problem,))


def _mr(header: Dataset, criteria: Criteria) -> Meaning:
    sequence = read_sequence(header)
    facts = mr_facts(header, criteria)
    inferred = _inferred_attributes(facts, header)
    if is_phase(sequence):
        return Meaning(Modality.MR, Quantity.UNKNOWN, facts, problems=inferred)
    if is_adc(sequence):
        scale = declared_adc_scale(header)
        return Meaning(Modality.MR, Quantity.ADC, facts, scale or 1.0, scale is not None, inferred)
    return Meaning(Modality.MR, Quantity.MR_SIGNAL, facts, problems=(*inferred, *_philips(header)))


def _inferred_attributes(facts: MrFacts, header: Dataset) -> tuple[Problem, ...]:
    named = (
        ("weighting", facts.weighting),
        ("fat suppression", facts.fat_suppression),
        ("contrast", facts.contrast),
    )
    told = [(f"{name} {a.value}", a.source) for name, a in named if a.basis is Basis.INFERRED]
    if not told:
        return ()
    found = f"{', '.join(t for t, _ in told)} inferred from {told[0][1]}"
    where = f"series {hd.text(header, 'SeriesInstanceUID')}"
    return (Problem(Severity.INFERRED, "mr-attributes", found, where),)


def _philips(header: Dataset) -> tuple[Problem, ...]:
    if "philips" not in hd.text(header, "Manufacturer").lower():
        return ()
    try:
        slope = header.private_block(_PHILIPS_SCALE[0], _PHILIPS_SCALE[1])[_PHILIPS_SCALE[2]].value
    except Exception:  # absent, or pydicom cannot convert it
        return ()
    if not isinstance(slope, int | float):  # empty
        return ()
    return (
        Problem(
            Severity.INFO,
            "philips-scale",
            f"Philips' private scale slope {slope} was not applied; signal of this series has its own scale",
            f"series {hd.text(header, 'SeriesInstanceUID')}",
        ),
    )


def _dose(header: Dataset) -> Meaning:
    units = hd.text(header, "DoseUnits").upper()
    if units != "GY":
        raise QuantityError(
            f"Dose Units is {units or 'absent'}",
            where=f"series {hd.text(header, 'SeriesInstanceUID')}",
            expected="GY",
            remedy="export the dose in gray",
        )
    scaling = hd.number(header, "DoseGridScaling")
    if scaling is None or scaling <= 0:
        raise QuantityError(
            "Dose Grid Scaling is absent or not positive",
            where=f"series {hd.text(header, 'SeriesInstanceUID')}",
            expected="gray per stored value (3004,000E)",
        )
    return Meaning(Modality.RTDOSE, Quantity.DOSE, OtherFacts(), scaling)
