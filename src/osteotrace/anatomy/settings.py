"""The numbers that numbering and the search for bodies on MR run on, read once from the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Final

from osteotrace.model.criteria import Criteria, load_criteria

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


@dataclass(frozen=True, slots=True)
class MrSettings:
    """Criteria ``anatomy_mr.*``; each is explained there."""

    body_probability: float
    border_probability: float
    mean_probability_min: float
    bodies_min: float
    body_volume_min_ml: float
    core_volume_min_ml: float
    joined_cores_share: float
    two_in_one_volume: float
    surer_probabilities: tuple[float, ...]
    compared_bodies_min: float
    s1_probability: float
    s1_seen_probability: float
    s1_rise: float
    s1_backwards_deg: float
    s1_bend_deg: float
    upright_min: float
    upright_body_min_ml: float
    canal_volume_min_ml: float
    canal_behind_mm: float
    row_nearest_mm: float
    row_farthest_mm: float
    row_down_share: float
    row_side_share: float
    canal_of_body_mm: float
    canal_of_body_share: float
    no_canal_weight: float
    stray_bend_deg: float
    stray_step: float
    voxels_min: float
    extent_min_mm: float
    thick_slices_mm: float
    thick_slices_ratio: float
    disc_reach_mm: float
    tall_ratio: float
    tall_confidence_factor: float
    sacrum_volume_min_ml: float
    muscle_volume_min_ml: float
    canal_reach_mm: float
    canal_side_mm: float
    muscle_reach_mm: float
    psoas_reach_mm: float
    psoas_depth_mm: float
    front_share_max: float

    @classmethod
    def of(cls, criteria: Criteria) -> MrSettings:
        """Read the criteria ``anatomy_mr.*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        names = [field.name for field in fields(cls) if field.name != "surer_probabilities"]
        return cls(
            surer_probabilities=criteria.numbers("anatomy_mr.surer_probabilities"),
            **{name: criteria.number(f"anatomy_mr.{name}") for name in names},
        )


@cache
def packaged_settings() -> MrSettings:
    """The settings of the criteria of the package."""
    return MrSettings.of(load_criteria())
