"""Small acquisitions of every kind to be written, and the dciodvfy that judges the files."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteotrace.model.imaging import Volume
from osteotrace.phantom.protocols import Acquisition, CtProtocol, MrProtocol, NmProtocol, PetProtocol
from osteotrace.phantom.records import Person
from osteotrace.phantom.storage import Scanner, Session, StudyContext, Vendor, uid, write_acquisition
from osteotrace.space import Grid

SAGITTAL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
T1 = MrProtocol("T1 SE SAG", "SE", 520.0, 12.0)
T2_FS = MrProtocol("T2 TSE SAG", "TSE", 3600.0, 94.0, echo_train=15, fat_suppression="FATSAT")
STIR = MrProtocol("TIRM SAG", "IR", 4200.0, 60.0, ti_ms=160.0, echo_train=13, fat_suppression="STIR")


def session(name: str, vendor: Vendor = "A", **more: str) -> Session:
    scanner = Scanner(vendor, f"Model {vendor} (phantom)", f"STATION{vendor}", f"Hospital {vendor}")
    return Session(name, f"Study {name}", "SPINE", scanner, referring_physician="Referrer^Rita", **more)


def context(name: str = "Müller^Jürgen", seed: int = 1, vendor: Vendor = "A") -> StudyContext:
    """Sessions ``mr0`` of another hospital, then ``mr``, ``ct``, ``nm`` and ``petct`` of one vendor."""
    sessions = (
        session("mr0", "C", foreign_id="77", foreign_issuer="elsewhere"),
        *(session(s, vendor) for s in ("mr", "ct", "nm", "petct")),
    )
    return StudyContext(Person("M", 50, 1.76, 74.0), "PHANTOM-1", name, dt.date(2024, 3, 1), seed, sessions)


def tilted(shape: tuple[int, int, int], spacing: tuple[float, float, float], frame: str, axes=None) -> Grid:
    """A lattice turned about all three axes."""
    turned = Rotation.from_euler("xyz", [4, -7, 3], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turned @ (np.eye(3) if axes is None else axes) * np.array(spacing)
    affine[:3, 3] = (-51.23456, -60.2, 712.345)
    return Grid(shape, affine, str(uid(frame)))


def smooth(shape: tuple[int, ...], low: float, high: float, seed: int = 3) -> np.ndarray:
    """A smooth random image from ``low`` to ``high``."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    noise = (noise - noise.min()) / np.ptp(noise)
    return (low + noise * (high - low)).astype(np.float32)


def mr(
    protocol: MrProtocol = T1, name: str = "mr-t1", session_name: str = "mr", day: int = 68
) -> Acquisition:
    grid = tilted((40, 48, 6), (0.9, 0.9, 4.4), session_name, SAGITTAL)
    return Acquisition(name, session_name, day, 600, protocol, smooth(grid.shape, 0, 731.5), grid)


def ct(highest: float = 1800.0, name: str = "ct", **more) -> Acquisition:
    grid = tilted((40, 36, 9), (0.8, 0.8, 2.0), "ct")
    protocol = replace(CtProtocol("CT trunk"), **more)
    return Acquisition(name, "ct", 69, 660, protocol, smooth(grid.shape, -1000, highest), grid)


def pet(minute: int = 632, slices: int = 96) -> Acquisition:
    grid = tilted((20, 24, slices), (4.07, 4.07, 3.0), "petct")
    return Acquisition("pet", "petct", 71, minute, PetProtocol("PET AC"), smooth(grid.shape, 0, 8), grid)


def planar() -> Acquisition:
    counts = np.random.default_rng(5).poisson(smooth((2, 64, 256), 0, 30)).astype(np.float32)
    protocol = NmProtocol("Whole body bone", columns=64, rows=256, pixel_mm=9.6)
    return Acquisition("nm", "nm", 70, 780, protocol, counts, None)


def patient() -> tuple[Acquisition, ...]:
    """One exam of each kind, two days of MR."""
    day_0 = mr(T1, "mr0-t1", "mr0", 0)
    return (
        day_0,
        mr(T2_FS, "mr-t2"),
        ct(),
        planar(),
        replace(ct(name="pet-ct"), session="petct", day=71),
        pet(),
    )


def write_all(folder: Path, acquisitions: Iterable[Acquisition], who: StudyContext) -> dict[str, Path]:
    """Each acquisition in a folder of its own; the folders by id."""
    return {a.id: write_acquisition(folder / a.id, a, who)[0].parent for a in acquisitions}


def volume_on(volume: Volume, grid: Grid) -> np.ndarray:
    """Values of a volume in the order of a grid that has the same voxels."""
    index = volume.grid.indices(grid.points(np.moveaxis(np.indices(grid.shape), 0, -1)))
    assert np.abs(index - np.rint(index)).max() * volume.grid.spacing.max() < 1e-3
    i, j, k = np.moveaxis(np.rint(index).astype(int), -1, 0)
    return np.asarray(volume.values[i, j, k], dtype=np.float64)


def complaints(path: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings of dciodvfy; a missing dciodvfy fails where it should be there."""
    if shutil.which("dciodvfy") is None:
        if os.environ.get("CI") or os.environ.get("OSTEOTRACE_DATA"):
            pytest.fail("dciodvfy (dicom3tools) is not installed")
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False).stderr
    lines = said.splitlines()
    assert len(lines) > 0  # it names the IOD
    return (
        [line for line in lines if line.startswith("Error")],
        [line for line in lines if line.startswith("Warning")],
    )
