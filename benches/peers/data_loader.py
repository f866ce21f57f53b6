"""torchvision's transforms behind a DataLoader: decode, RandomResizedCrops, flips, uint8 out.

    python data_loader.py FOLDER --crops 2x224 2x224+6x96 --workers 1

FOLDER holds one folder a class. Prints images a second of processor time, the workers' included, so that what else
runs on the machine counts little; beside it, images a second on the clock. `selfsame bench data` does the same work.
"""

import argparse
import os
import time

import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2


class Crops:
    def __init__(self, words):
        parts = [tuple(map(int, part.split("x"))) for part in words.split("+")]
        scales = [(0.08, 1.0)] if len(parts) == 1 else [(0.14, 1.0), (0.05, 0.14)]
        self.transforms = []
        for (count, size), scale in zip(parts, scales):
            crop = v2.Compose([v2.RandomResizedCrop(size, scale, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()])
            self.transforms += [crop] * count

    def __call__(self, image):
        return [transform(image) for transform in self.transforms]


def processor_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(folder, crops, count, workers):
    images = torch.utils.data.Subset(ImageFolder(folder, Crops(crops)), torch.randperm(len(ImageFolder(folder)))[:count])
    loader = torch.utils.data.DataLoader(images, batch_size=64, num_workers=workers, drop_last=True)
    began, clock = processor_seconds(), time.perf_counter()
    seen = sum(len(labels) for _, labels in loader)
    del loader  # the workers' time counts once they have ended
    return seen / (processor_seconds() - began), seen / (time.perf_counter() - clock)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--crops", nargs="+", default=["2x224", "2x224+6x96"])
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for crops in options.crops:
        rounds = [measure(options.folder, crops, options.count, options.workers) for _ in range(3)]
        processor, clock = (max(rates) for rates in zip(*rounds))
        print(f"{crops}: {processor:.0f} images a second a core, {clock:.0f} on the clock with {options.workers} workers")


if __name__ == "__main__":
    main()
