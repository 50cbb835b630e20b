"""What several stages need to measure: statistics, diameters, peak uptake, reference tissues."""

from osteotrace.measure.diameter import equivalent_diameter_mm, longest_diameter_mm, surface_points
from osteotrace.measure.reference import ReferenceTissue, SignalRatio, reference_tissue, signal_ratio
from osteotrace.measure.roi import RoiStatistics, core, roi_statistics, roi_values
from osteotrace.measure.suvpeak import Peak, peak

__all__ = [
    "Peak",
    "ReferenceTissue",
    "RoiStatistics",
    "SignalRatio",
    "core",
    "equivalent_diameter_mm",
    "longest_diameter_mm",
    "peak",
    "reference_tissue",
    "roi_statistics",
    "roi_values",
    "signal_ratio",
    "surface_points",
]
