"""RT dose: frames of one file, placed by Grid Frame Offset Vector (PS3.3 C.8.8.3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from osteotrace.errors import GeometryError
from osteotrace.intake import header as hd
from osteotrace.intake.frames import Frame, Plane
from osteotrace.intake.geometry import normal
from osteotrace.space import FloatArray

_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SAME = 1e-4  # direction cosines
_SAME_MM = 1e-2


def dose_frames(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Every frame of a dose at its place.

    The vector is either relative to the first frame (it starts with 0) or holds z coordinates in the patient
    (allowed for axial planes only).

    Raises
    ------
    GeometryError
        When the vector is absent, too short, or starts with neither.
    """
    first = frames[0]
    if len({f.instance.sop_instance_uid for f in frames}) != 1 or first.plane is None:
        raise GeometryError(
            "the dose is not one placed file", expected="one multi-frame file with its position"
        )
    count = first.instance.format.number_of_frames
    offsets = _relative_offsets(first, count, first.plane)
    across = normal(first.plane.orientation)
    return tuple(
        dataclasses.replace(first, number=n, plane=_moved(first.plane, across * offset))
        for n, offset in enumerate(offsets)
    )


def _relative_offsets(first: Frame, count: int, plane: Plane) -> list[float]:
    vector = hd.numbers(first.header, "GridFrameOffsetVector")
    if len(vector) != count:
        raise GeometryError(
            f"{len(vector)} frame offsets for {count} dose frames",
            expected="Grid Frame Offset Vector (3004,000C)",
        )
    if vector[0] == 0:
        return list(vector)
    is_axial = all(abs(a - b) < _SAME for a, b in zip(plane.orientation, _AXIAL, strict=True))
    if is_axial and abs(vector[0] - plane.position[2]) < _SAME_MM:
        return [z - vector[0] for z in vector]
    raise GeometryError(
        f"the first frame offset is {vector[0]:g}",
        expected=f"0, or {plane.position[2]:g} (the z of the first axial frame)",
    )


def _moved(plane: Plane, shift: FloatArray) -> Plane:
    x, y, z = (float(a + b) for a, b in zip(plane.position, shift, strict=True))
    return dataclasses.replace(plane, position=(x, y, z))
