"""The numbers that the planar fit runs on, read once from the criteria."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.criteria import Criteria


@dataclass(frozen=True, slots=True)
class PlanarSettings:
    """Criteria ``planar.*`` in one record.

    Attributes
    ----------
    voxel_mm, pixel_mm : float
        Lattice of the skeleton and of the counts that are compared, mm.
    body_hu, bone_hu : float
        CT numbers above which a voxel is body, and bone where nobody named it, HU.
    unnamed_ml, least_bone_ml : float
        Least volume of an unnamed piece of bone, and of all bone of a CT, mL.
    most_points : int
        Of a skeleton.
    mu_per_mm : float
        Attenuation of 140 keV in water, 1/mm.
    fwhm_mm : float
        Resolution of camera and collimator at the depth of the bones, mm.
    broad_mm : float
        Standard deviation of the blur whose result is taken off in the search and in the agreement, mm.
    background_mm : float
        Width of the opening that leaves soft tissue, mm.
    smooth_mm : tuple of float
        Standard deviation of the blur of the counts, level by level, mm.
    turns_deg, scales, standard_scales : tuple of float
        Searched.
    sd_side_mm : float
        How far the middle of the skeleton usually lies from the middle of the counts across the body, mm.
    knot_mm : float
        Distance of the heights at which the spine bends.
    sd_turn_deg, sd_tilt, sd_scale, sd_scale_standard, sd_heads_mm : float
        How far a pose usually is from none: turn, pitch and twist, scale, one head against the other.
    sd_bend_mm, sd_region_mm, sd_limb_mm, sd_region_turn_deg, sd_limb_turn_deg : float
        How far a knot and a region usually is from the motion of the whole.
    standard_slack : float
        Factor of these for the standard skeleton.
    sd_uptake : float
        How far the uptake of a region per volume usually is from that of all, as a share of it.
    outlier : float
        Residual, in robust standard deviations, at which a pixel counts half.
    correlated : float
        Factor on the number of pixels that count as one.
    error_base_mm, error_per_sd, thorax_error_mm, standard_error_mm : float
        Predicted 95% radius = sqrt(base² + (factor · SD)²), and what is added in squares for ribs and
        sternum, which breathe, and for the standard skeleton.
    good_error_mm, failed_error_mm : float
    good_agreement, failed_agreement : float
    good_margin, failed_margin : float
    scale_off : float
        A scale that differs from 1 by more makes a CT of the patient himself doubtful.
    mirror_gain, swap_gain : float
        Gain of agreement from which on a mirrored or swapped scan is said.
    side_gain : float
        Share by which the misfit of a view of unknown side must be smaller than that of the other side, and
        that of a mirror image smaller than that of the image, to be said.
    least_counts : float
        Counts of a view below which it is not used.
    spot_mm : float
        Standard deviation of a hot spot about its bone beside the error of the fit, mm.
    ratio_sd : float
        Standard deviation of the logarithm of the ratio of the views.
    spot_sd : float
        Counts of a hot spot above its surroundings, in standard deviations of the counts, from which on the
        ratio of the views is used.
    """

    voxel_mm: float
    pixel_mm: float
    body_hu: float
    bone_hu: float
    unnamed_ml: float
    least_bone_ml: float
    most_points: int
    mu_per_mm: float
    fwhm_mm: float
    broad_mm: float
    background_mm: float
    smooth_mm: tuple[float, ...]
    turns_deg: tuple[float, ...]
    scales: tuple[float, ...]
    standard_scales: tuple[float, ...]
    sd_side_mm: float
    knot_mm: float
    sd_turn_deg: float
    sd_tilt: float
    sd_scale: float
    sd_scale_standard: float
    sd_heads_mm: float
    sd_bend_mm: float
    sd_region_mm: float
    sd_limb_mm: float
    sd_region_turn_deg: float
    sd_limb_turn_deg: float
    standard_slack: float
    sd_uptake: float
    outlier: float
    correlated: float
    error_base_mm: float
    error_per_sd: float
    thorax_error_mm: float
    standard_error_mm: float
    good_error_mm: float
    failed_error_mm: float
    good_agreement: float
    failed_agreement: float
    good_margin: float
    failed_margin: float
    scale_off: float
    mirror_gain: float
    swap_gain: float
    side_gain: float
    least_counts: float
    spot_mm: float
    ratio_sd: float
    spot_sd: float

    @classmethod
    def of(cls, criteria: Criteria) -> PlanarSettings:
        """Read the criteria ``planar.*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        many = {name: criteria.numbers(f"planar.{name}") for name in _MANY}
        one = {
            name: criteria.number(f"planar.{name}") for name in cls.__dataclass_fields__ if name not in _MANY
        }
        one["most_points"] = int(one["most_points"])
        return cls(**many, **one)  # type: ignore[arg-type]


_MANY = ("smooth_mm", "turns_deg", "scales", "standard_scales")
