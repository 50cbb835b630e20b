"""Skeletons that other programs made: their label maps and segmentations, and TotalSegmentator itself."""

from osteotrace.anatomy.adapters.label_map import from_label_map, read_label_map
from osteotrace.anatomy.adapters.regions import from_regions
from osteotrace.anatomy.adapters.totalsegmentator import run_totalsegmentator

__all__ = ["from_label_map", "from_regions", "read_label_map", "run_totalsegmentator"]
