"""Positron Emission Tomography Image Storage (PS3.3 A.21, C.8.9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from osteotrace.phantom.protocols import Acquisition, PetProtocol
from osteotrace.phantom.storage import common
from osteotrace.phantom.storage.context import StudyContext
from osteotrace.phantom.storage.elements import dataset, decimal, decimals
from osteotrace.phantom.storage.habits import Habits, constant, constants, habits_of
from osteotrace.phantom.storage.tracer import (
    Tracer,
    fdg,
    information,
    injection_before,
    lying_supine_headfirst,
)
from osteotrace.space import Grid

_BITS, _HIGHEST = 16, 2**15 - 1
_SECONDS, _MS = 60.0, 1000.0
_GRAMS = 1000.0


@dataclass(frozen=True, slots=True)
class _Bed:
    """One bed position: seconds from the start of the series, and how long it took."""

    start_s: float
    duration_s: float


def pet_files(context: StudyContext, acquisition: Acquisition, protocol: PetProtocol) -> common.Files:
    """The files of a PET series: Bq/mL at its start (Decay Correction START), one Rescale Slope a slice.

    The patient is scanned bed by bed from the feet to the head, each bed with times of its own.
    """
    assert acquisition.grid is not None
    tracer, start = fdg(), context.start(acquisition)
    injected = injection_before(start, protocol.uptake_min)
    waited = (start - injected).total_seconds()
    bq_per_suv = tracer.decayed(protocol.dose_bq, waited) / (context.person.weight_kg * _GRAMS)
    made = common.image_series(context, acquisition, "PT")
    made.SOPClassUID = PositronEmissionTomographyImageStorage
    common.plane(made, acquisition.grid, protocol.slice_mm)
    common.pixel_format(made, _BITS, signed=True)
    made.update(lying_supine_headfirst())
    made.update(_series(habits_of(context.session(acquisition.session).scanner.vendor)))
    made.NumberOfSlices = acquisition.grid.shape[2]
    (agent,) = information(tracer, protocol.dose_bq, injected)
    agent.RadiopharmaceuticalStartDateTime = f"{injected:%Y%m%d%H%M%S}"
    agent.RadionuclideHalfLife = decimal(tracer.half_life_s)
    made.RadiopharmaceuticalInformationSequence = [agent]
    made.WindowCenter, made.WindowWidth = decimals(round(w * bq_per_suv) for w in constants("window_suv"))
    beds = _beds(acquisition.grid, protocol)

    def varying(k: int) -> Dataset:
        one = common.slice_of(context, acquisition, k)
        one.ImageIndex = k + 1
        common.acquired(one, start + timedelta(seconds=beds[k].start_s))
        one.update(_times(beds[k], tracer))
        activity = acquisition.values[:, :, k] * np.float32(bq_per_suv)
        slope = decimal(max(float(np.abs(activity).max()), 1.0) / _HIGHEST)
        one.RescaleSlope, one.RescaleIntercept = slope, "0"
        one.add(common.pixels(activity / np.float32(slope), _BITS, signed=True))
        return one

    return common.Files(made, varying, acquisition.grid.shape[2])


def _series(habits: Habits) -> Dataset:
    made = dataset(
        ImageType=["ORIGINAL", "PRIMARY"],
        SeriesType=["WHOLE BODY", "IMAGE"],
        Units="BQML",
        CountsSource="EMISSION",
        DecayCorrection="START",
        CorrectedImage=habits.pet_corrected,
        RandomsCorrectionMethod=habits.pet_randoms,
        AttenuationCorrectionMethod=habits.pet_attenuation,
        ScatterCorrectionMethod=habits.pet_scatter,
        ReconstructionMethod=habits.pet_reconstruction,
        CollimatorType="NONE",
    )
    if habits.pet_kernel:
        made.ConvolutionKernel = habits.pet_kernel
    return made


def _beds(grid: Grid, protocol: PetProtocol) -> tuple[_Bed, ...]:
    """Bed position of every slice, in the order of the grid."""
    z = grid.points([(0, 0, k) for k in range(grid.shape[2])])[:, 2]
    number = np.floor((z - z.min()) / constant("bed_step") + 1e-6)
    duration = protocol.minutes_per_bed * _SECONDS
    return tuple(_Bed(float(n) * duration, duration) for n in number)


def _times(bed: _Bed, tracer: Tracer) -> Dataset:
    """Frame times and Decay Factor of a bed (PS3.3 C.8.9.4.1.5): of its average activity, to the start."""
    rate = math.log(2) / tracer.half_life_s
    lost = rate * bed.duration_s / -math.expm1(-rate * bed.duration_s)
    average_s = bed.start_s + math.log(lost) / rate
    return dataset(
        FrameReferenceTime=decimal(average_s * _MS),
        ActualFrameDuration=str(round(bed.duration_s * _MS)),
        DecayFactor=decimal(math.exp(rate * bed.start_s) * lost),
    )
