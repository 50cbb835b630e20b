"""Results as DICOM objects."""

from osteotrace.outputs.dicom.registration import (
    deformable_registration,
    spatial_registration,
)

__all__ = ["deformable_registration", "spatial_registration"]
