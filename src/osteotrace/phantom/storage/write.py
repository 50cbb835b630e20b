"""Series of the phantom to files."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRLittleEndian

from osteotrace.errors import InputError, LatticeMismatchError
from osteotrace.phantom.protocols import Acquisition, CtProtocol, MrProtocol, NmProtocol
from osteotrace.phantom.storage.common import Files
from osteotrace.phantom.storage.context import StudyContext, uid
from osteotrace.phantom.storage.ct import ct_files
from osteotrace.phantom.storage.mr import mr_files
from osteotrace.phantom.storage.nm import nm_files
from osteotrace.phantom.storage.pet import pet_files

_THREADS = 2
_IMPLEMENTATION = "OSTEOTRACE"
_VIEWS = 2


def write_acquisition(folder: Path, acquisition: Acquisition, context: StudyContext) -> tuple[Path, ...]:
    """Write a series, one file a slice (planar scans: one file), ``IM0001.dcm`` and so on.

    Parameters
    ----------
    folder : Path
        Made when absent.

    Returns
    -------
    tuple of Path
        In the order of the slices of the grid.

    Raises
    ------
    InputError
        The session is not described, the series begins before it, or values are not finite; nothing is
        written.
    LatticeMismatchError
        The values are not on the grid; nothing is written.
    """
    check(acquisition, context)
    files = _files(acquisition, context)
    constant = encoded(files.constant)
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"IM{k + 1:04d}.dcm" for k in range(files.count))

    def write(k: int) -> None:
        made = Dataset()
        made.update(constant)
        made.update(files.varying(k))
        save(paths[k], made, has_encoded=True)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(write, range(files.count)))
    return paths


def check(acquisition: Acquisition, context: StudyContext) -> None:
    """Raise unless an acquisition can be written."""
    session, shape = context.session(acquisition.session), acquisition.values.shape
    if acquisition.minute < session.minute:
        raise InputError(
            f"{acquisition.id} begins before its session", expected=f"minute {session.minute} or later"
        )
    if not np.isfinite(acquisition.values).all():
        raise InputError(f"{acquisition.id} has values that are not finite", expected="numbers")
    planar = isinstance(acquisition.protocol, NmProtocol)
    if planar and (len(shape) != 3 or shape[0] != _VIEWS):
        raise LatticeMismatchError(
            f"counts of {acquisition.id} of shape {shape}", expected="(2, columns, rows)"
        )
    if not planar and (acquisition.grid is None or shape != acquisition.grid.shape):
        on = "no grid" if acquisition.grid is None else f"the grid shape {acquisition.grid.shape}"
        raise LatticeMismatchError(f"values of {acquisition.id} of shape {shape}", expected=on)


def _files(acquisition: Acquisition, context: StudyContext) -> Files:
    protocol = acquisition.protocol
    if isinstance(protocol, CtProtocol):
        return ct_files(context, acquisition, protocol)
    if isinstance(protocol, MrProtocol):
        return mr_files(context, acquisition, protocol)
    if isinstance(protocol, NmProtocol):
        return nm_files(context, acquisition, protocol)
    return pet_files(context, acquisition, protocol)


def encoded(made: Dataset) -> Dataset:
    """The same dataset with elements that are written as they are, without being encoded again."""
    buffer = io.BytesIO()
    made.save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return read_dataset(buffer, is_implicit_VR=False, is_little_endian=True)


def save(path: Path, made: Dataset, *, has_encoded: bool = False) -> None:
    """Write a dataset as DICOM file, Explicit VR Little Endian (PS3.10).

    Parameters
    ----------
    has_encoded : bool
        Elements of :func:`encoded` are among it. The others must then have a VR that is not ambiguous.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = _IMPLEMENTATION
    file = FileDataset("", made, preamble=b"\0" * 128, file_meta=meta)
    if has_encoded:
        characters = convert_encodings(made.SpecificCharacterSet)
        file.set_original_encoding(False, True, character_encoding=characters)
    file.save_as(path, enforce_file_format=True)
