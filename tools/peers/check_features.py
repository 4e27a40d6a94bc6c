#!/usr/bin/env python3
"""Compares what music_features wrote with --pixels with torchvision and PyTorch.

    music_features resnet50.safetensors --data PHOTOS --kind res5 --view squash \\
        --pixels --out OUT
    tools/peers/check_features.py OUT resnet50.safetensors

Pixels must be those of Resize(short side), then Resize([size, size]) or
CenterCrop(size), byte for byte (Pillow decodes as the same libjpeg does to within
a level: of pixels that differ the largest difference is printed); features, pooled
or res5, those of torchvision's network on the same pixels to 1e-4. The Pillow
installed must be of the side of 13 that --pillow chose (13 unless said).
"""
import argparse
import json
import sys

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torchvision import transforms


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder')
    parser.add_argument('encoder', help='of torchvision\'s ResNet-50 or -18')
    parser.add_argument('--depth', type=int, default=50)
    args = parser.parse_args()
    info = json.load(open(f'{args.folder}/info.json'))
    ours, here = info.get('pillow', 12), int(PIL.__version__.split('.')[0])
    if (ours < 13) != (here < 13):
        sys.exit(f'{args.folder} is resized as by Pillow {ours}, this is Pillow '
                 f'{PIL.__version__}: expected music_features --pillow {min(here, 13)}')
    names = open(f'{args.folder}/files.txt').read().splitlines()
    images = np.load(f'{args.folder}/images.npy')
    features = np.load(f'{args.folder}/features.npy')
    assert len(names) == len(images) == len(features)
    last = (transforms.Resize([info['squash']] * 2) if 'squash' in info
            else transforms.CenterCrop(info['crop']))
    view = transforms.Compose([transforms.Resize(info['resize']), last])

    worst = 0
    for name, seen in zip(names, images):
        expected = np.asarray(view(Image.open(name).convert('RGB')))
        worst = max(worst, np.abs(expected.astype(int) - seen).max())
    print(f'{len(names)} images: pixels differ by {worst} of 255 at most')

    net = getattr(torchvision.models, f'resnet{args.depth}')()
    net.fc = torch.nn.Identity()
    net.load_state_dict(load_file(args.encoder))
    net.eval()
    if info['kind'] == 'res5':
        net.avgpool = torch.nn.AvgPool2d(6, 1)  # of a 7 x 7 map; flattened C, H, W
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in
                 ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    y = net((x - mean) / std).numpy()
    apart = np.linalg.norm(y - features) / np.linalg.norm(y)
    print(f'{info["kind"]} {features.shape}: relative difference {apart:.1e}')
    return 0 if worst == 0 and apart < 1e-4 else 1


if __name__ == '__main__':
    sys.exit(main())
