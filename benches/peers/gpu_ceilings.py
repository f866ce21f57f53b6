"""What a GPU does at its best: bytes a second of a copy (read and written), operations a second of a bf16
matrix product of random numbers.

    python gpu_ceilings.py
"""

import argparse

import torch

from timing import back_to_back, line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--side", type=int, default=8192, help="of the matrices")
    parser.add_argument("--copied", type=int, default=1 << 31, help="bytes copied")
    options = parser.parse_args()

    on_gpu = options.device == "cuda"
    line("what", "how", "ms", "rate")
    x = torch.randn(options.copied // 4, device=options.device)
    y = torch.empty_like(x)
    seconds = back_to_back(lambda: y.copy_(x), on_gpu)
    line(f"copy of {options.copied / 1e9:.1f} GB", f"torch {torch.__version__}", seconds, f"{2 * options.copied / seconds / 1e12:.3f} TB/s")
    n = options.side
    a, b = (torch.randn(n, n, device=options.device).bfloat16() for _ in range(2))
    c = torch.empty_like(a)
    seconds = back_to_back(lambda: torch.matmul(a, b, out=c), on_gpu)
    line(f"bf16 matmul, side {n}", f"torch {torch.__version__}", seconds, f"{2 * n**3 / seconds / 1e12:.2f} TFLOP/s")


if __name__ == "__main__":
    main()
