#!/usr/bin/env python3
"""Encoders that other programs saved, in an evaluator of ours.

    check_imports.py BUILD_DIR DATA [--work DIR]

PyTorch saves networks of torchvision and timm as their checkpoints are (VICReg's,
MoCo's, lightly's); the command that music_features answers a .pth with converts them,
and its features are compared with the network's. DATA: labelled images. Prints a line
a check, exits 1 when one fails. Needs PyTorch, torchvision and safetensors.
"""
import argparse
import os
import shlex
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file

failures = 0


def check(name, good, note=''):
    global failures
    failures += not good
    print(f"{'ok' if good else 'FAILED'}: {name} {note}")


def seen(net):
    """Weights off their start and running statistics of a few batches."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim == 1:
                p += 0.2 * torch.randn_like(p)
        net.train()
        for _ in range(4):
            net(torch.randn(8, 3, 64, 64))
    return net.eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('data')
    parser.add_argument('--work')
    args = parser.parse_args()
    work = args.work or tempfile.mkdtemp()
    program = os.path.join(args.build, 'music_features')

    def features(path, out, *flags):
        return subprocess.run([program, path, '--data', args.data, '--image-size', '64', '--limit', '12', '--pixels',
                               '--out', os.path.join(work, out), *flags], capture_output=True, text=True)

    nets = {'torchvision.resnet18': seen(torchvision.models.resnet18()),
            'torchvision.resnet50': seen(torchvision.models.resnet50())}
    try:
        import timm
        nets['timm.resnet18'] = seen(timm.create_model('resnet18'))
    except ImportError:
        print('skipped: no timm')
    for name, net in nets.items():
        state = net.state_dict()
        bare = {k: v for k, v in state.items() if not k.startswith('fc.')}
        cut = torch.nn.Sequential(*list(net.children())[:-1]).state_dict()
        forms = {'bare': state,
                 'vicreg': {'epoch': 3, 'model': {**{'module.backbone.' + k: v for k, v in bare.items()},
                                                  'module.projector.0.weight': torch.zeros(8, 512)},
                            'optimizer': {'state': {0: {'mu': torch.zeros(3)}}}},
                 'moco': {'state_dict': {f'module.encoder_{e}.{k}': v * (1 if e == 'q' else 0.5)
                                         for e in 'qk' for k, v in state.items()}}}
        if 'resnet50' in name:
            forms = {'vicreg': forms['vicreg']}
        if name == 'torchvision.resnet18':  # timm's children are no chain
            forms['lightly'] = {'state_dict': {'backbone.' + k: v for k, v in cut.items()}}
        for form, value in forms.items():
            label = f'{name}.{form}'
            pth, tensors = (os.path.join(work, label + end) for end in ('.pth', '.safetensors'))
            torch.save(value, pth)
            command = features(pth, 'x').stderr.split('as this makes: ')[1].strip()
            words = [w.replace('FILE.pth', pth).replace('FILE.safetensors', tensors) for w in shlex.split(command)]
            subprocess.run([sys.executable, *words[1:]], check=True)
            result = features(tensors, label)
            if result.returncode:
                check(label, False, result.stderr.splitlines()[-1])
                continue
            images = np.load(os.path.join(work, label, 'images.npy'))
            mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
            x = torch.from_numpy(((images / 255 - mean) / std).astype(np.float32).transpose(0, 3, 1, 2).copy())
            with torch.no_grad():
                expected = torch.flatten(torch.nn.Sequential(*list(net.children())[:-1])(x), 1).numpy()
            found = np.load(os.path.join(work, label, 'features.npy'))
            error = np.abs(found - expected).max() / np.abs(expected).max()
            check(label, error < 1e-5, f'features differ by {error:.1e}, at most 1e-05')
            check(label, 'warning' not in result.stderr, 'batch norms fit')
    # Names exchanged among equal shapes.
    state = load_file(os.path.join(work, 'torchvision.resnet18.bare.safetensors'))
    keys = {}
    for k, v in state.items():
        keys.setdefault((v.shape, k.rsplit('.', 1)[-1]), []).append(k)
    turned = {a: state[b] for group in keys.values() for a, b in zip(group, group[1:] + group[:1])}
    path = os.path.join(work, 'turned.safetensors')
    save_file({k: v.clone() for k, v in turned.items()}, path)
    result = features(path, 'x')
    check('exchanged names', result.returncode == 3, result.stderr.splitlines()[-1][-90:])
    return failures > 0


if __name__ == '__main__':
    sys.exit(main())
