"""A synthetic patient with a result: what the outputs are tried on.

CT and PET share a frame; the MR lies turned in its own. ``GTV_Mass`` lies inside ``GTV_Edema`` on the
patient's left; the liver-like bright block lies on the right, so that a mirrored picture shows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from osteotrace.model import codes
from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import (
    UNKNOWN,
    Attribute,
    CtFacts,
    Exam,
    MrFacts,
    NuclearFacts,
    PlanarImage,
    Series,
    Volume,
)
from osteotrace.model.lesion import (
    Descriptor,
    Finding,
    Lesion,
    LesionTrack,
    Measurement,
    Missing,
    NotCovered,
    NotSeen,
    Origin,
    Seen,
    Unassessable,
)
from osteotrace.model.patient import (
    EarlierReading,
    Patient,
    PatientImages,
    Radiotherapy,
    Surgery,
    Timeline,
)
from osteotrace.model.problem import Problem
from osteotrace.model.values import UCUM_OF_QUANTITY, Basis, Modality, Quantity, Severity, Verdict, View
from osteotrace.model.workup import Provenance, StageCost, Workup
from osteotrace.space import Grid, Mask, RigidTransform, map_mask
from outputs.scan_case import with_bone_scan
from outputs.skeleton_case import with_skeleton

ROOT = "1.3.6.1.4.1.14519.5.2.1.5168"
FRAME_CT = f"{ROOT}.900.1"
FRAME_MR = f"{ROOT}.900.2"
FRAME_LOST = f"{ROOT}.900.3"
FRAME_LEG = f"{ROOT}.900.4"
PATIENT_ID = "HOSP-4711"
PATIENT_NAME = "Doe^Jolanthe"
MASS = np.array([40.0, 20.0, 10.0])
MASS_RADIUS, EDEMA_RADIUS = 16.0, 28.0


def uid(name: str) -> str:
    return f"{ROOT}.{sum(map(ord, name))}.{len(name)}"


def tilted() -> RigidTransform:
    """CT frame to MR frame: 25 degrees about the long axis, and shifted."""
    angle = np.deg2rad(25.0)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = [12.0, -8.0, 30.0]
    return RigidTransform(matrix, FRAME_CT, FRAME_MR)


def grid_around(
    center: tuple[float, float, float], size_mm: float, step: tuple[float, float, float], frame: str
) -> Grid:
    shape = tuple(max(2, round(size_mm / s)) for s in step)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = np.array(center) - (np.array(shape) - 1) / 2 * np.array(step)
    return Grid((shape[0], shape[1], shape[2]), affine, frame)


def anatomy(grid: Grid, to_ct: RigidTransform | None, tissue: dict[str, float]) -> np.ndarray:
    """Values of body, spine, liver, mass and edema at the voxels of a grid."""
    points = grid.points(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(points if to_ct is None else to_ct.apply(points), -1, 0)
    values = np.full(grid.shape, tissue["air"], dtype=np.float32)
    values[(x / 110) ** 2 + (y / 80) ** 2 < 1] = tissue["body"]
    values[(abs(x + 60) < 25) & (abs(y + 10) < 30) & (abs(z) < 60)] = tissue["liver"]
    values[(x**2 + (y - 50) ** 2 < 18**2)] = tissue["bone"]
    values[(x**2 + (y - 65) ** 2 < 7**2)] = tissue["body"]
    distance = np.sqrt((x - MASS[0]) ** 2 + (y - MASS[1]) ** 2 + (z - MASS[2]) ** 2)
    values[distance < EDEMA_RADIUS] = tissue["edema"]
    values[distance < MASS_RADIUS] = tissue["mass"]
    noise = np.random.default_rng(7).normal(0, abs(tissue["body"]) * 0.06, grid.shape)
    return (values + noise * (values != tissue["air"])).astype(np.float32)


def ball(grid: Grid, center: np.ndarray, radius: float) -> Mask:
    points = grid.points(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    return Mask.from_array(((points - center) ** 2).sum(axis=-1) < radius**2, grid)


def series(
    name: str, modality: Modality, quantity: Quantity, facts: object, grid: Grid | None, **more: object
) -> Series:
    when = more.pop("datetime", dt.datetime(2000, 9, 3, 10, 15, 7))
    fields = {
        "id": uid(name),
        "series_instance_uid": uid(name),
        "study_instance_uid": uid("study" + modality),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "modality": modality,
        "name": name,
        "description": f"{name} of Jolanthe Doe",
        "body_part": Attribute("LEG", Basis.DECLARED, "BodyPartExamined"),
        "datetime": when,
        "quantity": quantity,
        "unit": UCUM_OF_QUANTITY[quantity],
        "grid": grid,
        "facts": facts,
        "n_instances": grid.shape[2] if grid else 2,
        "manufacturer": "GE MEDICAL SYSTEMS",
        "model_name": "Discovery",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    return Series(**{**fields, **more})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    workup: Workup
    images: PatientImages


def _volumes(step: float) -> dict[str, Volume]:
    fdg = Attribute("FDG", Basis.DECLARED, "RadiopharmaceuticalInformationSequence")
    t1 = MrFacts(
        Attribute("T1", Basis.DECLARED, "TR 500, TE 12"), Attribute("no", Basis.UNKNOWN), UNKNOWN, 500.0, 12.0
    )
    t2 = MrFacts(
        Attribute("T2", Basis.DECLARED, "TR 4000, TE 90"),
        Attribute("yes", Basis.DECLARED, "ScanOptions=FS"),
        Attribute("no", Basis.INFERRED, "SeriesDescription"),
        4000.0,
        90.0,
        field_strength_t=1.5,
    )
    to_ct = tilted().inverse
    mr_grid = grid_around(tuple(tilted().apply([10.0, 0.0, 0.0])), 200, (step, step, 2 * step), FRAME_MR)
    grids = {
        "CT": grid_around((0, 0, 0), 256, (step, step, step * 1.5), FRAME_CT),
        "PET FDG": grid_around((0, 0, 0), 280, (2 * step, 2 * step, step * 1.5), FRAME_CT),
        "T1": mr_grid,
        "T2 FS": mr_grid,
        "STIR": grid_around((0, 0, 0), 100, (2 * step, 2 * step, 2 * step), FRAME_LOST),
        "CT thorax": grid_around((0, 0, 900), 200, (2 * step, 2 * step, 2 * step), FRAME_CT),
    }
    spec = {
        "CT": (Modality.CT, Quantity.HU, CtFacts(120.0, "B30f"), None, (-1000, 40, 90, 450, 20, 60)),
        "PET FDG": (
            Modality.PT,
            Quantity.SUVBW,
            NuclearFacts(fdg, 0.00042, "START", 62.0),
            None,
            (0, 0.6, 2.2, 0.9, 1.6, 7.5),
        ),
        "T1": (Modality.MR, Quantity.MR_SIGNAL, t1, to_ct, (0, 300, 380, 520, 200, 180)),
        "T2 FS": (Modality.MR, Quantity.MR_SIGNAL, t2, to_ct, (0, 150, 200, 120, 520, 700)),
        "STIR": (
            Modality.MR,
            Quantity.MR_SIGNAL,
            t2,
            RigidTransform(np.eye(4), FRAME_LOST, FRAME_CT),
            (0, 150, 200, 120, 520, 700),
        ),
        "CT thorax": (Modality.CT, Quantity.HU, CtFacts(120.0, "B30f"), None, (-1000, 40, 90, 450, 20, 60)),
    }
    out = {}
    for name, (modality, quantity, facts, motion, numbers) in spec.items():
        tissue = dict(zip(("air", "body", "liver", "bone", "edema", "mass"), numbers, strict=True))
        one = series(name, modality, quantity, facts, grids[name])
        out[name] = Volume(anatomy(grids[name], motion, tissue), grids[name], one)
    return out


def _exams(volumes: dict[str, Volume], bone_scan: Series) -> tuple[Exam, ...]:
    def exam(number: int, modality: Modality, day: int | None, *members: Series) -> Exam:
        when = None if day is None else dt.datetime(2000, 9, 3, 10, 15, 7) + dt.timedelta(days=day)
        name = f"{modality} {when:%Y-%m-%d}" if when else f"{modality} undated"
        return Exam(f"E{number}", name, modality, when, day, members)

    one = {name: volume.series for name, volume in volumes.items()}
    return (
        exam(1, Modality.MR, 0, one["T1"], one["T2 FS"]),
        exam(2, Modality.CT, 68, one["CT"]),
        exam(3, Modality.PT, 68, one["PET FDG"]),
        exam(4, Modality.NM, 70, bone_scan),
        exam(5, Modality.MR, 140, one["STIR"]),
        exam(6, Modality.CT, None, one["CT thorax"]),
    )


def _values(finding_id: str, volume: Volume, mask: Mask) -> tuple[Measurement | Missing, ...]:
    inside = volume.values[mask.on(volume.grid)]
    concept = {
        Quantity.HU: codes.ATTENUATION,
        Quantity.SUVBW: codes.SUVBW,
        Quantity.MR_SIGNAL: codes.MR_SIGNAL,
    }[volume.series.quantity]
    n = mask.n_voxels

    def value(
        name: str, number: float, unit: str, code: codes.Code, derivation: codes.Code | None
    ) -> Measurement:
        return Measurement(
            f"{finding_id}:{name}", name, code, float(number), unit, "all voxels", n, derivation
        )

    out: list[Measurement | Missing] = [
        value("volume", mask.volume_ml, "ml", codes.VOLUME, None),
        value("mean", inside.mean(), volume.series.unit, concept, codes.MEAN),
        value("maximum", inside.max(), volume.series.unit, concept, codes.MAXIMUM),
    ]
    if volume.series.quantity is Quantity.SUVBW:
        out.append(
            Measurement(
                f"{finding_id}:peak",
                "peak",
                concept,
                float(inside.max()) * 0.9,
                volume.series.unit,
                "1 cm³ sphere",
                n,
                codes.PEAK,
                (6.0, 7.0),
                "suv.peak_sphere_volume_cm3",
            )
        )
    if volume.series.modality is Modality.MR:
        out.append(Missing(f"{finding_id}:adc", "ADC", "no diffusion map <in this exam>", codes.ADC))
    return tuple(out)


def _bone_scan() -> tuple[Series, tuple[PlanarImage, ...]]:
    tracer = Attribute("MDP", Basis.DECLARED, "RadiopharmaceuticalCodeSequence")
    one = series("bone scan", Modality.NM, Quantity.COUNTS, NuclearFacts(tracer), None)
    i, j = np.meshgrid(np.arange(64), np.arange(256), indexing="ij")
    body = 20.0 * (((i - 32) / 20) ** 2 + ((j - 128) / 120) ** 2 < 1)
    spine = 40.0 * ((abs(i - 32) < 3) & (abs(j - 100) < 60))
    hot = 160.0 * ((i - 40) ** 2 + (j - 150) ** 2 < 9)
    counts = np.random.default_rng(3).poisson(body + spine + hot).astype(np.int16)
    back = np.ascontiguousarray(counts[::-1])
    return one, (
        PlanarImage(counts, (4.0, 4.0), View.ANTERIOR, one),
        PlanarImage(back, (4.0, 4.0), View.POSTERIOR, one),
    )


def make_case(step: float = 4.0) -> Case:
    """The whole patient; ``step`` is the finest voxel size in mm."""
    volumes = _volumes(step)
    bone_scan, planar = _bone_scan()
    exams = _exams(volumes, bone_scan)
    exam_of = {s.id: e.id for e in exams for s in e.series}
    lesions, findings, tracks = [], [], []
    drawn_on = {"GTV_Mass": ("PET FDG", "CT", "T1", "T2 FS"), "GTV_Edema <b>": ("T2 FS",)}
    for number, (name, places) in enumerate(drawn_on.items(), start=1):
        track_lesions, presence = [], []
        for place in places:
            volume = volumes[place]
            in_mr = volume.grid.frame_of_reference_uid == FRAME_MR
            center = tilted().apply(MASS) if in_mr else MASS
            mask = ball(volume.grid, center, MASS_RADIUS if number == 1 else EDEMA_RADIUS)
            exam_id = exam_of[volume.series.id]
            lesion = Lesion(
                id=f"{exam_id}-R{number}{len(track_lesions)}",
                name=name,
                exam_id=exam_id,
                series_id=volume.series.id,
                mask=mask,
                centroid_mm=tuple(float(c) for c in mask.centroid),  # type: ignore[arg-type]
                volume_ml=mask.volume_ml,
                longest_diameter_mm=2 * (MASS_RADIUS if number == 1 else EDEMA_RADIUS),
                origin=Origin("imported", uid("rtstruct" + place), "RTSTRUCT", number),
                type=codes.LESION if number == 1 else None,
            )
            track_lesions.append(lesion)
            presence.append(Seen(exam_id, volume.series.id, lesion.id, 1.5, 0.9, 0.4, 0.98, Verdict.GOOD))
            finding_id = f"{lesion.id}@{place.replace(' ', '')}"
            findings.append(
                Finding(
                    finding_id,
                    lesion.id,
                    exam_id,
                    volume.series.id,
                    "drawn",
                    1.0,
                    0.0,
                    mask,
                    _values(finding_id, volume, mask),
                    (Descriptor("hyperintense", (f"{finding_id}:mean",), "mr.ratio_hyper_min"),),
                )
            )
        lesion = track_lesions[0]
        for place, volume in volumes.items():
            if place in places or place in ("STIR", "CT thorax"):
                continue
            in_mr = lesion.mask.grid.frame_of_reference_uid == FRAME_MR
            to_mr = volume.grid.frame_of_reference_uid == FRAME_MR
            motion = None if in_mr == to_mr else (tilted().inverse if in_mr else tilted())
            mapped = map_mask(lesion.mask, volume.grid, mask_to_onto=motion)
            assert mapped is not None
            finding_id = f"{lesion.id}@{place.replace(' ', '')}"
            findings.append(
                Finding(
                    finding_id,
                    lesion.id,
                    exam_of[volume.series.id],
                    volume.series.id,
                    "mapped",
                    1.0,
                    6.5,
                    mapped,
                    _values(finding_id, volume, mapped),
                )
            )
            presence.append(
                NotSeen(
                    exam_of[volume.series.id],
                    volume.series.id,
                    "outlines exist here, none is this lesion",
                    finding_id,
                )
            )
        stir, thorax = volumes["STIR"].series, volumes["CT thorax"].series
        presence.append(Unassessable(exam_of[stir.id], stir.id, "no usable alignment to 'CT'"))
        presence.append(NotCovered(exam_of[thorax.id], thorax.id, 0.0))
        presence.append(Unassessable(exam_of[bone_scan.id], bone_scan.id, "planar image: not aligned yet"))
        ids = tuple(x.id for x in track_lesions)
        tracks.append(
            LesionTrack(f"L{number}", uid(f"track{number}"), name, ids, tuple(presence), "undetermined")
        )
        lesions.extend(track_lesions)
    timeline = Timeline(
        dt.date(2000, 9, 3),
        exams,
        (
            Surgery(dt.date(2000, 9, 11), 8, "Partial removal by Dr Doe <script>alert(1)</script>", "conus"),
            Radiotherapy(dt.date(2000, 9, 23), 20, "cord", ("T12", "L1"), 54.0),
            EarlierReading(None, None, "one mass only", "MR", ("cord mass",)),
        ),
    )
    problems = (
        Problem(
            Severity.REFUSED,
            "suv",
            "the dose of 'Doe^Jolanthe' is absent on 20000903",
            uid("PET FDG"),
            "Bq",
            "none",
        ),
        Problem(
            Severity.EXCLUDED, "unreadable-file", "truncated", "IM_Doe_0001.dcm", "a whole file", "copy again"
        ),
        Problem(
            Severity.INFERRED, "mr-weighting", "T1 from TR 500 ms, TE 12 ms on 2000-09-03 10:15:07", uid("T1")
        ),
        Problem(Severity.INFO, "note", "HOSP-4711 has 6 exams; <b>bold</b>"),
    )
    alignments = (
        Alignment(
            tilted(),
            "rigid",
            volumes["CT"].series.id,
            volumes["T1"].series.id,
            1.2,
            0.71,
            6.5,
            Verdict.GOOD,
            ("12 starts agree",),
        ),
        Alignment(
            RigidTransform.identity(FRAME_CT),
            "identity",
            volumes["CT"].series.id,
            volumes["PET FDG"].series.id,
            0.4,
            0.95,
            2.0,
            Verdict.DOUBTFUL,
            ("bladder moved",),
        ),
        Alignment(
            RigidTransform(np.eye(4), FRAME_CT, FRAME_LOST),
            "rigid",
            volumes["CT"].series.id,
            volumes["STIR"].series.id,
            None,
            0.0,
            None,
            Verdict.FAILED,
            ("no overlap",),
        ),
    )
    patient = Patient(PATIENT_ID, PATIENT_NAME, "F", 93.0)
    workup = Workup(
        patient,
        timeline,
        alignments,
        tuple(lesions),
        tuple(findings),
        tuple(tracks),
        problems,
        Provenance(
            "0.1.0",
            "1.0.0",
            "ab" * 32,
            "cd" * 32,
            321,
            tuple(s.series_instance_uid for e in exams for s in e.series),
            (("lesions", "import"),),
            (),
            (StageCost("intake", 2.5, 410.0), StageCost("findings", 1.25, 500.0)),
        ),
    )
    images = PatientImages(patient, timeline, tuple(volumes.values()), planar, (), problems)
    return Case(with_bone_scan(with_skeleton(workup, volumes), FRAME_CT), images)


def without_lesions(case: Case) -> Case:
    """The same patient with one CT and nothing outlined."""
    ct = next(v for v in case.images.volumes if v.series.name == "CT")
    exam = next(e for e in case.workup.timeline.exams if e.id == "E2")
    timeline = Timeline(case.workup.timeline.day_zero, (exam,))
    workup = Workup(case.workup.patient, timeline, (), (), (), (), (), case.workup.provenance)
    return Case(workup, PatientImages(case.workup.patient, timeline, (ct,), (), (), ()))
