"""How each scanner is set: what the physics needs and what the header tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from osteotrace.space import Grid

FatSuppression = Literal["none", "FATSAT", "STIR", "DIXON_WATER"]


@dataclass(frozen=True, slots=True)
class MrProtocol:
    """One MR sequence (PS3.3 C.8.3).

    Attributes
    ----------
    sequence : {"SE", "TSE", "IR", "GRE"}
        Spin echo, turbo spin echo, inversion recovery turbo spin echo, spoiled gradient echo.
    declares_fat_suppression : bool
        Whether the header tells it (ScanOptions FS); vendors leave it out.
    noise : float
        SD of each of the real and imaginary channel, in units of the signal of muscle on this sequence.
    coil_bias : float
        Relative range of the surface coil's sensitivity over the field of view.
    fat_failure : float
        Share of the fat signal that comes back at the far end of the field of view.
    """

    name: str
    sequence: Literal["SE", "TSE", "IR", "GRE"]
    tr_ms: float
    te_ms: float
    ti_ms: float | None = None
    echo_train: int = 1
    flip_deg: float = 90.0
    fat_suppression: FatSuppression = "none"
    declares_fat_suppression: bool = True
    contrast: bool = False
    plane: Literal["sagittal", "coronal", "axial"] = "sagittal"
    field_t: float = 1.5
    matrix: int = 384
    pixel_mm: float = 0.9
    slices: int = 17
    thickness_mm: float = 4.0
    gap_mm: float = 0.4
    bandwidth_hz_px: float = 200.0
    noise: float = 0.04
    coil_bias: float = 0.35
    fat_failure: float = 0.2
    saturation_band: bool = True
    ghosting: float = 0.01


@dataclass(frozen=True, slots=True)
class CtProtocol:
    """One CT series (PS3.3 C.8.2)."""

    name: str
    kvp: float = 120.0
    kernel: Literal["soft", "bone"] = "soft"
    matrix: int = 512
    pixel_mm: float = 0.8
    slice_mm: float = 2.0
    noise_hu: float = 14.0
    contrast_phase: Literal["none", "portal venous"] = "none"
    low_dose: bool = False


@dataclass(frozen=True, slots=True)
class PetProtocol:
    """FDG PET (PS3.3 C.8.9)."""

    name: str
    matrix: int = 168
    pixel_mm: float = 4.07
    slice_mm: float = 3.0
    fwhm_mm: float = 5.5
    noise: float = 0.08
    dose_bq: float = 3.7e8
    uptake_min: float = 60.0
    minutes_per_bed: float = 3.0


@dataclass(frozen=True, slots=True)
class NmProtocol:
    """Whole-body planar bone scan, dual head (PS3.3 C.8.4)."""

    name: str
    columns: int = 256
    rows: int = 1024
    pixel_mm: float = 2.4
    fwhm_mm: float = 9.0
    mean_counts: float = 8.0
    dose_bq: float = 7.4e8
    uptake_min: float = 180.0


Protocol = MrProtocol | CtProtocol | PetProtocol | NmProtocol


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """One series as it left the scanner.

    Attributes
    ----------
    id : str
        Unique in the patient, for example ``mr0-t1``; names the folder.
    session : str
        Series of one session are one DICOM study, for example ``mr0``.
    day : int
        After the first exam.
    minute : int
        Of the day; series of a session follow each other.
    values : ndarray of float32
        HU, SUV or MR signal in arbitrary units, shape grid.shape; counts of a planar scan, shape
        (2, columns, rows): anterior, posterior (each as a viewer shows it; PS3.3 C.8.4.8).
    grid : Grid or None
        Lattice in the frame of reference of the exam; None for a planar scan.
    """

    id: str
    session: str
    day: int
    minute: int
    protocol: Protocol
    values: NDArray[np.float32]
    grid: Grid | None
