"""Measurements of every lesion in every exam."""

from osteotrace.findings.forced import measure
from osteotrace.findings.place import Place, Target, place_of, target_of
from osteotrace.findings.values import values_of

__all__ = ["Place", "Target", "measure", "place_of", "target_of", "values_of"]
