"""cuDNN at ResNet-50's convolutions, one by one: forward and both gradients, bf16, channels_last.

    python gpu_conv.py --batch 256

The lines bear the names of `benches/ops/conv2d.rs`, so that `benches/gpu/compare.py` can join them.
"""

import argparse

import torch
import torch.nn.functional as F

from timing import back_to_back, line

# h = w, c, k, r = s and stride; the first is the stem.
SHAPES = [
    (224, 3, 64, 7, 2),
    (56, 64, 64, 1, 1),
    (56, 64, 64, 3, 1),
    (56, 64, 256, 1, 1),
    (56, 256, 64, 1, 1),
    (56, 256, 128, 1, 1),
    (56, 128, 128, 3, 2),
    (28, 128, 512, 1, 1),
    (56, 256, 512, 1, 2),
    (28, 512, 128, 1, 1),
    (28, 128, 128, 3, 1),
    (28, 512, 256, 1, 1),
    (28, 256, 256, 3, 2),
    (14, 256, 1024, 1, 1),
    (28, 512, 1024, 1, 2),
    (14, 1024, 256, 1, 1),
    (14, 256, 256, 3, 1),
    (14, 1024, 512, 1, 1),
    (14, 512, 512, 3, 2),
    (7, 512, 2048, 1, 1),
    (14, 1024, 2048, 1, 2),
    (7, 2048, 512, 1, 1),
    (7, 512, 512, 3, 1),
]


def convolution(batch, shape, device):
    """Forward, gradient of the input, gradient of the weight, as functions; and operations of each."""
    size, c, k, r, stride = shape
    padding = r // 2
    random = lambda *dims: torch.randn(dims, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    x, weight = random(batch, c, size, size), random(k, c, r, r)
    dy = random(*F.conv2d(x, weight, stride=stride, padding=padding).shape)

    def gradient(*mask):
        pair = lambda value: [value, value]
        return torch.ops.aten.convolution_backward(
            dy, x, weight, None, pair(stride), pair(padding), pair(1), False, pair(0), 1, [*mask, False]
        )

    passes = {
        "conv2d_forward": lambda: F.conv2d(x, weight, stride=stride, padding=padding),
        "conv2d_input_gradient": lambda: gradient(True, False),
        "conv2d_weight_gradient": lambda: gradient(False, True),
    }
    if c == 3:
        del passes["conv2d_input_gradient"]  # of pixels
    return passes, 2 * dy.numel() * c * r * r


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()

    torch.backends.cudnn.benchmark = True
    on_gpu = options.device == "cuda"
    how = f"cudnn {torch.backends.cudnn.version()}" if on_gpu else f"torch {torch.__version__}"
    line("what", "how", "ms", "rate")
    for shape in SHAPES:
        size, c, k, r, stride = shape
        passes, flops = convolution(options.batch, shape, options.device)
        for name, work in passes.items():
            seconds = back_to_back(work, on_gpu)
            what = f"{name}/{size}x{size} {c} to {k}, {r}x{r}/{stride}"
            line(what, how, seconds, f"{flops / seconds / 1e12:.2f} TFLOP/s")


if __name__ == "__main__":
    main()
