"""The CT network: a 3D U-Net with a thin finest level, quick enough for a CPU. Needs torch."""

from __future__ import annotations

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet import repeat

WIDTHS = (16, 32, 64, 112, 160)
STRIDE = (2, 2, 2)
JOINED_FROM = 2  # levels from here on join the two paths by concatenation, finer ones by their sum


def _layer(given: int, wanted: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(given, wanted, 3, padding=1, bias=False),
        nn.BatchNorm3d(wanted, momentum=0.05),
        nn.ReLU(inplace=True),
    )


def _finer(x: Tensor) -> Tensor:
    """Twice as fine, by copying; on a GPU in a way that keeps the memory format."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest") if x.is_cuda else repeat(x, STRIDE)


class CtNet(nn.Module):
    """Logits of every channel on the lattice of the input.

    Batch normalisation, since Hounsfield units mean the same in every image: its statistics are folded into
    the convolutions when the network is written for use.

    Parameters
    ----------
    outputs : int
        Number of channels of the result.
    widths : tuple of int
        Channels of each level; each halves the resolution.
    """

    def __init__(self, outputs: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = _layer(1, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_layer(given, wanted), _layer(wanted, wanted))
            for given, wanted in itertools.pairwise(widths)
        )
        self.pool = nn.MaxPool3d(2, 2)
        self.narrow = nn.ModuleList(
            nn.Conv3d(deep, wide, 1) for deep, wide in zip(widths[1:], widths[:-1], strict=True)
        )
        self.up = nn.ModuleList(
            nn.Sequential(_layer(2 * w if level >= JOINED_FROM else w, w), *([_layer(w, w)] if level else []))
            for level, w in enumerate(widths[:-1])
        )
        self.head = nn.Conv3d(widths[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (n, outputs, i, j, k), of images of shape (n, 1, i, j, k)."""
        skips = [self.stem(x)]
        for block in self.down:
            skips.append(block(self.pool(skips[-1])))
        x = skips.pop()
        for level in reversed(range(len(self.up))):
            x = _finer(self.narrow[level](x))
            x = torch.cat((x, skips[level]), dim=1) if level >= JOINED_FROM else x + skips[level]
            x = self.up[level](x)
        return self.head(x)


def folded(net: CtNet) -> CtNet:
    """A copy in which every batch normalisation is part of the convolution before it."""
    out = copy.deepcopy(net).eval()
    for module in list(out.modules()):
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm3d):
            module[0] = nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return out
