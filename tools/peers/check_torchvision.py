#!/usr/bin/env python3
"""Loads encoder.safetensors into torchvision and compares the features.

    check_torchvision.py RUN_DIR_OR_FILE [--images x.npy --features y.npy]

The file must fill the torchvision network key by key; only fc.* may be missing.
images: uint8 [N,H,W,3] pixels, normalised here by the file's metadata, or
float32 [N,H,W,3] that are normalised already. features: float32 [N,F], what
the engine computed from them in evaluation mode. Exits 1 unless the largest
difference, relative to the largest feature, is within the tolerance.
"""
import argparse
import json
import os
import struct
import sys

import numpy as np
import torch
import torchvision

from step_peer import Encoder


def read_safetensors(path):
    """(tensors, metadata), by the safetensors package where there is one."""
    with open(path, 'rb') as file:
        data = file.read()
    size, = struct.unpack('<Q', data[:8])
    header = json.loads(data[8:8 + size])
    metadata = header.pop('__metadata__', {})
    try:
        from safetensors.torch import load
        return load(data), metadata
    except ImportError:
        pass
    types = {'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'I64': '<i8', 'I32': '<i4',
             'U8': 'u1', 'BOOL': '?'}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry['data_offsets'])
        array = np.frombuffer(data[begin:end], types[entry['dtype']])
        tensors[name] = torch.from_numpy(array.copy().reshape(entry['shape']))
    return tensors, metadata


def build(metadata, args):
    arch = 'resnet' + str(args.depth or metadata.get('resnet_depth', 50))
    width = int(args.width or metadata.get('resnet_width', 64))
    stem = args.stem or metadata.get('resnet_stem', 'imagenet')
    if width == 64 and stem == 'imagenet':
        return getattr(torchvision.models, arch)(), f'torchvision.models.{arch}'
    return Encoder(arch, width, stem), f'{arch} of width {width}, {stem} stem'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('encoder', help='a run directory or encoder.safetensors')
    parser.add_argument('--images')
    parser.add_argument('--features')
    parser.add_argument('--tolerance', type=float, default=1e-5)
    parser.add_argument('--depth', type=int, help='where the file does not say')
    parser.add_argument('--width', type=int, help='likewise')
    parser.add_argument('--stem', choices=['imagenet', 'cifar'], help='likewise')
    args = parser.parse_args()
    if bool(args.images) != bool(args.features):
        parser.error('--images and --features come together')
    path = args.encoder
    if os.path.isdir(path):
        path = os.path.join(path, 'encoder.safetensors')

    tensors, metadata = read_safetensors(path)
    net, name = build(metadata, args)
    try:
        result = net.load_state_dict(tensors, strict=False)
    except RuntimeError as problem:  # a shape differs
        first = str(problem).split('\n')[1].strip()
        sys.exit(f'{path} does not fit {name}: {first}')
    missing = [key for key in result.missing_keys if not key.startswith('fc.')]
    if missing or result.unexpected_keys:
        sys.exit(f'{path} does not fit {name}: {len(missing)} missing, as '
                 f'{missing[:3]}, {len(result.unexpected_keys)} unexpected, as '
                 f'{result.unexpected_keys[:3]}')
    print(f'{path}: {len(tensors)} tensors load into {name}; missing: '
          f'{result.missing_keys or "nothing"}')
    if not args.images:
        return

    images = np.load(args.images)
    if images.dtype == np.uint8:
        mean, std = (np.array([float(v) for v in metadata[key].split(',')])
                     for key in ('pixel_mean', 'pixel_std'))
        images = ((images / 255.0 - mean) / std).astype(np.float32)
    expected = np.load(args.features)
    net.fc = torch.nn.Identity()
    net.eval()
    with torch.no_grad():
        features = torch.cat([net(part) for part in torch.from_numpy(
            np.ascontiguousarray(images.transpose(0, 3, 1, 2))).split(64)]).numpy()
    if features.shape != expected.shape:
        sys.exit(f'features are {expected.shape}, torchvision gives {features.shape}')
    error = np.abs(features - expected).max() / np.abs(features).max()
    good = error <= args.tolerance  # False for NaN
    print(f'{len(images)} images: largest difference {error:.2e} of the largest '
          f'feature, tolerance {args.tolerance:.0e}: {"ok" if good else "FAILED"}')
    sys.exit(not good)


if __name__ == '__main__':
    main()
