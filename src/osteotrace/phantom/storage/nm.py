"""Nuclear Medicine Image Storage: a whole-body bone scan (PS3.3 A.5, C.8.4)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import NuclearMedicineImageStorage

from osteotrace.phantom.protocols import Acquisition, NmProtocol
from osteotrace.phantom.storage import common
from osteotrace.phantom.storage.context import StudyContext, uid
from osteotrace.phantom.storage.elements import coded, dataset, decimal, decimals
from osteotrace.phantom.storage.habits import Habits, constant, constants, habits_of
from osteotrace.phantom.storage.tracer import information, injection_before, lying_supine_headfirst, mdp

_BITS = 16
_MS = 1000.0

# Each view as it is shown: rows run to the patient's left in front, to the right from behind; columns run
# to the feet.
_VIEWS = (
    ("399321004", "Anterior projection", (1.0, 0.0, 0.0, 0.0, 0.0, -1.0), 0.0),
    ("399001007", "Posterior projection", (-1.0, 0.0, 0.0, 0.0, 0.0, -1.0), 180.0),
)


def nm_files(context: StudyContext, acquisition: Acquisition, protocol: NmProtocol) -> common.Files:
    """The file of a whole-body scan with two heads: an anterior and a posterior frame."""
    habits = habits_of(context.session(acquisition.session).scanner.vendor)
    tracer, start = mdp(), context.start(acquisition)
    injected = injection_before(start, protocol.uptake_min)
    made = common.image_series(context, acquisition, "NM")
    made.SOPClassUID = NuclearMedicineImageStorage
    common.acquired(made, start)
    common.pixel_format(made, _BITS)
    made.update(lying_supine_headfirst())
    made.update(_frames(acquisition))
    made.update(_scan(protocol, acquisition))
    made.FrameOfReferenceUID = uid(context.seed, acquisition.id, "frame")
    made.DetectorInformationSequence = [_detector(view, protocol, habits) for view in _VIEWS]
    made.EnergyWindowInformationSequence = [_energy_window()]
    made.RadiopharmaceuticalInformationSequence = information(tracer, protocol.dose_bq, injected)

    def varying(_: int) -> Dataset:
        one = dataset(SOPInstanceUID=context.image_uid(acquisition, 0), InstanceNumber="1")
        one.add(common.pixels(acquisition.values, _BITS))
        return one

    return common.Files(made, varying, 1)


def _frames(acquisition: Acquisition) -> Dataset:
    """Multi-frame and NM Image (PS3.3 C.7.6.6, C.8.4.8, C.8.4.9): one frame a detector, one energy window."""
    views, columns, rows = acquisition.values.shape
    top = max(1.0, round(float(np.percentile(acquisition.values, constant("window_percentile")))))
    return dataset(
        ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"],
        Columns=columns,
        Rows=rows,
        NumberOfFrames=str(views),
        FrameIncrementPointer=[Tag("EnergyWindowVector"), Tag("DetectorVector")],
        EnergyWindowVector=[1] * views,
        NumberOfEnergyWindows=1,
        DetectorVector=list(range(1, views + 1)),
        NumberOfDetectors=views,
        CountsAccumulated=str(round(float(acquisition.values.sum(dtype=np.float64)))),
        WindowCenter=decimal(top / 2),
        WindowWidth=decimal(top),
    )


def _scan(protocol: NmProtocol, acquisition: Acquisition) -> Dataset:
    """NM Whole Body (PS3.3 C.8.4.17)."""
    length = protocol.pixel_mm * acquisition.values.shape[2]
    velocity = constant("scan_velocity")
    return dataset(
        AcquisitionTerminationCondition="MANU",
        ActualFrameDuration=str(round(length / velocity * _MS)),
        CorrectedImage=["UNIF", "NRGY", "LIN"],
        PixelSpacing=decimals((protocol.pixel_mm, protocol.pixel_mm)),
        WholeBodyTechnique="1PS",
        ScanVelocity=decimal(velocity),
        ScanLength=str(round(length)),
    )


def _detector(
    view: tuple[str, str, tuple[float, ...], float], protocol: NmProtocol, habits: Habits
) -> Dataset:
    """NM Detector (PS3.3 C.8.4.11)."""
    code, meaning, axes, angle = view
    return dataset(
        CollimatorGridName=habits.collimator,
        CollimatorType="PARA",
        FieldOfViewShape="RECTANGLE",
        FieldOfViewDimensions=[str(round(protocol.columns * protocol.pixel_mm))] * 2,
        FocalDistance="0",
        ZoomFactor=["1", "1"],
        StartAngle=decimal(angle),
        ImagePositionPatient=None,
        ImageOrientationPatient=decimals(axes),
        ViewCodeSequence=coded(code, "SCT", meaning),
    )


def _energy_window() -> Dataset:
    low, high = constants("tc99m_window_kev")
    limits = dataset(EnergyWindowLowerLimit=decimal(low), EnergyWindowUpperLimit=decimal(high))
    return dataset(EnergyWindowName="Tc99m", EnergyWindowRangeSequence=[limits])
