"""Train the CT network: ``ct_train.py PACK OUT --minutes 6``. Needs torch.

Samples are made on the device that trains and kept in a pool, from which the batches are drawn; every step
adds new ones. The weights that are kept are averaged over the steps. Cases in ``--held-out`` only measure.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from codes import IGNORE
from ct_cases import read_all
from ct_codes import CT_CHANNELS, CT_CLASSES
from ct_net import CtNet
from ct_synthesis import BODY, DISC, LATTICE, REAR, Case, Sample, Sampler, case_of
from render import chance, uniform

CLASSES = len(CT_CLASSES)
CORE, AXIS, OFFSET = CLASSES, CLASSES + 1, CLASSES + 2
AVERAGE = 0.995
REAL_SHARE = 0.4  # of the samples that come from label maps of real persons
ALONG = (2.0, 0.7, 0.7)  # of the error of a centre, along the spine and across it
CLASS_WEIGHT = {
    "other": 0.5,
    "vertebra body": 4.0,
    "vertebra posterior": 4.0,
    "intervertebral disc": 6.0,
    "rib": 2.0,
    "sacrum": 2.0,
}


def say(text: str) -> None:
    """One line for whoever looks on."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Pool:
    """Samples on the device, drawn at random.

    Parameters
    ----------
    size : int
        Number of samples that are kept; a new one then takes the place of the oldest.
    """

    def __init__(self, sampler: Sampler, size: int, device: torch.device) -> None:
        self.sampler, self.size, self.device = sampler, size, device
        shape = LATTICE.shape
        self.image = torch.empty((size, *shape), dtype=torch.float16, device=device)
        self.marks = torch.empty((size, 3, *shape), dtype=torch.uint8, device=device)
        self.offset = torch.empty((size, 3, *shape), dtype=torch.int8, device=device)
        self.made = 0

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        at = self.made % self.size
        self.image[at] = sample.image
        self.marks[at] = torch.stack((sample.classes, sample.core, sample.axis))
        self.offset[at] = sample.to_centre
        self.made += 1

    def batch(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (n, 1, i, j, k), marks (n, 3, i, j, k) and offsets in cm (n, 3, i, j, k)."""
        known = min(self.made, self.size)
        at = torch.randperm(known)[:count].to(self.device)
        image, marks = self.image[at].float()[:, None], self.marks[at]
        offset = self.offset[at].float() / 10.0
        if chance(0.5):
            image, marks, offset = image.flip(-1), marks.flip(-1), offset.flip(-1)
            offset = offset * torch.tensor([1.0, 1.0, -1.0], device=self.device).view(1, 3, 1, 1, 1)
        shift = torch.randn((len(at), 1, 1, 1, 1), device=self.device) * 0.03
        image = image + shift + torch.randn_like(image) * uniform(0.0, 0.05)
        return image, marks, offset


def loss_of(logits: Tensor, marks: Tensor, offset: Tensor) -> Tensor:
    """Cross entropy and overlap of classes, core and axis; distance error of the centres.

    What tells one vertebra from the next are few voxels: core and axis are weighed once over all voxels and
    once over those of the spine.

    Parameters
    ----------
    logits : Tensor, shape (n, channels, i, j, k)
    """
    classes = marks[:, 0].long()
    known = classes != IGNORE
    weights = torch.tensor([CLASS_WEIGHT.get(name, 1.0) for name in CT_CLASSES], device=logits.device)
    entropy = F.cross_entropy(logits[:, :CLASSES], classes, weight=weights, ignore_index=IGNORE)
    share = logits[:, :CLASSES].softmax(1) * known[:, None]
    each_class = torch.arange(CLASSES, device=logits.device).view(1, -1, 1, 1, 1)
    truth = classes[:, None] == each_class
    hit, there = (share * truth).sum((0, 2, 3, 4)), truth.sum((0, 2, 3, 4)).float()
    dice = 2 * hit / (share.sum((0, 2, 3, 4)) + there).clamp(min=1)
    some = (there > 50).float()
    total = entropy + ((1 - dice) * some * weights).sum() / (some * weights).sum().clamp(min=1)
    spine = (classes == BODY) | (classes == REAR) | (classes == DISC)
    for channel, index in ((CORE, 1), (AXIS, 2)):
        wanted = marks[:, index]
        mask = (wanted != IGNORE).float()
        truth = (wanted == 1).float()
        each = F.binary_cross_entropy_with_logits(logits[:, channel], truth, reduction="none")
        near = mask * spine
        total = total + (each * mask).sum() / mask.sum().clamp(min=1)
        total = total + (each * near).sum() / near.sum().clamp(min=1)
        chosen = logits[:, channel].sigmoid() * mask
        overlap = 2 * (chosen * truth).sum() / (chosen.sum() + truth.sum()).clamp(min=1)
        total = total + 0.5 * (1 - overlap) * (truth.sum() > 50)
    vertebra = ((classes == BODY) | (classes == REAR)).float()
    along = torch.tensor(ALONG, device=logits.device).view(1, 3, 1, 1, 1)
    error = ((logits[:, OFFSET:] - offset).abs() * along).sum(1).clamp(max=8.0)
    return total + 0.5 * (error * vertebra).sum() / vertebra.sum().clamp(min=1)


def rate_at(share: float, highest: float) -> float:
    """Learning rate after a share (0 to 1) of the training: a short rise, then a half cosine."""
    if share < 0.03:
        return highest * (share / 0.03 + 0.02)
    return highest * (0.5 + 0.5 * math.cos(math.pi * (share - 0.03) / 0.97)) + 1e-6


def save(mean: CtNet, steps: int, out: Path) -> None:
    """Write the averaged weights as float16."""
    weights = {
        name: t.half().cpu() if t.is_floating_point() else t.cpu() for name, t in mean.state_dict().items()
    }
    torch.save({"weights": weights, "steps": steps, "channels": CT_CHANNELS}, out / "ct_all.pt")


def with_statistics(mean: CtNet, pool: Pool, batch: int, batches: int, amp: bool) -> None:
    """Measure the statistics of the batch normalisation for the averaged weights."""
    norms = [m for m in mean.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    mean.train()
    with torch.no_grad():
        for _ in range(batches):
            answer(mean, pool.batch(batch)[0], amp)
    mean.eval()
    for norm in norms:
        norm.momentum = 0.05


def answer(net: CtNet, image: Tensor, amp: bool) -> Tensor:
    """Logits in float32."""
    with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=amp):
        return net(image).float()


def timed(net: CtNet, pool: Pool, batch: int, amp: bool) -> float:
    """Seconds of one step, without that of the optimiser."""
    seconds = []
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        image, marks, offset = pool.batch(batch)
        loss_of(answer(net, image, amp), marks, offset).backward()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    net.zero_grad(set_to_none=True)
    return min(seconds)


def in_faster_format(net: CtNet, pool: Pool, batch: int, amp: bool) -> CtNet:
    """The network in the memory format that is faster on this GPU."""
    usual = timed(net, pool, batch, amp)
    try:
        net = net.to(memory_format=torch.channels_last_3d)
        last = timed(net, pool, batch, amp)
    except RuntimeError as error:
        say(f"channels last: {error}")
        last = math.inf
    say(f"seconds a step: {usual:.3f}, channels last {last:.3f}")
    return net if last < usual else net.to(memory_format=torch.contiguous_format)


def scores(net: CtNet, samples: list[Sample], amp: bool) -> dict[str, float]:
    """Dice of every class and of core and axis over samples; error of the centres, mm."""
    hit, size = torch.zeros(CLASSES + 2), torch.zeros(CLASSES + 2)
    error, count = 0.0, 0.0
    with torch.no_grad():
        for sample in samples:
            logits = answer(net, sample.image.float()[None, None], amp)[0]
            known = sample.classes != IGNORE
            chosen, truth = logits[:CLASSES].argmax(0)[known], sample.classes[known].long()
            size[:CLASSES] += (chosen.bincount(minlength=CLASSES) + truth.bincount(minlength=CLASSES)).cpu()
            hit[:CLASSES] += 2 * truth[chosen == truth].bincount(minlength=CLASSES).cpu()
            for index, wanted in ((CORE, sample.core), (AXIS, sample.axis)):
                there, said = (wanted == 1), (logits[index] > 0) & known
                hit[index] += 2 * (there & said).sum().cpu()
                size[index] += (there.sum() + said.sum()).cpu()
            vertebra = (sample.classes == BODY) | (sample.classes == REAR)
            away = (logits[OFFSET:] * 10 - sample.to_centre.float()).norm(dim=0)[vertebra]
            error, count = error + float(away.sum()), count + len(away)
    names = (*CT_CLASSES, "core", "axis")
    out = {n: round(float(h / max(s, 1)), 4) for n, h, s in zip(names, hit, size, strict=True)}
    return out | {"centre_mm": round(error / max(count, 1), 2)}


def samplers(cases: list[Case], held_out: list[str], device: torch.device) -> tuple[Sampler, Sampler | None]:
    """What trains and what measures; real label maps are drawn more often."""
    known = [c for c in cases if c.name not in held_out]
    real = [not c.name.startswith("phantom") for c in known]
    weights = [
        REAL_SHARE / max(sum(real), 1) if r else (1 - REAL_SHARE) / max(len(real) - sum(real), 1)
        for r in real
    ]
    kept = [c for c in cases if c.name in held_out]
    return Sampler(known, weights, device), Sampler(kept, [1.0] * len(kept), device) if kept else None


def train(net: CtNet, pool: Pool, given: argparse.Namespace, amp: bool) -> tuple[CtNet, int]:
    """Steps until the time is over; the averaged network and the number of steps."""
    mean = copy.deepcopy(net)
    pairs = list(zip(mean.parameters(), net.parameters(), strict=True))
    optimizer = torch.optim.AdamW(net.parameters(), lr=given.rate, weight_decay=1e-4)
    net.train()
    start = last_saved = time.monotonic()
    limit, steps, lines = given.minutes * 60, 0, []
    recent = torch.zeros((), device=pool.device)
    while (passed := time.monotonic() - start) < limit and steps < given.steps:
        for _ in range(given.fresh):
            pool.add(pool.sampler.draw())
        for group in optimizer.param_groups:
            group["lr"] = rate_at(passed / limit, given.rate)
        image, marks, offset = pool.batch(given.batch)
        loss = loss_of(answer(net, image, amp), marks, offset)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        steps += 1
        decay = min(AVERAGE, 1 - 1 / (1 + steps / 10))
        with torch.no_grad():
            torch._foreach_lerp_([m.data for m, _ in pairs], [p.data for _, p in pairs], 1 - decay)
        recent = recent + loss.detach()
        if steps % given.log == 0:
            lines.append({"s": round(passed, 1), "steps": steps, "loss": round(float(recent) / given.log, 4)})
            recent = torch.zeros_like(recent)
            (given.out / "ct_log.json").write_text(json.dumps(lines, indent=0))
            say(str(lines[-1]))
        if time.monotonic() - last_saved > 90:
            last_saved = time.monotonic()
            for kept, now in zip(mean.buffers(), net.buffers(), strict=True):
                kept.copy_(now)
            save(mean, steps, given.out)
    return mean, steps


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--fresh", type=int, default=1, help="new samples a step")
    parser.add_argument("--pool", type=int, default=300, help="samples that are kept")
    parser.add_argument("--first", type=int, default=24, help="samples made before the first step")
    parser.add_argument("--log", type=int, default=25)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--scored", type=int, default=40, help="held-out samples")
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument("--start", type=Path, help="weights of an earlier run")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    began = time.monotonic()
    cases = [case_of(name, arrays, device) for name, arrays in read_all(given.pack).items()]
    sampler, measuring = samplers(cases, given.held_out, device)
    say(f"{len(cases)} cases read, {time.monotonic() - began:.0f} s")
    net = CtNet(len(CT_CHANNELS))
    if given.start is not None:
        saved = torch.load(given.start, map_location="cpu", weights_only=True)
        net.load_state_dict(
            {n: t.float() if t.is_floating_point() else t for n, t in saved["weights"].items()}
        )
    net = net.to(device)
    amp = device.type == "cuda"
    pool = Pool(sampler, given.pool, device)
    for _ in range(given.first):
        pool.add(sampler.draw())
    say(f"first samples, {time.monotonic() - began:.0f} s")
    if amp:
        net = in_faster_format(net, pool, given.batch, amp)
    mean, steps = train(net, pool, given, amp)
    with_statistics(mean, pool, given.batch, min(60, max(2, steps // 4)), amp)
    save(mean, steps, given.out)
    if measuring is not None:
        torch.manual_seed(1)
        found = scores(mean, [measuring.draw() for _ in range(given.scored)], amp)
        (given.out / "ct_scores.json").write_text(json.dumps({"steps": steps, "held_out": found}, indent=1))
        say(str(found))


if __name__ == "__main__":
    main()
