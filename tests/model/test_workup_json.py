from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import DeclarationError
from osteotrace.model import codes
from osteotrace.model.fields import ArrayRef, file_sha256
from osteotrace.model.lesion import Measurement, Missing, NotCovered, NotSeen, Seen, Unassessable
from osteotrace.model.patient import Surgery
from osteotrace.model.values import Verdict
from osteotrace.model.workup import SCHEMA_VERSION, Workup
from osteotrace.model.workup_json import workup_from_json, workup_schema, workup_to_json
from osteotrace.space import Grid, LabelImage, Mask, RigidTransform, write_nifti
from outputs.factory import make_case


class Saved(NamedTuple):
    """Not shown by hypothesis: it is long."""

    workup: Workup
    text: str
    folder: Path

    def __repr__(self) -> str:
        return "Saved"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder = tmp_path_factory.mktemp("workup")
    workup = make_case(8.0).workup
    refs: dict[int, ArrayRef] = {}
    for number, mask in enumerate(x.mask for x in (*workup.lesions, *workup.findings)):
        path = folder / f"{number}.nii.gz"
        write_nifti(path, mask.values, mask.grid)
        refs[id(mask)] = ArrayRef(path.name, file_sha256(path), mask.grid)
    labels = next(x.labels for x in workup.skeletons if x.labels is not None)
    write_nifti(folder / "labels.nii.gz", labels.values, labels.grid)
    refs[id(labels)] = ArrayRef("labels.nii.gz", file_sha256(folder / "labels.nii.gz"), labels.grid)
    return Saved(workup, workup_to_json(workup, refs), folder)


def same(a: Any, b: Any) -> bool:
    """Deep equality that looks into the records with arrays."""
    if isinstance(a, Grid):
        return (
            a.shape == b.shape
            and np.array_equal(a.affine, b.affine)
            and same(a.frame_of_reference_uid, b.frame_of_reference_uid)
        )
    if isinstance(a, Mask | LabelImage):
        return np.array_equal(a.values, b.values) and same(a.grid, b.grid)
    if isinstance(a, RigidTransform):
        return np.array_equal(a.matrix, b.matrix) and (a.from_frame, a.to_frame) == (b.from_frame, b.to_frame)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
        )
    return type(a) is type(b) and bool(a == b)


def test_everything_comes_back(saved: Saved) -> None:
    workup, text, folder = saved
    assert same(workup_from_json(text, folder), workup)


def test_unions_come_back_as_the_same_class(saved: Saved) -> None:
    workup, text, folder = saved
    back = workup_from_json(text, folder)
    kinds = {type(p) for t in back.tracks for p in t.presence}
    assert kinds == {Seen, NotSeen, NotCovered, Unassessable}
    assert {type(v) for f in back.findings for v in f.values} == {Measurement, Missing}
    assert type(back.timeline.events[0]) is Surgery
    facts = [[type(s.facts) for e in w.timeline.exams for s in e.series] for w in (workup, back)]
    assert facts[0] == facts[1]


def test_text_is_deterministic_and_readable(saved: Saved) -> None:
    _, text, _ = saved
    again = make_case(8.0).workup
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION
    assert text.startswith('{\n "patient": {\n  "patient_id"')
    assert text.endswith("}\n")
    assert same(again.tracks, saved[0].tracks)


names = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(
    st.builds(
        Measurement, names, names, st.just(codes.SUVBW), numbers, names, names, st.integers(0, 10**9),
        st.none() | st.just(codes.MEAN), st.none() | st.tuples(numbers, numbers), st.none() | names,
    ),
    st.builds(Missing, names, names, names, st.none() | st.just(codes.ADC)),
)  # fmt: skip
presences = st.one_of(
    st.builds(Seen, names, names, names, numbers, numbers, numbers, numbers, st.sampled_from(Verdict)),
    st.builds(NotSeen, names, names, names, st.none() | names),
    st.builds(NotCovered, names, names, numbers),
    st.builds(Unassessable, names, names, names, st.none() | names),
)


@given(st.lists(values, max_size=4), st.lists(presences, max_size=4), names)
def test_any_value_and_presence_comes_back(
    saved: Saved, found: list[Measurement | Missing], presence: list[Seen | NotSeen], name: str
) -> None:
    workup, _, folder = saved
    finding, track = workup.findings[0], workup.tracks[0]
    one = dataclasses.replace(
        workup,
        lesions=(),
        skeletons=(),
        findings=(dataclasses.replace(finding, values=tuple(found)),),
        tracks=(dataclasses.replace(track, name=name, presence=tuple(presence)),),
    )
    path = folder / "0.nii.gz"
    refs = {id(finding.mask): ArrayRef(path.name, file_sha256(path), finding.mask.grid)}
    assert same(workup_from_json(workup_to_json(one, refs), folder), one)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_named(saved: Saved, number: float) -> None:
    workup = saved[0]
    findings = list(workup.findings)
    values = list(findings[1].values)
    values[1] = dataclasses.replace(values[1], value=number)
    findings[1] = dataclasses.replace(findings[1], values=tuple(values))
    with pytest.raises(DeclarationError, match=r"not finite \[findings\[1\]\.values\[1\]\.value\]"):
        workup_to_json(dataclasses.replace(workup, findings=tuple(findings)), {})


def test_a_mask_without_file_is_an_error(saved: Saved) -> None:
    with pytest.raises(DeclarationError, match=r"a mask has no file \[E"):
        workup_to_json(saved[0], {})


def edited(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(text)
    change(data)
    return json.dumps(data)


WRONG: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(schema_version="1"), r"schema version '1' .*expected: '2'; do: run osteotrace again"),
    (lambda d: d.pop("schema_version"), "no schema version"),
    (lambda d: d["patient"].pop("patient_id"), r"Field required \[workup.json: patient.patient_id\]"),
    (lambda d: d["patient"].update(nick="x"), r"Unexpected keyword argument \[workup.json: patient.nick\]"),
    (
        lambda d: d["timeline"]["exams"][1].update(day="68"),
        r"valid integer \[workup.json: timeline.exams\[1\].day\]",
    ),
    (
        lambda d: d["tracks"][0]["presence"][0].update(kind="sen"),
        r"'sen'.*\[workup.json: tracks\[0\].presence\[0\]\]",
    ),
    (lambda d: d["lesions"][0]["mask"].update(sha256="0" * 64), "absent or was changed"),
    (
        lambda d: d["lesions"][0]["mask"]["grid"].update(shape=[1, 1, 1]),
        r"mask shape.*\[workup.json: lesions\[0\].mask\]",
    ),
    (
        lambda d: d["alignments"][0]["transform"]["matrix"][0].__setitem__(0, 5.0),
        r"not a rotation.*\[workup.json: alignments\[0\].transform\]",
    ),
    (
        lambda d: d["timeline"]["exams"][1]["series"][0]["grid"].update(affine=None),
        r"finite 4x4.*series\[0\].grid\]",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_file_is_a_declaration_error_that_says_where(
    saved: Saved, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    _, text, folder = saved
    with pytest.raises(DeclarationError, match=message):
        workup_from_json(edited(text, change), folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2", '{"schema_version": "2"', "[" * 100_000])
def test_text_that_is_no_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"not JSON|nested too deeply"):
        workup_from_json(text, tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", "7", '"1"', "{}"])
def test_json_that_is_no_workup(text: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no schema version"):
        workup_from_json(text, tmp_path)


def test_numbers_that_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="the number NaN"):
        workup_from_json('{"schema_version": NaN}', tmp_path)


def test_the_schema_names_the_unions_and_closes_the_records() -> None:
    schema = workup_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    presence = schema["$defs"]["LesionTrack"]["properties"]["presence"]["items"]
    assert set(presence["discriminator"]["mapping"]) == {"seen", "not_seen", "not_covered", "unassessable"}
    assert schema["$defs"]["Lesion"]["properties"]["mask"]["title"] == "ArrayRef"
    assert all(
        d["additionalProperties"] is False for d in schema["$defs"].values() if d.get("type") == "object"
    )
    json.dumps(schema, allow_nan=False)


def test_what_is_written_has_only_fields_of_the_schema(saved: Saved) -> None:
    schema, data = workup_schema(), json.loads(saved[1])
    assert set(data) == set(schema["properties"])
    series = schema["$defs"]["Series"]["properties"]
    assert set(data["timeline"]["exams"][0]["series"][0]) == set(series)
