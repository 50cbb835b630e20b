"""Which radiopharmaceutical was given, and with which radionuclide.

The radionuclide alone names no tracer: F-18 is in FDG, sodium fluoride and PSMA ligands. What is not named
stays unknown, and rules made for FDG do not apply to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from osteotrace.intake.suv_record import CodedText
from osteotrace.model.values import Basis

UNKNOWN_TRACER = "unknown"

# Code values of DICOM CID 25 and 4021: SNOMED CT, older SNOMED RT (C-..., Y-...), DCM, NCI Thesaurus.
_TRACER_OF_CODE = {
    "35321007": "FDG",
    "C-B1031": "FDG",
    "Y-X1743": "FDG",
    "129501009": "NaF",
    "C-B1032": "NaF",
    "126758": "PSMA",
    "126759": "PSMA",
    "C116352": "PSMA",
    "C118961": "PSMA",
    "C96234": "PSMA",
    "724025002": "DOTATATE",
    "96390006": "MDP",
    "C-B1218": "MDP",
    "53951001": "HDP",
    "C-B1213": "HDP",
}

_TRACER_WORDS = {
    "FDG": r"(?<![a-z])(?:18f|f18)?fdg(?![a-z])"
    r"|flu(?:oro|o)?[\s-]*(?:2[\s-]*)?d[eé]s?oxy[\s-]*(?:d[\s-]*)?glucose",
    "NaF": r"(?<![a-z])(?:18f)?naf(?![a-z])|sodium[\s-]?fluoride|(?:18f|f-?18)[\]\s-]*fluoride",
    "PSMA": r"psma|piflufolastat|dcfpyl|dcfbc|flotufolastat",
    "DOTATATE": r"dota[\s-]?tate|oxodotreotide",
    "MDP": r"(?<![a-z])mdp(?![a-z])|medron(?:ate|ic)|(?<!hydroxy)(?<!hydroxy-)methylene[\s-]?diphosphonate",
    "HDP": r"(?<![a-z])hm?dp(?![a-z])|oxidron(?:ate|ic)|hydroxymethylene|hydroxy-methylene",
}
_TRACER_PATTERNS = {name: re.compile(words, re.IGNORECASE) for name, words in _TRACER_WORDS.items()}

# Code values of DICOM CID 4020 (SNOMED CT and RT); the name is part of the criterion id of the half-life.
_NUCLIDE_OF_CODE = {
    "77004003": "f18",
    "C-111A1": "f18",
    "35337001": "ga68",
    "C-131A3": "ga68",
    "40565003": "c11",
    "C-105A1": "c11",
    "21576001": "n13",
    "C-107A1": "n13",
    "129504001": "o15",
    "C-B1038": "o15",
    "79197006": "rb82",
    "C-159A2": "rb82",
    "3932008": "cu64",
    "C-127A2": "cu64",
    "63360001": "zr89",
    "C-168A4": "zr89",
    "40937006": "i124",
    "C-114A5": "i124",
}
_NUCLIDE_TEXT = {
    "f18": ("F", "Fluorine", "18"),
    "ga68": ("Ga", "Gallium", "68"),
    "c11": ("C", "Carbon", "11"),
    "n13": ("N", "Nitrogen", "13"),
    "o15": ("O", "Oxygen", "15"),
    "rb82": ("Rb", "Rubidium", "82"),
    "cu64": ("Cu", "Copper", "64"),
    "zr89": ("Zr", "Zirconium", "89"),
    "i124": ("I", "Iodine", "124"),
}


@dataclass(frozen=True, slots=True)
class Tracer:
    """The radiopharmaceutical.

    Attributes
    ----------
    name : str
        ``FDG``, ``NaF``, ``PSMA``, ``DOTATATE``, ``MDP``, ``HDP`` or ``unknown``.
    basis : Basis
        Declared: by code or by the radiopharmaceutical attribute. Inferred: from a description.
    text : str
        What it was read from, or why it is unknown.
    """

    name: str
    basis: Basis
    text: str


def identify_tracer(codes: Iterable[CodedText], agent: str, description: str = "") -> Tracer:
    """Name the tracer from codes and the agent's name; from a description only as a last resort.

    Parameters
    ----------
    codes : iterable of CodedText
        Radiopharmaceutical Code Sequence (0054,0304).
    agent : str
        Radiopharmaceutical (0018,0031).
    description : str
        Series and study description.

    Returns
    -------
    Tracer
        Unknown when nothing names one tracer, or when two are named.
    """
    codes = tuple(codes)
    named = {_TRACER_OF_CODE[c.value] for c in codes if c.value in _TRACER_OF_CODE}
    words = [agent, *(c.meaning for c in codes)]
    named |= {name for text in words for name in _named_in(text)}
    told = "; ".join(dict.fromkeys(text.strip() for text in words if text.strip()))
    if len(named) == 1:
        return Tracer(named.pop(), Basis.DECLARED, told or ", ".join(c.value for c in codes))
    if named:
        return Tracer(UNKNOWN_TRACER, Basis.UNKNOWN, f"contradictory: {' and '.join(sorted(named))} ({told})")
    if told:
        return Tracer(UNKNOWN_TRACER, Basis.UNKNOWN, told)
    return _from_description(description)


def _from_description(description: str) -> Tracer:
    named = _named_in(description)
    if len(named) == 1:
        return Tracer(named.pop(), Basis.INFERRED, f"description: {description.strip()}")
    return Tracer(UNKNOWN_TRACER, Basis.UNKNOWN, "no radiopharmaceutical named")


def _named_in(text: str) -> set[str]:
    return {name for name, pattern in _TRACER_PATTERNS.items() if pattern.search(text)}


def nuclide_of(radionuclide: CodedText | None) -> str | None:
    """Lower-case symbol and mass, ``f18`` for example, of a coded radionuclide; None when not known."""
    if radionuclide is None:
        return None
    if radionuclide.value in _NUCLIDE_OF_CODE:
        return _NUCLIDE_OF_CODE[radionuclide.value]
    parts = re.findall(r"[A-Za-z]+|\d+", radionuclide.meaning)
    words, masses = {p.casefold() for p in parts if p.isalpha()}, {p for p in parts if p.isdigit()}
    found = [
        key
        for key, (symbol, element, mass) in _NUCLIDE_TEXT.items()
        if mass in masses and {symbol.casefold(), element.casefold()} & words
    ]
    return found[0] if len(found) == 1 else None
