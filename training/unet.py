"""The network: a small 3D U-Net whose first level does not mix slices. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MR_STRIDES = ((2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
MR_WIDTHS = (24, 40, 80, 112, 128)


class Norm(nn.InstanceNorm3d):
    """Instance normalisation; in training with statistics in float32 and in any memory format."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x, shape (n, c, i, j, k)."""
        if not self.training:
            return super().forward(x)
        dims = (2, 3, 4)
        mean = x.mean(dims, keepdim=True, dtype=torch.float32)
        norm = torch.linalg.vector_norm(x, dim=dims, keepdim=True, dtype=torch.float32)
        variance = norm**2 / x[0, 0].numel() - mean**2
        scale = self.weight[:, None, None, None] * torch.rsqrt(variance.clamp(min=0) + self.eps)
        shift = self.bias[:, None, None, None] - mean * scale
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


def _block(given: int, wanted: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    pad = tuple(k // 2 for k in kernel)
    layers: list[nn.Module] = []
    for source in (given, wanted):
        layers += [
            nn.Conv3d(source, wanted, kernel, padding=pad, bias=False),
            Norm(wanted, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


def repeat(x: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """Nearest-neighbour upsampling by copying: many times faster on a CPU than a resize operator."""
    n, c, i, j, k = x.shape
    a, b, d = stride
    if c > 1 and x.is_contiguous(memory_format=torch.channels_last_3d):
        x = x.permute(0, 2, 3, 4, 1).reshape(n, i, 1, j, 1, k, 1, c).expand(n, i, a, j, b, k, d, c)
        return x.reshape(n, i * a, j * b, k * d, c).permute(0, 4, 1, 2, 3)
    x = x.reshape(n, c, i, 1, j, 1, k, 1).expand(n, c, i, a, j, b, k, d)
    return x.reshape(n, c, i * a, j * b, k * d)


class UNet(nn.Module):
    """Logits of every channel on the lattice of the input.

    Parameters
    ----------
    outputs : int
        Number of channels of the result.
    strides, widths
        Pooling between the levels, and channels of each level.
    """

    def __init__(
        self,
        outputs: int,
        strides: tuple[tuple[int, int, int], ...],
        widths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.strides = strides
        self.last = False
        kernels = [(3, 3, 1 if strides[0][2] == 1 else 3)] + [(3, 3, 3)] * (len(widths) - 1)
        self.down = nn.ModuleList(
            _block(given, wanted, kernel)
            for given, wanted, kernel in zip((1, *widths[:-1]), widths, kernels, strict=True)
        )
        self.pools = nn.ModuleList(nn.MaxPool3d(s, s) for s in strides)
        self.narrow = nn.ModuleList(
            nn.Conv3d(deep, wide, 1) for deep, wide in zip(widths[1:], widths[:-1], strict=True)
        )
        self.up = nn.ModuleList(
            _block(2 * w, w, kernel) for w, kernel in zip(widths[:-1], kernels[:-1], strict=True)
        )
        self.head = nn.Conv3d(widths[0], outputs, 1)

    def lay_out(self, *, last: bool) -> None:
        """Keep weights, and take images, with the channels last in memory or first."""
        self.last = last
        self.to(memory_format=torch.channels_last_3d if last else torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (n, outputs, i, j, k), of images of shape (n, 1, i, j, k)."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(x)
            if level < len(self.strides):
                skips.append(x)
                x = self.pools[level](x)
        for level in reversed(range(len(self.strides))):
            x = repeat(self.narrow[level](x), self.strides[level])
            x = self.up[level](torch.cat((x, skips[level]), dim=1))
        return self.head(x)
