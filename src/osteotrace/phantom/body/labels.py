"""Names of parts, and TotalSegmentator's numbers for them."""

from __future__ import annotations

from typing import Final

from osteotrace.model.label_schemes import VERTEBRAE

_RIBS: Final = tuple(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13))

TOTAL: Final = (
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
    "adrenal_gland_right", "adrenal_gland_left", "lung_upper_lobe_left", "lung_lower_lobe_left",
    "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right", "esophagus", "trachea",
    "thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate", "kidney_cyst_left",
    "kidney_cyst_right", "sacrum", "vertebrae_S1",
    *(f"vertebrae_L{n}" for n in range(5, 0, -1)),
    *(f"vertebrae_T{n}" for n in range(12, 0, -1)),
    *(f"vertebrae_C{n}" for n in range(7, 0, -1)),
    "heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk", "subclavian_artery_right",
    "subclavian_artery_left", "common_carotid_artery_right", "common_carotid_artery_left",
    "brachiocephalic_vein_left", "brachiocephalic_vein_right", "atrial_appendage_left", "superior_vena_cava",
    "inferior_vena_cava", "portal_vein_and_splenic_vein", "iliac_artery_left", "iliac_artery_right",
    "iliac_vena_left", "iliac_vena_right", "humerus_left", "humerus_right", "scapula_left", "scapula_right",
    "clavicula_left", "clavicula_right", "femur_left", "femur_right", "hip_left", "hip_right", "spinal_cord",
    "gluteus_maximus_left", "gluteus_maximus_right", "gluteus_medius_left", "gluteus_medius_right",
    "gluteus_minimus_left", "gluteus_minimus_right", "autochthon_left", "autochthon_right", "iliopsoas_left",
    "iliopsoas_right", "brain", "skull", *_RIBS, "sternum", "costal_cartilages",
)  # fmt: skip
"""Class names of TotalSegmentator's task ``total``, version 2; the first has number 1."""

_NUMBERS: Final = {name: number for number, name in enumerate(TOTAL, start=1)}
_SAME_AS: Final = {
    **{
        f"{bone}_{side}_cortex": f"{bone}_{side}"
        for bone in ("femur", "humerus")
        for side in ("left", "right")
    },
    **{f"autochthon_{side}_fat": f"autochthon_{side}" for side in ("left", "right")},
    "colon_gas": "colon",
    "colon_stool": "colon",
    "stomach_gas": "stomach",
    "trachea_wall": "trachea",
    "lung_vessels": "",
}
_VERSE: Final = {"T13": 28, "L6": 25, "sacrum": 26, "coccyx": 27}


def number_of(name: str) -> int:
    """TotalSegmentator's number of a part, 0 where it has none."""
    return _NUMBERS.get(_SAME_AS.get(name, name), 0)


def verse_number(level: str) -> int:
    """VerSe number of a vertebra, of sacrum or coccyx; 0 of another bone."""
    if level in _VERSE:
        return _VERSE[level]
    usual = [name for name in VERTEBRAE if name not in _VERSE and not name.startswith("S")]
    return usual.index(level) + 1 if level in usual else 0


def in_words(name: str) -> str:
    """A bone in words: ``T11``, ``left hip bone``, ``right rib 5``."""
    pieces = name.split("_")
    if pieces[0] == "vertebrae":
        return pieces[1]
    if pieces[0] == "rib":
        return f"{pieces[1]} rib {pieces[2]}"
    kind = {"hip": "hip bone", "clavicula": "clavicle"}.get(pieces[0], pieces[0])
    return f"{pieces[1]} {kind}" if len(pieces) > 1 else kind
