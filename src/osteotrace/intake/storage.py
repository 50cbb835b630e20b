"""SOP classes, by what intake does with them (PS3.4 B.5)."""

from __future__ import annotations

from pydicom.uid import UID

_STORAGE = "1.2.840.10008.5.1.4.1.1."

CT_IMAGES = frozenset({_STORAGE + "2", _STORAGE + "2.1", _STORAGE + "2.2"})
MR_IMAGES = frozenset({_STORAGE + "4", _STORAGE + "4.1", _STORAGE + "4.4"})
PET_IMAGES = frozenset({_STORAGE + "128", _STORAGE + "130", _STORAGE + "128.1"})
NM_IMAGES = frozenset({_STORAGE + "20", _STORAGE + "5"})
DOSE = _STORAGE + "481.2"
SECONDARY_CAPTURES = frozenset({_STORAGE + tail for tail in ("7", "7.2", "7.3")})
REAL_WORLD_VALUE_MAPPING = _STORAGE + "67"
DICOMDIR = "1.2.840.10008.1.3.10"

_BY_MODALITY = {
    "CT": CT_IMAGES,
    "MR": MR_IMAGES,
    "PT": PET_IMAGES,
    "NM": NM_IMAGES,
    "RTDOSE": frozenset({DOSE}),
}


def modality_of(sop_class_uid: str) -> str:
    """Modality of an image by its SOP class, whatever Modality (0008,0060) says."""
    for modality, classes in _BY_MODALITY.items():
        if sop_class_uid in classes:
            return modality
    return "NM" if sop_class_uid in SECONDARY_CAPTURES else ""


def is_image(sop_class_uid: str, modality: str) -> bool:
    """Whether intake makes a volume or a planar image of it.

    A Secondary Capture is one when its Modality (0008,0060) is NM: old gamma cameras export bone scans so.
    """
    if sop_class_uid in SECONDARY_CAPTURES:
        return modality == "NM"
    return bool(modality_of(sop_class_uid))


def class_name(sop_class_uid: str) -> str:
    """Name of a SOP class; the UID itself when it is not registered."""
    return UID(sop_class_uid).name if sop_class_uid else "no SOP class"
