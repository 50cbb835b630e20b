"""Acquisitions and drawings of the phantom as DICOM files that any archive takes."""

from osteotrace.phantom.storage.case_file import write_case
from osteotrace.phantom.storage.context import Scanner, Session, StudyContext, Vendor, uid
from osteotrace.phantom.storage.segmentation import write_segmentation
from osteotrace.phantom.storage.structure_set import write_structure_set
from osteotrace.phantom.storage.write import write_acquisition

__all__ = [
    "Scanner",
    "Session",
    "StudyContext",
    "Vendor",
    "uid",
    "write_acquisition",
    "write_case",
    "write_segmentation",
    "write_structure_set",
]
