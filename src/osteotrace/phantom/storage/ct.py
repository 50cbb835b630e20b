"""CT Image Storage (PS3.3 A.3, C.8.2.1)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from osteotrace.phantom.protocols import Acquisition, CtProtocol
from osteotrace.phantom.storage import common
from osteotrace.phantom.storage.context import StudyContext
from osteotrace.phantom.storage.elements import dataset, decimal, decimals
from osteotrace.phantom.storage.habits import Habits, constant, constants, habits_of

# Stored value = HU + 1024: 12 bits reach 3071 HU, a needle or an implant needs 16.
_INTERCEPT, _BITS, _BITS_OF_METAL = -1024, 12, 16


def ct_files(context: StudyContext, acquisition: Acquisition, protocol: CtProtocol) -> common.Files:
    """The files of a CT series; HU by Rescale Slope 1 and Intercept -1024."""
    assert acquisition.grid is not None
    habits = habits_of(context.session(acquisition.session).scanner.vendor)
    highest = float(acquisition.values.max()) - _INTERCEPT
    bits = _BITS if highest < 2**_BITS else _BITS_OF_METAL
    made = common.image_series(context, acquisition, "CT")
    made.SOPClassUID = CTImageStorage
    common.acquired(made, context.start(acquisition))
    common.plane(made, acquisition.grid, protocol.slice_mm)
    common.pixel_format(made, bits)
    made.update(_scan(protocol, habits, acquisition))
    if protocol.contrast_phase != "none":
        made.update(_contrast(protocol))

    def varying(k: int) -> Dataset:
        one = common.slice_of(context, acquisition, k)
        one.add(common.pixels(acquisition.values[:, :, k] - _INTERCEPT, bits))
        return one

    return common.Files(made, varying, acquisition.grid.shape[2])


def _scan(protocol: CtProtocol, habits: Habits, acquisition: Acquisition) -> Dataset:
    exposure = constant("exposure_low_dose" if protocol.low_dose else "exposure_diagnostic")
    assert acquisition.grid is not None
    made = dataset(
        ImageType=["ORIGINAL", "PRIMARY", *habits.ct_image_type],
        PatientPosition="HFS",
        AcquisitionNumber="1",
        KVP=decimal(protocol.kvp),
        Exposure=str(round(exposure)),
        FilterType=habits.ct_filter,
        GantryDetectorTilt="0",
        RotationDirection="CW",
        ReconstructionDiameter=decimal(acquisition.grid.shape[0] * float(acquisition.grid.spacing[0])),
        ConvolutionKernel=habits.kernel[protocol.kernel],
        RescaleIntercept=str(_INTERCEPT),
        RescaleSlope="1",
        RescaleType="HU",
    )
    made.WindowCenter, made.WindowWidth = decimals(constants(f"window_{protocol.kernel}"))
    if habits.ct_options:
        made.ScanOptions = habits.ct_options
    return made


def _contrast(protocol: CtProtocol) -> Dataset:
    """Contrast/Bolus (PS3.3 C.7.6.4)."""
    return dataset(
        ContrastBolusAgent=f"Iohexol, {protocol.contrast_phase}",
        ContrastBolusRoute="IV",
        ContrastBolusVolume=decimal(constant("contrast_volume_ct")),
    )
