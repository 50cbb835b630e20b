"""The record of one image: what it is called, when it was made, and on what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pydicom.dataset import Dataset

from osteotrace.intake import header as hd
from osteotrace.intake.frames import Frame
from osteotrace.intake.mr import YES
from osteotrace.model.imaging import Attribute, Facts, MrFacts, NuclearFacts, Series
from osteotrace.model.values import UCUM_OF_QUANTITY, Basis, Modality, Quantity, View
from osteotrace.space import Grid

_SHORT_WEIGHTING = {"T1W": "T1", "T2W": "T2"}
_VIEW_WORDS = {View.ANTERIOR.value: "ant", View.POSTERIOR.value: "post"}
_LONGEST_NAME = 24
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")


def series_record(
    series_id: str,
    frames: Sequence[Frame],
    modality: Modality,
    quantity: Quantity,
    grid: Grid | None,
    facts: Facts,
) -> Series:
    """Series of a stack or of a planar frame, from the header of its first frame."""
    instance, header = frames[0].instance, frames[0].header
    description = next((t for t in (hd.text(header, k) for k in _DESCRIPTIONS) if t), "")
    return Series(
        id=series_id,
        series_instance_uid=instance.series_instance_uid,
        study_instance_uid=instance.study_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        modality=modality,
        name=short_name(modality, quantity, facts, description),
        description=description,
        body_part=body_part(header),
        datetime=start_of(frames),
        quantity=quantity,
        unit=UCUM_OF_QUANTITY[quantity],
        grid=grid,
        facts=facts,
        n_instances=len({f.instance.sop_instance_uid for f in frames}),
        manufacturer=hd.text(header, "Manufacturer"),
        model_name=hd.text(header, "ManufacturerModelName"),
        transfer_syntax_uid=instance.pixels.transfer_syntax_uid if instance.pixels else "",
    )


def start_of(frames: Sequence[Frame]) -> dt.datetime | None:
    """Begin of the acquisition: the earliest of the frames, else the time of series, content or study."""
    acquired = [m for m in (_acquired(f.header) for f in frames) if m is not None]
    if acquired:
        return min(acquired)
    found = (hd.moment(frames[0].header, prefix) for prefix in ("Series", "Content", "Study"))
    return next((m for m in found if m is not None), None)


def _acquired(header: Dataset) -> dt.datetime | None:
    return hd.moment(header, "FrameAcquisition") or hd.moment(header, "Acquisition")


def body_part(header: Dataset) -> Attribute:
    """Body Part Examined (0018,0015), else the Anatomic Region Sequence (0008,2218)."""
    examined = hd.text(header, "BodyPartExamined")
    if examined:
        return Attribute(examined, Basis.DECLARED, "BodyPartExamined")
    region = hd.text(hd.first_item(header, "AnatomicRegionSequence"), "CodeMeaning")
    if region:
        return Attribute(region, Basis.DECLARED, "AnatomicRegionSequence")
    return Attribute(None, Basis.UNKNOWN)


def short_name(modality: Modality, quantity: Quantity, facts: Facts, description: str) -> str:
    """What a person calls it in a table: ``T2 FS``, ``CT``, ``PET FDG``, ``bone scan ant``."""
    if isinstance(facts, MrFacts):
        return _mr_name(quantity, facts, description)
    if isinstance(facts, NuclearFacts) and modality is Modality.PT:
        return " ".join(
            ["PET", facts.tracer.value or "unknown tracer", *(["no SUV"] if facts.suv_factor is None else [])]
        )
    if isinstance(facts, NuclearFacts):
        return " ".join(
            [
                "bone scan" if _is_bone_agent(facts, description) else "NM",
                _VIEW_WORDS.get(facts.view.value or "", ""),
            ]
        ).strip()
    return "dose" if modality is Modality.RTDOSE else modality.value


def _mr_name(quantity: Quantity, facts: MrFacts, description: str) -> str:
    if quantity is Quantity.ADC:
        return "ADC"
    if facts.weighting.value is None:
        return description[:_LONGEST_NAME] or "MR"
    parts = [_SHORT_WEIGHTING.get(facts.weighting.value, facts.weighting.value)]
    if facts.weighting.value == "DWI" and facts.b_value is not None:
        parts.append(f"b{facts.b_value:g}")
    if facts.dixon:
        parts.append(facts.dixon)
    elif facts.fat_suppression.value == YES and facts.weighting.value != "STIR":
        parts.append("FS")
    if facts.contrast.value == YES:
        parts.append("+C")
    return " ".join(parts)


def _is_bone_agent(facts: NuclearFacts, description: str) -> bool:
    return facts.tracer.value in ("MDP", "HDP") or "bone" in description.lower()
