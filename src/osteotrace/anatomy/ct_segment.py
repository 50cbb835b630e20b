"""The Anatomy of a CT volume: what was found, or why nothing is labelled."""

from __future__ import annotations

import numpy as np

from osteotrace.anatomy.ct import SEARCHED, CtSkeleton, skeleton_of
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.anatomy.network import Network
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity


def segment_ct(volume: Volume, network: Network) -> Anatomy:
    """The skeleton of a CT with a given network.

    Returns
    -------
    Anatomy
        On the lattice of the volume, or for a large one on a coarser lattice. Without any bone where no spine
        was found, or where it does not stand as the header says; ``problems`` say why.
    """
    values = np.asarray(volume.values)
    if not np.isfinite(values).all():
        return _nothing(
            volume, network, "no-spine-found", "the image holds voxels without a number", "HU of a trunk"
        )
    found = skeleton_of(values, volume.grid, network, CtSettings.of(load_criteria()))
    if not isinstance(found, CtSkeleton):
        return _nothing(volume, network, *found)
    return Anatomy(
        series_id=volume.series.id,
        labels=found.labels,
        grid=found.grid,
        bones=found.bones,
        structures=found.structures,
        searched=SEARCHED,
        made_by=_made_by(network),
        problems=_problems(volume, found),
    )


def _made_by(network: Network) -> str:
    return f"osteotrace ct network {network.digest}"


def _nothing(volume: Volume, network: Network, code: str, found: str, expected: str) -> Anatomy:
    problem = Problem(Severity.EXCLUDED, code, found, where=volume.series.id, expected=expected)
    return Anatomy(
        series_id=volume.series.id,
        labels=np.zeros(volume.grid.shape, np.uint16),
        grid=volume.grid,
        bones=(),
        structures=(),
        searched=frozenset({"vertebra", "sacrum"}) if code == "no-spine-found" else frozenset(),
        made_by=_made_by(network),
        problems=(problem,),
    )


def _problems(volume: Volume, found: CtSkeleton) -> tuple[Problem, ...]:
    out = []
    if not any(bone.name == "vertebra" for bone in found.bones):
        out.append(
            Problem(
                Severity.INFO,
                "no-row-of-vertebrae",
                "a pelvis, but no two vertebrae in a row are in view: no vertebra is outlined",
                where=volume.series.id,
                expected="a longer piece of the spine, where a vertebra is to be named",
            )
        )
    if found.unclear:
        out.append(
            Problem(
                Severity.INFERRED,
                "discs-not-seen",
                f"{', '.join(found.unclear)}: where they end was inferred from their neighbours",
                where=volume.series.id,
                expected="slices thin enough to show the discs",
                remedy="do not count vertebrae on this series alone",
            )
        )
    if found.exchanged:
        side = "left" if found.exchanged == "liver" else "right"
        out.append(
            Problem(
                Severity.INFERRED,
                "sides-exchanged",
                f"the {found.exchanged} lies on the {side}: left and right of the image are exchanged, "
                "or the patient's organs are (situs inversus)",
                where=volume.series.id,
                expected="a liver on the right, a heart on the left",
                remedy="check the orientation in the header before a side is named",
            )
        )
    return tuple(out)
