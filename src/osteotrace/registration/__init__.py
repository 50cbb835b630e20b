"""How the exams lie to each other: alignment between frames of reference, and the skeleton in a bone scan."""

from osteotrace.registration.align import align
from osteotrace.registration.bone_scan import fit_bone_scans, place_lesions

__all__ = ["align", "fit_bone_scans", "place_lesions"]
