"""The skeleton: which bone is where in a volume, and which vertebra is which in a patient."""

from osteotrace.anatomy.number import number
from osteotrace.anatomy.segment import segment

__all__ = ["number", "segment"]
