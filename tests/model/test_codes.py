"""Every code is the dictionary's, or is named as one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from types import MappingProxyType

import pytest
from pydicom.sr import _cid_dict
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from osteotrace.model import codes
from osteotrace.model.codes import Code


def all_codes() -> Iterator[Code]:
    for value in vars(codes).values():
        if isinstance(value, Code):
            yield value
        elif isinstance(value, MappingProxyType) and value is not codes.OUTSIDE_DICTIONARY:
            yield from value.values()


def meanings(code: Code) -> set[str]:
    """What pydicom's dictionary calls this code."""
    entries = concepts.get(code.scheme, {}).values()
    return {meaning for entry in entries for value, (meaning, _) in entry.items() if value == code.value}


def in_cid(code: Code, cid: int) -> bool:
    keywords = _cid_dict.cid_concepts[cid].get(code.scheme, [])
    return any(code.value in concepts[code.scheme][keyword] for keyword in keywords)


@pytest.mark.parametrize(
    "code", sorted(set(all_codes()), key=str), ids=lambda code: f"{code.scheme}-{code.value}"
)
def test_code_is_in_the_dictionary_or_named_as_outside(code: Code):
    if code in codes.OUTSIDE_DICTIONARY:
        assert not meanings(code), "it is in the dictionary after all"
        assert codes.OUTSIDE_DICTIONARY[code]
    else:
        assert code.meaning in meanings(code)


def test_outside_codes_are_all_in_use():
    assert set(codes.OUTSIDE_DICTIONARY) <= set(all_codes())


def test_no_code_has_two_meanings():
    by_value = {(code.scheme, code.value): code.meaning for code in all_codes()}
    assert {(code.scheme, code.value, code.meaning) for code in all_codes()} == {
        (*key, meaning) for key, meaning in by_value.items()
    }


@pytest.mark.parametrize(
    ("cid", "members"),
    [
        (
            7469,
            [
                codes.ATTENUATION,
                codes.SUVBW,
                codes.ADC,
                codes.MR_SIGNAL_T1,
                codes.VOLUME,
                codes.ABSORBED_DOSE,
            ],
        ),
        (7470, [codes.LONGEST_DIAMETER_3D, codes.LONG_AXIS, codes.SHORT_AXIS]),
        (7466, [codes.METABOLIC_VOLUME, codes.TOTAL_LESION_GLYCOLYSIS, codes.LESION_TO_BACKGROUND]),
        (
            7464,
            [codes.MEAN, codes.MEDIAN, codes.MAXIMUM, codes.MINIMUM, codes.STANDARD_DEVIATION, codes.PEAK],
        ),
        (7150, [codes.MORPHOLOGICALLY_ABNORMAL, codes.ANATOMICAL_STRUCTURE]),
        (7159, [codes.METASTASIS, codes.LESION, codes.ENHANCING_LESION, codes.NECROSIS]),
        (7191, [codes.BONE_TISSUE, codes.MUSCLE_TISSUE, codes.SOFT_TISSUE, codes.FAT_TISSUE]),
        (244, [codes.LEFT, codes.RIGHT, codes.BILATERAL]),
        (26, [codes.ANTERIOR_VIEW, codes.POSTERIOR_VIEW]),
        (6144, [codes.COMPLETE_RESPONSE, codes.STABLE_DISEASE]),
        (7010, [codes.KEY_OF_INTEREST, codes.KEY_FOR_TUMOR_BOARD]),
        (
            4021,
            [codes.TRACERS[name] for name in ("FDG", "NaF", "PSMA-11", "PSMA-1007", "DOTATATE", "DOTATOC")],
        ),
        (25, [codes.TRACERS["MDP"], codes.TRACERS["HDP"]]),
        (85, [unit for name, unit in codes.UNITS.items() if "SUV" in name]),
        (7603, [codes.VERTEBRAE[level] for level in ("C3", "T11", "T12", "L1", "L5")]),
        (7604, list(codes.DISCS.values())),
        (
            7192,
            [
                codes.ANATOMY[name]
                for name in ("sacrum", "ilium", "hip bone", "spinal cord", "erector spinae")
            ],
        ),
    ],
)
def test_codes_are_members_of_their_context_group(cid: int, members: list[Code]):
    assert [code for code in members if not in_cid(code, cid)] == []


def test_a_vertebra_is_called_by_its_level():
    for level, code in codes.VERTEBRAE.items():
        assert code == codes.VERTEBRA if level in ("T13", "L6") else code.meaning == f"{level} vertebra"
    for levels, code in codes.DISCS.items():
        assert code.meaning == f"{levels.replace('-', '/')} disc"


def test_golden_vertebrae():
    assert codes.VERTEBRAE["T11"].value == "12989004"
    assert codes.VERTEBRAE["T12"].value == "23215003"
    assert codes.VERTEBRAE["L1"].value == "66794005"
    assert len({code.value for code in codes.VERTEBRAE.values()}) == 24 + 1 + 1  # S1, and one for T13 and L6


def test_units_are_found_by_their_ucum_code():
    assert all(unit.value == name and unit.scheme == "UCUM" for name, unit in codes.UNITS.items())


def test_retired_codes_are_those_of_the_standard():
    for retired, code in codes.RETIRED.items():
        assert mapping["SRT"][retired] == code.value


def test_matching_ignores_the_meaning():
    assert codes.TRACERS["FDG"].matches("35321007", "SCT")
    assert not codes.TRACERS["FDG"].matches("35321007", "SRT")


def test_tables_and_codes_are_frozen():
    with pytest.raises(TypeError, match="does not support item assignment"):
        codes.UNITS["mm"] = codes.LEFT  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        codes.LEFT.value = "1"  # type: ignore[misc]
