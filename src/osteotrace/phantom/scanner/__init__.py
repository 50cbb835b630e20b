"""The scanners of the phantom: a body in a posture, as each modality shows it."""

from osteotrace.phantom.scanner.ct import acquire_ct
from osteotrace.phantom.scanner.grids import plan_axial, plan_mr
from osteotrace.phantom.scanner.labels import bone_labels, insert_box, insert_labels, insert_share
from osteotrace.phantom.scanner.mr import acquire_mr
from osteotrace.phantom.scanner.nm import acquire_nm, planar_pixels
from osteotrace.phantom.scanner.pet import acquire_pet, calibrate
from osteotrace.phantom.scanner.scene import Scene

__all__ = [
    "Scene",
    "acquire_ct",
    "acquire_mr",
    "acquire_nm",
    "acquire_pet",
    "bone_labels",
    "calibrate",
    "insert_box",
    "insert_labels",
    "insert_share",
    "plan_axial",
    "plan_mr",
    "planar_pixels",
]
