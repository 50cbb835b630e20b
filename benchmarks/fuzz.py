"""Damaged files through the readers: a named refusal or a recorded problem, nothing else.

Each input is a small folder - real files (``--data`` or ``OSTEOTRACE_DATA``) or the tiny synthetic patient -
of which some files were damaged: bytes flipped, cut, repeated or swapped; DICOM elements deleted, emptied,
garbled, multiplied, nested or given another value representation; lines of TOML changed. It is read as a
user's folder is: headers, then images and drawings, then ``case.toml`` and ``corrections.toml``.

An input fails when anything is raised (but a :class:`osteotrace.errors.DeclarationError` of ``case.toml`` or
``corrections.toml``: images are recorded as excluded, never raised), when it takes longer
or more memory than allowed, or when the process dies. Its number is printed and kept in
``fuzz-failures.txt``; ``--replay NUMBER`` (with the same data) runs it alone.

The work is done in a child process, so that a decoder that crashes is counted and not suffered.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from _common import finish, table
from _fuzz_mutate import mutated
from _fuzz_seeds import Seed, seeds
from osteotrace import intake, lesions
from osteotrace.errors import DeclarationError
from osteotrace.model.case import read_case
from osteotrace.model.corrections import read_corrections
from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.model.patient import PatientImages
from osteotrace.model.problem import Problem

TIME_LIMIT_S = 30.0
GRACE_S = 30.0  # beyond the limit, for native code that cannot be interrupted
ADDRESS_SPACE_BYTES = 6 << 30
MEMORY_LIMIT_MB = 1500  # resident, of a process that starts with about 200
INPUTS_PER_CHILD = 2000
FAILURES_FILE = Path("fuzz-failures.txt")
DATA_VARIABLE = "OSTEOTRACE_DATA"


class TooSlowError(BaseException):
    """The time limit; no ``except Exception`` of a decoder may swallow it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input.

    Attributes
    ----------
    accepted : bool
        Whether an image, a drawing or a declaration was read in spite of the damage.
    failure : str
        Traceback or reason; empty when all is well.
    """

    number: int
    kind: str
    accepted: bool
    seconds: float
    failure: str = ""


@dataclass(slots=True)
class Row:
    """Sums of one kind of seed."""

    inputs: int = 0
    accepted: int = 0
    failures: int = 0
    slowest_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """Sums of all inputs."""

    rows: dict[str, Row] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one input; a failure is written out at once."""
        row = self.rows.setdefault(outcome.kind, Row())
        row.inputs += 1
        row.accepted += outcome.accepted
        row.slowest_s = max(row.slowest_s, outcome.seconds)
        if outcome.failure:
            row.failures += 1
            self.failed.append(outcome.number)
            sys.stderr.write(f"--- input {outcome.number} ({outcome.kind}) failed\n{outcome.failure}\n")
            with FAILURES_FILE.open("a", encoding="utf-8") as stream:
                stream.write(f"{outcome.number}\t{outcome.kind}\t{_last_line(outcome.failure)}\n")


def make_input(number: int, corpus: Sequence[Seed]) -> tuple[str, dict[str, bytes]]:
    """Kind and files of an input; the same number and corpus give the same files."""
    rng = random.Random(number)
    seed = rng.choice(corpus)
    return seed.kind, mutated(seed, rng, corpus)


def read_input(folder: Path, criteria: Criteria) -> bool:
    """Read a folder as the pipeline does; whether anything was accepted.

    Raises
    ------
    DeclarationError
        When ``case.toml`` or ``corrections.toml`` is refused. Of images nothing is ever raised: what cannot
        be read is recorded, and the rest goes on.
    """
    corrections, case = folder / "corrections.toml", folder / "case.toml"
    declared = read_case(case) if case.is_file() else None
    corrected = read_corrections(corrections) if corrections.is_file() else None
    found = intake.scan(folder)
    _check_words(found.problems)
    accepted = declared is not None or corrected is not None
    for patient in found.patients:
        images = intake.read_patient(patient, criteria, case=declared)
        _check_words(images.problems)
        accepted = accepted or bool(images.volumes or images.planar)
        _use(images)
    return accepted


def _use(images: PatientImages) -> None:
    """What follows the reading must stand what was read."""
    outlines, problems = lesions.lesions_of(images)
    _check_words(problems)
    for outline in outlines:
        repr(outline.mask.volume_ml)


def _check_words(problems: Sequence[Problem]) -> None:
    for problem in problems:
        words = str(problem)
        words.encode()
        if "\n" in words or not problem.found:
            raise AssertionError(f"a problem is one line of words, not {words!r}")


def run_input(number: int, corpus: Sequence[Seed], criteria: Criteria, root: Path) -> Outcome:
    """Make an input, read it, and judge."""
    kind, files = make_input(number, corpus)
    folder = Path(tempfile.mkdtemp(dir=root))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    started, accepted, failure, peak_before = time.perf_counter(), False, "", _peak_mb()
    try:
        with _alarm(TIME_LIMIT_S):
            accepted = read_input(folder, criteria)
    except DeclarationError as error:
        failure = "" if error.found and "\n" not in str(error) else f"the refusal says nothing: {error!r}"
    except (Exception, TooSlowError):
        failure = traceback.format_exc()
    seconds = time.perf_counter() - started
    peak = _peak_mb()
    if peak > max(MEMORY_LIMIT_MB, peak_before) and not failure:
        failure = f"{peak:.0f} MB of memory after {sum(map(len, files.values()))} bytes of input"
    shutil.rmtree(folder)
    return Outcome(number, kind, accepted, seconds, failure)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def rung(signal_number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, rung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _child(pipe: Connection, first: int, until: float, corpus: Sequence[Seed]) -> None:
    """Run inputs one after the other; tell the parent what is being run, then what became of it."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_WRONLY)  # the decoders' own words on stderr
    os.dup2(quiet, 2)
    criteria = load_criteria()
    with tempfile.TemporaryDirectory(prefix="osteotrace-fuzz-") as root:
        for number in range(first, first + INPUTS_PER_CHILD):
            if time.time() > until:
                break
            pipe.send(number)
            outcome = run_input(number, corpus, criteria, Path(root))
            pipe.send(outcome)
            if "MB of memory" in outcome.failure:
                break  # the peak never falls again: a new process
    pipe.close()


def _outcomes(first: int, until: float, corpus: Sequence[Seed]) -> Iterator[Outcome]:
    """Outcomes of one child process; the last one is a failure when the child died of it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, first, until, corpus), daemon=True)
    child.start()
    theirs.close()
    running: int | None = None
    try:
        while ours.poll(TIME_LIMIT_S + GRACE_S):
            message = ours.recv()
            running = message if isinstance(message, int) else None
            if isinstance(message, Outcome):
                yield message
    except EOFError:
        child.join()
    reason = "the process hung" if child.is_alive() else f"the process died (exit code {child.exitcode})"
    child.kill()
    child.join()
    if running is not None:
        yield Outcome(running, make_input(running, corpus)[0], False, 0.0, reason)


def fuzz(first: int, seconds: float, corpus: Sequence[Seed], told: Callable[[Outcome], None]) -> None:
    """Run inputs from a number on until the time is over."""
    until, number = time.time() + seconds, first
    while time.time() < until:
        for outcome in _outcomes(number, until, corpus):
            told(outcome)
            number = outcome.number + 1


def replay(number: int, corpus: Sequence[Seed]) -> int:
    """Run one input in this process, with its files left in a folder; exit code."""
    kind, files = make_input(number, corpus)
    folder = Path(tempfile.mkdtemp(prefix=f"osteotrace-fuzz-{number}-"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sys.stdout.write(f"input {number}: {kind}, files in {folder}\n")
    try:
        accepted = read_input(folder, load_criteria())
    except DeclarationError as error:
        sys.stdout.write(f"refused: {error}\n")
    else:
        sys.stdout.write("accepted\n" if accepted else "nothing in it was accepted\n")
    return 0


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--data", type=Path, help="folder of real scans, searched recursively")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="run this input alone")
    return parser.parse_args()


def main() -> int:
    """Run and print; 1 when an input failed."""
    given = _arguments()
    data: Path | None = given.data or (
        Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None
    )
    corpus = seeds(data)
    if given.replay is not None:
        return replay(given.replay, corpus)
    tally, started = Tally(), time.time()
    fuzz(given.seed, given.seconds, corpus, tally.add)
    rows = sorted(tally.rows.items())
    table(
        f"{len(corpus)} seeds, inputs from {given.seed} on",
        ("kind", "inputs", "refused", "accepted", "failures", "slowest s"),
        (
            (k, r.inputs, r.inputs - r.accepted - r.failures, r.accepted, r.failures, r.slowest_s)
            for k, r in rows
        ),
    )
    finish(
        inputs=sum(r.inputs for _, r in rows),
        failures=len(tally.failed),
        seconds=round(time.time() - started, 1),
        slowest_s=round(max(itertools.chain([0.0], (r.slowest_s for _, r in rows))), 3),
    )
    return 1 if tally.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
