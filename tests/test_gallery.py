"""The pictures of the documentation: where is cut, what stands at the edges, how values become grey."""

import importlib.util
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scene
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import PlanarImage, Volume
from osteotrace.model.values import Modality, Quantity, View
from osteotrace.outputs.figures.settings import display_settings
from osteotrace.space import Grid

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", _DOCS / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gallery"]


def turned_bone(x, y, z, degrees=0.0):
    """Truth of a bone that is turned about z."""
    angle = np.deg2rad(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return {"centroid": [x, y, z], "motion": motion.tolist()}


def truth_of(uid="uid", **more):
    bones = {
        "vertebrae_T11": turned_bone(4.0, -6.0, 30.0),
        "vertebrae_L1": turned_bone(0.0, 0.0, 0.0),
        "vertebrae_L3": turned_bone(-4.0, -10.0, -40.0),
        "femur_left": turned_bone(90.0, 0.0, -300.0),
    }
    lesions = [
        {"id": "B01", "present": True, "centroid": [4.0, -6.0, 30.0], "longest_mm": 12.0},
        {"id": "B02", "present": True, "centroid": [40.0, -6.0, 30.0], "longest_mm": 12.0},
        {"id": "B03", "present": False},
        {"id": "M01", "present": True, "centroid": [0.0, 20.0, 0.0], "longest_mm": 20.0},
    ]
    return {
        "id": "s",
        "day": 3,
        "series_instance_uid": uid,
        "bones": bones,
        "lesions": [{**x, "material": {"bone_tracer": 3.0}} for x in lesions],
        **more,
    }


def volume_of(quantity=Quantity.HU, modality=Modality.CT):
    """Values that are the x, y and z coordinate in turn: 100 x + 10 y + z."""
    grid = Grid(
        (61, 61, 61), np.array([[4.0, 0, 0, -120], [0, 4, 0, -120], [0, 0, 4, -120], [0, 0, 0, 1]]), "1"
    )
    points = grid.points(np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3))
    values = (points @ np.array([100.0, 10.0, 1.0])).reshape(grid.shape).astype(np.float32)
    series = replace(scene.series("ct"), quantity=quantity, modality=modality, description="made up")
    return Volume(values, grid, series)


def shown(gallery, quantity=Quantity.HU):
    return gallery.Shown(truth_of(), display_settings(load_criteria()), volume_of(quantity))


# --- planes -----------------------------------------------------------------------------------------


def test_the_spine_line_runs_from_below_and_leaves_other_bones_out(gallery):
    line = gallery.spine_line(truth_of())
    assert line[:, 2].tolist() == [-40.0, 0.0, 30.0]
    assert line[:, 0].tolist() == [-4.0, 0.0, 4.0]


def test_the_spine_line_tells_how_the_patient_is_turned(gallery):
    truth = {"bones": {"vertebrae_L1": turned_bone(0.0, 0.0, 0.0, degrees=7.0)}}
    assert gallery.spine_line(truth)[0, 3] == pytest.approx(-np.tan(np.deg2rad(7.0)))


def test_a_flat_plane_is_centred_and_has_its_size(gallery):
    plane = gallery.flat_plane(np.array([1.0, 2.0, 3.0]), gallery._CORONAL, (40.0, 20.0), 2.0, "")
    assert plane.points.shape == (10, 20, 3)
    assert plane.points.mean(axis=(0, 1)) == pytest.approx([1.0, 2.0, 3.0])
    assert plane.points[0, 1] - plane.points[0, 0] == pytest.approx([2.0, 0.0, 0.0])  # to the patient's left
    assert plane.points[1, 0] - plane.points[0, 0] == pytest.approx([0.0, 0.0, -2.0])  # to the feet


def test_a_bent_sagittal_plane_goes_through_the_vertebrae(gallery):
    truth = truth_of()
    flat = gallery.flat_plane(np.zeros(3), gallery._SAGITTAL, (60.0, 100.0), 1.0, "")
    plane = gallery.bent(flat, gallery.spine_line(truth), 0)
    for name in ("T11", "L1", "L3"):
        assert plane.pixel(np.array(truth["bones"][f"vertebrae_{name}"]["centroid"]))[2] < 1.0


def test_a_bent_sagittal_plane_turns_with_the_patient(gallery):
    truth = {"bones": {"vertebrae_L1": turned_bone(0.0, 0.0, 0.0, degrees=7.0)}}
    flat = gallery.flat_plane(np.zeros(3), gallery._SAGITTAL, (100.0, 10.0), 1.0, "")
    plane = gallery.bent(flat, gallery.spine_line(truth), 0, 5.0)
    back = plane.points[5, -1]
    assert back[0] == pytest.approx(5.0 - np.tan(np.deg2rad(7.0)) * back[1])


def test_the_pixel_of_a_point_and_its_distance(gallery):
    plane = gallery.flat_plane(np.zeros(3), gallery._AXIAL, (21.0, 11.0), 1.0, "")
    assert plane.pixel(np.array([3.0, -2.0, 6.0])) == (13.0, 3.0, 6.0)


@pytest.mark.parametrize(
    ("right", "down", "letters"),
    [
        ((1, 0, 0), (0, 1, 0), ("R", "L", "A", "P")),
        ((1, 0, 0), (0, 0, -1), ("R", "L", "H", "F")),
        ((0, 1, 0), (0, 0, -1), ("A", "P", "H", "F")),
        ((-0.3, 0.954, 0), (0, 0, -1), ("A", "P", "H", "F")),
        ((-0.6, 0.8, 0), (0, 0, -1), ("AL", "PR", "H", "F")),
    ],
)
def test_the_letters_at_the_edges(gallery, right, down, letters):
    assert gallery.edge_letters(np.array(right, dtype=float), np.array(down, dtype=float)) == letters


def test_a_cut_reads_values_between_voxels_and_marks_what_is_outside(gallery):
    points = np.array([[[2.0, 6.0, -10.0], [130.0, 0.0, 0.0]]])
    found = gallery.cut(volume_of(), points)
    assert found[0, 0] == pytest.approx(200.0 + 60.0 - 10.0, abs=0.01)
    assert np.isnan(found[0, 1])


def test_a_projection_takes_the_maximum_along_the_view(gallery):
    plane = gallery.flat_plane(np.zeros(3), gallery._CORONAL, (9.0, 9.0), 3.0, "")
    found = gallery.projected(volume_of(), plane, np.arange(-20.0, 21.0, 4.0))
    assert found[1, 1] == pytest.approx(200.0, abs=0.01)  # 10 y at y = 20


# --- grey, colours, marks ---------------------------------------------------------------------------


def test_the_mr_window_is_told_as_width_and_level(gallery):
    picture = np.linspace(100.0, 1100.0, 1001).reshape(7, 143).astype(np.float32)
    window = gallery.mr_window(picture, display_settings(load_criteria()), 0.5)
    assert (window.low, window.high) == pytest.approx((110.0, 540.0))
    assert window.label == "W 430 L 325"


def test_fusion_keeps_the_ct_where_there_is_no_uptake(gallery):
    ct, pet = np.array([[-160.0, 240.0, 40.0]]), np.array([[0.0, 0.0, 3.5]])
    found = gallery.fused(ct, pet, gallery.Window(-160.0, 240.0, False, "", ""), 3.5)
    assert found[0, 0] == pytest.approx([0, 0, 0])
    assert found[0, 1] == pytest.approx([1, 1, 1])
    assert found[0, 2, 0] > found[0, 2, 1] - 0.01  # warm


def test_arrowheads_for_bone_lesions_and_arrows_for_the_mass_near_the_plane(gallery):
    item = shown(gallery)
    plane = item.sagittal((80.0, 120.0))
    marks = item.marks(plane, 9.0)
    assert [(m.tail, m.way) for m in marks] == [(False, 1), (True, -1), (True, -1)]  # B02 is 36 mm away
    cropped = item.marks(item.sagittal((80.0, 50.0)), 9.0)
    assert [m.tail for m in cropped] == [True, True]  # B01 is beyond the upper edge
    column, row, _ = plane.pixel(np.array([4.0, -6.0, 30.0]))
    assert marks[0].row == row
    assert marks[0].column == pytest.approx(column - 8.0 / plane.step_mm)


def test_the_highest_value_near_a_point(gallery):
    found = gallery.highest_near(volume_of(), np.zeros(3), 8.0)
    assert found == pytest.approx(800.0 + 80.0 + 8.0)


def test_the_bone_scan_lies_under_the_lesions(gallery):
    counts = np.zeros((100, 300), dtype=np.int16)
    truth = truth_of()
    for lesion in truth["lesions"][:2]:
        x, _, z = lesion["centroid"]
        counts[round(49.5 - x / 2) - 2 : round(49.5 - x / 2) + 3, round(140 - z / 2)] = 9
    image = PlanarImage(counts, (2.0, 2.0), View.POSTERIOR, scene.series("ct"))
    places = gallery.lesion_places(truth, image)
    assert places.tolist() == [[2.0, 125.0], [20.0, 125.0]]


def test_a_figure_has_its_width_and_fits_its_bytes(gallery):
    item = shown(gallery)
    plane = item.sagittal((80.0, 120.0))
    panels = [item.panel(plane, None, item.marks(plane, 9.0)), gallery.blank("D", "no slide", 0.5)]
    assert panels[0].lines[0] == "made up · day 3"
    figure = gallery.draw([gallery.lettered(panels, "AB")], 600)
    content = gallery.picture_of(figure, "x", "", gallery.DPI).png
    few, many = gallery.small_png(content, 1), gallery.small_png(content, 10**7)
    assert len(few) < len(many)
    image = Image.open(io.BytesIO(many))
    assert (image.width, image.mode) == (600, "P")
    assert any(r > 200 and b < 120 for r, _, b in np.asarray(image.convert("RGB")).reshape(-1, 3))  # marks


def test_a_patient_is_read_with_its_truth(gallery, tmp_path, monkeypatch):
    (tmp_path / "truth").mkdir()
    truth = truth_of(scene.series("ct").series_instance_uid)
    (tmp_path / "truth" / "truth.json").write_text(json.dumps({"series": [truth]}), encoding="utf-8")
    monkeypatch.setattr(gallery, "read_study", lambda folder: scene.images())
    phantom = gallery.read_phantom(tmp_path)
    assert phantom["s"].volume.series.modality is Modality.CT
    assert phantom.ct_window("bone").high > phantom.ct_window("soft tissue").high


def test_the_text_shows_every_picture(gallery):
    text = (_DOCS / "gallery.md").read_text(encoding="utf-8")
    assert all(f"gallery/{name}.png" in text for name in gallery.FIGURES)
