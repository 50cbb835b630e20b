"""The skeleton: which bone is where in a volume, and which vertebra is which in a patient."""

from osteotrace.anatomy.number import number

__all__ = ["number"]
