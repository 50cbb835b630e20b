"""The words of the field as enumerations."""

from __future__ import annotations

from enum import StrEnum


class Modality(StrEnum):
    """DICOM Modality (0008,0060) of images that osteotrace reads."""

    CT = "CT"
    MR = "MR"
    PT = "PT"
    NM = "NM"
    RTDOSE = "RTDOSE"


class Quantity(StrEnum):
    """What the values of an image mean."""

    HU = "HU"
    SUVBW = "SUVbw"
    ACTIVITY = "activity concentration"
    COUNTS = "counts"
    MR_SIGNAL = "MR signal"
    ADC = "ADC"
    DOSE = "absorbed dose"
    UNKNOWN = "unknown"


UCUM_OF_QUANTITY: dict[Quantity, str] = {
    Quantity.HU: "[hnsf'U]",
    Quantity.SUVBW: "g/ml{SUVbw}",
    Quantity.ACTIVITY: "Bq/ml",
    Quantity.COUNTS: "{counts}",
    Quantity.MR_SIGNAL: "1",
    Quantity.ADC: "um2/s",
    Quantity.DOSE: "Gy",
    Quantity.UNKNOWN: "1",
}


class Basis(StrEnum):
    """How an attribute is known."""

    DECLARED = "declared"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """How far an alignment can be trusted."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


class Severity(StrEnum):
    """Weight of a recorded problem."""

    REFUSED = "refused"
    EXCLUDED = "excluded"
    WARNING = "warning"
    INFERRED = "inferred"
    INFO = "info"


class View(StrEnum):
    """Projection of a planar image (DICOM CID 26)."""

    ANTERIOR = "anterior"
    POSTERIOR = "posterior"
    UNKNOWN = "unknown"
