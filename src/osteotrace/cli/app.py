"""Commands and exit codes.

0 done · 2 usage, or the output cannot be written · 3 input refused, nothing written · 4 done with exams
left out, each of them named · 130 stopped by the user
"""

from __future__ import annotations

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from osteotrace import __version__, phantom, pipeline
from osteotrace.cli.progress import shown_progress
from osteotrace.cli.show import show_patient, show_problems, show_result, table_console
from osteotrace.errors import InputError, OsteotraceError, OutputError, ProgramError
from osteotrace.space import limit_threads

DONE, USAGE, REFUSED, LEFT_OUT, STOPPED = 0, 2, 3, 4, 130

app = typer.Typer(
    name="osteotrace",
    help="Follow every bone lesion of one patient across MR, CT, bone scan and PET, and across time. "
    "Research use only.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class CaseKind(StrEnum):
    """What ``osteotrace phantom`` makes."""

    INDEX = "index"
    RANDOM = "random"


class ReaderKind(StrEnum):
    """How the drawings of the phantom's reader are delivered."""

    RTSTRUCT = "rtstruct"
    SEG = "seg"
    NONE = "none"


CaseOption = Annotated[
    Path | None, typer.Option("--case", exists=True, dir_okay=False, help="Clinical data and declarations.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        Console().print(f"osteotrace {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Follow every bone lesion of one patient across modalities and time. Research use only."""


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A file or folder with DICOM or NIfTI images.")],
    case: CaseOption = None,
) -> None:
    """Show what is there: timeline, series, roles, geometry, units, problems."""
    console = table_console()
    with shown_progress() as progress:
        patients, problems = pipeline.survey(path, case, progress)
    for patient in patients:
        show_patient(patient, console)
    show_problems(problems, console, "The folder")
    if not any(patient.timeline.exams for patient in patients):
        raise typer.Exit(REFUSED)


@app.command()
def run(
    path: Annotated[Path, typer.Argument(help="A file or folder with the images of one patient.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    case: CaseOption = None,
    corrections: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What a person overrules.")
    ] = None,
    anatomy: Annotated[
        str,
        typer.Option(
            help="Who finds the bones: builtin, totalsegmentator, none; or label maps: a file, a folder, or "
            "SCHEME=PATH."
        ),
    ] = "builtin",
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="No names, dates, identifiers or UIDs in the results.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=0, help="Threads; 0 takes all cores.")] = 0,
) -> None:
    """Work up one patient and write the results."""
    limit_threads(jobs)
    settings = pipeline.Settings(case, corrections, anatomy, deidentify)
    _run(path, output, settings)


@app.command(name="phantom")
def make_phantom(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for dicom/, truth/ and case.toml.")],
    case: Annotated[CaseKind, typer.Option(help="The published case, or a patient drawn from the seed.")] = (
        CaseKind.INDEX
    ),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    hard: Annotated[
        bool, typer.Option("--hard", help="Random: more lesions, more mimics, more motion.")
    ] = False,
    counterfactual: Annotated[
        str, typer.Option(help=f"Index: altered in one respect; one of {', '.join(phantom.COUNTERFACTUALS)}.")
    ] = "",
    exams: Annotated[
        str, typer.Option(help="Only these, separated by commas, for example mr0,ct69; without: all.")
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Random: anatomy from a 117-class label map (NIfTI)."),
    ] = None,
    reader: Annotated[
        ReaderKind, typer.Option(help="Drawings of a reader with each exam: RTSTRUCT, SEG or none.")
    ] = ReaderKind.RTSTRUCT,
) -> None:
    """Write a phantom patient: DICOM of all exams, case.toml, and the truth apart from them."""
    names = tuple(name.strip() for name in exams.split(",") if name.strip())
    request = phantom.CaseRequest(case.value, seed, hard, counterfactual, names, labels)
    with shown_progress() as progress:
        progress("building the body", 0, 1)
        plan = phantom.plan_case(request)
        phantom.make_patient(output, plan, reader=reader.value, progress=progress)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the demo.")] = Path("demo-out"),
) -> None:
    """Re-enact the published case: phantom DICOM of every exam, then the whole workup of it."""
    patient = output / "patient"
    with shown_progress() as progress:
        progress("building the body", 0, 1)
        phantom.make_patient(patient, phantom.plan_case(phantom.CaseRequest()), progress=progress)
    _run(patient / "dicom", output / "workup", pipeline.Settings(patient / "case.toml"))


def _run(path: Path, output: Path, settings: pipeline.Settings) -> None:
    with shown_progress() as progress:
        result = pipeline.run(path, output, settings, progress)
    show_result(result, output, table_console())
    if result.left_out:
        raise typer.Exit(LEFT_OUT)


def main() -> None:
    """Entry point: run a command and turn errors into words and exit codes."""
    warnings.simplefilter("ignore")  # libraries warn about odd headers; intake records those as problems
    try:
        app()
    except OsteotraceError as error:
        Console(stderr=True).print(f"[bold red]refused[/]: {escape(str(error))}", highlight=False)
        sys.exit(_exit_code(error))
    except SystemExit as ended:
        if ended.code == STOPPED:  # typer has caught the KeyboardInterrupt
            Console(stderr=True).print("stopped; run the same command again to go on", highlight=False)
        raise


def _exit_code(error: OsteotraceError) -> int:
    if isinstance(error, InputError):
        return REFUSED
    return USAGE if isinstance(error, OutputError | ProgramError) else 1
