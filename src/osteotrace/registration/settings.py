"""The numbers that registration runs on, read once from the criteria."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from osteotrace.model.criteria import Criteria


@dataclass(frozen=True, slots=True)
class Settings:
    """Criteria ``registration.*`` in one record.

    Attributes
    ----------
    levels_mm : tuple of float
        Voxel size of the refinement levels, coarse to fine, mm; the last is the finest used.
    coarse_mm : float
        Smallest voxel of the exhaustive search, mm.
    rotation_limit_deg, rotation_step_deg : float
        Radius of the ball of rotations that is searched, and the step of its lattice.
    near_mm, near_limit_deg, near_step_deg : float
        The same of the search by edges among small turns.
    min_overlap : float
        Least share of the smaller body that the other field of view must hold, 0 to 1.
    body_hu : float
        CT number above which a voxel is body, HU.
    focus_share : float
        Standard deviation of the weight around the middle of the smaller field of view, in widths of it.
    uptake_reach_mm : float
        Standard deviation of the blur that widens the weight of uptake beyond the avid tissue, mm.
    uptake_floor : float
        Weight of tissue without uptake where avid tissue has 1.
    distinct_mm : float
        Two poses closer than this (mean distance of body points) count as one, mm.
    tether_mm : float
        Evidence of all tissue counts 1/e of its worth this far from the pose of the avid tissue, mm.
    error_base_mm, error_alone_mm, error_per_residual : float
        Predicted 95% radius = sqrt(base² + (factor · residual)²), mm; ``alone`` is the base of unlike images
        of which one frame has a single series, so that nothing confirms them.
    good_error_mm, failed_error_mm : float
        Largest predicted radius of the verdicts good and doubtful, mm.
    good_margin, failed_margin : float
        Least evidence advantage over the best distinct pose for the verdicts good and doubtful.
    mirror_gain : float
        A mirror image that explains the other better by this share makes left and right unsure.
    rival_mm : float
        Only poses further than this from the best count in the margin, mm.
    good_chance, failed_chance : float
        Least evidence and agreement of edges over those of unrelated poses, in their standard deviations.
    good_overlap : float
        Least overlap of the verdict good.
    same_frame_error_mm : float
        Predicted 95% radius inside one frame of reference.
    moved_mm, moved_gain : float
        Inside one frame of reference: a motion above this with an evidence gain above this is reported.
    shift_radius_mm, shift_per_sd : float
        95% radius of a small shift inside one frame = sqrt(radius² + (factor · SD of the halves)²), mm; a
        larger shift is one.
    shift_sharp_mm : float
        With a larger radius a shift counts from twice the radius on, mm.
    shift_doubtful_mm : float
        Inside one frame of reference: a shift above this makes the check doubtful, mm.
    """

    levels_mm: tuple[float, ...]
    coarse_mm: float
    rotation_limit_deg: float
    rotation_step_deg: float
    near_mm: float
    near_limit_deg: float
    near_step_deg: float
    min_overlap: float
    body_hu: float
    focus_share: float
    uptake_reach_mm: float
    uptake_floor: float
    distinct_mm: float
    tether_mm: float
    error_base_mm: float
    error_alone_mm: float
    error_per_residual: float
    good_error_mm: float
    failed_error_mm: float
    good_margin: float
    failed_margin: float
    rival_mm: float
    mirror_gain: float
    good_chance: float
    failed_chance: float
    good_overlap: float
    same_frame_error_mm: float
    moved_mm: float
    moved_gain: float
    shift_radius_mm: float
    shift_per_sd: float
    shift_sharp_mm: float
    shift_doubtful_mm: float

    @classmethod
    def of(cls, criteria: Criteria) -> Settings:
        """Read the criteria ``registration.*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        names = [name for name in cls.__dataclass_fields__ if name != "levels_mm"]
        values = {name: criteria.number(f"registration.{name}") for name in names}
        return cls(levels_mm=criteria.numbers("registration.levels_mm"), **values)


@dataclass(frozen=True, slots=True)
class BoneSettings:
    """Criteria ``registration.bone_*``: how bones move, and how well an image tells it.

    Attributes
    ----------
    disc_slide_mm, disc_turn_deg : float
        Standard deviation of the motion between two vertebrae from exam to exam, about each axis.
    fixed_slide_mm, fixed_turn_deg : float
        The same of sacrum and hip bone.
    rib_slide_mm, rib_turn_deg : float
        The same of rib and vertebra.
    loose_slide_mm, loose_turn_deg : float
        The same of bones with free joints.
    radius_base : tuple of float
        What remains of the predicted 95% radius when everything agrees, in edges of the larger voxel: CT and
        CT, CT and MR, MR and MR.
    radius_measured, radius_guessed : float
        Factor of the spread in it, of bones whose own images were followed and of the others.
    radius_unchecked : float
        Variance of unit weight that is added where no neighbour checks a bone.
    radius_per_residual : float
        Factor of the distance between what its own images say and the motion that is used.
    radius_loose : float
        What is added in square for each mm from the centre of a bone with free joints.
    radius_growth : float
        What is added to the radius for each mm outside of a bone.
    radius_border : float
        Factor of how far the motions of the bones that a point may belong to put it apart.
    good_radius_mm, failed_radius_mm : float
        Largest radius of the verdicts good and doubtful, mm.
    good_margin, failed_margin : float
        Least advantage over the row shifted by one segment for the verdicts good and doubtful.
    good_count, failed_count : float
        Least advantage over another way to count the vertebrae for the verdicts good and doubtful.
    good_stretch, failed_stretch : float
        Largest relative difference in length of the common row for the verdicts good and doubtful.
    usual_misfit : float
        Variance of unit weight of the bones of one person.
    strange_per_own : float
        Strange is that variance, less so many times the advantage over a neighbour of the lower quartile of
        the vertebrae.
    strange_per_spacing, usual_spacing : float
        So many times is added to it what distances between neighbouring vertebrae differ by more than usual
        (absolute logarithm of the ratio, median).
    good_strange, failed_strange : tuple of float
        The largest for the verdicts good and doubtful, of CT and CT, CT and MR, MR and MR.
    good_mirror, failed_mirror, mirror_width_mm : float
        Largest share by which a mirror image may fit better for the verdicts good and doubtful, in fields of
        view of at least this width, mm.
    contradiction_mm : float
        Between modalities: largest distance between a row and where the images as a whole put it, mm.
    blend_mm : float
        Distance over which the motions of two bones pass into each other, mm.
    sd_ct_ct, sd_ct_mr, sd_mr_mr : tuple of float
        Standard deviation of the place of one bone from its images alone along x, y, z (mm), and of its turn
        about each axis (degrees).
    sd_mr_outline : tuple of float
        Standard deviation of the shift from the centre of a vertebra's outline in one MR to that in another,
        along x, y, z, mm.
    """

    disc_slide_mm: float
    disc_turn_deg: float
    fixed_slide_mm: float
    fixed_turn_deg: float
    rib_slide_mm: float
    rib_turn_deg: float
    loose_slide_mm: float
    loose_turn_deg: float
    radius_base: tuple[float, ...]
    radius_measured: float
    radius_guessed: float
    radius_unchecked: float
    radius_per_residual: float
    radius_loose: float
    radius_growth: float
    radius_border: float
    good_radius_mm: float
    failed_radius_mm: float
    good_margin: float
    failed_margin: float
    good_count: float
    failed_count: float
    good_stretch: float
    failed_stretch: float
    usual_misfit: float
    strange_per_own: float
    strange_per_spacing: float
    usual_spacing: float
    good_strange: tuple[float, ...]
    failed_strange: tuple[float, ...]
    good_mirror: float
    failed_mirror: float
    mirror_width_mm: float
    contradiction_mm: float
    blend_mm: float
    sd_ct_ct: tuple[float, ...]
    sd_ct_mr: tuple[float, ...]
    sd_mr_mr: tuple[float, ...]
    sd_mr_outline: tuple[float, ...]

    @classmethod
    def of(cls, criteria: Criteria) -> BoneSettings:
        """Read the criteria ``registration.bone_*``.

        Raises
        ------
        CriterionError
            When one is unknown or not a number.
        """
        of_sd = ("sd_ct_ct", "sd_ct_mr", "sd_mr_mr", "sd_mr_outline")
        several = ("radius_base", "good_strange", "failed_strange", *of_sd)
        names = [name for name in cls.__dataclass_fields__ if name not in several]
        values: dict[str, Any] = {name: criteria.number(f"registration.bone_{name}") for name in names}
        values |= {name: criteria.numbers(f"registration.bone_{name}") for name in several}
        return cls(**values)

    def sd_of(self, kind: str) -> tuple[tuple[float, ...], float]:
        """Standard deviations of place (mm; x, y, z) and turn (degrees) for a pair of modalities."""
        table = (self.sd_ct_ct, self.sd_ct_mr, self.sd_mr_mr)[_place(kind)]
        return table[:3], table[3]

    def strange_of(self, kind: str) -> tuple[float, float]:
        """Largest strange for the verdicts good and doubtful, for a pair of modalities."""
        return self.good_strange[_place(kind)], self.failed_strange[_place(kind)]

    def base_of(self, kind: str) -> float:
        """What remains of the predicted 95% radius, in voxels, for a pair of modalities."""
        return self.radius_base[_place(kind)]


def _place(kind: str) -> int:
    """Among CT and CT, CT and MR, MR and MR."""
    return {"CT-CT": 0, "CT-MR": 1}.get(kind, 2)
