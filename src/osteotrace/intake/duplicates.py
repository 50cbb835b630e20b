"""The same object twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from osteotrace.errors import InputError
from osteotrace.intake.frames import frames_of
from osteotrace.intake.instance import Instance
from osteotrace.intake.pixels import stored_values
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity


def without_duplicates(instances: Sequence[Instance]) -> tuple[tuple[Instance, ...], tuple[Problem, ...]]:
    """Drop files that repeat a SOP Instance UID.

    The same image twice (the same bytes, or the same pixels at the same place in another encoding): the
    first is kept. A copy that cannot be decoded beside one that can is left out by name. Different images
    under one UID: it cannot be told which is right, so the whole series is refused.
    """
    repeated: dict[str, list[Instance]] = {}
    refused: dict[str, list[Instance]] = {}
    damaged: list[Instance] = []
    kept: list[Instance] = []
    for group in _by_uid(instances).values():
        readable, broken = _readable(group)
        kept.append(readable[0])
        damaged += broken
        if len(readable) > 1:
            into = repeated if _same_image(readable) else refused
            for series in {i.series_instance_uid for i in readable}:
                into.setdefault(series, []).extend(readable)
    problems = [_repeated(series, files) for series, files in repeated.items()]
    problems += [_broken(copy) for copy in damaged]
    problems += [_contradiction(series, files) for series, files in refused.items()]
    return tuple(i for i in kept if i.series_instance_uid not in refused), tuple(problems)


def _by_uid(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.sop_instance_uid, []).append(instance)
    return groups


def _readable(group: list[Instance]) -> tuple[list[Instance], list[Instance]]:
    """Copies that can be decoded, and the others; all are the first when there is no telling."""
    if len({_file_digest(i) for i in group}) == 1:
        return group, []
    broken = [i for i in group if not _decodes(i)]
    good = [i for i in group if i not in broken]
    return (good, broken) if good else (group, [])


def _decodes(instance: Instance) -> bool:
    try:
        _image_digest(instance)
    except InputError:
        return False
    return True


def _same_image(group: Sequence[Instance]) -> bool:
    if len({_file_digest(i) for i in group}) == 1:
        return True
    try:
        return len({_image_digest(i) for i in group}) == 1
    except InputError:  # none of them can be decoded
        return False


def _file_digest(instance: Instance) -> str:
    try:
        with instance.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return str(instance.path)


def _image_digest(instance: Instance) -> str:
    frames = frames_of(instance)
    digest = hashlib.sha256(stored_values(frames).tobytes())
    for frame in frames:
        digest.update(repr((frame.plane, frame.slope, frame.intercept, frame.key)).encode())
    return instance.series_instance_uid + digest.hexdigest()


def _repeated(series: str, files: list[Instance]) -> Problem:
    n_images = len({i.sop_instance_uid for i in files})
    are = "image is" if n_images == 1 else "images are"
    return Problem(
        Severity.WARNING,
        "duplicate-file",
        f"{n_images} {are} there in {len(files)} files; each was read once",
        f"series {series}: {files[0].path.name}, {files[1].path.name}" + (" ..." if n_images > 1 else ""),
    )


def _broken(copy: Instance) -> Problem:
    return Problem(
        Severity.EXCLUDED,
        "damaged-copy",
        "a damaged copy of an image that is there unharmed was left out",
        f"series {copy.series_instance_uid}: {copy.path.name}",
        "a file that can be decoded",
        "remove the damaged file",
    )


def _contradiction(series: str, files: list[Instance]) -> Problem:
    return Problem(
        Severity.REFUSED,
        "duplicate-uid",
        "files with the same SOP Instance UID hold different images; the series was not read",
        f"series {series}: {files[0].path.name} and {files[1].path.name}",
        "one image for each SOP Instance UID",
        "remove the wrong file",
    )
