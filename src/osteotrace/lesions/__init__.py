"""Lesions of one scan: those that others outlined, and what a person corrected of them."""

from osteotrace.lesions.corrected import correct, identity_pairs
from osteotrace.lesions.imported import lesions_of, measured, on_lattice, replace_mask

__all__ = ["correct", "identity_pairs", "lesions_of", "measured", "on_lattice", "replace_mask"]
