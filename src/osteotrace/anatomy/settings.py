"""The numbers that numbering runs on, read once from the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from osteotrace.model.criteria import Criteria

_COUNTS: Final = ((11, 5), (11, 6), (12, 6), (12, 4), (13, 5), (13, 4))
_NUMBERS: Final = (
    "certain_probability",
    "probable_probability",
    "alternative_probability",
    "missed_probability",
    "extra_probability_min",
    "block_probability",
    "cut_place_error_mm",
    "aside_deviation_mm",
    "size_deviation",
    "outlier_probability",
    "outlier_factor",
    "rib_seen_probability",
    "last_rib_seen_probability",
    "rib_false_probability",
    "cervical_rib_probability",
    "dens_seen_probability",
    "dens_false_probability",
    "sacrum_distance_mm",
    "sacrum_distance_deviation_mm",
    "body_height_share",
    "body_height_deviation",
    "declared_right_probability",
    "declared_near_probability",
    "contradiction_probability",
    "same_vertebra_mm",
    "point_reach_mm",
    "last_bend_deg",
    "last_bend_deviation_deg",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Criteria ``numbering.*``; each is explained there.

    Attributes
    ----------
    shares : mapping of (int, int) to float
        Share of people by number of thoracic and lumbar vertebrae; they add up to 1.
    place_errors_mm : tuple of float
        Possible standard deviations of a centre along each axis, mm.
    """

    shares: Mapping[tuple[int, int], float]
    place_errors_mm: tuple[float, ...]
    certain_probability: float
    probable_probability: float
    alternative_probability: float
    missed_probability: float
    extra_probability_min: float
    block_probability: float
    cut_place_error_mm: float
    aside_deviation_mm: float
    size_deviation: float
    outlier_probability: float
    outlier_factor: float
    rib_seen_probability: float
    last_rib_seen_probability: float
    rib_false_probability: float
    cervical_rib_probability: float
    dens_seen_probability: float
    dens_false_probability: float
    sacrum_distance_mm: float
    sacrum_distance_deviation_mm: float
    body_height_share: float
    body_height_deviation: float
    declared_right_probability: float
    declared_near_probability: float
    contradiction_probability: float
    same_vertebra_mm: float
    point_reach_mm: float
    last_bend_deg: float
    last_bend_deviation_deg: float

    @classmethod
    def of(cls, criteria: Criteria) -> Settings:
        """Read the criteria ``numbering.*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        shares = {(t, n): criteria.number(f"numbering.share_t{t}_l{n}") for t, n in _COUNTS}
        return cls(
            shares={(12, 5): 1.0 - sum(shares.values()), **shares},
            place_errors_mm=criteria.numbers("numbering.place_errors_mm"),
            **{name: criteria.number(f"numbering.{name}") for name in _NUMBERS},
        )
