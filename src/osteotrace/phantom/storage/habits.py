"""The words and constants of ``habits.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from osteotrace.phantom.storage.context import Vendor

_FILE = "habits.toml"


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """How one vendor fills its headers; each attribute is named as in ``habits.toml``.

    The tables by sequence have the keys of ``MrProtocol.sequence``; what is empty is not written.
    """

    manufacturer: str
    software: str
    scanning_sequence: dict[str, list[str]]
    sequence_variant: dict[str, list[str]]
    sequence_name: dict[str, str]
    mr_image_type: dict[str, list[str]]
    mr_options: list[str]
    saturation_option: str
    dixon_water: str
    ct_image_type: list[str]
    ct_options: list[str]
    ct_filter: str
    kernel: dict[str, str]
    pet_reconstruction: str
    pet_kernel: str
    pet_attenuation: str
    pet_scatter: str
    pet_randoms: str
    pet_corrected: list[str]
    collimator: str


@cache
def habits_of(vendor: Vendor) -> Habits:
    """Habits of a vendor."""
    return Habits(**_content()["vendor"][vendor])


def constant(name: str) -> float:
    """A constant, in the unit that stands beside it."""
    return float(_content()["constant"][name]["value"])


def constants(name: str) -> tuple[float, float]:
    """A pair of constants: two ends, or centre and width."""
    first, second = _content()["constant"][name]["value"]
    return float(first), float(second)


@cache
def _content() -> dict[str, Any]:
    text = resources.files("osteotrace.phantom.storage").joinpath(_FILE).read_text(encoding="utf-8")
    return tomllib.loads(text)
