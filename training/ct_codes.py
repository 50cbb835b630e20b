"""Tissues of the label maps that the CT network learns from, and what each of them tells it.

Tissues keep TotalSegmentator's numbers where it has one; a vertebra is two tissues, its posterior part and
its body. What TotalSegmentator does not know has the numbers from 118 on.
"""

from __future__ import annotations

import numpy as np

from codes import BODY_OFFSET, CANAL_TISSUE, DISC_TISSUE, FILLER, SKIN_FAT

T13, L6 = (118, 119), (120, 121)  # posterior part, body
RIB_13 = (122, 123)  # left, right
LEG_BONE, MUSCLE, FAT, GAS, VISCERAL_FAT, LUNG_VESSELS = 155, 156, 157, 158, 159, 160
ARM_FAT, ARM_MUSCLE, ARM_BONE = 164, 165, 166
TISSUES = 176
BRAIN, CORD, SACRUM, C2 = 90, 79, 25, 49
ARMS = (69, 70, ARM_FAT, ARM_MUSCLE, ARM_BONE)

# Posterior part and body of each vertebra, C1 to L5 and the additional ones. S1 belongs to the sacrum.
VERTEBRAE = (*((n, n + BODY_OFFSET) for n in range(50, 26, -1)), T13, L6)

# A voxel has one of these classes; then channels of their own: core of a body, C2, and how far it is to the
# centre of the vertebra's body (cm along inferior, posterior, left).
CT_CLASSES = (
    "other",
    "vertebra body",
    "vertebra posterior",
    "sacrum",
    "hip bone",
    "rib",
    "sternum",
    "scapula",
    "femur",
    "other bone",
    "skull",
    "intervertebral disc",
    "spinal canal",
    "lung",
    "heart",
    "kidney",
    "liver",
    "urinary bladder",
    "aorta",
    "vena cava",
    "back muscles",
    "iliopsoas",
)
CT_CHANNELS = (*CT_CLASSES, "core", "axis", "to centre i", "to centre j", "to centre k")

_CLASS_OF = {
    "vertebra body": tuple(body for _, body in VERTEBRAE),
    "vertebra posterior": tuple(rear for rear, _ in VERTEBRAE),
    "sacrum": (SACRUM, 26, 26 + BODY_OFFSET),
    "hip bone": (77, 78),
    "rib": (*range(92, 116), *RIB_13),
    "sternum": (116,),
    "scapula": (71, 72),
    "femur": (75, 76),
    "other bone": (69, 70, 73, 74, LEG_BONE, ARM_BONE),
    "skull": (91,),
    "intervertebral disc": (DISC_TISSUE,),
    "spinal canal": (CORD, CANAL_TISSUE),
    "lung": (*range(10, 15), LUNG_VESSELS),
    "heart": (51, 61),
    "kidney": (2, 3, 23, 24),
    "liver": (5,),
    "urinary bladder": (21,),
    "aorta": (52,),
    "vena cava": (62, 63),
    "back muscles": (86, 87),
    "iliopsoas": (88, 89),
}
BONES = tuple(sorted(tissue for name in (*list(_CLASS_OF)[:9], "skull") for tissue in _CLASS_OF[name]))
_NAMED = {
    "skin": SKIN_FAT,
    "body_wall_muscle": MUSCLE,
    "thoracic_cavity": VISCERAL_FAT,
    "abdominal_cavity": VISCERAL_FAT,
    "lung_vessels": LUNG_VESSELS,
    "colon_gas": GAS,
    "stomach_gas": GAS,
    "coccyx": SACRUM,
    "cranial_csf": BRAIN,
    "spinal_epidural_fat": CANAL_TISSUE,
    "spinal_csf": CANAL_TISSUE,
    "cauda_equina": CANAL_TISSUE,
    "vertebrae_T13": T13[0],
    "vertebrae_L6": L6[0],
    "rib_left_13": RIB_13[0],
    "rib_right_13": RIB_13[1],
}
_STARTING = (
    ("intervertebral", DISC_TISSUE),
    ("arm_", ARM_FAT),
    ("forearm_", ARM_FAT),
    ("leg_", SKIN_FAT),
    ("ulna", ARM_BONE),
    ("radius", ARM_BONE),
    ("hand", ARM_BONE),
    ("patella", LEG_BONE),
    ("tibia", LEG_BONE),
    ("fibula", LEG_BONE),
    ("foot", LEG_BONE),
)


def tissue_of(name: str, label: int) -> int:
    """Tissue of a part of the phantom by its name and TotalSegmentator number."""
    if name in _NAMED:
        return _NAMED[name]
    if label:
        return label
    if name.endswith("_muscle"):
        return ARM_MUSCLE if name.startswith(("arm_", "forearm_")) else MUSCLE
    for start, tissue in _STARTING:
        if name.startswith(start):
            return tissue
    return FAT if name.endswith("_fat") else FILLER


def class_of_tissue() -> np.ndarray:
    """Index in CT_CLASSES of each tissue; uint8, shape (TISSUES,)."""
    out = np.zeros(TISSUES, np.uint8)
    for name, tissues in _CLASS_OF.items():
        out[list(tissues)] = CT_CLASSES.index(name)
    return out
