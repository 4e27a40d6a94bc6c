#!/usr/bin/env python3
"""Writes tests/golden/linear.safetensors: linear classifiers that PyTorch trains
for five epochs on fixed features in float64.

    tools/make_linear_goldens.py            write the file
    tools/make_linear_goldens.py --check    recompute and compare with it

Features, labels and first weights are hashed numbers (make_goldens.py); batches
are taken in order. Cases:
  linear/<i>   SGD with momentum, weight decay on weight and bias, cosine stepped
               once an epoch to 0; i counts the pairs of RATES and DECAYS
  batch_norm   BatchNorm2d on maps, flattened, then linear; Nesterov, no decay on
               the batch norm, times 0.1 at epochs 2 and 4
"""
import argparse
import itertools
import os
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR

from make_goldens import hash32

PATH = os.path.join(os.path.dirname(__file__), '..', 'tests', 'golden',
                    'linear.safetensors')
SAMPLES, BATCH, EPOCHS, CLASSES = 96, 32, 5, 7
WIDTH, CHANNELS = 24, 6
RATES, DECAYS = (0.3, 0.05), (0.0, 0.01)


def hashed(name, *shape):
    n = hash32(name, np.arange(int(np.prod(shape)))).astype(np.float64)
    return torch.tensor((n / 2.0**32 - 0.5).astype(np.float32).astype(np.float64)
                        .reshape(shape))


def labels():
    return torch.tensor((hash32('linear/labels', np.arange(SAMPLES)) %
                         np.uint64(CLASSES)).astype(np.int64))


def train(model, x, groups, rate, schedule, **settings):
    y, losses = labels(), []
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9, **settings)
    scheduler = schedule(optimizer)
    for _ in range(EPOCHS):
        for first in range(0, SAMPLES, BATCH):
            part = slice(first, first + BATCH)
            loss = torch.nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
    return np.array(losses)


def linear(width):
    layer = torch.nn.Linear(width, CLASSES).double()
    with torch.no_grad():
        layer.weight.copy_(hashed('linear/weight', CLASSES, width))
        layer.bias.zero_()
    return layer


def goldens():
    out = {'shape': np.array([SAMPLES, BATCH, EPOCHS, CLASSES, WIDTH, CHANNELS]),
           'rates': np.array(RATES), 'decays': np.array(DECAYS)}
    for i, (rate, decay) in enumerate(itertools.product(RATES, DECAYS)):
        layer = linear(WIDTH)
        out[f'linear/{i}/losses'] = train(
            layer, hashed('linear/features', SAMPLES, WIDTH), layer.parameters(),
            rate, lambda o: CosineAnnealingLR(o, EPOCHS), weight_decay=decay)
        for name, p in layer.named_parameters():
            out[f'linear/{i}/{name}'] = p.detach().numpy()
    norm = torch.nn.BatchNorm2d(CHANNELS).double()
    layer = linear(4 * CHANNELS)
    model = torch.nn.Sequential(norm, torch.nn.Flatten(), layer)
    maps = hashed('linear/maps', SAMPLES, CHANNELS, 2, 2)
    groups = [{'params': norm.parameters(), 'weight_decay': 0.0},
              {'params': layer.parameters()}]
    out['batch_norm/losses'] = train(
        model, maps, groups, 0.1, lambda o: MultiStepLR(o, [2, 4], 0.1),
        weight_decay=0.05, nesterov=True)
    for name, p in model.state_dict().items():
        out[f'batch_norm/{name}'] = p.numpy()
    model.eval()
    with torch.no_grad():
        out['batch_norm/logits'] = model(maps).numpy()
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--check', action='store_true')
    args = parser.parse_args()
    out = goldens()
    if args.check:
        old = load_file(PATH)
        worst = max(np.abs(out[k] - old[k]).max() for k in out)
        print(f'largest difference {worst:.1e}')
        sys.exit(set(out) != set(old) or worst > 1e-12)
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, PATH)
    print(f'{os.path.getsize(PATH)} bytes')


if __name__ == '__main__':
    main()
