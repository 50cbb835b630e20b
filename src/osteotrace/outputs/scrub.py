"""Taking identities out of texts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from osteotrace.model.patient import Patient
from osteotrace.model.values import Modality

# A UID in running text: the root 2.25, or at least five components, so that versions stay.
_UID = r"(?<![\w.])(?:2\.25\.\d{6,}(?:\.\d+)*|[0-2](?:\.\d+){4,})"
_STANDARD_ROOT = "1.2.840.10008."  # UIDs of the DICOM standard itself tell nothing of a patient
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DATES = re.compile(
    rf"(?<!\d){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{{6}}(?:\.\d+)?)?(?!\d)"
    rf"|(?<!\d){_YEAR}([-/.]){_MONTH}\1{_DAY}(?!\d)"
    rf"|(?<!\d){_DAY}([-/.]){_MONTH}\2{_YEAR}(?!\d)"
    rf"|(?<!\d){_MONTH}/{_DAY}/{_YEAR}(?!\d)"
)
_TIMES = re.compile(r"[T ]?(?<!\d)[0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[+-]\d\d:?\d\d)?(?!\d)")
_FILES = re.compile(
    r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\"]+){2,}"
    r"|[^\s'\"\\/]+\.(?:dcm|ima|nii|gz|img|hdr|mha|mhd|nrrd|xz|zip|tar|txt|pdf|csv)\b",
    re.IGNORECASE,
)
_DESCRIBED = re.compile(r"\b(descriptions?|comments?|protocol|ImageID): [^;\[\]()]*", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|«[^»]*»")
_OUR_IDS = re.compile(r"(?<!\w)(?:E\d+(?:-R\d+)?|L\d+)(?!\w)")
_NAME_PARTS = re.compile(r"[\s^=,;.\-_()]+")
_MODALITY_WORDS = frozenset({*Modality, "PET", "MRI"})  # "CT" in a research name tells nothing
_SHORTEST_ID = 3  # shorter identifiers cannot be told from numbers in a sentence
_SHORTEST_NAME = 2


def uid_for(text: str) -> str:
    """UID of the root 2.25 (DICOM PS3.5 B.2): the same for the same text, and no way back."""
    return "2.25." + str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def pseudo_uid(value: str) -> str:
    """Replace a UID; a suffix ``#2`` stays, so do UIDs of the DICOM standard and the empty text."""
    root, mark, number = value.partition("#")
    if not root or root.startswith(_STANDARD_ROOT):
        return value
    return uid_for(root) + mark + number


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes out of a text what it knows of one patient, and what looks like a date, UID or file name.

    Attributes
    ----------
    known : mapping of str to str
        Whole words (names of outlines, descriptions) and what stands there instead.
    uids : re.Pattern
        UIDs of this result, also those that do not look like one, and everything that does.
    secrets : re.Pattern or None
        Patient ID and the parts of the patient's name.
    """

    known: Mapping[str, str]
    uids: re.Pattern[str]
    secrets: re.Pattern[str] | None

    @classmethod
    def of(cls, patient: Patient, known: Mapping[str, str], uids: Iterable[str]) -> Scrubber:
        """The scrubber of one patient."""
        roots = sorted({u.partition("#")[0] for u in uids if u}, key=len, reverse=True)
        pattern = "|".join([*(_bounded(root) for root in roots), _UID])
        return cls(_words(known), re.compile(pattern), _secrets(patient))

    def __call__(self, text: str) -> str:
        """The text without identifiers."""
        for old, new in self.known.items():
            text = re.sub(_bounded(old), lambda _, new=new: new, text)  # type: ignore[misc]
        text = self.uids.sub(lambda found: pseudo_uid(found[0]), text)
        if self.secrets is not None:
            text = self.secrets.sub("[patient]", text)
        text = _FILES.sub("[file]", _DATES.sub("[date]", text))
        return _TIMES.sub("", text)

    def strict(self, text: str) -> str:
        """Without quoted words and descriptions too: they come from files."""
        return _QUOTED.sub("[text]", _DESCRIBED.sub(r"\1", self(text)))

    def place(self, text: str) -> str:
        """Of a place, only UIDs (replaced) and our own numbers; the rest may be a file name."""
        uids = [(m.start(), pseudo_uid(m[0])) for m in self.uids.finditer(text)]
        ours = [(m.start(), m[0]) for m in _OUR_IDS.finditer(text)]
        return ", ".join(word for _, word in sorted(uids + ours)) or ("left out" if text else "")


def _words(known: Mapping[str, str]) -> dict[str, str]:
    """Longest first; a word too short to be told from others is left in the text."""
    long_enough = [(old, new) for old, new in known.items() if len(old) >= _SHORTEST_ID]
    return dict(sorted(long_enough, key=lambda pair: len(pair[0]), reverse=True))


def _secrets(patient: Patient) -> re.Pattern[str] | None:
    parts = _NAME_PARTS.split(patient.name)
    words = [p for p in parts if len(p) >= _SHORTEST_NAME and p.upper() not in _MODALITY_WORDS]
    words += [w for w in (patient.name, patient.patient_id) if len(w) >= _SHORTEST_ID]
    patterns = [_bounded(word) for word in sorted(set(words), key=len, reverse=True)]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _bounded(word: str) -> str:
    """Pattern of a whole word; scripts without blanks have no word ends."""
    if not word.isascii():
        return re.escape(word)
    return rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"
