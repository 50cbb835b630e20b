"""Pack the real images and label maps for the MR network: ``prepare.py DATA OUT``.

DATA is the folder ``nifti`` of the real data. Everything is turned to the axes inferior, posterior, left. The
sets ``totalsegmentator_example`` and ``tptbox_samples`` are never opened here: they test.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import lzma
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

import geometry
from codes import BODY_OFFSET, BONES, CANAL_TISSUE, DISC_TISSUE, FILLER, SKIN_FAT, Code
from osteotrace.anatomy.slices import Slices, interpolated_from

# One person, as far as is known: the exams AKa3 to AKs8 and the two of the subject DzZ.
PERSONS = {
    **dict.fromkeys(("VB1_02", "VB1_03", "VB1_06", "VB1_07", "VB1_08"), "AK"),
    **dict.fromkeys(("VB1_10", "VB1_11"), "DzZ"),
}
FOLDS = 5
S1_LABELLED = frozenset({"VB1_02", "VB1_03", "VB1_06", "VB1_07", "VB1_08", "VB1_10", "VB1_11", "VB1_12"})
S1_UNSURE = frozenset({"VB1_16"})
LEVELS = 110  # of the square root of the signal: finer than the noise
KEPT_MM = (90.0, 80.0, 0.0)  # around the outlined bodies
VB2_SLICES = Slices(1.5, 2.0)  # made finer in another way, which leaves pairs of slices
CUT_VERTEBRAE = {"s0327": (44,), "s0328": (35,)}  # at the end of the field of view


def oriented(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values and spacing (mm) of an image, axes inferior, posterior, left."""
    image = nib.load(path)
    start = nib.orientations.io_orientation(image.affine)
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(("I", "P", "L")))
    values = nib.orientations.apply_orientation(np.asarray(image.dataobj), turn)
    spacing = np.abs(np.array(image.header.get_zooms()[:3], dtype=np.float64))
    ordered = np.empty(3)
    for source, target in enumerate(turn[:, 0].astype(int)):
        ordered[target] = spacing[source]
    return np.ascontiguousarray(values), ordered


def instances_of(values: np.ndarray) -> np.ndarray:
    """Bodies numbered from head to tail; a binary map is split into its connected parts."""
    if values.max() > 1:
        return values.astype(np.uint8)
    parts, count = ndimage.label(ndimage.binary_opening(values > 0))
    sizes = np.bincount(parts.ravel())
    kept = [n for n in range(1, count + 1) if sizes[n] > 0.2 * np.median(sizes[1:])]
    rows = ndimage.center_of_mass(parts > 0, parts, kept)
    out = np.zeros(values.shape, np.uint8)
    for number, (_, label) in enumerate(sorted(zip((r[0] for r in rows), kept, strict=True)), start=1):
        out[parts == label] = number
    return out


def codes_of_bodies(name: str, bodies: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """What is known of each voxel where only bodies are outlined."""
    code = np.full(bodies.shape, Code.ELSEWHERE, np.uint8)
    last = int(bodies.max())
    below_l5 = np.arange(len(bodies)) > np.argwhere(bodies == last - 1)[:, 0].mean()
    if name in S1_LABELLED | S1_UNSURE:
        code[below_l5] = Code.BESIDE_SACRUM
    surely, maybe = geometry.canal_behind(bodies, spacing)
    code[maybe] = Code.MAYBE_CANAL
    code[surely] = Code.CANAL
    for number in range(1, last):
        disc = geometry.disc_between(bodies == number, bodies == number + 1, spacing)
        near = ndimage.binary_dilation(disc, iterations=3) & (code != Code.DISC)
        code[near] = Code.MAYBE_DISC
        core = ndimage.binary_erosion(disc, iterations=1)
        code[core] = Code.DISC
    above, below, near_above, near_below = geometry.ends(bodies, spacing)
    code[above | below] = Code.BELOW_S1
    code[near_above] = Code.UNKNOWN
    if name not in S1_LABELLED:
        code[near_below] = Code.UNKNOWN
    code[bodies > 0] = Code.BODY
    if name in S1_LABELLED:
        code[bodies == last] = Code.S1
    if name in S1_UNSURE:
        code[bodies == last] = Code.MAYBE_S1
    return code


def tissues_of_bodies(bodies: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Tissue map for synthetic contrast where only bodies are outlined."""
    tissue = np.full(bodies.shape, FILLER, np.uint8)
    canal, _ = geometry.canal_behind(bodies, spacing)
    tissue[ndimage.binary_dilation(canal, iterations=3)] = CANAL_TISSUE
    last = int(bodies.max())
    for number in range(1, last):
        tissue[geometry.disc_between(bodies == number, bodies == number + 1, spacing)] = DISC_TISSUE
    tissue[bodies > 0] = 27 + BODY_OFFSET
    return tissue


def mr_case(path: Path, name: str) -> dict[str, np.ndarray]:
    """One exam of the lumbar set: codes, depth in the body, and its own slices or tissues.

    The images were interpolated along the slices. They are packed in the slices that they were taken in, as
    square roots in LEVELS steps; the codes also between each two slices.
    """
    values, spacing = oriented(path)
    image = path.with_name(path.name.replace("_vb.", "_mr."))
    if image == path or not image.exists():
        thin = 2 if spacing[2] < 1.5 else 1
        bodies = instances_of(values)[:, :, ::thin]
        step = spacing * (1, 1, thin)
        return targets(name, bodies, step) | {"tissue": tissues_of_bodies(bodies, step)}
    box = box_of(values > 0, spacing)
    signal = oriented(image)[0]
    own = interpolated_from(signal, 2) or VB2_SLICES
    at = own.within(signal.shape[2] - 1)
    fine = at[0] + np.arange(2 * len(at) - 1) * own.step / 2
    nearest = np.clip(np.floor(fine + 0.5).astype(int), 0, signal.shape[2] - 1)
    low = np.floor(at + 1e-6).astype(int)
    part = np.clip(at - low, 0, 1)
    slices = signal[box][:, :, low] * (1 - part) + signal[box][:, :, low + 1] * part
    case = targets(name, instances_of(values)[box][:, :, nearest], spacing * (1, 1, own.step / 2))
    return case | {"image": np.round(np.sqrt(slices / 255.0) * LEVELS).astype(np.uint8)}


def targets(name: str, bodies: np.ndarray, spacing: np.ndarray) -> dict[str, np.ndarray]:
    """Codes, depth in the body (200 is deepest) and spacing of one exam."""
    share = np.round(geometry.inner_share(bodies, spacing) * 200).astype(np.uint8)
    return {"code": codes_of_bodies(name, bodies, spacing), "share": share, "spacing": spacing}


def box_of(bodies: np.ndarray, spacing: np.ndarray) -> tuple[slice, ...]:
    """Where an exam is worth keeping: the spine and what lies around it, all slices."""
    points = np.argwhere(bodies)
    low, high = points.min(axis=0), points.max(axis=0)
    reach = np.round(np.array(KEPT_MM) / spacing).astype(int)
    start = np.maximum(0, low - reach)
    stop = high + reach + 1
    return (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(None))


def outline(labels: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inside of the trunk and the layer of fat around it, guessed from all labelled organs; bool."""
    coarse = labels[::4, ::4, ::4] > 0
    step = spacing * 4
    padded = np.pad(coarse, 14)
    near = ndimage.distance_transform_edt(~padded, sampling=step) < 55.0
    closed = ndimage.distance_transform_edt(near, sampling=step) > 55.0 - 6.0
    fat = ndimage.distance_transform_edt(~closed, sampling=step) < 18.0
    inner = (slice(14, -14),) * 3

    def fine(mask: np.ndarray) -> np.ndarray:
        big = ndimage.zoom(mask[inner].astype(np.float32), 4, order=1, grid_mode=True, mode="nearest")
        pads = [(0, max(0, n - b)) for n, b in zip(labels.shape, big.shape, strict=True)]
        return np.pad(big, pads, mode="edge")[tuple(slice(0, n) for n in labels.shape)] > 0.5

    return fine(closed), fine(fat)


def depth_in_bone(tissue: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance to the surface of the bone that a voxel lies in, 0.1 mm, at most 25.5 mm; uint8."""
    bone = np.isin(tissue, BONES)
    whole = np.where(tissue >= BODY_OFFSET + 26, tissue - BODY_OFFSET, tissue)
    inner = bone.copy()
    for axis in range(3):
        same = np.diff(whole.astype(np.int16), axis=axis) == 0
        pad = [(0, 0)] * 3
        pad[axis] = (1, 0)
        inner &= np.pad(same, pad, constant_values=True)
        pad[axis] = (0, 1)
        inner &= np.pad(same, pad, constant_values=True)
    depth = ndimage.distance_transform_edt(inner, sampling=spacing) + 0.5 * spacing.mean()
    return np.where(bone, np.clip(depth * 10, 0, 255), 0).astype(np.uint8)


def skeleton_case(folder: Path, name: str) -> dict[str, np.ndarray]:
    """A real label map of the trunk, with the bones of its CT where there is one."""
    labels, spacing = oriented(folder / f"{name}_labels117.nii.gz")
    case = trunk_case(labels.astype(np.uint8), spacing, CUT_VERTEBRAE[name])
    bone = folder / f"{name}_ct_bone_only.nii.gz"
    if bone.exists():
        case["bone_hu"] = np.clip(oriented(bone)[0], -1024, 3000).astype(np.int16)
    return case


def trunk_case(
    labels: np.ndarray, spacing: np.ndarray, cut: tuple[int, ...], *, depth: bool = True
) -> dict[str, np.ndarray]:
    """A label map of the trunk: bodies split off, discs and canal added, the trunk filled."""
    tissue, numbered = labels.copy(), np.zeros_like(labels)
    canal = np.argwhere((labels == 79) | (labels == CANAL_TISSUE)) * spacing
    boxes = ndimage.find_objects(labels, 50)
    present = [n for n in range(50, 25, -1) if boxes[n - 1] is not None]
    centres = ndimage.center_of_mass(labels > 0, labels, present)
    for index, number in enumerate(present):
        upper, lower = max(0, index - 1), min(len(present) - 1, index + 1)
        axis = (np.array(centres[lower]) - np.array(centres[upper])) * spacing
        box = geometry.box_around([boxes[number - 1]], labels.shape, 2)
        start = np.array([s.start for s in box]) * spacing
        body = geometry.body_of_vertebra(
            labels[box] == number, canal - start, axis / np.linalg.norm(axis), spacing
        )
        tissue[box][body] = number + BODY_OFFSET
        numbered[box][body] = number
    for upper, lower in itertools.pairwise(present):
        box = geometry.box_around([boxes[upper - 1], boxes[lower - 1]], labels.shape, 2)
        above, below = numbered[box] == upper, numbered[box] == lower
        if above.any() and below.any():
            disc = geometry.disc_between(above, below, spacing)
            tissue[box][disc & (tissue[box] == 0)] = DISC_TISSUE
    wide = ndimage.binary_dilation(labels == 79, iterations=2)
    tissue[wide & (tissue == 0)] = CANAL_TISSUE
    inside, fat = outline(labels, spacing)
    tissue[(tissue == 0) & inside] = FILLER
    tissue[(tissue == 0) & fat] = SKIN_FAT
    share = np.round(geometry.inner_share(numbered, spacing) * 200).astype(np.uint8)
    case = {"tissue": tissue, "share": share, "spacing": spacing, "cut": np.array(cut)}
    return case | {"depth": depth_in_bone(tissue, spacing)} if depth else case


def split_by_person(names: list[str], seed: int) -> dict[str, int]:
    """Fold of each exam; all exams of one person lie in one fold, the three sources spread over the folds."""
    rng = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    turn = 0
    for source in ("VB1", "VB2", "VB3"):
        persons = sorted({PERSONS.get(n, n) for n in names if n.startswith(source)})
        for person in rng.permutation(persons):
            fold_of[str(person)] = turn % FOLDS
            turn += 1
    return {n: fold_of[PERSONS.get(n, n)] for n in names}


def main() -> None:
    """Write what the tasks need."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", type=Path, help="folder that phantoms.py wrote")
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pack_trunks(given.data / "ct_totalsegmentator_subjects", given.phantoms, given.out)
    pack_mr(given.data / "mr_lumbar_fastcleverseg", given.out, given.seed)


def pack_mr(lumbar: Path, out: Path, seed: int) -> None:
    """Write mr.npz.xz and split.json."""
    packed: dict[str, np.ndarray] = {}
    with_image = []
    for path in sorted(lumbar.rglob("*_vb*.nii.gz")):
        name = path.name.split("_vb")[0]
        case = mr_case(path, name)
        if "image" in case:
            with_image.append(name)
        packed |= {f"{name}/{key}": value for key, value in case.items()}
    save(out / "mr.npz.xz", packed)
    split = split_by_person(with_image, seed)
    (out / "split.json").write_text(json.dumps({"seed": seed, "fold_of": split}, indent=1))


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays tightly: images as steps along their first axis."""
    packed = {
        f"{key}_steps" if key.endswith("/image") else key: np.diff(value, axis=0, prepend=np.uint8(0))
        if key.endswith("/image")
        else value
        for key, value in arrays.items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, **packed)
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=3))


def pack_trunks(folder: Path, phantoms: Path | None, out: Path) -> None:
    """Write trunks.npz.xz: label maps of trunks for synthetic contrast."""
    packed: dict[str, np.ndarray] = {}
    maps = {n: (*oriented(folder / f"{n}_labels117.nii.gz"), cut) for n, cut in CUT_VERTEBRAE.items()}
    for path in sorted(phantoms.glob("phantom_*.npz")) if phantoms else []:
        phantom = np.load(path)
        maps[path.stem] = (phantom["labels"], np.full(3, float(phantom["step"])), ())
    for name, (labels, spacing, cut) in maps.items():
        case = trunk_case(labels.astype(np.uint8), spacing, cut, depth=False)
        packed |= {f"{name}/{key}": value for key, value in case.items()}
    save(out / "trunks.npz.xz", packed)


if __name__ == "__main__":
    main()
