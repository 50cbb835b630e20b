"""How the exams lie to each other: rigid alignment between frames of reference, with its error."""

from osteotrace.registration.align import align

__all__ = ["align"]
