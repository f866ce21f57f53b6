"""The networks of the comparison, with torchvision's names and ours."""

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet


class CifarStem(ResNet):
    """torchvision's ResNet with a 3x3 first convolution of stride 1 and no max-pool."""

    def __init__(self, blocks):
        super().__init__(BasicBlock, blocks)
        self.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.maxpool = nn.Identity()
        self.fc = nn.Identity()
        self.features = 512


class Tiny(nn.Module):
    """Three stages of one basic block, 32, 64 and 128 channels; the stem halves 32 pixels to 16."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(BasicBlock(32, 32))
        self.layer2 = nn.Sequential(BasicBlock(32, 64, 2, _shortcut(32, 64)))
        self.layer3 = nn.Sequential(BasicBlock(64, 128, 2, _shortcut(64, 128)))
        self.features = 128
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):  # (n, 3, h, w) -> (n, 128)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.mean(dim=(2, 3))


def _shortcut(inputs, outputs):
    conv = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def network(arch):
    """`tiny`, `resnet18-cifar`, `resnet18` or `resnet50`, without its classifier."""
    if arch == "tiny":
        return Tiny()
    if arch == "resnet18-cifar":
        return CifarStem([2, 2, 2, 2])
    model = getattr(torchvision.models, arch)(weights=None)
    model.features = model.fc.in_features
    model.fc = nn.Identity()
    return model
