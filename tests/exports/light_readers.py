"""Reads every export in FOLDER without PyTorch: NumPy, Python's unpickler, the ONNX checker, ONNX Runtime."""

import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from common import images, off, safetensors, same, to_torchvision

TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class Unpickler(pickle.Unpickler):
    """Finds the few names that a state dict asks for, and makes NumPy's arrays of its tensors."""

    def __init__(self, archive):
        super().__init__(archive.open("archive/data.pkl"))
        self.archive = archive

    def find_class(self, module, name):
        known = {
            "torch._utils _rebuild_tensor_v2": self.tensor,
            "torch FloatStorage": "FloatStorage",
            "torch LongStorage": "LongStorage",
            "collections OrderedDict": dict,
        }
        return known[f"{module} {name}"]

    def persistent_load(self, said):
        kind, storage, key, device, elements = said
        assert (kind, device) == ("storage", "cpu")
        info = self.archive.getinfo(f"archive/data/{key}")
        assert info.compress_type == zipfile.ZIP_STORED
        array = np.frombuffer(self.archive.read(info), TYPES[storage])
        assert len(array) == elements
        return array

    @staticmethod
    def tensor(storage, offset, shape, strides, requires_grad, hooks):
        assert not requires_grad and hooks == {}
        strides = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides)


def load_pth(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("archive/byteorder") == b"little"
        return Unpickler(archive).load()


def weights(folder):
    """All that holds tensors holds the same."""
    wanted = safetensors(folder / "torchvision.safetensors")
    same("pth", load_pth(folder / "pth.pth"), wanted)
    counters = [name for name in wanted if name.endswith("num_batches_tracked")]
    assert counters and all(wanted[name].shape == () for name in counters)
    floats = {name: array for name, array in wanted.items() if name not in counters}
    found = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(folder / "w.onnx").graph.initializer}
    same("onnx", found, floats)
    if not (folder / "hf").exists():
        return len(floats)
    same("timm", safetensors(folder / "timm.safetensors"), wanted)
    same("hf", safetensors(folder / "hf/model.safetensors"), wanted)
    config = json.loads((folder / "hf/config.json").read_text())
    assert (config["architecture"], config["num_features"]) == ("resnet50", 2048)
    assert config["pretrained_cfg"]["mean"] == [0.4, 0.5, 0.6]
    found = load_pth(folder / "detectron2.pth")
    assert found.pop("matching_heuristics") is True and found.pop("__author__") == "selfsame"
    (found,) = found.values()
    same("detectron2", {to_torchvision(name): array for name, array in found.items()}, floats)
    return len(floats)


def vectors(folder):
    """The rows of three images as pooled, those of the same three again, appended, and as halves of length 1."""
    rows = np.load(folder / "e.npy")
    mapped = np.load(folder / "e.npy", mmap_mode="r")
    assert rows.dtype == np.float32 and len(rows) == 6 and (mapped == rows).all()
    assert (rows[:3] == rows[3:]).all()
    halves = np.load(folder / "half.npy", mmap_mode="r")
    unit = rows[:3] / np.linalg.norm(rows[:3], axis=1, keepdims=True)
    assert halves.dtype == np.float16 and np.abs(halves - unit).max() < 5e-4
    return rows[:3]


def network(folder, ours):
    """By the lines that `export` printed, for one image and for all; as far off as float32 is."""
    model = onnx.load(folder / "w.onnx")
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["mean"] == "0.4,0.5,0.6"
    farthest = 0
    for x in [images(folder), images(folder)[:1]]:
        names = {"x": x}
        lines = (folder / "onnx.lines").read_text().replace('"w.onnx"', repr(str(folder / "w.onnx")))
        exec(lines, names)
        farthest = max(farthest, off(ours[: len(x)], names["features"]))
    assert farthest < 1e-5, f"ONNX Runtime's features are off by {farthest:.1e}"
    return farthest


def main():
    folder = Path(sys.argv[1])
    count = weights(folder)
    ours = vectors(folder)
    farthest = network(folder, ours)
    versions = f"numpy {np.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
    print(f"{versions}: {count} tensors, {ours.shape[1]} features, off by {farthest:.1e} of the largest")


if __name__ == "__main__":
    main()
