"""What a phantom patient costs, whether its DICOM is valid, and whether a seed gives the same bytes.

Each patient is made by the command line in a process of its own. Every DICOM file goes through dciodvfy;
without dciodvfy nothing is measured. The first patient is made twice, and all files are compared.

    python benchmarks/phantom.py --seeds 0-2 [--case index|random] [--hard] [--exams mr0,ct69]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _common import finish, seeds, table

NO_CHECKER = 2
MAKE = [sys.executable, "-c", "from osteotrace.cli import main; main()", "phantom"]


@dataclass(frozen=True, slots=True)
class Made:
    """One patient.

    Attributes
    ----------
    cpu_s : float
        Processor time of the process, both cores together.
    """

    seed: int
    seconds: float
    cpu_s: float
    peak_gb: float
    files: int
    megabytes: float
    errors: int


def main() -> None:
    """Make the patients, check their files, print the table and the JSON object."""
    parser = argparse.ArgumentParser(description="cost and validity of phantom patients")
    parser.add_argument("--seeds", type=seeds, required=True, help="first and last seed, for example 0-2")
    parser.add_argument("--case", choices=("index", "random"), default="index")
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--exams", default="", help="only these, as osteotrace phantom takes them")
    options = parser.parse_args()
    if shutil.which("dciodvfy") is None:
        sys.stderr.write("dciodvfy is not installed (Debian package dicom3tools): nothing can be checked\n")
        raise SystemExit(NO_CHECKER)
    words = ["--case", options.case, "--exams", options.exams, *(["--hard"] if options.hard else [])]
    with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as name:
        root = Path(name)
        made = [
            measured(seed, words, root / str(seed), keep=seed == options.seeds[0]) for seed in options.seeds
        ]
        first = root / str(options.seeds[0])
        again = root / "again"
        run(options.seeds[0], words, again)
        same = digests(first) == digests(again)
    columns = ("seed", "seconds", "CPU s", "peak GB", "files", "MB", "dciodvfy errors")
    rows = [(m.seed, m.seconds, m.cpu_s, m.peak_gb, m.files, m.megabytes, m.errors) for m in made]
    table(f"Phantom patients, case {options.case}", columns, rows)
    finish(
        patients=len(made),
        seconds_median=statistics.median(m.seconds for m in made),
        peak_gb=max(m.peak_gb for m in made),
        dciodvfy_errors=sum(m.errors for m in made),
        same_bytes=same,
        cpu_seconds_median=statistics.median(m.cpu_s for m in made),
    )


def measured(seed: int, words: list[str], folder: Path, *, keep: bool) -> Made:
    """Make one patient and check every DICOM file of it."""
    seconds, usage = run(seed, words, folder)
    files = sorted((folder / "dicom").rglob("*.dcm"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = sum(pool.map(dciodvfy_errors, files))
    size = sum(file.stat().st_size for file in files) / 1e6
    if not keep:
        shutil.rmtree(folder)
    peak = usage.ru_maxrss / 2**20
    return Made(seed, seconds, usage.ru_utime + usage.ru_stime, peak, len(files), size, errors)


def run(seed: int, words: list[str], folder: Path) -> tuple[float, resource.struct_rusage]:
    """Seconds and resources of one call of the command line."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [*MAKE, *words, "--seed", str(seed), "-o", str(folder)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return time.perf_counter() - start, usage


def dciodvfy_errors(file: Path) -> int:
    """Lines that dciodvfy calls an error."""
    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    if not report.strip():
        return 1  # it always names the IOD: silence means that it did not get so far
    return sum(line.startswith("Error") for line in report.splitlines())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its path in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


if __name__ == "__main__":
    main()
