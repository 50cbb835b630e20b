"""MR Image Storage (PS3.3 A.4, C.8.3.1)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from osteotrace.phantom.protocols import Acquisition, MrProtocol
from osteotrace.phantom.storage import common
from osteotrace.phantom.storage.context import StudyContext
from osteotrace.phantom.storage.elements import dataset, decimal
from osteotrace.phantom.storage.habits import Habits, constant, habits_of

_BITS = 12
_SAMPLED = 7  # every seventh value is enough to place the display window


def mr_files(context: StudyContext, acquisition: Acquisition, protocol: MrProtocol) -> common.Files:
    """The files of an MR series; the strongest signal becomes the highest of 12 bits."""
    assert acquisition.grid is not None
    habits = habits_of(context.session(acquisition.session).scanner.vendor)
    scale = np.float32(_scale(acquisition))
    made = common.image_series(context, acquisition, "MR")
    made.SOPClassUID = MRImageStorage
    common.acquired(made, context.start(acquisition))
    common.plane(made, acquisition.grid, protocol.thickness_mm)
    made.SpacingBetweenSlices = decimal(float(acquisition.grid.spacing[2]))
    common.pixel_format(made, _BITS)
    made.update(_sequence(protocol, habits))
    made.update(_window(acquisition, float(scale)))
    if protocol.contrast:
        made.update(_contrast())

    def varying(k: int) -> Dataset:
        one = common.slice_of(context, acquisition, k)
        one.add(common.pixels(acquisition.values[:, :, k] * scale, _BITS))
        return one

    return common.Files(made, varying, acquisition.grid.shape[2])


def _scale(acquisition: Acquisition) -> float:
    """Stored value per unit of signal."""
    highest = float(acquisition.values.max())
    return (2**_BITS - 1) / highest if highest > 0 else 1.0


def _sequence(protocol: MrProtocol, habits: Habits) -> Dataset:
    kind = protocol.sequence
    options = [*habits.mr_options, *([habits.saturation_option] if protocol.saturation_band else [])]
    image_type = ["ORIGINAL", "PRIMARY", *habits.mr_image_type[kind]]
    if protocol.declares_fat_suppression and protocol.fat_suppression == "FATSAT":
        options.append("FS")
    if protocol.declares_fat_suppression and protocol.fat_suppression == "DIXON_WATER":
        image_type += ["DIXON", habits.dixon_water]
    made = dataset(
        ImageType=image_type,
        PatientPosition="HFS",
        AcquisitionNumber="1",
        ScanningSequence=habits.scanning_sequence[kind],
        SequenceVariant=habits.sequence_variant[kind],
        ScanOptions=options,
        MRAcquisitionType="2D",
        RepetitionTime=decimal(protocol.tr_ms),
        EchoTime=decimal(protocol.te_ms),
        EchoNumbers="1",
        EchoTrainLength=str(protocol.echo_train),
        FlipAngle=decimal(protocol.flip_deg),
        PixelBandwidth=decimal(protocol.bandwidth_hz_px),
        MagneticFieldStrength=decimal(protocol.field_t),
        ImagingFrequency=decimal(constant("larmor") * protocol.field_t),
        ImagedNucleus="1H",
    )
    if protocol.ti_ms is not None:
        made.InversionTime = decimal(protocol.ti_ms)
    if kind in habits.sequence_name:
        made.SequenceName = habits.sequence_name[kind].format(etl=protocol.echo_train)
    return made


def _window(acquisition: Acquisition, scale: float) -> Dataset:
    sampled = acquisition.values.reshape(-1)[::_SAMPLED]
    width = max(1.0, round(float(np.percentile(sampled, constant("window_percentile"))) * scale))
    return dataset(WindowCenter=decimal(width / 2), WindowWidth=decimal(width))


def _contrast() -> Dataset:
    """Contrast/Bolus (PS3.3 C.7.6.4)."""
    return dataset(
        ContrastBolusAgent="Gadobutrol",
        ContrastBolusRoute="IV",
        ContrastBolusVolume=decimal(constant("contrast_volume_mr")),
    )
