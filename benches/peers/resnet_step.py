"""Images a second of forward and backward through a ResNet, training mode, no optimizer; f32 on a CPU,
bf16 (autocast) on a GPU.

    python resnet_step.py --arch resnet18-cifar --batch 64 --size 32 --threads 2
"""

import argparse
import statistics
import time

import torch

from networks import network


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="resnet18-cifar", choices=["tiny", "resnet18-cifar", "resnet18", "resnet50"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--nhwc", action="store_true", help="channels_last memory format")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    on_gpu = options.device == "cuda"
    model = network(options.arch).train()
    features = model.features
    model = model.to(options.device)
    x = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    weights = torch.randn(options.batch, features, device=options.device)
    if options.nhwc:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)

    def step():
        model.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=on_gpu):
            loss = (model(x) * weights).sum()
        loss.backward()
        if on_gpu:
            torch.cuda.synchronize()

    for _ in range(2):
        step()
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    rates = sorted(options.batch / s for s in seconds)
    layout = "NHWC" if options.nhwc else "NCHW"
    print(
        f"torch {torch.__version__} {options.arch} batch {options.batch} size {options.size} {options.device} "
        f"threads {options.threads} {layout}: {statistics.median(rates):.1f} images/s "
        f"(slowest {rates[0]:.1f}, fastest {rates[-1]:.1f}, {options.repeats} steps)"
    )


if __name__ == "__main__":
    main()
