"""Weighting, fat suppression and contrast of an MR series: three attributes, each decided on its own.

The rules are those of criteria ``mr.*``: header attributes first, description text as a last resort.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from pydicom.dataset import Dataset

from osteotrace.intake import header as hd
from osteotrace.intake.frames import b_value, echo_time, image_type
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import UNKNOWN, Attribute, MrFacts
from osteotrace.model.values import Basis

YES, NO = "yes", "no"

# Acquisition Contrast (0008,9209), PS3.3 C.8.13.3.1.1.
_DECLARED_CONTRAST = {
    "T1": "T1W",
    "T2": "T2W",
    "T2_STAR": "T2*",
    "PROTON_DENSITY": "PD",
    "FLUID_ATTENUATED": "FLAIR",
    "STIR": "STIR",
    "DIFFUSION": "DWI",
}
# Words of a description, first match wins.
_TEXT_WEIGHTING = (
    ("T1W", r"t1w?[\s_-]*flair"),
    ("DWI", r"dwi|diff(?:usion)?|adc"),
    ("STIR", r"stir|tirm"),
    ("FLAIR", r"flair"),
    ("T2*", r"t2\s?\*|t2\s?star|medic|merge"),
    ("T1W", r"t1w?"),
    ("T2W", r"t2w?"),
    ("PD", r"pdw?|proton"),
)
_NOT_GIVEN = frozenset({"NO", "NONE", "N", "NO CONTRAST", "WITHOUT"})


@dataclass(frozen=True, slots=True)
class Sequence:
    """What the header says of the pulse sequence; times in ms, angle in degrees, None when absent or 0."""

    kinds: frozenset[str]
    variant: frozenset[str]
    options: frozenset[str]
    is_3d: bool
    repetition: float | None
    echo: float | None
    inversion: float | None
    flip: float | None
    b_value: float | None
    declared: str
    image_type: tuple[str, ...]
    text: str

    @property
    def is_inversion_recovery(self) -> bool:
        """Whether an inversion pulse comes first."""
        return "IR" in self.kinds

    @property
    def is_gradient_echo(self) -> bool:
        """Whether no spin echo is formed."""
        return "GR" in self.kinds and "SE" not in self.kinds


def mr_facts(header: Dataset, criteria: Criteria) -> MrFacts:
    """Facts of an MR series from the (flat) header of its first frame."""
    sequence = read_sequence(header)
    weighting = weighting_of(sequence, criteria)
    return MrFacts(
        weighting,
        fat_suppression_of(sequence, header, weighting, criteria),
        contrast_of(sequence, header, criteria),
        sequence.repetition,
        sequence.echo,
        sequence.inversion,
        sequence.flip,
        _positive(hd.number(header, "MagneticFieldStrength")),
        sequence.b_value,
        (dixon_part(sequence, criteria) or ("", ""))[0],
    )


def read_sequence(header: Dataset) -> Sequence:
    """Attributes of classic MR (PS3.3 C.8.3.1) or of enhanced MR (C.8.13.4), in the words of the classic."""
    kinds = {w.upper() for w in hd.words(header, "ScanningSequence")}
    kinds |= {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(
        hd.text(header, "EchoPulseSequence"), set()
    )
    kinds |= {"IR"} if hd.text(header, "InversionRecovery") == "YES" else set()
    kinds |= {"EP"} if hd.text(header, "EchoPlanarPulseSequence") == "YES" else set()
    return Sequence(
        frozenset(kinds),
        frozenset(w.upper() for w in hd.words(header, "SequenceVariant")),
        frozenset(w.upper() for w in hd.words(header, "ScanOptions")),
        hd.text(header, "MRAcquisitionType").upper() == "3D",
        _positive(hd.number(header, "RepetitionTime")),
        _positive(echo_time(header)),
        _positive(hd.number(header, "InversionTime") or hd.number(header, "InversionTimes")),
        _positive(hd.number(header, "FlipAngle")),
        b_value(header),
        hd.text(header, "AcquisitionContrast").upper(),
        image_type(header),
        " ".join(t for t in (hd.text(header, "SeriesDescription"), hd.text(header, "ProtocolName")) if t),
    )


def is_adc(sequence: Sequence) -> bool:
    """Whether Image Type says that the values are apparent diffusion coefficients."""
    return "ADC" in sequence.image_type


def is_phase(sequence: Sequence) -> bool:
    """Whether Image Type says phase, real or imaginary part: no signal that radiology reads."""
    return bool({"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"} & set(sequence.image_type[2:]))


def weighting_of(sequence: Sequence, criteria: Criteria) -> Attribute:
    """Weighting: T1W, T2W, PD, T2*, STIR, FLAIR or DWI."""
    if is_adc(sequence):
        return Attribute("DWI", Basis.DECLARED, "ImageType=ADC")
    if sequence.b_value is not None and (sequence.b_value > 0 or "EP" in sequence.kinds):
        return Attribute("DWI", Basis.DECLARED, f"DiffusionBValue={sequence.b_value:g}")
    if sequence.declared in _DECLARED_CONTRAST:
        value = _DECLARED_CONTRAST[sequence.declared]
        return Attribute(value, Basis.DECLARED, f"AcquisitionContrast={sequence.declared}")
    if "EP" in sequence.kinds:  # its times do not tell a b = 0 image from diffusion weighting
        return _by_text(sequence)
    by_times = _by_inversion(sequence, criteria) or _by_echo(sequence, criteria)
    if by_times is not None:
        return Attribute(by_times, Basis.DECLARED, _times(sequence))
    return _by_text(sequence)


def _by_inversion(s: Sequence, criteria: Criteria) -> str | None:
    ti, te = s.inversion, s.echo
    if ti is None or not s.is_inversion_recovery:
        return None
    limit = criteria.number
    if limit("mr.stir_ti_min_ms") <= ti <= limit("mr.stir_ti_max_ms") and te is not None:
        return "STIR" if te < limit("mr.stir_te_max_ms") else None
    if ti > limit("mr.flair_ti_min_ms"):
        return "FLAIR"
    if limit("mr.t1_flair_ti_min_ms") <= ti <= limit("mr.t1_flair_ti_max_ms") and te is not None:
        return "T1W" if te < limit("mr.t1_flair_te_max_ms") else None
    return None


def _by_echo(s: Sequence, criteria: Criteria) -> str | None:
    if s.repetition is None or s.echo is None or not s.kinds & {"SE", "GR"}:
        return None
    if s.is_gradient_echo:
        return _gradient_echo(s, s.repetition, s.echo, criteria)
    limit = criteria.number
    if s.repetition < limit("mr.t1w_se_tr_max_ms") and s.echo <= limit("mr.t1w_se_te_max_ms"):
        return "T1W"
    if s.repetition >= limit("mr.t2w_tr_min_ms") and s.echo >= limit("mr.t2w_te_min_ms"):
        return "T2W"
    if s.repetition >= limit("mr.pd_tr_min_ms") and s.echo < limit("mr.pd_te_max_ms"):
        return "PD"
    return None


def _gradient_echo(s: Sequence, repetition: float, echo: float, criteria: Criteria) -> str | None:
    limit = criteria.number
    if s.flip is None:
        return None
    if s.is_3d and "SP" in s.variant:
        short = repetition <= limit("mr.t1w_3d_tr_max_ms") and echo <= limit("mr.t1w_3d_te_max_ms")
        if short and limit("mr.t1w_3d_flip_min_deg") <= s.flip <= limit("mr.t1w_3d_flip_max_deg"):
            return "T1W"
    if not s.is_3d and repetition < limit("mr.t1w_gre_tr_max_ms") and echo <= limit("mr.t1w_gre_te_max_ms"):
        return "T1W" if s.flip >= limit("mr.t1w_gre_flip_min_deg") else None
    if echo > limit("mr.t2star_te_min_ms") and s.flip < limit("mr.t2star_flip_max_deg"):
        return "T2*"
    return None


def _by_text(sequence: Sequence) -> Attribute:
    for value, pattern in _TEXT_WEIGHTING:
        match = re.search(
            rf"(?<![a-z0-9])(?:{pattern})(?![0-9])(?=fs|se|gr|tse|fse|[^a-z]|$)", sequence.text.lower()
        )
        if match:
            return Attribute(value, Basis.INFERRED, f"description: {sequence.text}")
    return UNKNOWN


def fat_suppression_of(
    sequence: Sequence, header: Dataset, weighting: Attribute, criteria: Criteria
) -> Attribute:
    """Whether fat is suppressed. Absence of every sign is no proof that it is not: unknown."""
    declared = _declared_suppression(sequence, header, criteria)
    if declared is not None:
        return declared
    if weighting.value == "STIR":
        return Attribute(YES, weighting.basis, f"STIR: {weighting.source}")
    word = _word_in(sequence.text, criteria.texts("mr.fat_suppression_text"))
    if word:
        return Attribute(YES, Basis.INFERRED, f"description: {sequence.text}")
    return UNKNOWN


def _declared_suppression(sequence: Sequence, header: Dataset, criteria: Criteria) -> Attribute | None:
    selected = hd.text(header, "SpectrallySelectedSuppression").upper()
    if selected:
        value = YES if "FAT" in selected else NO
        return Attribute(value, Basis.DECLARED, f"SpectrallySelectedSuppression={selected}")
    dixon = dixon_part(sequence, criteria)
    if dixon is not None:
        part, token = dixon
        return Attribute(YES if part == "water" else NO, Basis.DECLARED, f"ImageType={token}")
    if "FS" in sequence.options:
        return Attribute(YES, Basis.DECLARED, "ScanOptions=FS")
    return None


def dixon_part(sequence: Sequence, criteria: Criteria) -> tuple[str, str] | None:
    """Part of a Dixon acquisition that Image Type names (water, fat, in or opposed phase), and the token."""
    tokens = sequence.image_type[2:]
    for part in ("water", "fat", "in_phase", "opposed_phase"):
        for token in criteria.texts(f"mr.dixon_{part}_tokens"):
            if token in tokens:
                return part.replace("_", " "), token
    return None


def contrast_of(sequence: Sequence, header: Dataset, criteria: Criteria) -> Attribute:
    """Whether contrast agent was given."""
    declared = declared_agent(header)
    if declared.value is not None:
        return declared
    word = _word_in(sequence.text, criteria.texts("mr.contrast_text"))
    if word:
        return Attribute(YES, Basis.INFERRED, f"description: {sequence.text}")
    return UNKNOWN


def declared_agent(header: Dataset) -> Attribute:
    """Contrast as Contrast/Bolus Agent (0018,0010) or its sequence (0018,0012) declares it; CT and MR."""
    agent = hd.text(header, "ContrastBolusAgent")
    if agent:
        return Attribute(
            NO if agent.upper() in _NOT_GIVEN else YES, Basis.DECLARED, f"ContrastBolusAgent={agent}"
        )
    coded = hd.items(header, "ContrastBolusAgentSequence")
    if coded:
        meaning = hd.text(coded[0], "CodeMeaning") or hd.text(coded[0], "CodeValue")
        return Attribute(YES, Basis.DECLARED, f"ContrastBolusAgentSequence={meaning}")
    return UNKNOWN


def _word_in(text: str, words: tuple[str, ...]) -> str:
    """First of the words that stands in a text on its own, in two parts (``fat sat``) or after a digit."""
    tokens = re.findall(r"\+\s?c(?![a-z])|[a-z]+", text.lower())
    found = {t.replace(" ", "") for t in tokens} | {a + b for a, b in pairwise(tokens)}
    return next((w for w in words if w in found), "")


def _times(s: Sequence) -> str:
    parts = [("RepetitionTime", s.repetition), ("EchoTime", s.echo), ("InversionTime", s.inversion)]
    told = [f"{name}={value:g}" for name, value in parts if value is not None]
    return ", ".join(["ScanningSequence=" + "\\".join(sorted(s.kinds)), *told])


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None
