"""Whole supervised training steps in PyTorch on a GPU: torchvision's network, channels_last, mixed
precision, cudnn.benchmark, cross-entropy, fused momentum SGD, random images that lie on the GPU.

    python gpu_step.py                                the whole list, compiled ones each within a limit
    python gpu_step.py resnet50:256:bf16:eager ...    these, here

NETWORK:BATCH:PRECISION:HOW. A precision is bf16 (autocast) or fp16 (autocast and GradScaler); how is eager,
graph (the eager step as one CUDA graph) or compile (torch.compile, max-autotune, which makes graphs itself).
"""

import argparse
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from networks import network
from timing import captured, median

NETWORKS = {"resnet50": (224, 1000), "resnet18-cifar": (32, 10)}  # pixels a side, classes

SIZES = ["resnet50:256", "resnet18-cifar:512", "resnet50:128", "resnet50:512", "resnet18-cifar:1024"]
# GradScaler looks at the gradients on the host: there is no graph of that step.
EAGER = [f"{size}:{how}" for size in SIZES for how in ["bf16:eager", "fp16:eager", "bf16:graph"]]
# In the order that matters: a compilation takes a minute, and they may not all be reached.
COMPILED = [f"{size}:{precision}:compile" for precision in ["bf16", "fp16"] for size in SIZES]


def line(what, how, ms, rate="", peak=""):
    print(f"{what:<42}  {how:<26}  {ms:>12}  {rate:>10}  {peak:>8}".rstrip(), flush=True)


def named(config):
    arch, batch, precision, how = config.split(":")
    return f"{arch} supervised, batch {batch}", f"torch {precision} {how}"


class Step:
    def __init__(self, arch, batch, precision, device):
        size, classes = NETWORKS[arch]
        backbone = network(arch)
        model = nn.Sequential(backbone, nn.Linear(backbone.features, classes)).train()
        self.model = model.to(device, memory_format=torch.channels_last)
        self.device = device
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        # Of the type that autocast would make of them, so that no step has to.
        x = torch.randn(batch, 3, size, size, device=device, dtype=self.dtype)
        self.x = x.to(memory_format=torch.channels_last)
        self.y = torch.randint(classes, (batch,), device=device)
        parameters = self.model.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
        self.scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
        self.loss = self.eager_loss

    def eager_loss(self):
        with torch.autocast(self.device, self.dtype):
            return F.cross_entropy(self.model(self.x), self.y)

    def compile(self):
        self.loss = torch.compile(self.eager_loss, mode="max-autotune", dynamic=False)

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        torch.compiler.cudagraph_mark_step_begin()
        loss = self.loss()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def measure(config, device):
    arch, batch, precision, how = config.split(":")
    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step = Step(arch, int(batch), precision, device)
    if how == "compile":
        step.compile()
    work = captured(step) if how == "graph" else step
    for _ in range(4):  # the compiled one makes its graphs in the third
        work()
    seconds = median(work, on_gpu)
    peak = f"{torch.cuda.max_memory_allocated() / 1e9:.2f}" if on_gpu else ""
    line(*named(config), f"{1e3 * seconds:.3f}", f"{int(batch) / seconds:.1f}", peak)


def measure_here(configs, device):
    torch.backends.cudnn.benchmark = True
    for config in configs:
        try:
            measure(config, device)
        except torch.OutOfMemoryError:
            line(*named(config), "does not fit")
        except Exception as why:  # the others may still work
            line(*named(config), "failed")
            print(f"{config}: {type(why).__name__}: {str(why)[:500]}", file=sys.stderr, flush=True)


def measure_apart(configs, limit, device):
    """In a process of its own, so that one which takes too long can be ended."""
    command = [sys.executable, __file__, "--device", device, *configs]
    try:
        subprocess.run(command, timeout=limit)
    except subprocess.TimeoutExpired:
        what, how = named(configs[0]) if len(configs) == 1 else ("those of this process not above", "")
        line(what, how, f"timed out: {limit:.0f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--seconds", type=float, default=1800, help="for the whole list")
    parser.add_argument("--each", type=float, default=300, help="seconds for one compiled step")
    options = parser.parse_args()
    if options.configs:
        return measure_here(options.configs, options.device)

    end = time.monotonic() + options.seconds
    print(f"torch {torch.__version__}")
    line("what", "how", "ms", "images/s", "peak GB")
    measure_apart(EAGER, options.seconds / 2, options.device)
    for config in COMPILED:
        left = min(options.each, end - time.monotonic())
        if left < 20:
            line(*named(config), "not reached")
        else:
            measure_apart([config], left, options.device)


if __name__ == "__main__":
    main()
