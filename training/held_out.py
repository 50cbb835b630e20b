"""Answers of the fold networks on the exams of the persons that they have not seen. Needs torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import mr_samples
import render
from unet import UNet


def write_maps(net: UNet, cases: list[mr_samples.Case], out: Path, device: torch.device, amp: bool) -> None:
    """Write the probability of body, core and S1 (uint8, 0 to 31) of whole exams as one file.

    The lattice has the spacing of the training, its slices are those of the packed codes or every second one.
    """
    maps = {}
    for case in cases:
        if case.image is None:
            continue
        spacing = (*mr_samples.IN_PLANE_MM, mr_samples.own_step(case))
        sizes = [n * float(s) for n, s in zip(case.code.shape, case.spacing, strict=True)]
        i, j, k = (math.ceil(size / step) for size, step in zip(sizes, spacing, strict=True))
        lattice = render.Lattice((i, j, k), spacing)
        centre = (torch.tensor(case.code.shape) - 1) / 2 * case.spacing
        centre[2] = (k - 1) / 2 * spacing[2]
        place = render.pose(
            lattice,
            centre,
            case.spacing,
            scale=(1.0,) * 3,
            degrees=(0, 0, 0),
            flips=(False,) * 3,
            bend_mm=(0.0,) * 3,
            crush_mm=0.0,
            device=device,
        )
        image = mr_samples.signal(case, place)
        image = mr_samples.normalised(image, torch.ones_like(image, dtype=torch.bool), jitter=False)
        pads = [p for n, m in zip((k, j, i), (8, 16, 16), strict=True) for p in (0, -n % m)]
        padded = F.pad(image[None, None], pads, value=float(image.min()))
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
            answer = net(padded)[0, :, :i, :j, :k].float().sigmoid()
        maps[case.name] = (answer[:3] * 31).round().byte().cpu().numpy()
    np.savez_compressed(out, **maps)
