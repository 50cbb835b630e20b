"""``case.toml``: what the images cannot tell, declared by a person.

::

    [patient]
    id = "P01"
    sex = "M"
    age_years = 39

    [[event]]
    kind = "radiotherapy"      # surgery radiotherapy drug biopsy pathology symptom reading
    date = 2024-04-06          # or day = 36, counted from the first dated exam; neither: unknown
    text = "T11 to L2"
    dose_gy = 36.0
    fractions = 20

    [[image]]                  # a NIfTI image; or these keys without file in t1.toml beside t1.nii.gz
    file = "mr/t1.nii.gz"      # relative to this file; * ? and ** are patterns
    modality = "MR"
    quantity = "MR signal"
    date = 2024-03-01
    weighting = "T1W"
    frame = "spine"            # images of one frame share patient space

    [[image]]                  # a drawing on one of the images
    file = "mr/lesions.nii.gz"
    mask_of = "mr/t1.nii.gz"
    labels = { 1 = "L1 lesion", 2 = "L5 lesion" }
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from osteotrace.errors import DeclarationError
from osteotrace.model.declarations import Table, nifti_files, read_toml
from osteotrace.model.patient import (
    Biopsy,
    DrugTherapy,
    EarlierReading,
    Event,
    Pathology,
    Radiotherapy,
    Surgery,
    Symptom,
)
from osteotrace.model.values import UCUM_OF_QUANTITY, Modality, Quantity

AnyEvent = TypeVar("AnyEvent", bound=Event)

# Weighting as a word of its own; fat suppression and contrast are declared apart from it.
WEIGHTINGS = ("T1W", "T2W", "PD", "T2*", "STIR", "FLAIR", "DWI")

_MAX_AGE_YEARS = 130.0  # no person was older: a slip of the pen
_MAX_DAY = 50_000  # longer than a life: a slip of the pen
_MAX_COUNT = 1000  # fractions, cycles: a slip of the pen
_MAX_LABEL = 2**31 - 1

_EVENTS: dict[str, type[Event]] = {
    "surgery": Surgery,
    "radiotherapy": Radiotherapy,
    "drug": DrugTherapy,
    "biopsy": Biopsy,
    "pathology": Pathology,
    "symptom": Symptom,
    "reading": EarlierReading,
}

# Without these an event says nothing; a reading without ``lesions`` would count all as overlooked.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "pathology": ("text",),
    "symptom": ("text",),
    "reading": ("lesions",),
}

_READ_MODALITIES = (*Modality, "CR", "DX", "US")  # a plain film or a sonography may have been read too

_QUANTITIES: dict[Modality, tuple[Quantity, ...]] = {
    Modality.CT: (Quantity.HU,),
    Modality.MR: (Quantity.MR_SIGNAL, Quantity.ADC),
    Modality.PT: (Quantity.SUVBW, Quantity.ACTIVITY, Quantity.COUNTS),
    Modality.NM: (Quantity.COUNTS, Quantity.ACTIVITY),
    Modality.RTDOSE: (Quantity.DOSE,),
}

# Spellings of a unit, and the factor to the unit of UCUM_OF_QUANTITY.
_UNITS: dict[Quantity, dict[str, float]] = {
    Quantity.HU: {"HU": 1.0},
    Quantity.SUVBW: {"g/mL": 1.0, "g/ml": 1.0},
    Quantity.ACTIVITY: {"Bq/mL": 1.0, "Bq/ml": 1.0, "kBq/mL": 1e3, "kBq/ml": 1e3},
    Quantity.ADC: {"um2/s": 1.0, "1e-6 mm2/s": 1.0, "1e-3 mm2/s": 1e3, "mm2/s": 1e6},
    Quantity.DOSE: {"Gy": 1.0, "cGy": 0.01},
}

_MR_KEYS = ("weighting", "fat_suppression", "field_strength_t")
_NUCLEAR_KEYS = ("tracer",)
_IMAGE_KEYS = (
    *("modality", "quantity", "unit", "date", "datetime", "contrast", "frame", "body_part"),
    *_MR_KEYS,
    *_NUCLEAR_KEYS,
)
_MASK_KEYS = ("mask_of", "labels")


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What ``[patient]`` declares; empty or None where it says nothing."""

    patient_id: str = ""
    sex: Literal["M", "F", "O", ""] = ""
    age_years: float | None = None


@dataclass(frozen=True, slots=True)
class ImageDeclaration:
    """What a person declares of NIfTI images.

    Attributes
    ----------
    where : str
        File and table, for example ``case.toml: image 2``; names the source of each attribute.
    files : tuple of Path
        The images that it speaks of; each exists.
    unit : str
        UCUM unit of the quantity, after ``scale``.
    scale : float
        Multiply the stored values by it, for example 1e6 for an ADC in mm²/s.
    start : datetime or None
        Begin of the acquisition, local time; midnight when only the date is declared.
    weighting : str
        One of ``WEIGHTINGS``; empty when not declared.
    fat_suppression, contrast : bool or None
        None when not declared.
    frame : str
        Images with the same word share patient space; empty: a space of its own.
    """

    where: str
    files: tuple[Path, ...]
    modality: Modality
    quantity: Quantity
    unit: str
    scale: float = 1.0
    start: datetime | None = None
    weighting: str = ""
    fat_suppression: bool | None = None
    contrast: bool | None = None
    field_strength_t: float | None = None
    tracer: str = ""
    frame: str = ""
    body_part: str = ""


@dataclass(frozen=True, slots=True)
class MaskDeclaration:
    """What a person declares of NIfTI drawings.

    Attributes
    ----------
    image : Path
        The image that the drawing was made on; it exists.
    labels : tuple of (int, str)
        Value in the file and its name, in order of value; empty: every value above 0 is a region.
    """

    where: str
    files: tuple[Path, ...]
    image: Path
    labels: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """The content of ``case.toml``."""

    patient: PatientFacts = PatientFacts()
    events: tuple[Event, ...] = ()
    images: tuple[ImageDeclaration, ...] = ()
    masks: tuple[MaskDeclaration, ...] = ()


def read_case(path: Path) -> Case:
    """Read ``case.toml``.

    Raises
    ------
    DeclarationError
        At the first thing that is wrong: file, table and key, what was expected, what to do.
    """
    top = read_toml(path)
    top.check_keys(("patient", "event", "image"))
    patient = top.table("patient")
    declared = [_listed(t, path.parent) for t in top.tables("image")]
    _refuse_double(declared)
    return Case(
        _patient_facts(patient) if patient else PatientFacts(),
        tuple(_event(t) for t in top.tables("event")),
        tuple(d for d in declared if isinstance(d, ImageDeclaration)),
        tuple(d for d in declared if isinstance(d, MaskDeclaration)),
    )


def sidecar_path(image: Path) -> Path:
    """Where the sidecar of a NIfTI image would be: ``t1.toml`` beside ``t1.nii.gz``."""
    name = image.name.lower()
    ending = next((e for e in (".nii.gz", ".nii") if name.endswith(e)), image.suffix)
    return image.with_name(image.name[: len(image.name) - len(ending)] + ".toml")


def read_sidecar(path: Path, image: Path) -> ImageDeclaration | MaskDeclaration:
    """Read the sidecar of one NIfTI image: the keys of one ``[[image]]`` table without ``file``.

    Raises
    ------
    DeclarationError
        As :func:`read_case`.
    """
    table = read_toml(path)
    table.check_keys(_image_keys(table))
    return _declaration(table, (image,), path.parent)


def place_events(events: Iterable[Event], day_zero: date | None) -> tuple[Event, ...]:
    """Fill in the day from the date, and the date from the day, and sort by time.

    Parameters
    ----------
    day_zero : date or None
        Date of the first dated exam. Without it a date gives no day and a day no date.

    Returns
    -------
    tuple of Event
        In order of day; then those with a date but no day, by date; the undated last. Events of the
        same time keep their order.
    """
    return tuple(sorted((_placed(e, day_zero) for e in events), key=_time_key))


def _patient_facts(table: Table) -> PatientFacts:
    table.check_keys(("id", "sex", "age_years"))
    sex = cast(Literal["M", "F", "O", ""], table.one_of("sex", ("M", "F", "O")))
    return PatientFacts(table.text("id"), sex, table.number("age_years", above=0, at_most=_MAX_AGE_YEARS))


def _event(table: Table) -> Event:
    table.require("kind", f"one of {', '.join(_EVENTS)}")
    kind = table.one_of("kind", tuple(_EVENTS))
    cls = _EVENTS[kind]
    fields = [f.name for f in dataclasses.fields(cls) if f.name != "kind"]
    table.check_keys(("kind", *fields), _REQUIRED.get(kind, ()))
    table.check_not_both("date", "day")
    return cls(**{name: _EVENT_READERS[name](table) for name in fields})


_EVENT_READERS: dict[str, Callable[[Table], Any]] = {
    "date": lambda t: t.day_of("date"),
    "day": lambda t: t.count("day", at_least=-_MAX_DAY, at_most=_MAX_DAY),
    "text": lambda t: t.text("text"),
    "site": lambda t: t.text("site"),
    "levels": lambda t: t.texts("levels"),
    "dose_gy": lambda t: t.number("dose_gy", above=0),
    "fractions": lambda t: t.count("fractions", at_least=1, at_most=_MAX_COUNT),
    "drugs": lambda t: t.texts("drugs"),
    "cycles": lambda t: t.count("cycles", at_least=1, at_most=_MAX_COUNT),
    "adequate": lambda t: t.flag("adequate"),
    "modality": lambda t: t.one_of("modality", _READ_MODALITIES),
    "lesions": lambda t: t.texts("lesions"),
}


def _image_keys(table: Table) -> tuple[str, ...]:
    return _MASK_KEYS if "mask_of" in table.values else _IMAGE_KEYS


def _listed(table: Table, folder: Path) -> ImageDeclaration | MaskDeclaration:
    table.check_keys(("file", *_image_keys(table)), ("file",))
    return _declaration(table, nifti_files(table, "file", folder), folder)


def _declaration(table: Table, files: tuple[Path, ...], folder: Path) -> ImageDeclaration | MaskDeclaration:
    return _mask(table, files, folder) if "mask_of" in table.values else _image(table, files)


def _image(table: Table, files: tuple[Path, ...]) -> ImageDeclaration:
    modality = table.word("modality", Modality)
    quantity = table.word("quantity", Quantity)
    _check_fits(table, modality, quantity)
    return ImageDeclaration(
        where=table.where(),
        files=files,
        modality=modality,
        quantity=quantity,
        unit=UCUM_OF_QUANTITY[quantity],
        scale=_scale(table, quantity),
        start=_start(table),
        weighting=table.one_of("weighting", WEIGHTINGS),
        fat_suppression=table.flag("fat_suppression"),
        contrast=table.flag("contrast"),
        field_strength_t=table.number("field_strength_t", above=0),
        tracer=table.text("tracer"),
        frame=table.text("frame"),
        body_part=table.text("body_part"),
    )


def _check_fits(table: Table, modality: Modality, quantity: Quantity) -> None:
    possible = (*_QUANTITIES[modality], Quantity.UNKNOWN)
    if quantity not in possible:
        raise table.error(
            f"{modality} does not give {quantity}", key="quantity", expected=f"one of {', '.join(possible)}"
        )
    foreign = set() if modality is Modality.MR else set(_MR_KEYS)
    foreign |= set() if modality in (Modality.PT, Modality.NM) else set(_NUCLEAR_KEYS)
    foreign |= set() if modality in (Modality.MR, Modality.CT) else {"contrast"}
    for key in table.values:
        if key in foreign:
            raise table.error(
                f"{key} is declared of {modality}", key=key, remedy=f"delete {key} or correct modality"
            )


def _scale(table: Table, quantity: Quantity) -> float:
    units = {UCUM_OF_QUANTITY[quantity]: 1.0} | _UNITS.get(quantity, {})
    unit = table.one_of("unit", tuple(units))
    return units[unit] if unit else 1.0


def _start(table: Table) -> datetime | None:
    table.check_not_both("date", "datetime")
    day = table.day_of("date")
    return table.moment("datetime") if day is None else datetime.combine(day, time.min)


def _mask(table: Table, files: tuple[Path, ...], folder: Path) -> MaskDeclaration:
    images = nifti_files(table, "mask_of", folder)
    if len(images) > 1:
        raise table.error(f"{len(images)} images fit", key="mask_of", expected="one image")
    if images[0].resolve() in {f.resolve() for f in files}:
        raise table.error(
            "the drawing is declared to be of itself", key="mask_of", expected="the image it lies on"
        )
    return MaskDeclaration(table.where(), files, images[0], _labels(table))


def _labels(table: Table) -> tuple[tuple[int, str], ...]:
    labels = table.table("labels")
    if labels is None:
        return ()
    for key in labels.values:
        if not (key.isascii() and key.isdigit() and 0 < int(key[:12]) <= _MAX_LABEL):
            raise labels.error(
                f"{key[:12]!r} is no label", expected="whole numbers above 0, as in { 1 = 'name' }"
            )
    named = sorted((int(key), labels.text(key)) for key in labels.values)
    for (first, _), (second, _) in pairwise(named):
        if first == second:
            raise labels.error(f"label {first} is named twice", remedy="keep one name")
    return tuple(named)


def _refuse_double(declared: Iterable[ImageDeclaration | MaskDeclaration]) -> None:
    seen: dict[Path, str] = {}
    for declaration in declared:
        for file in declaration.files:
            first = seen.setdefault(file.resolve(), declaration.where)
            if first != declaration.where:
                raise DeclarationError(
                    f"{file.name} is declared twice",
                    where=f"{first} and {declaration.where}",
                    remedy="keep one of them, or narrow the pattern",
                )


def _placed(event: AnyEvent, day_zero: date | None) -> AnyEvent:
    if day_zero is None:
        return event
    if event.date is not None:
        return dataclasses.replace(event, day=(event.date - day_zero).days)
    if event.day is None:
        return event
    try:
        return dataclasses.replace(event, date=day_zero + timedelta(days=event.day))
    except OverflowError:  # beyond the calendar: the day stays all that is known
        return event


def _time_key(event: Event) -> tuple[int, int]:
    if event.day is not None:
        return (0, event.day)
    return (1, event.date.toordinal()) if event.date is not None else (2, 0)
