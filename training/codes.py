"""Numbers that the packed label maps hold, and what each of them tells the networks."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

# Tissues: the 117 classes of the label maps, and those added to them.
BODY_OFFSET = 100  # 126 to 150: the body of the vertebra whose posterior part is 26 to 50
DISC_TISSUE, CANAL_TISSUE, FILLER, SKIN_FAT = 151, 152, 153, 154
TISSUES = 160

IGNORE = 255


class Code(IntEnum):
    """What is known of a voxel, for the MR network."""

    OTHER = 0
    BODY = 1
    S1 = 2
    DISC = 3
    CANAL = 4
    SACRUM = 5
    MUSCLE = 6
    PSOAS = 7
    WHOLE_SACRUM = 8  # S1 is somewhere in it
    UNKNOWN = 9
    ELSEWHERE = 10  # surely no spine, no muscle outlined
    MAYBE_CANAL = 11
    MAYBE_DISC = 12
    BELOW_S1 = 13
    MAYBE_S1 = 14
    BESIDE_SACRUM = 15


# body, core, S1, sacrum, disc, canal, paraspinal muscle, psoas, upright. The core and the upright channel are
# filled in from the depth in the body and from the turn of the sample.
MR_CHANNELS = ("body", "core", "s1", "sacrum", "disc", "canal", "paraspinal", "psoas", "upright")
_MR_ROWS = {
    Code.OTHER: "000000000",
    Code.BODY: "110000000",
    Code.S1: "111100000",
    Code.DISC: "000010000",
    Code.CANAL: "000001000",
    Code.SACRUM: "000100000",
    Code.MUSCLE: "000000100",
    Code.PSOAS: "000000010",
    Code.WHOLE_SACRUM: "---100000",
    Code.UNKNOWN: "---------",
    Code.ELSEWHERE: "000000--0",
    Code.MAYBE_CANAL: "00000-000",
    Code.MAYBE_DISC: "0000--000",
    Code.BELOW_S1: "000-----0",
    Code.MAYBE_S1: "11--00000",
    Code.BESIDE_SACRUM: "000-00--0",
}


def mr_targets() -> np.ndarray:
    """Target of each channel (0, 1 or IGNORE) for each code; uint8, shape (16, channels)."""
    table = np.full((16, len(MR_CHANNELS)), IGNORE, np.uint8)
    for code, row in _MR_ROWS.items():
        table[code] = [IGNORE if mark == "-" else int(mark) for mark in row]
    return table


def mr_code_of_tissue() -> np.ndarray:
    """Code of each tissue of a trunk's label map; uint8, shape (TISSUES,)."""
    code = np.zeros(TISSUES, np.uint8)
    code[25] = code[26] = Code.SACRUM
    code[26 + BODY_OFFSET] = Code.S1
    code[27 + BODY_OFFSET : 51 + BODY_OFFSET] = Code.BODY
    code[DISC_TISSUE] = Code.DISC
    code[[79, CANAL_TISSUE]] = Code.CANAL
    code[[86, 87]] = Code.MUSCLE
    code[[88, 89]] = Code.PSOAS
    return code


BONES = tuple(
    n
    for n in range(TISSUES)
    if n in (25, 26, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 91)
    or 26 <= n <= 50
    or 92 <= n <= 116
    or 126 <= n <= 150
)
