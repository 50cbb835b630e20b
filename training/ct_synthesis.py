"""Training samples for the CT network: Hounsfield units made from label maps of the body. Needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import render
from codes import CANAL_TISSUE, DISC_TISSUE, FILLER, IGNORE, SKIN_FAT
from ct_codes import (
    ARM_FAT,
    ARM_MUSCLE,
    ARMS,
    BONES,
    BRAIN,
    C2,
    CORD,
    CT_CLASSES,
    FAT,
    GAS,
    LUNG_VESSELS,
    MUSCLE,
    TISSUES,
    VERTEBRAE,
    VISCERAL_FAT,
    class_of_tissue,
)
from render import Lattice, chance, uniform

LATTICE = Lattice((128, 112, 128), (2.0, 2.0, 2.0))
CORE_SHARE = 0.45
OUTSIDE_HU = -1024.0
BODY, REAR, DISC = (
    CT_CLASSES.index(name) for name in ("vertebra body", "vertebra posterior", "intervertebral disc")
)

ARTERIES = (52, 54, 55, 56, 57, 58, 65, 66)
VEINS = (53, 59, 60, 62, 63, 64, 67, 68)
MUSCLES = (*range(80, 90), MUSCLE, ARM_MUSCLE)
FATS = (FAT, VISCERAL_FAT, SKIN_FAT, ARM_FAT, FILLER)
LUNGS = tuple(range(10, 15))
GUT = (6, 18, 19, 20)


@dataclass(frozen=True)
class Case:
    """A label map on the device.

    Attributes
    ----------
    spacing : Tensor, shape (3,)
        mm; axes inferior, posterior, left.
    spine, anywhere : Tensor, shape (n, 3)
        Centres of vertebral bodies, and points in any tissue, mm from the first voxel.
    tissue : Tensor of uint8, shape (i, j, k)
    share, depth : Tensor of uint8, shape (i, j, k)
        How deep a voxel lies in its body (of 200) and below the surface of its bone (0.1 mm).
    bone_hu : Tensor of int16 or None
        What a real scan shows in the same bones.
    centre_of : Tensor, shape (TISSUES, 3)
        Centre of the body of the vertebra that a tissue belongs to, mm from the first voxel.
    """

    name: str
    spacing: Tensor
    spine: Tensor
    anywhere: Tensor
    tissue: Tensor
    share: Tensor
    depth: Tensor
    bone_hu: Tensor | None
    centre_of: Tensor


def case_of(name: str, arrays: dict[str, np.ndarray], device: torch.device) -> Case:
    """A packed label map, brought to the device."""
    tissue, spacing = arrays["tissue"], arrays["spacing"].astype(np.float32)
    is_body = np.zeros(256, bool)
    is_body[[body for _, body in VERTEBRAE]] = True
    bodies = np.argwhere(is_body[tissue]).astype(np.int32)
    number = tissue[tuple(bodies.T)]
    centres = np.zeros((TISSUES, 3), np.float32)
    for rear, body in VERTEBRAE:
        own = bodies[number == body]
        if len(own):
            centres[[rear, body]] = own.mean(axis=0) * spacing
    some = np.argwhere(tissue[::4, ::4, ::4] > 0) * 4
    hu = arrays.get("bone_hu")
    return Case(
        name,
        torch.from_numpy(spacing),
        torch.from_numpy(centres[[body for _, body in VERTEBRAE if centres[body].any()]]),
        torch.from_numpy((some[::7] * spacing).astype(np.float32)),
        torch.from_numpy(tissue).to(device),
        torch.from_numpy(arrays["share"]).to(device),
        torch.from_numpy(arrays["depth"]).to(device),
        None if hu is None else torch.from_numpy(hu).to(device),
        torch.from_numpy(centres).to(device),
    )


@dataclass(frozen=True)
class Sample:
    """An image and what is known of it; all of shape LATTICE.shape.

    Attributes
    ----------
    image : Tensor of float16
        As the network takes it.
    classes : Tensor of uint8
        Index in CT_CLASSES, IGNORE where nothing is known.
    core, axis : Tensor of uint8
        In the core of a body; in C2. IGNORE where nothing is known.
    to_centre : Tensor of int8, shape (3, i, j, k)
        From a voxel of a vertebra to the centre of its body, mm.
    """

    image: Tensor
    classes: Tensor
    core: Tensor
    axis: Tensor
    to_centre: Tensor


def nearest(volume: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Values at the voxels nearest to index points, shape (i, j, k, 3), and where these lie in the volume."""
    at = index.round().long()
    sizes = torch.tensor(volume.shape, device=volume.device)
    inside = ((at >= 0) & (at < sizes)).all(-1)
    at = torch.minimum(at.clamp(min=0), sizes - 1)
    flat = (at[..., 0] * volume.shape[1] + at[..., 1]) * volume.shape[2] + at[..., 2]
    return flat, inside


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of a matrix, shape (3, 3), without a wait for the device."""
    a, b, c = matrix
    columns = torch.stack((torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)), 1)
    return columns / (a @ columns[:, 0])


class Sampler:
    """Draws samples from label maps."""

    def __init__(self, cases: list[Case], weights: list[float], device: torch.device) -> None:
        self.device = device
        self.cases = cases
        self.weights = torch.tensor(weights)
        self.classes = torch.from_numpy(class_of_tissue()).to(device)
        bone = torch.zeros(TISSUES, dtype=torch.bool)
        bone[list(BONES)] = True
        self.is_bone = bone.to(device)
        arm = torch.zeros(TISSUES, dtype=torch.bool)
        arm[list(ARMS)] = True
        self.is_arm = arm.to(device)

    def draw(self) -> Sample:
        """One sample."""
        case = self.cases[int(torch.multinomial(self.weights, 1))]
        flips = (chance(0.02), chance(0.02), chance(0.5))
        place = self._pose(case, flips)
        flat, inside = nearest(case.tissue, place.index)
        tissue = case.tissue.reshape(-1)[flat].long()
        if chance(0.5):
            tissue = torch.where(self.is_arm[tissue], 0, tissue)
        depth = case.depth.reshape(-1)[flat].float() / 10.0
        field = self._field(inside)
        known = field & (tissue != IGNORE)
        image = self._image(case, place, tissue, depth)
        classes = torch.where(known, self.classes[tissue], IGNORE)
        deep = case.share.reshape(-1)[flat] > int(CORE_SHARE * 200)
        core = torch.where(known, ((classes == BODY) & deep).to(torch.uint8), IGNORE)
        axis = torch.where(known, ((tissue == C2) | (tissue == C2 + 100)).to(torch.uint8), IGNORE)
        source = place.index * case.spacing.to(self.device)
        offset = (case.centre_of[tissue] - source) @ inverse(place.linear).T
        if chance(0.03):
            image = self._nothing()
            classes = torch.where(field, 0, IGNORE)
            core = axis = torch.where(field, 0, IGNORE)
        image = torch.where(field, image, OUTSIDE_HU)
        return Sample(
            normalised(image).half(),
            classes.to(torch.uint8),
            core.to(torch.uint8),
            axis.to(torch.uint8),
            offset.clamp(-127, 127).round().to(torch.int8).movedim(-1, 0),
        )

    def _nothing(self) -> Tensor:
        cells = tuple(max(3, int(n / uniform(4.0, 30.0))) for n in LATTICE.shape)
        noise = render.smooth_noise(LATTICE.shape, cells, self.device)[0]
        return noise * uniform(50, 600) + uniform(-800, 300)

    def _pose(self, case: Case, flips: tuple[bool, bool, bool]) -> render.Pose:
        if chance(0.8):
            centre = case.spine[int(torch.randint(len(case.spine), ()))] + torch.randn(3) * 30.0
        else:
            centre = case.anywhere[int(torch.randint(len(case.anywhere), ()))]
        wide = 20.0 if chance(0.2) else 6.0
        return render.pose(
            LATTICE,
            centre,
            case.spacing,
            scale=uniform(0.7, 0.85) if chance(0.12) else uniform(0.85, 1.22),
            degrees=(uniform(-wide, wide), uniform(-wide, wide), uniform(-wide, wide)),
            flips=flips,
            bend_mm=uniform(0.0, 6.0),
            crush_mm=uniform(1.0, 8.0) if chance(0.15) else 0.0,
            device=self.device,
        )

    def _field(self, inside: Tensor) -> Tensor:
        """Voxels that the scan covers: all, a box, or the cylinder of the reconstruction."""
        field = inside
        if chance(0.35):
            for axis, step in enumerate(LATTICE.spacing):
                if chance(0.35):
                    continue
                n = LATTICE.shape[axis]
                length = int(uniform(60.0, 250.0) / step)
                start = int(uniform(0, max(1, n - length)))
                line = torch.zeros(n, dtype=torch.bool)
                line[start : start + length] = True
                field = field & line.to(self.device).reshape([-1 if a == axis else 1 for a in range(3)])
        elif chance(0.25):
            j = torch.linspace(-1, 1, LATTICE.shape[1], device=self.device)[:, None] + uniform(-0.5, 0.5)
            k = torch.linspace(-1, 1, LATTICE.shape[2], device=self.device)[None, :] + uniform(-0.5, 0.5)
            field = field & ((j**2 + k**2) < uniform(0.6, 1.4) ** 2)[None]
        return field

    def _hounsfield(self) -> tuple[Tensor, Tensor]:
        """Mean and roughness of each tissue in a random patient, scan and contrast phase; HU."""
        mean = torch.full((TISSUES,), 45.0) + torch.randn(TISSUES) * 12
        rough = torch.full((TISSUES,), 6.0)
        artery, vein = 45.0, 42.0
        if chance(0.6):
            artery, vein = uniform(80, 380), uniform(50, 220)
        mean[list(ARTERIES)], mean[[*VEINS, LUNG_VESSELS]] = artery, vein
        mean[[51, 61]] = (artery + vein) / 2 * uniform(0.7, 1.1)
        mean[[2, 3]] = uniform(25, 40) + (vein + artery) / 2 * uniform(0, 0.8)
        mean[5] = uniform(30, 65) + (vein - 42) * 0.4
        mean[1] = uniform(40, 60) + (vein - 42) * 0.5
        mean[list(LUNGS)], rough[list(LUNGS)] = uniform(-920, -650), uniform(20.0, 90.0)
        mean[16] = -980.0
        mean[list(MUSCLES)] = uniform(25, 75)
        rough[list(MUSCLES)] = uniform(5, 35)
        mean[21] = uniform(-5, 25) if chance(0.8) else uniform(50, 500)
        mean[list(GUT)] = uniform(0, 60)
        for number in GUT:
            mean[number] += uniform(-40, 40)
            rough[number] = uniform(10, 80)
            if chance(0.3):
                mean[number] = uniform(-900, -200) if chance(0.5) else uniform(100, 450)
        mean[GAS] = uniform(-1000, -850)
        mean[[CORD, BRAIN]], mean[CANAL_TISSUE] = uniform(20, 45), uniform(-60, 30)
        mean[DISC_TISSUE], mean[117] = uniform(50, 120), uniform(60, 200)
        mean[list(FATS)] = uniform(-115, -75)
        mean[VISCERAL_FAT] = mean[VISCERAL_FAT] + uniform(0, 40)
        mean[0], rough[0] = -1000.0, 3.0
        return mean, rough

    def _image(self, case: Case, place: render.Pose, tissue: Tensor, depth: Tensor) -> Tensor:
        mean, rough = self._hounsfield()
        mean, rough = mean.to(self.device), rough.to(self.device)
        drawn = tissue
        if chance(0.3):  # no organs: random layers of fat and muscle
            loose = (tissue == VISCERAL_FAT) | (tissue == FAT) | (tissue == MUSCLE)
            drawn = torch.where(loose, FILLER, tissue)
        image = render.mottled(drawn, mean, rough)
        fat, muscle = float(uniform(-115, -80)), float(uniform(30, 65))
        layers = torch.tensor([fat, fat, muscle, fat, fat + 20, muscle], device=self.device)
        image = render.fill_filler(drawn, mean, image, layers[torch.randperm(6)], 6)
        bone = self.is_bone[tissue]
        image = torch.where(bone, self._bone(case, place, tissue, depth), image)
        image = self._discs(image, tissue)
        image = self._lesions(image, bone)
        if chance(0.05):
            image = self._metal(image)
        if chance(0.5):
            image = self._table(image, tissue)
        return self._scanned(image)

    def _bone(self, case: Case, place: render.Pose, tissue: Tensor, depth: Tensor) -> Tensor:
        """Dense at the surface, spongy inside; or what a real scan shows in the same bones."""
        age = uniform(-20, 330)
        of_bone = torch.randn(TISSUES).to(self.device)
        spongy = age * (1 + 0.12 * of_bone[tissue])
        if chance(0.1):  # some bones unlike the others
            odd = (torch.rand(TISSUES) < 0.2).to(self.device)
            spongy = torch.where(odd[tissue], spongy + uniform(-150, 700), spongy)
        shape = tuple(tissue.shape)
        texture = render.smooth_noise(shape, tuple(n // 3 for n in shape), self.device)[0]
        spongy = spongy + texture * uniform(5, 60)
        dense = uniform(300, 1200) * (1 + 0.15 * of_bone[(tissue * 7) % TISSUES])
        made = spongy + (dense - spongy) * torch.exp(-depth / uniform(0.5, 1.6))
        if case.bone_hu is not None and chance(0.6):
            real = render.warp(case.bone_hu, place, nearest=False)
            gain = uniform(0.7, 1.3)
            return torch.where(real > 150, real * gain, torch.minimum(spongy, torch.full_like(spongy, 200.0)))
        return made

    def _discs(self, image: Tensor, tissue: Tensor) -> Tensor:
        """Vacuum, calcium or bone in discs, now and then."""
        if not chance(0.2):
            return image
        disc = tissue == DISC_TISSUE
        shape = tuple(image.shape)
        if chance(0.3):  # bridged by bone, here and there
            disc = disc & render.blobs(shape, uniform(0.05, 0.4), tuple(n // 14 for n in shape), self.device)
            return torch.where(disc, image + uniform(50, 250), image)
        spots = disc & render.blobs(shape, uniform(0.03, 0.2), tuple(n // 4 for n in shape), self.device)
        return torch.where(spots, uniform(-700, -100) if chance(0.5) else uniform(200, 700), image)

    def _lesions(self, image: Tensor, bone: Tensor) -> Tensor:
        shape = tuple(image.shape)
        if chance(0.35):
            cells = tuple(max(3, n // int(uniform(4, 10))) for n in shape)
            where = render.blobs(shape, uniform(0.02, 0.3), cells, self.device) & bone
            dense = image + uniform(150, 700)
            image = torch.where(
                where, dense if chance(0.5) else torch.full_like(image, uniform(20, 80)), image
            )
        if chance(0.05):
            where = render.blobs(shape, 0.01, tuple(n // 5 for n in shape), self.device) & bone
            image = torch.where(where, uniform(1500, 3000), image)
        return image

    def _metal(self, image: Tensor) -> Tensor:
        """A rod along the body, with streaks across it."""
        i, j, k = (torch.arange(n, device=self.device).float() for n in LATTICE.shape)
        at_j, at_k = uniform(0.3, 0.7) * LATTICE.shape[1], uniform(0.3, 0.7) * LATTICE.shape[2]
        lean = uniform(-0.1, 0.1)
        dj = j[None, :, None] - at_j
        dk = k[None, None, :] - at_k - lean * i[:, None, None]
        start, stop = sorted((uniform(0, LATTICE.shape[0]), uniform(0, LATTICE.shape[0])))
        along = ((i > start) & (i < stop))[:, None, None]
        radius = (dj**2 + dk**2).sqrt()
        angle = torch.atan2(dj, dk) * round(uniform(2, 6)) + uniform(0, 6.28)
        streak = torch.sin(angle) * uniform(50, 350) * torch.exp(-radius / uniform(5, 25))
        image = torch.where(along & (image > -800), image + streak, image)
        return torch.where(along & (radius < uniform(1.0, 2.5)), uniform(1500, 3000), image)

    def _table(self, image: Tensor, tissue: Tensor) -> Tensor:
        """A curved plate behind the patient, and some cloth."""
        shape = LATTICE.shape
        j = torch.arange(shape[1], device=self.device)[:, None].float()
        k = torch.linspace(-1, 1, shape[2], device=self.device)[None, :]
        top = uniform(0.6, 0.98) * shape[1] + uniform(-12, 12) * k**2
        plate = ((j > top) & (j < top + uniform(1, 6)))[None].expand(shape)
        return torch.where(plate & (tissue == 0), uniform(-700, 300), image)

    def _scanned(self, image: Tensor) -> Tensor:
        soft = uniform(0.25, 0.8)
        image = render.blur(image, (uniform(0.2, 0.6), soft, soft))
        if chance(0.3):
            sharp = uniform(0.2, 0.9)
            image = image + sharp * (image - render.blur(image, (0.7, 0.7, 0.7)))
        if chance(0.4):
            image = render.thick_slices(image, 0, uniform(1.2, 2.8), 0.0)
        if chance(0.05):
            image = render.thick_slices(image, 1 + int(chance(0.5)), uniform(1.2, 2.5), 0.0)
        noise = torch.randn(image.shape, device=self.device)
        if chance(0.5):
            noise = render.blur(noise, (0.3, 0.8, 0.8)) * 2
        image = image * uniform(0.97, 1.03) + noise * math.exp(uniform(math.log(2.0), math.log(40.0)))
        if chance(0.1):
            rows = torch.randn((image.shape[0], image.shape[1], 1), device=self.device)
            image = image + rows * uniform(5, 60)
        return image


def normalised(image: Tensor) -> Tensor:
    """Hounsfield units as the network takes them."""
    return image.clamp(-1024.0, 1500.0) / 300.0
