"""Loads what `selfsame export --to torchvision` wrote, and embeds images as `selfsame embed` does.

    python torchvision_load.py w.safetensors IMAGES... --out torch.npy [--compare e.npy]

IMAGES are files or folders (read in the order of `selfsame`: by path), made ready as torchvision does: Resize,
CenterCrop, ToTensor, Normalize, with the numbers the file notes. Only `fc.*` may be missing.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision import transforms

from networks import Tiny, network

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def load(path):
    """The network and the file's notes."""
    weights = load_file(path)
    with safe_open(path, "pt") as file:
        notes = file.metadata() or {}
    arch = architecture(weights)
    model = network(arch)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert all(name.startswith("fc.") for name in missing), f"missing: {missing}"
    assert not unexpected, f"unexpected: {unexpected}"
    print(f"{path}: {arch}, {len(weights)} tensors, missing {missing or 'nothing (no fc here)'}")
    return model.eval(), notes


def architecture(weights):
    if "layer1.0.conv3.weight" in weights:
        return "resnet50"
    if "layer1.1.conv1.weight" not in weights:
        return "tiny"
    return "resnet18-cifar" if weights["conv1.weight"].shape[-1] == 3 else "resnet18"


def preparation(size, mean, std, sides):
    """Images that all have the wanted size already are taken as they are."""
    steps = [] if sides == {(size, size)} else [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])


def numbers(text, otherwise):
    return [float(word) for word in text.split(",")] if text else otherwise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--out", default="torch.npy")
    parser.add_argument("--compare", help="features that `selfsame embed --raw` wrote of the same images")
    options = parser.parse_args()

    model, notes = load(options.weights)
    paths = []
    for name in map(Path, options.images):
        found = [p for p in name.rglob("*") if p.suffix.lower() in ENDINGS] if name.is_dir() else [name]
        paths += sorted(found)
    images = [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths]
    size = int(notes.get("image_size", 32 if isinstance(model, Tiny) or model.conv1.kernel_size == (3, 3) else 224))
    mean = numbers(notes.get("mean"), [0.485, 0.456, 0.406])
    std = numbers(notes.get("std"), [0.229, 0.224, 0.225])
    prepare = preparation(size, mean, std, {image.size for image in images})
    with torch.no_grad():
        features = torch.cat([model(prepare(image)[None]) for image in images]).numpy()
    np.save(options.out, features)
    print(f"{options.out}: {features.shape[0]} rows of {features.shape[1]}")
    if options.compare:
        ours = np.load(options.compare)
        assert ours.shape == features.shape, f"{ours.shape} and {features.shape}"
        apart = np.abs(ours - features).max() / np.abs(features).max()
        print(f"largest difference {apart:.2e} of the largest feature")


if __name__ == "__main__":
    main()
