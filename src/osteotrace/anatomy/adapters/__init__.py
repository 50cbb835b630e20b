"""Skeletons that other programs made: their label maps and segmentations, and TotalSegmentator itself."""

from osteotrace.anatomy.adapters.label_map import LabelMap, from_label_maps, read_label_maps
from osteotrace.anatomy.adapters.regions import from_regions
from osteotrace.anatomy.adapters.totalsegmentator import run_totalsegmentator

__all__ = ["LabelMap", "from_label_maps", "from_regions", "read_label_maps", "run_totalsegmentator"]
