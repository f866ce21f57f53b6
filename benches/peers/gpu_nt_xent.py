"""NT-Xent, forward and backward, compiled: the product in bf16, the softmax in f32.

    python gpu_nt_xent.py
"""

import argparse
import math

import torch
import torch.nn.functional as F

from timing import back_to_back, line


def nt_xent(z, temperature):  # z (2n, d), rows i and i + n are views of one image
    z = F.normalize(z.float()).to(z.dtype)
    logits = (z @ z.T).float() / temperature
    rows = torch.arange(len(z), device=z.device)
    logits = logits.masked_fill(rows[:, None] == rows, -math.inf)
    return F.cross_entropy(logits, rows.roll(len(z) // 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--rows", type=int, nargs="+", default=[4096, 8192])
    options = parser.parse_args()

    line("what", "how", "ms", "rate")
    for rows in options.rows:
        torch._dynamo.reset()
        loss = torch.compile(nt_xent, dynamic=False)
        z = torch.randn(rows, 128, device=options.device, dtype=torch.bfloat16, requires_grad=True)
        work = lambda: torch.autograd.grad(loss(z, 0.5), z)
        seconds = back_to_back(work, options.device == "cuda")
        line(f"nt_xent/{rows} x 128, forward and backward", "torch.compile", seconds, f"{6 * rows**2 * 128 / seconds / 1e12:.2f} TFLOP/s")


if __name__ == "__main__":
    main()
