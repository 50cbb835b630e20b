"""From a folder of DICOM or NIfTI to one patient's images, regions and timeline."""

from osteotrace.intake.read import only_patient, read_patient, read_study
from osteotrace.intake.scan import PatientScan, Scan, scan

__all__ = ["PatientScan", "Scan", "only_patient", "read_patient", "read_study", "scan"]
