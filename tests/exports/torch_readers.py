"""Loads every export in FOLDER by the lines that `export` printed, and compares features with ours."""

import os
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision

from common import images, off, safetensors, same, to_torchvision


def features(lines, x):
    """Of the `model` that the lines make, without its classifier."""
    names = {}
    exec(lines, names)
    model = names["model"].eval()
    if isinstance(model, torchvision.models.ResNet):
        model.fc = torch.nn.Identity()
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def state_dict(path):
    """As it is loaded, and mapped into memory."""
    state = torch.load(path, weights_only=True)
    mapped = torch.load(path, weights_only=True, mmap=True)
    state, mapped = state.get("model", state), mapped.get("model", mapped)
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    same("mapped", {name: tensor.numpy() for name, tensor in mapped.items()}, arrays)
    return arrays


def main():
    os.chdir(sys.argv[1])
    torch.manual_seed(0)
    folder = Path(".")
    ours, x = np.load("e.npy")[:3], images(folder)
    wanted = safetensors(folder / "torchvision.safetensors")
    same("pth", state_dict("pth.pth"), wanted)
    found = {}
    for to in ["torchvision", "timm", "hf", "pth"]:
        if Path(f"{to}.lines").exists():
            found[to] = features(Path(f"{to}.lines").read_text(), x)
    for to, theirs in found.items():
        assert (theirs == found["torchvision"]).all(), f"{to} gives other features than torchvision"
    farthest = off(ours, found["torchvision"])
    assert farthest < 1e-5, f"torchvision's features are off by {farthest:.1e}"
    if Path("detectron2.lines").exists():
        floats = {name: array for name, array in wanted.items() if not name.endswith("num_batches_tracked")}
        theirs = {to_torchvision(name): array for name, array in state_dict("detectron2.pth").items()}
        same("detectron2", theirs, floats)
        found["detectron2's names"] = None
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
    print(f"{versions}: {', '.join(found)}; off by {farthest:.1e} of the largest feature")


if __name__ == "__main__":
    main()
