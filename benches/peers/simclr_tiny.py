"""SimCLR of the tiny network on a folder of small images, for a time budget.

    python simclr_tiny.py TRAIN --val VAL --minutes 10 --threads 2

TRAIN and VAL hold one folder a class; labels serve the kNN evaluation alone. The recipe is that of
`selfsame train --preset tiny`: crop 0.08 to 1, flip, jitter 0.4 0.4 0.4 0.1, gray 0.2, no blur; a head of
two layers; temperature 0.2; SGD 0.12 x batch / 256, momentum 0.9, weight decay 5e-4, warm-up, cosine.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from knn import knn
from networks import network

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def read_folder(folder):
    """All images decoded once: (n, 3, h, w) uint8, and their classes."""
    classes = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    paths = [(path, label) for label, name in enumerate(classes) for path in sorted((Path(folder) / name).iterdir())]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in paths])
    labels = torch.tensor([label for _, label in paths])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels, len(classes)


def augmentation(size):
    jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.1)
    return v2.Compose([
        v2.RandomResizedCrop(size, scale=(0.08, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([jitter], p=0.8),
        v2.RandomGrayscale(p=0.2),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ])


def nt_xent(z, temperature):  # z (2n, d), rows i and i + n are views of one image
    z = F.normalize(z)
    logits = (z @ z.T / temperature).fill_diagonal_(-math.inf)
    n = len(z) // 2
    return F.cross_entropy(logits, torch.arange(2 * n).roll(n))


@torch.no_grad()
def embed(model, pixels):
    model.eval()
    normalize = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    features = torch.cat([model(normalize(batch)) for batch in pixels.split(512)])
    model.train()
    return features


class Trainer:
    def __init__(self, options, pixels):
        self.options, self.pixels = options, pixels
        self.model = network("tiny").train()
        d = self.model.features
        self.head = nn.Sequential(
            nn.Linear(d, d, bias=False), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, 128, bias=False), nn.BatchNorm1d(128)
        )
        parameters = [*self.model.parameters(), *self.head.parameters()]
        self.lr = 0.12 * options.batch / 256
        self.optimizer = torch.optim.SGD(parameters, lr=self.lr, momentum=0.9, weight_decay=5e-4)
        self.augment = augmentation(pixels.shape[-1])

    def step(self, ids, progress):
        rate = min(1.0, progress / 0.1) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        images = self.pixels[ids]
        views = torch.stack([self.augment(image) for _ in range(2) for image in images])  # (2n, 3, h, w)
        loss = nt_xent(self.head(self.model(views)), temperature=0.2)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def run(self):
        """Trains until the time is over; views seen and seconds taken."""
        start, views, budget = time.perf_counter(), 0, 60 * self.options.minutes
        while True:
            for ids in torch.randperm(len(self.pixels)).split(self.options.batch):
                elapsed = time.perf_counter() - start
                if elapsed >= budget:
                    return views, elapsed
                if len(ids) == self.options.batch:
                    loss = self.step(ids, elapsed / budget)
                    views += 2 * len(ids)
                    print(f"\r{elapsed:6.0f} s  loss {loss:.4f}  {views / (elapsed + 1e-9):.0f} views/s", end="", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("--val", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    pixels, labels, classes = read_folder(options.train)
    val_pixels, val_labels, _ = read_folder(options.val)
    trainer = Trainer(options, pixels)
    judge = lambda: knn(embed(trainer.model, pixels), labels, embed(trainer.model, val_pixels), val_labels, classes)
    before = judge()
    views, seconds = trainer.run()
    after = judge()
    print(
        f"\ntorch {torch.__version__} tiny batch {options.batch} threads {options.threads}: "
        f"{views / seconds:.0f} views/s, {views} views in {seconds:.0f} s; kNN {before:.2f} % before, {after:.2f} % after"
    )


if __name__ == "__main__":
    main()
