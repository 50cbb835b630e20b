"""From frames to stacks: each stack is one image, a DICOM series may hold several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydicom.dataset import Dataset

from osteotrace.intake import header as hd
from osteotrace.intake.frames import REPEAT_KEYS, Frame, Plane, image_type
from osteotrace.intake.geometry import SAME_PLACE_MM

# Float compare of direction cosines and spacings (mm) of one stack: scanners repeat them to about 1e-6.
_SAME_PLANE = 1e-3
_LOCALIZER_WORDS = frozenset({"localizer", "localiser", "loc", "scout", "survey", "topogram"})


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames that make one image.

    Attributes
    ----------
    id : str
        Series Instance UID, with ``#2``, ``#3`` for the further images of a series.
    split_by : str
        What separates it from the others of its series; empty when the series was not split by repeats.
    """

    id: str
    frames: tuple[Frame, ...]
    split_by: str = ""

    @property
    def header(self) -> Dataset:
        """Header of the first frame."""
        return self.frames[0].header

    @property
    def n_instances(self) -> int:
        """Number of files."""
        return len({f.instance.sop_instance_uid for f in self.frames})

    @property
    def where(self) -> str:
        """For messages."""
        return f"series {self.id}"


def stacks_of(frames: Iterable[Frame]) -> tuple[Stack, ...]:
    """Stacks of the frames of one series, in the order of their first instance number."""
    ordered = sorted(frames, key=_instance_order)
    parts = [
        (part, reason)
        for group in _by_plane_and_key(ordered)
        for part, reason in _without_repeats(group, REPEAT_KEYS)
    ]
    parts.sort(key=lambda p: _instance_order(p[0][0]))
    uids = [part[0].instance.series_instance_uid for part, _ in parts]
    return tuple(
        Stack(uid if n == 1 else f"{uid}#{n}", tuple(part), reason)
        for n, (uid, (part, reason)) in enumerate(zip(uids, parts, strict=True), start=1)
    )


def is_localizer(stack: Stack) -> bool:
    """Whether a stack is a planning image: by Image Type, else by a word of the Series Description."""
    if "LOCALIZER" in image_type(stack.header):
        return True
    described = hd.text(stack.header, "SeriesDescription").lower().replace("_", " ").replace("-", " ").split()
    return bool(_LOCALIZER_WORDS & set(described))


def is_mosaic(stack: Stack) -> bool:
    """Whether a stack holds Siemens mosaics: all slices of a volume as tiles of one picture."""
    return "MOSAIC" in image_type(stack.header)


def _instance_order(frame: Frame) -> tuple[int, str, int]:
    return (frame.instance.instance_number, frame.instance.sop_instance_uid, frame.number)


def _by_plane_and_key(frames: Sequence[Frame]) -> list[list[Frame]]:
    groups: dict[tuple[object, ...], list[list[Frame]]] = {}
    for frame in frames:
        candidates = groups.setdefault(frame.key, [])
        home = next((g for g in candidates if _same_plane(g[0].plane, frame.plane)), None)
        if home is None:
            candidates.append([frame])
        else:
            home.append(frame)
    return [g for candidates in groups.values() for g in candidates]


def _same_plane(a: Plane | None, b: Plane | None) -> bool:
    if a is None or b is None:
        return a is b
    if a.orientation == b.orientation and a.spacing == b.spacing:
        return True
    pairs = zip((*a.orientation, *a.spacing), (*b.orientation, *b.spacing), strict=True)
    return all(abs(x - y) <= _SAME_PLANE for x, y in pairs)


def _without_repeats(frames: list[Frame], keys: Sequence[str]) -> list[tuple[list[Frame], str]]:
    """Split frames that lie at the same place by the first attribute that explains it.

    An attribute explains it when it has no more values than frames share a place. What nothing explains stays
    together (and is refused later).
    """
    most = _most_at_one_place(frames)
    if most < 2:
        return [(frames, "")]
    for name in keys:
        parts = _grouped(frames, REPEAT_KEYS.index(name))
        if 1 < len(parts) <= most and max(_most_at_one_place(p) for p in parts) < most:
            rest = keys[keys.index(name) + 1 :]
            return [(piece, more or name) for part in parts for piece, more in _without_repeats(part, rest)]
    return [(frames, "")]


def _grouped(frames: Sequence[Frame], column: int) -> list[list[Frame]]:
    groups: dict[object, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.repeats[column], []).append(frame)
    return list(groups.values())


def _most_at_one_place(frames: Sequence[Frame]) -> int:
    planes = [f.plane for f in frames if f.plane is not None]
    if len(planes) < 2:
        return len(planes)
    most = count = 1
    ordered = sorted(planes, key=lambda p: tuple(round(x / SAME_PLACE_MM) for x in p.position))
    for before, plane in pairwise(ordered):
        same = max(abs(x - y) for x, y in zip(before.position, plane.position, strict=True)) <= SAME_PLACE_MM
        count = count + 1 if same else 1
        most = max(most, count)
    return most
