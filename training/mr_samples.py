"""Training samples for the MR network: real exams with changed contrast, and images made from label maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import render
from codes import (
    BODY_OFFSET,
    CANAL_TISSUE,
    DISC_TISSUE,
    FILLER,
    IGNORE,
    SKIN_FAT,
    TISSUES,
    Code,
    mr_code_of_tissue,
    mr_targets,
)
from render import Lattice, chance, uniform

LATTICE = Lattice((144, 112, 32), (1.25, 1.25, 2.5))
CORE_SHARE = 0.45
BODY, CORE, UPRIGHT = 0, 1, 8

FAT, MUSCLE, MARROW, CORTEX, CSF, CORD, DISC, ORGAN, BLOOD, AIR = range(10)
# Signal of those tissues, from dark to bright 0 to 1, by sequence. Rough project choices.
SEQUENCES = {
    "T1": (0.9, 0.4, 0.6, 0.05, 0.2, 0.4, 0.35, 0.4, 0.2, 0.0),
    "T2": (0.8, 0.2, 0.5, 0.05, 1.0, 0.45, 0.4, 0.4, 0.1, 0.0),
    "STIR": (0.1, 0.25, 0.15, 0.03, 1.0, 0.5, 0.4, 0.5, 0.3, 0.0),
    "T2 FS": (0.15, 0.25, 0.25, 0.03, 1.0, 0.5, 0.4, 0.5, 0.2, 0.0),
    "water": (0.1, 0.5, 0.45, 0.1, 0.8, 0.6, 0.7, 0.6, 0.5, 0.0),
    "CE T1": (0.3, 0.5, 0.5, 0.05, 0.2, 0.4, 0.35, 0.7, 0.9, 0.0),
}


def _kinds() -> Tensor:
    """Kind of tissue (FAT to AIR) of each tissue number."""
    kind = torch.full((TISSUES,), ORGAN)
    kind[0] = AIR
    kind[10:15] = AIR
    kind[16] = AIR
    kind[25:51] = MARROW
    kind[25 + BODY_OFFSET : 51 + BODY_OFFSET] = MARROW
    kind[51:69] = BLOOD
    kind[69:79] = MARROW
    kind[79] = CORD
    kind[80:90] = MUSCLE
    kind[91:117] = MARROW
    kind[117] = DISC
    kind[DISC_TISSUE], kind[CANAL_TISSUE], kind[FILLER], kind[SKIN_FAT] = DISC, CSF, FAT, FAT
    return kind


@dataclass(frozen=True)
class Case:
    """One exam or label map on the device."""

    name: str
    spacing: Tensor
    centres: Tensor
    code: Tensor
    share: Tensor
    image: Tensor | None
    tissue: Tensor | None
    whole_trunk: bool


def load(mr: np.lib.npyio.NpzFile, ct: np.lib.npyio.NpzFile, device: torch.device) -> list[Case]:
    """All cases of both packed files."""
    return [_case(mr, n, device) for n in _names(mr)] + [_trunk(ct, n, device) for n in _names(ct)]


def _names(packed: np.lib.npyio.NpzFile) -> list[str]:
    return sorted({key.split("/")[0] for key in packed.files})


def _case(packed: np.lib.npyio.NpzFile, name: str, device: torch.device) -> Case:
    def get(key: str) -> Tensor | None:
        full = f"{name}/{key}"
        return torch.from_numpy(packed[full]).to(device) if full in packed.files else None

    code = packed[f"{name}/code"]
    spacing = packed[f"{name}/spacing"]
    bodies = np.argwhere(np.isin(code, (Code.BODY, Code.S1, Code.MAYBE_S1)))[::997] * spacing
    return Case(
        name,
        torch.from_numpy(spacing).float(),
        torch.from_numpy(bodies).float(),
        get("code"),
        get("share"),
        get("image"),
        get("tissue"),
        whole_trunk=False,
    )


def _trunk(packed: np.lib.npyio.NpzFile, name: str, device: torch.device) -> Case:
    tissue, spacing = packed[f"{name}/tissue"], packed[f"{name}/spacing"]
    code = mr_code_of_tissue()[tissue]
    if not (tissue == 26).any():
        code[tissue == 25] = Code.WHOLE_SACRUM
    for cut in packed[f"{name}/cut"]:
        code[(tissue == cut) | (tissue == cut + BODY_OFFSET)] = Code.UNKNOWN
    spine = (code == Code.BODY) | (code == Code.S1)
    return Case(
        name,
        torch.from_numpy(spacing).float(),
        torch.from_numpy(np.argwhere(spine)[::499] * spacing).float(),
        torch.from_numpy(code).to(device),
        torch.from_numpy(packed[f"{name}/share"]).to(device),
        None,
        torch.from_numpy(tissue).to(device),
        whole_trunk=True,
    )


class Sampler:
    """Draws samples of a list of cases: image (1, i, j, k) and target (channels, i, j, k; 255 is unknown)."""

    def __init__(self, cases: list[Case], device: torch.device) -> None:
        self.device = device
        real = [c for c in cases if c.image is not None]
        self.real = [[c for c in real if c.name.startswith(s)] for s in sorted({c.name[:3] for c in real})]
        self.bodies = [c for c in cases if c.image is None and not c.whole_trunk]
        self.trunks = [c for c in cases if c.whole_trunk]
        self.targets = torch.from_numpy(mr_targets()).to(device)
        self.kind = _kinds()

    def draw(self) -> tuple[Tensor, Tensor]:
        """One sample."""
        dice = uniform(0, 1)
        if dice < 0.7:
            case = self._pick(self.real[int(torch.randint(len(self.real), ()))])
        else:
            case = self._pick(self.trunks if dice < 0.88 else self.bodies)
        flips = (chance(0.07), chance(0.07), chance(0.5))
        place = self._pose(case, flips)
        code = render.warp(case.code, place, nearest=True, fill=float(Code.UNKNOWN)).long()
        share = render.warp(case.share, place, nearest=False) / 200.0
        body = (code == Code.BODY) | (code == Code.S1) | (code == Code.MAYBE_S1)
        if case.image is not None:
            image = self._real(case, place, body)
        else:
            image, code = self._synthetic(case, place, body, code)
        inside = render.warp(torch.ones_like(case.code), place, nearest=True) > 0.5
        target = self.targets[code].movedim(-1, 0).clone()
        body = (code == Code.BODY) | (code == Code.S1) | (code == Code.MAYBE_S1)
        target[CORE] = torch.where(body, (share > CORE_SHARE).to(torch.uint8), target[CORE])
        upright = 0 if flips[0] or flips[1] else 1
        target[UPRIGHT] = torch.where(body, upright, IGNORE).to(torch.uint8)
        target = torch.where(inside, target, IGNORE).to(torch.uint8)
        if chance(0.03):
            image, target = self._nothing(), torch.where(target == IGNORE, target, 0)
            target[UPRIGHT] = IGNORE
        return normalised(self._damaged(image * inside), inside)[None], target

    def _nothing(self) -> Tensor:
        """An image without any anatomy."""
        cells = tuple(max(3, int(n / uniform(4.0, 30.0))) for n in LATTICE.shape)
        return render.smooth_noise(LATTICE.shape, cells, self.device)[0].abs()

    def _pick(self, pool: list[Case]) -> Case:
        """A case; each source of real exams is drawn as often as the others."""
        return pool[int(torch.randint(len(pool), ()))]

    def _pose(self, case: Case, flips: tuple[bool, bool, bool]) -> render.Pose:
        centre = case.centres[int(torch.randint(len(case.centres), ()))].clone()
        crush = uniform(1.0, 7.0) if chance(0.15) else 0.0
        spread = torch.tensor([8.0, 8.0, 5.0]) if crush else torch.tensor([30.0, 25.0, 10.0])
        centre += torch.randn(3) * spread
        if chance(0.2 if case.whole_trunk else 0.05):
            centre = torch.rand(3) * torch.tensor(case.code.shape) * case.spacing
        scale = uniform(0.55, 0.85) if chance(0.2) else uniform(0.85, 1.2)
        wide = 25.0 if chance(0.2) else 8.0
        return render.pose(
            LATTICE,
            centre,
            case.spacing,
            scale=scale,
            degrees=(uniform(-8, 8), uniform(-8, 8), uniform(-wide, wide)),
            flips=flips,
            bend_mm=uniform(0.0, 3.0) if chance(0.7) else 0.0,
            crush_mm=crush,
            device=self.device,
        )

    def _real(self, case: Case, place: render.Pose, body: Tensor) -> Tensor:
        image = render.warp(case.image, place, nearest=False) / 255.0
        if chance(0.6):
            image = _recoloured(image)
        return self._marrow(image, body)

    def _marrow(self, image: Tensor, body: Tensor) -> Tensor:
        """Bodies with other marrow: all, one part of space, or blobs in them."""
        if chance(0.3):
            image = torch.where(body, image * uniform(0.4, 2.0), image)
        if chance(0.35):
            cells = (5, 4, 3) if chance(0.5) else (12, 10, 5)
            where = render.blobs(tuple(image.shape), uniform(0.05, 0.4), cells, self.device)
            level = image[::4, ::4, ::2].flatten().float().quantile(uniform(0.05, 0.98))
            mixed = image * 0.4 + level * 0.6
            image = torch.where(body & where, mixed, image)
        return image

    def _synthetic(self, case: Case, place: render.Pose, body: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Image made from tissues; its codes, in which the dark cortex is no part of a body."""
        tissue = render.warp(case.tissue, place, nearest=True).long()
        means, rough = self._contrast()
        image = render.mottled(tissue, means, rough)
        levels = 2 + int(torch.randint(5, ()))
        values = torch.rand(levels, device=self.device)
        if case.whole_trunk and chance(0.7):
            values = means[torch.tensor([SKIN_FAT, 80, SKIN_FAT, 18, 80, SKIN_FAT], device=self.device)][
                :levels
            ]
        image = render.fill_filler(tissue, means, image, values, len(values))
        image = self._marrow(image, body)
        bone = (self.kind.to(self.device)[tissue] == MARROW) | body
        if case.whole_trunk:
            cortex = render.rim(bone)
            code = torch.where(render.rim(body), int(Code.OTHER), code)
        else:
            cortex = render.shell(body)
        if chance(0.85):
            image = torch.where(cortex, image * uniform(0.0, 0.6), image)
        thick = uniform(1.0, 2.2)
        image = render.blur(image.clamp(min=0), (uniform(0.3, 0.9), uniform(0.3, 0.9), 0.0))
        return render.thick_slices(image, 2, thick, uniform(0.0, 0.3)), code

    def _contrast(self) -> tuple[Tensor, Tensor]:
        if chance(0.65):
            row = list(SEQUENCES.values())[int(torch.randint(len(SEQUENCES), ()))]
            base = torch.tensor(row) + torch.randn(len(row)) * 0.1
            own = 0.05
        else:
            base = torch.rand(10)
            base[AIR] = uniform(0, 0.1)
            own = 0.12
        means = (base[self.kind] + torch.randn(TISSUES) * own).clamp(0, 1.5)
        marrow = base[MARROW] + torch.randn(TISSUES) * uniform(0.0, 0.12)
        is_bone = self.kind == MARROW
        means[is_bone] = marrow[is_bone].clamp(0.02, 1.5)
        means[(self.kind == AIR)] *= 0.3
        return means.to(self.device), (torch.rand(TISSUES) * 0.1).to(self.device)

    def _damaged(self, image: Tensor) -> Tensor:
        shape = tuple(image.shape)
        image = image * render.bias(shape, self.device, uniform(0.0, 0.8))
        if chance(0.3):
            image = render.blur(image, (uniform(0, 1.0), uniform(0, 1.0), 0.0))
        if chance(0.25):
            image = render.thick_slices(image, 2, uniform(1.2, 2.2), uniform(0.0, 0.3))
        if chance(0.2):
            image = image * (1 + torch.randn(shape[2], device=self.device) * 0.08)
        if chance(0.06):
            image = self._metal(image)
        top = image[::4, ::4, ::2].flatten().float().quantile(0.98)
        noise = torch.randn((2, *shape), device=self.device) * top * (uniform(0, 0.07) ** 1.0)
        return torch.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)

    def _metal(self, image: Tensor) -> Tensor:
        """A void with a bright rim."""
        shape = image.shape
        axes = [torch.linspace(-1, 1, n, device=self.device) for n in shape]
        i, j, k = torch.meshgrid(*axes, indexing="ij")
        d = ((i - uniform(-0.7, 0.7)) / uniform(0.05, 0.3)) ** 2
        d = d + ((j - uniform(-0.6, 0.6)) / uniform(0.05, 0.25)) ** 2 + ((k - uniform(-1, 1)) / 0.5) ** 2
        image = torch.where(d < 1, image * 0.05, image)
        return torch.where((d > 1) & (d < 1.4), image * uniform(1.0, 2.0), image)


def _recoloured(image: Tensor) -> Tensor:
    """Another contrast by a random curve of the signal, mostly rising."""
    top = image[::4, ::4, ::2].flatten().quantile(0.995).clamp(min=0.02)
    x = (image / top).clamp(0, 1.3)
    points = 7
    curve = torch.rand(points)
    if chance(0.75):
        curve = curve.sort().values * 0.6 + torch.linspace(0, 1, points) * 0.4
    else:
        curve[0] = uniform(0, 0.1)
    curve = curve.to(image.device)
    gamma = 2.0 ** uniform(-0.8, 0.8)
    place = (x.clamp(0, 1) ** gamma) * (points - 1)
    low = place.floor().clamp(max=points - 2).long()
    return curve[low] + (curve[low + 1] - curve[low]) * (place - low)


def normalised(image: Tensor, inside: Tensor, *, jitter: bool = True) -> Tensor:
    """Square root of the signal between its extremes, mean 0 and deviation 1 where the image is, jittered."""
    thin = image[::3, ::3, ::2].float()
    some = torch.where(inside[::3, ::3, ::2], thin, torch.nan).flatten()
    low, high = some.nanquantile(0.005), some.nanquantile(0.995)
    x = ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1.5).sqrt()
    x = torch.where(inside, x, 0.0)
    count = inside.sum().clamp(min=1)
    mean = x.sum() / count
    deviation = (((x - mean) ** 2 * inside).sum() / count).sqrt().clamp(min=1e-3)
    x = (x - mean) / deviation
    if jitter:
        x = x * uniform(0.85, 1.15) + uniform(-0.2, 0.2)
    return torch.nan_to_num(x)
