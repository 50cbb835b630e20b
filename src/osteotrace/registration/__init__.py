"""How the exams lie to each other: alignment between frames of reference, and the skeleton in a bone scan."""

from osteotrace.registration.align import align
from osteotrace.registration.bone_scan import fit_bone_scans, place_lesions
from osteotrace.registration.bone_scan_spots import check_spots, map_spots

__all__ = ["align", "check_spots", "fit_bone_scans", "map_spots", "place_lesions"]
