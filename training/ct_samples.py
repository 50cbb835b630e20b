"""Training samples for the CT network: Hounsfield units made from label maps of the trunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import render
from codes import (
    BODY_OFFSET,
    BONES,
    CANAL_TISSUE,
    CT_CHANNELS,
    CT_CLASSES,
    DISC_TISSUE,
    FILLER,
    IGNORE,
    SKIN_FAT,
    TISSUES,
    ct_class_of_tissue,
)
from render import Lattice, chance, uniform

LATTICE = Lattice((112, 96, 112), (2.5, 2.5, 2.5))
CORE_SHARE = 0.45
CORE, UPRIGHT = CT_CHANNELS.index("core"), CT_CHANNELS.index("upright")
VERTEBRA = (CT_CLASSES.index("vertebra body"), CT_CLASSES.index("vertebra posterior"))
OUTSIDE_HU = -1024.0

VESSELS_ARTERY = (52, 54, 55, 56, 57, 58, 65, 66)
VESSELS_VEIN = (53, 59, 60, 62, 63, 64, 67, 68)
MUSCLES = tuple(range(80, 90))
LUNGS = tuple(range(10, 15))
GUT = (6, 18, 19, 20)


@dataclass(frozen=True)
class Case:
    """A label map on the device."""

    name: str
    spacing: Tensor
    shape: tuple[int, int, int]
    spine: Tensor
    tissue: Tensor
    share: Tensor
    depth: Tensor
    bone_hu: Tensor | None
    centre_of: Tensor


def load(packed: np.lib.npyio.NpzFile, device: torch.device) -> list[Case]:
    """All label maps of the packed file."""
    return [_case(packed, n, device) for n in sorted({key.split("/")[0] for key in packed.files})]


def _case(packed: np.lib.npyio.NpzFile, name: str, device: torch.device) -> Case:
    tissue, spacing = packed[f"{name}/tissue"], packed[f"{name}/spacing"]
    centres = np.zeros((TISSUES, 3), np.float32)
    for number in range(26, 51):
        body = np.argwhere(tissue == number + BODY_OFFSET)
        if len(body):
            centres[number] = centres[number + BODY_OFFSET] = body.mean(axis=0) * spacing
    spine = np.argwhere((tissue >= 126) & (tissue <= 150))[::499] * spacing
    hu = f"{name}/bone_hu"
    return Case(
        name,
        torch.from_numpy(spacing).float(),
        tissue.shape,
        torch.from_numpy(spine).float(),
        torch.from_numpy(tissue).to(device),
        torch.from_numpy(packed[f"{name}/share"]).to(device),
        torch.from_numpy(packed[f"{name}/depth"]).to(device),
        torch.from_numpy(packed[hu]).to(device) if hu in packed.files else None,
        torch.from_numpy(centres).to(device),
    )


@dataclass(frozen=True)
class Target:
    """What is known of a sample.

    Attributes
    ----------
    classes : Tensor of long, shape (i, j, k)
        Index in CT_CLASSES, IGNORE where nothing is known.
    core, upright : Tensor of uint8, shape (i, j, k)
    to_centre : Tensor, shape (3, i, j, k)
        From a voxel of a vertebra to the centre of its body, cm.
    """

    classes: Tensor
    core: Tensor
    upright: Tensor
    to_centre: Tensor


class Sampler:
    """Draws samples: image (1, i, j, k) and what is known of it."""

    def __init__(self, cases: list[Case], device: torch.device) -> None:
        self.device = device
        self.cases = cases
        self.classes = torch.from_numpy(ct_class_of_tissue()).long().to(device)
        bone = torch.zeros(TISSUES, dtype=torch.bool)
        bone[list(BONES)] = True
        self.is_bone = bone.to(device)

    def draw(self) -> tuple[Tensor, Target]:
        """One sample."""
        case = self.cases[int(torch.randint(len(self.cases), ()))]
        flips = (chance(0.06), chance(0.06), chance(0.5))
        place = self._pose(case, flips)
        tissue = render.warp(case.tissue, place, nearest=True).long()
        inside = render.warp(torch.ones_like(case.tissue), place, nearest=True) > 0.5
        image = self._image(case, place, tissue)
        field = self._field(inside)
        image = torch.where(field, image, OUTSIDE_HU)
        classes = torch.where(field, self.classes[tissue], IGNORE)
        share = render.warp(case.share, place, nearest=False) / 200.0
        body = classes == VERTEBRA[0]
        core = torch.where(body, (share > CORE_SHARE).to(torch.uint8), torch.where(field, 0, IGNORE))
        upright = torch.where(body, 0 if flips[0] or flips[1] else 1, IGNORE).to(torch.uint8)
        source = place.index * case.spacing.to(self.device)
        offset = (case.centre_of[tissue] - source) @ torch.linalg.inv(place.linear).T / 10.0
        if chance(0.03):
            image = self._nothing() * field + OUTSIDE_HU * ~field
            classes = torch.where(field, 0, IGNORE)
            core, upright = torch.where(field, 0, IGNORE), torch.full_like(upright, IGNORE)
        target = Target(classes, core.to(torch.uint8), upright, offset.movedim(-1, 0))
        return normalised(image)[None], target

    def _nothing(self) -> Tensor:
        cells = tuple(max(3, int(n / uniform(4.0, 30.0))) for n in LATTICE.shape)
        noise = render.smooth_noise(LATTICE.shape, cells, self.device)[0]
        return noise * uniform(50, 600) + uniform(-800, 300)

    def _pose(self, case: Case, flips: tuple[bool, bool, bool]) -> render.Pose:
        extent = torch.tensor(case.shape) * case.spacing
        if chance(0.65):
            centre = case.spine[int(torch.randint(len(case.spine), ()))] + torch.randn(3) * 30.0
        else:
            centre = torch.rand(3) * extent
        wide = 20.0 if chance(0.2) else 7.0
        return render.pose(
            LATTICE,
            centre,
            case.spacing,
            scale=uniform(0.6, 0.85) if chance(0.15) else uniform(0.85, 1.2),
            degrees=(uniform(-wide, wide), uniform(-wide, wide), uniform(-wide, wide)),
            flips=flips,
            bend_mm=uniform(0.0, 4.0),
            crush_mm=uniform(1.0, 7.0) if chance(0.15) else 0.0,
            device=self.device,
        )

    def _field(self, inside: Tensor) -> Tensor:
        """Voxels that the scan covers: all, a box, or the cylinder of the reconstruction."""
        field = inside
        if chance(0.4):
            for axis, step in enumerate(LATTICE.spacing):
                n = LATTICE.shape[axis]
                length = int(uniform(60.0, 240.0) / step)
                start = int(uniform(0, max(1, n - length)))
                line = torch.zeros(n, dtype=torch.bool)
                line[start : start + length] = True
                field = field & line.to(self.device).reshape([-1 if a == axis else 1 for a in range(3)])
        elif chance(0.2):
            j = torch.linspace(-1, 1, LATTICE.shape[1], device=self.device)[:, None]
            k = torch.linspace(-1, 1, LATTICE.shape[2], device=self.device)[None, :]
            field = field & ((j**2 + k**2) < uniform(0.6, 1.3) ** 2)[None]
        return field

    def _hounsfield(self) -> tuple[Tensor, Tensor]:
        """Mean and roughness of each tissue in a random patient, scan and contrast phase; HU."""
        mean = torch.full((TISSUES,), 45.0) + torch.randn(TISSUES) * 12
        rough = torch.full((TISSUES,), 6.0)
        artery, vein = 45.0, 42.0
        if chance(0.6):
            artery, vein = uniform(80, 380), uniform(50, 220)
        mean[list(VESSELS_ARTERY)], mean[list(VESSELS_VEIN)] = artery, vein
        mean[[51, 61]] = (artery + vein) / 2 * uniform(0.7, 1.1)
        mean[[2, 3]] = uniform(25, 40) + (vein + artery) / 2 * uniform(0, 0.8)
        mean[5] = uniform(20, 70) + (vein - 42) * 0.4
        mean[1] = uniform(40, 60) + (vein - 42) * 0.5
        mean[list(LUNGS)], rough[list(LUNGS)] = uniform(-900, -700), 60.0
        mean[16] = -980.0
        mean[list(MUSCLES)] = uniform(30, 75)
        rough[list(MUSCLES)] = uniform(5, 30)
        mean[21] = uniform(-5, 25) if chance(0.8) else uniform(50, 400)
        mean[list(GUT)], rough[list(GUT)] = uniform(0, 60), uniform(10, 60)
        for number in GUT:
            if chance(0.3):
                mean[number] = uniform(-900, -200) if chance(0.6) else uniform(100, 350)
        mean[79], mean[CANAL_TISSUE] = uniform(20, 45), uniform(-40, 30)
        mean[DISC_TISSUE], mean[117] = uniform(55, 110), uniform(60, 180)
        mean[FILLER], mean[SKIN_FAT] = uniform(-115, -80), uniform(-115, -90)
        mean[0], rough[0] = -1000.0, 3.0
        return mean, rough

    def _image(self, case: Case, place: render.Pose, tissue: Tensor) -> Tensor:
        mean, rough = self._hounsfield()
        mean, rough = mean.to(self.device), rough.to(self.device)
        image = render.mottled(tissue, mean, rough)
        fat, muscle = float(uniform(-115, -80)), float(uniform(30, 65))
        layers = torch.tensor([fat, fat, muscle, fat, fat + 20, muscle], device=self.device)
        image = render.fill_filler(tissue, mean, image, layers[torch.randperm(6)], 6)
        bone = self.is_bone[tissue]
        image = torch.where(bone, self._bone(case, place, tissue), image)
        image = self._lesions(image, bone)
        if chance(0.5):
            image = self._table(image, tissue)
        return self._scanned(image)

    def _bone(self, case: Case, place: render.Pose, tissue: Tensor) -> Tensor:
        """Dense at the surface, spongy inside; or what a real scan shows in the same bones."""
        depth = render.warp(case.depth, place, nearest=False) / 10.0
        age = uniform(10, 330)
        of_bone = torch.randn(TISSUES).to(self.device)
        spongy = age * (1 + 0.12 * of_bone[tissue])
        shape = tuple(tissue.shape)
        texture = render.smooth_noise(shape, tuple(n // 3 for n in shape), self.device)[0]
        spongy = spongy + texture * uniform(10, 60)
        dense = uniform(350, 1100) * (1 + 0.15 * of_bone[(tissue * 7) % TISSUES])
        made = spongy + (dense - spongy) * torch.exp(-depth / uniform(0.6, 1.6))
        if case.bone_hu is not None and chance(0.55):
            real = render.warp(case.bone_hu, place, nearest=False)
            gain = uniform(0.7, 1.3)
            return torch.where(real > 150, real * gain, torch.minimum(spongy, torch.full_like(spongy, 200.0)))
        return made

    def _lesions(self, image: Tensor, bone: Tensor) -> Tensor:
        shape = tuple(image.shape)
        if chance(0.35):
            cells = tuple(max(3, n // int(uniform(4, 10))) for n in shape)
            where = render.blobs(shape, uniform(0.02, 0.3), cells, self.device) & bone
            dense = image + uniform(150, 700)
            image = torch.where(
                where, dense if chance(0.5) else torch.full_like(image, uniform(20, 80)), image
            )
        if chance(0.06):
            where = render.blobs(shape, 0.01, tuple(n // 5 for n in shape), self.device) & bone
            image = torch.where(where, uniform(1500, 3000), image)
        return image

    def _table(self, image: Tensor, tissue: Tensor) -> Tensor:
        """A curved plate behind the patient, and some cloth."""
        shape = LATTICE.shape
        j = torch.arange(shape[1], device=self.device)[:, None].float()
        k = torch.linspace(-1, 1, shape[2], device=self.device)[None, :]
        top = uniform(0.6, 0.98) * shape[1] + uniform(-12, 12) * k**2
        plate = ((j > top) & (j < top + uniform(1, 6)))[None].expand(shape)
        return torch.where(plate & (tissue == 0), uniform(-700, 300), image)

    def _scanned(self, image: Tensor) -> Tensor:
        soft = uniform(0.25, 0.7)
        image = render.blur(image, (uniform(0.2, 0.6), soft, soft))
        if chance(0.3):
            sharp = uniform(0.2, 0.9)
            image = image + sharp * (image - render.blur(image, (0.7, 0.7, 0.7)))
        if chance(0.35):
            image = render.thick_slices(image, 0, uniform(1.1, 2.2), 0.0)
        noise = torch.randn(image.shape, device=self.device)
        if chance(0.5):
            noise = render.blur(noise, (0.3, 0.8, 0.8)) * 2
        image = image + noise * uniform(2, 45)
        if chance(0.1):
            rows = torch.randn((image.shape[0], image.shape[1], 1), device=self.device)
            image = image + rows * uniform(5, 60)
        return image


def normalised(image: Tensor) -> Tensor:
    """Hounsfield units as the network takes them."""
    return image.clamp(-1024.0, 1500.0) / 300.0
