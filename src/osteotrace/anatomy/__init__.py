"""The skeleton: which bone is where in a volume, which vertebra is which, and in which bone a lesion lies."""

from osteotrace.anatomy.files import LabelFiles
from osteotrace.anatomy.number import number
from osteotrace.anatomy.read import Skeletons, Source, as_limit, read, source_of
from osteotrace.anatomy.segment import segment
from osteotrace.anatomy.sites import locate, locate_tracks

__all__ = [
    "LabelFiles",
    "Skeletons",
    "Source",
    "as_limit",
    "locate",
    "locate_tracks",
    "number",
    "read",
    "segment",
    "source_of",
]
