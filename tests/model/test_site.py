"""A place in words."""

from __future__ import annotations

from typing import Any

import pytest

from osteotrace.model.anatomy import Certainty, Possible
from osteotrace.model.site import BoneSite, NoSite

CERTAIN, UNCERTAIN = Certainty.CERTAIN, Certainty.UNCERTAIN


def site(*levels: str, certainty: Certainty | None = CERTAIN, **more: Any) -> BoneSite:
    fields = {
        "bone": f"vertebra {levels[0]}" if levels else "vertebra",
        "share": 1.0,
        "distance_mm": 0.0,
    } | more
    possible = tuple(Possible(level, 1 / len(levels)) for level in levels)
    return BoneSite(
        series_id="1.2", bone_id="V1", error_mm=0.0, possible=possible, certainty=certainty, **fields
    )


@pytest.mark.parametrize(
    ("place", "words", "short"),
    [
        (site("T11"), "T11 (certain)", "T11 (certain)"),
        (site("T11", "T12", certainty=Certainty.PROBABLE), "T11 (probable)", "T11 (probable)"),
        (site("T11", "T12", certainty=UNCERTAIN), "T11 or T12 (uncertain)", "T11 or T12 (uncertain)"),
        (site("C3", "C4", "C5", "C6", certainty=UNCERTAIN), "C3 or C4 or C5 (uncertain)", None),
        (site("T11", part="body", also=("T12",)), "T11, body (certain); reaches into T12", "T11 (certain)"),
        (site("T11", share=0.0, distance_mm=6.4), "near T11 (certain), 6 mm off", "near T11 (certain)"),
        (
            site("T11", share=0.0, distance_mm=6.4, part="posterior elements"),
            "T11, posterior elements (certain)",
            "T11 (certain)",
        ),
        (
            site("T11", share=0.0, part="spinal canal"),
            "spinal canal at T11 (certain)",
            "canal at T11 (certain)",
        ),
        (
            site(certainty=UNCERTAIN, part="spinal canal", share=0.0),
            "spinal canal at vertebra of unknown level",
            "canal at vertebra of unknown level",
        ),
        (site(certainty=UNCERTAIN), "vertebra of unknown level", "vertebra of unknown level"),
        (site(certainty=None, bone="hip bone left"), "hip bone left", "hip bone left"),
        (site(certainty=None, bone="sacrum", share=0.0, distance_mm=3.0), "near sacrum, 3 mm off", None),
    ],
)
def test_places_in_words(place: BoneSite, words: str, short: str | None) -> None:
    assert str(place) == words
    if short is not None:
        assert place.short == short


def test_no_place_says_why() -> None:
    assert str(NoSite("nothing is there")) == "no bone: nothing is there"
    assert site("T11", "T12").level == "T11"
    assert site().level is None
