"""The numbers that the reading of a CT runs on, read from the criteria."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.criteria import Criteria


@dataclass(frozen=True, slots=True)
class CtSettings:
    """Criteria ``anatomy_ct.*``; each is explained there."""

    credible_probability: float
    disc_evidence: float
    disc_share_max: float
    unclear_factor: float
    rib_touch_mm: float
    rib_length_mm: float
    rib_clear_mm: float
    rib_own_share: float
    rib_side_mm: float
    sacrum_height_mm: float
    pelvis_reach_mm: float
    pelvis_middle_mm: float
    spinous_behind_mm: float
    arch_share_min: float
    arch_share_usual: float
    spinous_above_mm: float
    bone_hu: float

    @classmethod
    def of(cls, criteria: Criteria) -> CtSettings:
        """Read the criteria ``anatomy_ct.*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        return cls(**{name: criteria.number(f"anatomy_ct.{name}") for name in cls.__dataclass_fields__})
