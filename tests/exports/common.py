"""What both scripts look at: images as the network takes them, our features, and how far others are off."""

import json
import struct

import numpy as np

MEAN = np.array([0.4, 0.5, 0.6], np.float32)
STD = np.array([0.2, 0.25, 0.3], np.float32)


def images(folder):
    """(n, 3, h, w) float32, normalised, in the order of their names."""
    arrays = []
    for path in sorted((folder / "images").iterdir()):
        line, pixels = path.read_bytes().split(b"\n", 1)
        _, width, height, _ = line.split()  # P6, of 255
        arrays.append(np.frombuffer(pixels, np.uint8).reshape(int(height), int(width), 3))
    x = np.stack(arrays).astype(np.float32) / np.float32(255)
    return ((x - MEAN) / STD).transpose(0, 3, 1, 2).copy()


def safetensors(path):
    """By the format's definition: a length, a JSON header, numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__")["format"] == "pt"
    types = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[start:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def same(name, found, wanted):
    assert found.keys() == wanted.keys(), f"{name}: {sorted(found.keys() ^ wanted.keys())[:6]}"
    for key, value in wanted.items():
        assert found[key].dtype == value.dtype, f"{name}: {key} is {found[key].dtype}"
        assert found[key].shape == value.shape, f"{name}: {key} is {found[key].shape}, not {value.shape}"
        assert found[key].tobytes() == value.tobytes(), f"{name}: {key} has other numbers"


def to_torchvision(name):
    """detectron2's name, as its own conversion scripts read it, the other way round."""
    parts = name.split(".")
    if parts[0] == "stem":
        parts = parts[1:]
    else:
        assert parts[0] in ("res2", "res3", "res4", "res5"), name
        parts[0] = f"layer{int(parts[0][3:]) - 1}"
    at = -3 if parts[-2] == "norm" else -2
    layer = parts[at]
    if layer == "shortcut":
        parts[at : len(parts) - 1] = ["downsample", "1" if at == -3 else "0"]
    elif at == -3:
        assert layer in ("conv1", "conv2", "conv3"), name
        parts[at:-1] = [layer.replace("conv", "bn")]
    return ".".join(parts)


def off(ours, theirs):
    """The largest difference as a share of the largest feature."""
    assert ours.shape == theirs.shape, f"{theirs.shape}, ours are {ours.shape}"
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())
