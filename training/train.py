"""Train the MR networks: ``train.py PACK OUT --minutes 40``. Needs torch.

``--networks`` names those that one process trains: ``base`` sees label maps only, no exam of any person;
``0`` to ``4`` (one per fold of persons, for the figures) and ``all`` (shipped) begin with its weights where
``--after base`` says so. The learning rate follows the share of the time that has passed. With
``--start DIR`` the weights of an earlier run are the first ones; with ``--resumable`` a run can be stopped
and goes on from its folder.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import mr_samples
from codes import IGNORE, MR_CHANNELS
from held_out import write_maps
from unet import MR_STRIDES, MR_WIDTHS, UNet

MR_WEIGHTS = (4.0, 1.5, 0.8, 0.6, 0.7, 0.7, 0.6, 0.5, 0.6)
UPSIDE_DOWN = 4.0  # weight of a body that does not stand upright: a fifth of them
AVERAGE = 0.995
POOLED = 384  # samples that are kept and drawn again
SAVED_EVERY_S = 120.0
FIRST = 24  # samples before the first step


@dataclass
class Run:
    """One network in training.

    Attributes
    ----------
    loss : callable
        Draws samples, for a share of the training that is over, and gives the loss of a network on them.
    mean : dict
        Weights averaged over the last steps: what is kept.
    """

    name: str
    channels: tuple[str, ...]
    net: UNet
    loss: Callable[[UNet, int, bool, float], Tensor]
    mean: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    held_out: list[mr_samples.Case]
    steps: int = 0


class Pool:
    """Samples that are drawn again: every so many steps adds a new one, and each takes some of all.

    Making a sample takes as long as a step; a network sees each about `every` times the size of its batch.
    """

    def __init__(
        self, draw: Callable[[float], tuple[Tensor, Tensor]], size: int = POOLED, every: int = 1
    ) -> None:
        self.draw, self.size, self.every, self.added, self.asked = draw, size, every, 0, 0
        self.images = self.targets = torch.empty(0)

    def batch(self, n: int, passed: float) -> tuple[Tensor, Tensor]:
        """`n` images and their targets."""
        fresh = self.asked % self.every == 0
        self.asked += 1
        for _ in range(int(fresh) if self.added else min(FIRST, self.size)):
            self._add(passed)
        filled = min(self.added, self.size)
        newest = [(self.added - 1) % self.size] if fresh else []
        chosen = newest + torch.randint(filled, (n - len(newest),)).tolist()
        return (
            torch.stack([self.images[c] for c in chosen]),
            torch.stack([self.targets[c] for c in chosen]),
        )

    def _add(self, passed: float) -> None:
        image, target = self.draw(passed)
        if not self.added:
            self.images = torch.zeros((self.size, *image.shape), dtype=torch.float32, device=image.device)
            self.targets = torch.zeros((self.size, *target.shape), dtype=torch.uint8, device=image.device)
        place = self.added % self.size
        self.images[place], self.targets[place] = image, target
        self.added += 1


def mr_loss(net: UNet, pool: Pool, batch: int, amp: bool, passed: float) -> Tensor:
    """Cross entropy and overlap of each channel over the voxels that are known."""
    images, target = pool.batch(batch, passed)
    logits = _logits(net, images, amp)
    weights = torch.tensor(MR_WEIGHTS).to(logits.device, non_blocking=True)
    known = (target != IGNORE).float()
    truth = target.float() / mr_samples.SURE * known
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    down = entropy[:, mr_samples.UPRIGHT] * (truth[:, mr_samples.UPRIGHT] < 0.5)
    dims = (0, 2, 3, 4)
    seen = known.sum(dims)
    overlap = _overlap(logits.sigmoid() * known, truth)
    dice = (1 - overlap) * (truth.sum(dims) > 50)
    total = entropy.sum(dims)
    total[mr_samples.UPRIGHT] += (UPSIDE_DOWN - 1) * down.sum()
    return ((total / seen.clamp(min=1) * 2 + 0.5 * dice) * weights * (seen > 0)).sum() / weights.sum()


def _logits(net: UNet, images: Tensor, amp: bool) -> Tensor:
    order = torch.channels_last_3d if net.last else torch.contiguous_format
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=amp):
        return net(images.contiguous(memory_format=order)).float()


def _overlap(share: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice of each channel over a batch; both of shape (n, channels, i, j, k)."""
    dims = (0, 2, 3, 4)
    return 2 * (share * truth).sum(dims) / (share.sum(dims) + truth.sum(dims)).clamp(min=1)


def step(run: Run, batch: int, rate: float, amp: bool, passed: float) -> Tensor:
    """One step of one network, after a share of the training."""
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    loss = run.loss(run.net, batch, amp, passed)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 1.0)
    run.optimizer.step()
    run.steps += 1
    decay = min(AVERAGE, 1 - 1 / (1 + run.steps / 10))
    with torch.no_grad():
        own = [p.detach() for p in run.net.parameters()]
        torch._foreach_lerp_([run.mean[n] for n, _ in run.net.named_parameters()], own, 1 - decay)
    return loss.detach()


def rate_at(share: float, highest: float) -> float:
    """Learning rate after a share (0 to 1) of the training: a short rise, then a half cosine."""
    if share < 0.03:
        return highest * (share / 0.03 + 0.02)
    return highest * (0.5 + 0.5 * math.cos(math.pi * (share - 0.03) / 0.97)) + 1e-6


def save(run: Run, out: Path, *, whole: bool) -> None:
    """Write the averaged weights as float16, and for going on later all else."""
    weights = {n: t.half().cpu() for n, t in run.mean.items()}
    part = out / f"{run.name}.part"
    torch.save({"weights": weights, "steps": run.steps, "channels": run.channels}, part)
    part.rename(out / f"{run.name}.pt")  # others wait for it
    if whole:
        state = {"net": run.net.state_dict(), "optimizer": run.optimizer.state_dict(), "mean": run.mean}
        torch.save(state | {"steps": run.steps}, out / f"{run.name}.resume.pt")


def start_from(run: Run, given: argparse.Namespace, device: torch.device) -> None:
    """Go on where an earlier run in the same folder stopped, or from the weights of another one."""
    path = given.out / f"{run.name}.resume.pt"
    if path.exists():
        state = torch.load(path, map_location=device, weights_only=True)
        run.net.load_state_dict(state["net"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.mean, run.steps = state["mean"], state["steps"]
        return
    first = (
        given.out / f"mr_{given.after}.pt" if given.after else (given.start or given.out) / f"{run.name}.pt"
    )
    while given.after and not first.exists():
        time.sleep(0.2)
    if given.after or (given.start is not None and first.exists()):
        saved = torch.load(first, map_location=device, weights_only=True)
        run.net.load_state_dict({n: t.float() for n, t in saved["weights"].items()})
        run.mean = {n: p.detach().clone() for n, p in run.net.named_parameters()}
        run.steps = 0 if given.after else saved["steps"]


def runs_of(given: argparse.Namespace, device: torch.device) -> list[Run]:
    """The networks that are asked for, with their samples."""
    cases = mr_samples.load(given.pack, device)
    fold_of = json.loads((given.pack / "split.json").read_text())["fold_of"]
    return [_mr_run(name, cases, fold_of, device, given.every) for name in given.networks]


def _mr_run(
    name: str, cases: list[mr_samples.Case], fold_of: dict[str, int], device: torch.device, every: int
) -> Run:
    fold = int(name) if name.isdigit() else None
    known = [c for c in cases if fold is None or fold_of.get(c.name) != fold]
    sampler = mr_samples.Sampler(known, device, synthetic=name == "base")
    pool = Pool(sampler.draw, POOLED if device.type == "cuda" else FIRST, every)
    net = UNet(len(MR_CHANNELS), MR_STRIDES, MR_WIDTHS).to(device)
    run = _run(f"mr_{name}", MR_CHANNELS, net, lambda *rest: mr_loss(rest[0], pool, *rest[1:]))
    run.held_out = [c for c in cases if fold is not None and fold_of.get(c.name) == fold]
    return run


def _run(
    name: str, channels: tuple[str, ...], net: UNet, loss: Callable[[UNet, int, bool, float], Tensor]
) -> Run:
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    mean = {n: p.detach().clone() for n, p in net.named_parameters()}
    return Run(name, channels, net, loss, mean, optimizer, [])


def train(runs: list[Run], given: argparse.Namespace, amp: bool) -> None:
    """All networks in turn until the time is over."""
    start = last_saved = time.monotonic()
    limit = given.minutes * 60
    lines: list[dict[str, object]] = []
    names = "-".join(run.name for run in runs)
    while (passed := time.monotonic() - start) < limit:
        rate = rate_at(passed / limit, given.rate)
        over = given.begin + (1 - given.begin) * passed / limit
        losses = {run.name: step(run, given.batch, rate, amp, over) for run in runs}
        if runs[0].steps % given.log == 0:
            shown = {name: round(float(value), 4) for name, value in losses.items()}
            lines.append({"s": round(passed, 1), "steps": runs[0].steps, "loss": shown})
            (given.out / f"{names}.json").write_text(json.dumps(lines, indent=0))
        if time.monotonic() - last_saved > SAVED_EVERY_S:
            last_saved = time.monotonic()
            for run in runs:
                save(run, given.out, whole=given.resumable)
    for run in runs:
        save(run, given.out, whole=given.resumable)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--log", type=int, default=50)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--networks", nargs="+", default=["0", "1", "2", "3", "4", "all"])
    parser.add_argument("--begin", type=float, default=0.0, help="share of the course of samples to begin at")
    parser.add_argument("--after", help="wait for the weights of this network in OUT, and begin with them")
    parser.add_argument("--start", type=Path, help="folder with weights of an earlier run")
    parser.add_argument("--every", type=int, default=1, help="steps from one new sample to the next")
    parser.add_argument("--channels-last", action="store_true", help="keep the channels last in memory")
    parser.add_argument("--compiled", action="store_true", help="compile the network")
    parser.add_argument("--maps", action="store_true", help="write the answers of the folds on their exams")
    parser.add_argument("--resumable", action="store_true", help="keep optimiser states, to go on later")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    if device.type == "cuda":
        torch.set_num_threads(2)
    runs = runs_of(given, device)
    amp = device.type == "cuda"
    for run in runs:
        start_from(run, given, device)
        run.net.lay_out(last=given.channels_last)
        if given.compiled:
            run.net.compile()
    train(runs, given, amp)
    for run in runs:
        if given.maps and run.held_out:
            run.net.load_state_dict(run.mean)
            write_maps(run.net.eval(), run.held_out, given.out / f"{run.name}.npz", device, amp)


if __name__ == "__main__":
    main()
