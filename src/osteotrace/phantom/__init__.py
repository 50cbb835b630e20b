"""Patients whose anatomy, lesions and posture are known, as every scanner shows them, written as DICOM."""

from osteotrace.phantom.cases import CaseRequest, plan_case
from osteotrace.phantom.index_case import COUNTERFACTUALS
from osteotrace.phantom.make import make_patient
from osteotrace.phantom.plan import CasePlan

__all__ = ["COUNTERFACTUALS", "CasePlan", "CaseRequest", "make_patient", "plan_case"]
