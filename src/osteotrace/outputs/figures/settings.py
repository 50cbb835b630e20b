"""How figures show values: windows and sizes, from the criteria ``display.*``."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model.criteria import Criteria


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """Windows and sizes of figures. Nothing is measured with them.

    Attributes
    ----------
    ct_windows : tuple of (str, float, float)
        Name, width and level, HU.
    suv_max : float
        Upper end of the inverse grey scale of PET, g/mL.
    adc_max : float
        Upper end of the grey scale of ADC, 1e-6 mm²/s.
    percentiles : tuple of float
        Ends of the window of quantities without a fixed scale, of the body in the shown slices, %.
    body_min_share : float
        Of the 99th percentile: less is air.
    planar_percentile : float
        Upper end of the inverse grey scale of planar images, %.
    planar_gamma : float
        Exponent of the grey scale of bone scans: less than 1 shows what is faint.
    field_of_view_factor : float
        Side of a panel in longest diameters of the lesion.
    field_of_view_mm : tuple of float
        Smallest and largest side of a panel.
    """

    ct_windows: tuple[tuple[str, float, float], ...]
    suv_max: float
    adc_max: float
    percentiles: tuple[float, float]
    body_min_share: float
    planar_percentile: float
    planar_gamma: float
    field_of_view_factor: float
    field_of_view_mm: tuple[float, float]

    def field_of_view(self, longest_diameter_mm: float) -> float:
        """Side of the panels that show a lesion, mm."""
        low, high = self.field_of_view_mm
        return min(max(self.field_of_view_factor * longest_diameter_mm, low), high)


def display_settings(criteria: Criteria) -> DisplaySettings:
    """Read the settings.

    Raises
    ------
    CriterionError
        An id ``display.*`` is missing or of another type.
    """
    bone_width, bone_level = criteria.numbers("display.ct_bone_window")
    soft_width, soft_level = criteria.numbers("display.ct_soft_tissue_window")
    low, high = criteria.numbers("display.percentiles")
    smallest, largest = criteria.numbers("display.field_of_view_mm")
    return DisplaySettings(
        ct_windows=(("bone", bone_width, bone_level), ("soft tissue", soft_width, soft_level)),
        suv_max=criteria.number("display.suv_max"),
        adc_max=criteria.number("display.adc_max"),
        percentiles=(low, high),
        body_min_share=criteria.number("display.body_min_share"),
        planar_percentile=criteria.number("display.planar_percentile"),
        planar_gamma=criteria.number("display.planar_gamma"),
        field_of_view_factor=criteria.number("display.field_of_view_factor"),
        field_of_view_mm=(smallest, largest),
    )
