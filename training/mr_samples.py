"""Training samples for the MR network: real exams with changed contrast, and images made from label maps.

The network reads 1.25 mm pixels in slices that lie as the image's own slices do, and one between each two
where these are thick. A plain sample of a real exam is such a reading; a changed one lies anywhere.
"""

from __future__ import annotations

import io
import lzma
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

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
from sacrum import codes_of_sacrum

IN_PLANE_MM = (1.25, 1.25)
SHAPE = (144, 112, 32)
TURNED_SHARE = 0.2  # of the samples: head to feet, front to back, or both alike often
STEPS_MM = (1.6, 2.75)  # from slice to slice, where no image says it
FOCAL_SHARE = 0.25  # of the samples have single lesions
FOCAL_MM = (4.0, 14.0)  # their half axes
LEVELS = 110.0  # of the packed images, which hold square roots
CORE_SHARE = 0.45
SURE = 254  # a target of 1; parts of it are parts of a voxel
REAL_SHARE = (0.6, 0.8)  # of the samples, at the beginning and at the end of the training
PLAIN_SHARE = (0.35, 0.9)  # of the real ones
CHANGES_AT = (0.35, 0.7)  # share of the training between which these rise
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


Packed: TypeAlias = dict[str, np.ndarray]


def load(folder: Path, device: torch.device) -> list[Case]:
    """All cases that ``prepare.py`` has packed."""
    mr, trunks = _unpacked(folder / "mr.npz.xz"), _unpacked(folder / "trunks.npz.xz")
    return [_case(mr, n, device) for n in _names(mr)] + [_trunk(trunks, n, device) for n in _names(trunks)]


def _unpacked(path: Path) -> Packed:
    arrays = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
    packed = {key: arrays[key] for key in arrays.files}
    for key in [k for k in packed if k.endswith("/image_steps")]:
        steps = packed.pop(key)
        packed[key.removesuffix("_steps")] = np.add.accumulate(steps, axis=0, dtype=np.uint8)
    return packed


def _names(packed: Packed) -> list[str]:
    return sorted({key.split("/")[0] for key in packed})


def _case(packed: Packed, name: str, device: torch.device) -> Case:
    def get(key: str) -> Tensor | None:
        full = f"{name}/{key}"
        return torch.from_numpy(packed[full]).to(device) if full in packed else None

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


def _trunk(packed: Packed, name: str, device: torch.device) -> Case:
    tissue, spacing = packed[f"{name}/tissue"], packed[f"{name}/spacing"]
    code = mr_code_of_tissue()[tissue]
    share = packed[f"{name}/share"]
    sacrum = None if (tissue == 26).any() else codes_of_sacrum(tissue, spacing)
    if sacrum is not None:
        code[sacrum[0]], share[sacrum[0]] = sacrum[1:]
    for cut in packed[f"{name}/cut"]:
        code[(tissue == cut) | (tissue == cut + BODY_OFFSET)] = Code.UNKNOWN
    spine = (code == Code.BODY) | (code == Code.S1)
    return Case(
        name,
        torch.from_numpy(spacing).float(),
        torch.from_numpy(np.argwhere(spine)[::499] * spacing).float(),
        torch.from_numpy(code).to(device),
        torch.from_numpy(share).to(device),
        None,
        torch.from_numpy(tissue).to(device),
        whole_trunk=True,
    )


def _flips() -> tuple[bool, bool, bool]:
    """Axes along which a sample is turned: inferior, posterior, left."""
    head, front = ((False, True), (True, False), (True, True))[int(torch.randint(3, ()))]
    turned = chance(TURNED_SHARE)
    return turned and head, turned and front, chance(0.5)


def own_step(case: Case) -> float:
    """Distance of the slices of the network in an exam, mm."""
    step = float(case.spacing[2])
    return step if step > 1.5 else 2 * step


def signal(case: Case, place: render.Pose) -> Tensor:
    """Signal of a real exam at a pose, 0 to 1; it is packed in its own slices, half as many as the codes."""
    own = replace(
        place, index=place.index * torch.tensor([1, 1, 0.5]).to(place.index.device, non_blocking=True)
    )
    return (render.warp(case.image, own, nearest=False) / LEVELS) ** 2


class Sampler:
    """Draws samples of a list of cases: image (1, i, j, k) and target (channels, i, j, k), uint8.

    A target is the share of a voxel in SURE parts; 255 is unknown.
    """

    def __init__(self, cases: list[Case], device: torch.device, *, synthetic: bool = False) -> None:
        self.device = device
        real = [] if synthetic else [c for c in cases if c.image is not None]
        self.real = [[c for c in real if c.name.startswith(s)] for s in sorted({c.name[:3] for c in real})]
        self.bodies = [c for c in cases if c.image is None and not c.whole_trunk]
        self.trunks = [c for c in cases if c.whole_trunk]
        self.targets = torch.from_numpy(mr_targets()).to(device, non_blocking=True)
        self.targets[self.targets == 1] = SURE
        self.kind = _kinds()
        self.ranges: dict[str, Range] = {}

    def draw(self, passed: float = 0.0) -> tuple[Tensor, Tensor]:
        """One sample; `passed` is the share of the training that is over."""
        late = min(1.0, max(0.0, (passed - CHANGES_AT[0]) / (CHANGES_AT[1] - CHANGES_AT[0])))
        if self.real and chance(_between(REAL_SHARE, late)):
            case = self._pick(self.real[int(torch.randint(len(self.real), ()))])
            plain = chance(_between(PLAIN_SHARE, late))
        else:
            case, plain = self._pick(self.trunks if chance(0.65) else self.bodies), False
        return self._plain(case) if plain else self._changed(case)

    def _plain(self, case: Case) -> tuple[Tensor, Tensor]:
        """A real exam as it will be read, turned, scaled and bent in the plane of its slices only."""
        step = own_step(case)
        centre = self._centre(case, torch.tensor([30.0, 25.0, 8.0]))
        half = torch.tensor(SHAPE) * torch.tensor([*IN_PLANE_MM, step]) / 2 - torch.tensor([12.0, 8.0, 4.0])
        whole = torch.tensor(case.code.shape) * case.spacing
        centre = torch.minimum(
            torch.maximum(centre, torch.minimum(half, whole / 2)), torch.maximum(whole - half, whole / 2)
        )
        if step == float(case.spacing[2]):
            centre[2] = (torch.round(centre[2] / step - 0.5) + 0.5) * step
        bend = uniform(0.0, 1.5) if chance(0.5) else 0.0
        size = uniform(0.88, 1.14)
        flips = _flips()
        place = render.pose(
            Lattice(SHAPE, (*IN_PLANE_MM, step)),
            centre,
            case.spacing,
            scale=(size, size * uniform(0.95, 1.05), 1.0),
            degrees=(0.0, 0.0, uniform(-10, 10)),
            flips=flips,
            bend_mm=(bend, bend, 0.0),
            crush_mm=0.0,
            device=self.device,
        )
        code = render.warp(case.code, place, nearest=True, fill=float(Code.UNKNOWN)).long()
        image, whole = signal(case, place), self._range(case) if chance(0.6) else None
        if whole is None and chance(0.5):
            image = _recoloured(image, rising=1.0)
        if chance(0.2):
            image = self._marrow(image, _is_body(code))
        if chance(FOCAL_SHARE):
            image = self._focal(image, _is_body(code), step)
        inside = render.warp(torch.ones_like(case.code), place, nearest=True) > 0.5
        target = self._target(case, place, code, inside, flips)
        image = image * render.bias(SHAPE, self.device, uniform(0.0, 0.4))
        if chance(0.2):
            image = render.blur(image, (uniform(0, 0.6), uniform(0, 0.6), 0.0))
        image = self._noisy(image * inside, uniform(0, 0.03))
        return normalised(image, inside, whole=whole)[None], target

    def _range(self, case: Case) -> Range:
        """Of the whole exam, by which it is normalised when it is read."""
        if case.name not in self.ranges:
            image = (case.image / LEVELS) ** 2
            self.ranges[case.name] = range_of(image, torch.ones_like(image, dtype=torch.bool))
        return self.ranges[case.name]

    def _changed(self, case: Case) -> tuple[Tensor, Tensor]:
        """Any case turned, scaled and bent at will, with another contrast."""
        flips = _flips()
        place = self._pose(case, flips)
        code = render.warp(case.code, place, nearest=True, fill=float(Code.UNKNOWN)).long()
        if case.image is not None:
            image = self._real(case, place, _is_body(code))
        else:
            image, code = self._synthetic(case, place, _is_body(code), code)
        inside = render.warp(torch.ones_like(case.code), place, nearest=True) > 0.5
        target = self._target(case, place, code, inside, flips)
        if chance(0.03):
            image, target = self._nothing(), torch.where(target == IGNORE, target, 0)
            target[UPRIGHT] = IGNORE
        return normalised(self._damaged(image * inside), inside)[None], target

    def _target(
        self, case: Case, place: render.Pose, code: Tensor, inside: Tensor, flips: tuple[bool, bool, bool]
    ) -> Tensor:
        target = self.targets[code].movedim(-1, 0).clone()
        body = _is_body(code)
        if case.image is not None:  # the dark cortex of a synthetic body is cut off its codes only
            part = render.warp(_is_body(case.code).to(torch.uint8), place, nearest=False)
            part = torch.where(target[BODY] == IGNORE, float(IGNORE), part * SURE)
            target[BODY] = part.round().to(torch.uint8)
        share = render.warp(case.share, place, nearest=False) / 200.0
        core = (share > CORE_SHARE).to(torch.uint8) * SURE
        target[CORE] = torch.where(body, core, target[CORE])
        upright = 0 if flips[0] or flips[1] else SURE
        target[UPRIGHT] = torch.where(body, upright, IGNORE).to(torch.uint8)
        return torch.where(inside, target, IGNORE).to(torch.uint8)

    def _nothing(self) -> Tensor:
        """An image without any anatomy."""
        cells = tuple(max(3, int(n / uniform(4.0, 30.0))) for n in SHAPE)
        return render.smooth_noise(SHAPE, cells, self.device)[0].abs()

    def _pick(self, pool: list[Case]) -> Case:
        """A case; each source of real exams is drawn as often as the others."""
        return pool[int(torch.randint(len(pool), ()))]

    def _centre(self, case: Case, spread: Tensor) -> Tensor:
        centre = case.centres[int(torch.randint(len(case.centres), ()))].clone()
        return centre + torch.randn(3) * spread

    def _pose(self, case: Case, flips: tuple[bool, bool, bool]) -> render.Pose:
        crush = uniform(1.0, 7.0) if chance(0.15) else 0.0
        spread = torch.tensor([8.0, 8.0, 5.0]) if crush else torch.tensor([30.0, 25.0, 10.0])
        centre = self._centre(case, spread)
        if chance(0.2 if case.whole_trunk else 0.05):
            centre = torch.rand(3) * torch.tensor(case.code.shape) * case.spacing
        scale = uniform(0.55, 0.85) if chance(0.2) else uniform(0.85, 1.2)
        wide = 25.0 if chance(0.2) else 8.0
        bend = uniform(0.0, 3.0) if chance(0.7) else 0.0
        return render.pose(
            Lattice(SHAPE, (*IN_PLANE_MM, uniform(*STEPS_MM))),
            centre,
            case.spacing,
            scale=(scale,) * 3,
            degrees=(uniform(-8, 8), uniform(-8, 8), uniform(-wide, wide)),
            flips=flips,
            bend_mm=(bend,) * 3,
            crush_mm=crush,
            device=self.device,
        )

    def _real(self, case: Case, place: render.Pose, body: Tensor) -> Tensor:
        image = signal(case, place)
        if chance(0.6):
            image = _recoloured(image)
        image = self._marrow(image, body)
        return self._focal(image, body, STEPS_MM[0]) if chance(FOCAL_SHARE) else image

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

    def _focal(self, image: Tensor, body: Tensor, step: float) -> Tensor:
        """Up to three lesions in the bodies or at their border, as dark as cortex or bright."""
        voxels = body.nonzero()
        if not len(voxels):
            return image
        levels = image[::4, ::4, ::2].flatten().float()
        spacing = torch.tensor([*IN_PLANE_MM, step], device=image.device)
        axes = [torch.arange(n, device=image.device) for n in image.shape]
        where = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * spacing
        for _ in range(1 + int(torch.randint(3, ()))):
            centre = voxels[int(torch.randint(len(voxels), ()))] * spacing
            radii = torch.tensor([uniform(*FOCAL_MM) for _ in range(3)], device=image.device)
            far = ((where - centre) / radii).norm(dim=-1)
            share = ((1.15 - far) / 0.3).clamp(0, 1) * body * uniform(0.7, 1.0)
            level = levels.quantile(uniform(0.0, 0.3) if chance(0.7) else uniform(0.6, 0.99))
            image = image * (1 - share) + level * uniform(0.8, 1.2) * share
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
        if chance(FOCAL_SHARE):
            image = self._focal(image, body, STEPS_MM[0])
        bone = (self.kind.to(self.device, non_blocking=True)[tissue] == MARROW) | body
        if case.whole_trunk:
            cortex = render.rim(bone)
            code = torch.where(render.rim(body) & (code != Code.S1), int(Code.OTHER), code)
        else:
            cortex = render.shell(body)
        if chance(0.85):
            image = torch.where(cortex, image * uniform(0.0, 0.6), image)
        thick = uniform(1.0, 2.2)
        image = render.blur(image.clamp(min=0), (uniform(0.3, 0.9), uniform(0.3, 0.9), 0.0))
        if chance(0.3):
            return render.thick_slices(image, 2, thick, uniform(0.0, 0.3)), code
        image = render.blur(image, (0.0, 0.0, uniform(0.0, 0.8)))
        every = 1 + int(chance(0.8)) + int(chance(0.15))
        return render.kept_slices(image, every, int(torch.randint(every, ()))), code

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
        rough = torch.rand(TISSUES) * 0.1
        return means.to(self.device, non_blocking=True), rough.to(self.device, non_blocking=True)

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
        return self._noisy(image, uniform(0, 0.07))

    def _noisy(self, image: Tensor, share: float) -> Tensor:
        """With the noise of a magnitude image, as a share of the bright signal."""
        top = image[::4, ::4, ::2].flatten().float().quantile(0.98)
        noise = torch.randn((2, *image.shape), device=self.device) * top * share
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


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def _is_body(code: Tensor) -> Tensor:
    return (code == Code.BODY) | (code == Code.S1) | (code == Code.MAYBE_S1)


def _recoloured(image: Tensor, *, rising: float = 0.75) -> Tensor:
    """Another contrast by a random curve of the signal, rising with this probability."""
    top = image[::4, ::4, ::2].flatten().quantile(0.995).clamp(min=0.02)
    x = (image / top).clamp(0, 1.3)
    points = 7
    curve = torch.rand(points)
    if chance(rising):
        curve = curve.sort().values * 0.6 + torch.linspace(0, 1, points) * 0.4
    else:
        curve[0] = uniform(0, 0.1)
    curve = curve.to(image.device, non_blocking=True)
    gamma = 2.0 ** uniform(-0.8, 0.8)
    place = (x.clamp(0, 1) ** gamma) * (points - 1)
    low = place.floor().clamp(max=points - 2).long()
    return curve[low] + (curve[low + 1] - curve[low]) * (place - low)


@dataclass(frozen=True)
class Range:
    """What an image is normalised with: its extremes, then mean and deviation of the square root between."""

    low: Tensor
    high: Tensor
    mean: Tensor
    deviation: Tensor


def range_of(image: Tensor, inside: Tensor) -> Range:
    """The range of an image where it has values."""
    some = torch.where(inside, image, torch.nan)[::3, ::3, ::2].flatten().float()
    low, high = some.nanquantile(0.005), some.nanquantile(0.995)
    x = torch.where(inside, _root(image, low, high), 0.0)
    count = inside.sum().clamp(min=1)
    mean = x.sum() / count
    deviation = (((x - mean) ** 2 * inside).sum() / count).sqrt().clamp(min=1e-3)
    return Range(low, high, mean, deviation)


def _root(image: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1.5).sqrt()


def normalised(image: Tensor, inside: Tensor, *, jitter: bool = True, whole: Range | None = None) -> Tensor:
    """Square root of the signal between its extremes, mean 0 and deviation 1 where the image is, jittered.

    With ``whole``, of the range of the exam that the image is a part of.
    """
    own = whole or range_of(image, inside)
    x = torch.where(inside, (_root(image, own.low, own.high) - own.mean) / own.deviation, 0.0)
    if jitter and chance(0.5):
        x = torch.where(inside, x, x.min())
    if jitter:
        x = x * uniform(0.85, 1.15) + uniform(-0.2, 0.2)
    return torch.nan_to_num(x)
