"""TotalSegmentator, run as a program of its own when it is installed.

Nothing is fetched: without its weights on the disk it is not started. It is not part of osteotrace, has a
licence of its own, and may report that it was used to its makers, as its own settings say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from osteotrace.anatomy.adapters.label_map import read_label_maps
from osteotrace.errors import ProgramError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.imaging import Volume
from osteotrace.model.label_schemes import scheme
from osteotrace.model.values import Modality
from osteotrace.space import write_nifti

PROGRAM: Final = "TotalSegmentator"

# Task, label scheme and numbers of the weights (totalseg_download_weights.py of TotalSegmentator 2).
_TASKS: Final = {
    Modality.CT: ("total", "totalsegmentator_ct", (291, 292, 293, 294, 295)),
    Modality.MR: ("vertebrae_mr", "totalsegmentator_vertebrae_mr", (756,)),
}
_LAST_WORDS: Final = 300  # characters of what the program said when it failed


def run_totalsegmentator(volume: Volume, *, threads: int = 1) -> Anatomy:
    """Segment a CT or MR volume by TotalSegmentator, on the CPU.

    Raises
    ------
    ProgramError
        TotalSegmentator or its weights are absent, it failed, or it has no task for such an image.
    """
    if volume.series.modality not in _TASKS:
        raise ProgramError(
            f"{PROGRAM} has no task for {volume.series.modality} images",
            where=volume.series.id,
            expected="CT or MR",
            remedy="use --anatomy builtin",
        )
    task, labels, weights = _TASKS[volume.series.modality]
    program = _program()
    _require_weights(task, weights)
    with tempfile.TemporaryDirectory(prefix="osteotrace-") as name:
        image, result = Path(name) / "image.nii.gz", Path(name) / "labels.nii.gz"
        write_nifti(image, volume.values, volume.grid)
        _run(program, task, image, result, threads)
        return read_label_maps(
            [(result, scheme(labels))],
            series_id=volume.series.id,
            frame_of_reference_uid=volume.grid.frame_of_reference_uid,
        )


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise ProgramError(
            f"{PROGRAM} is not installed",
            expected=f"the command {PROGRAM} on the PATH",
            remedy=f"pip install {PROGRAM} (an environment of its own will do), or use --anatomy builtin",
        )
    return program


def _require_weights(task: str, weights: tuple[int, ...]) -> None:
    folder = _weights_folder()
    lacking = [n for n in weights if not any(folder.glob(f"Dataset{n}_*"))]
    if lacking:
        raise ProgramError(
            f"{PROGRAM} is installed, but its weights {', '.join(map(str, lacking))} for {task} are absent",
            expected="them where TOTALSEG_WEIGHTS_PATH or TOTALSEG_HOME_DIR points",
            remedy=f"totalseg_download_weights -t {task} where there is internet, or use --anatomy builtin",
        )


def _weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights."""
    if own := os.environ.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(own)
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def _run(program: str, task: str, image: Path, result: Path, threads: int) -> None:
    command = [program, "-i", str(image), "-o", str(result), "--ml", "--task", task, "--device", "cpu"]
    command += ["--nr_thr_resamp", str(threads), "--nr_thr_saving", str(threads), "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment, check=False
    )
    if done.returncode or not result.is_file():
        raise ProgramError(
            f"{PROGRAM} ended with code {done.returncode}: {done.stderr.strip()[-_LAST_WORDS:]}",
            expected="a label map",
            remedy=f"run {PROGRAM} by hand on the image, or use --anatomy builtin",
        )
