#!/usr/bin/env python3
"""Is the peer of bench_step fair? Runs on the CPU.

Its two forms of LARS take the same steps, and a step compiled in either way
leaves the loss of the eager one. Exit status 1 when not.
"""
import json
import pathlib
import subprocess
import sys

import torch

import step_peer


def lars_differ(steps=5):
    """The largest relative difference of a parameter after some steps."""
    torch.manual_seed(0)
    first = [torch.nn.Parameter(torch.randn(shape))
             for shape in ((8, 3, 3, 3), (8,), (16, 8), (16,), (4, 4))]
    first[-1].data.zero_()  # no norm: the rate is 1
    second = [torch.nn.Parameter(p.detach().clone()) for p in first]
    one = step_peer.Lars(first, lr=0.3)
    other = step_peer.CompiledLars(second, lr=0.3)
    other.update = step_peer.lars_update  # what is compiled
    for _ in range(steps):
        for p, q in zip(first, second):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        one.step()
        other.step()
    return max(((p - q).norm() / p.norm()).item() for p, q in zip(first, second))


def run(mode):
    script = pathlib.Path(__file__).with_name('step_peer.py')
    output = subprocess.run(
        [sys.executable, script, '--arch', 'resnet18', '--width', '8', '--size',
         '32', '--stem', 'cifar', '--batch', '4', '--projector', '64-64',
         '--segment', '8', '--layout', 'channels_last', '--warmup', '5',
         '--steps', '3', '--mode', mode], check=True, stdout=subprocess.PIPE)
    return json.loads(output.stdout.splitlines()[-1])


def main():
    bad = False
    difference = lars_differ()
    print(f'LARS at once against tensor by tensor: {difference:.1e}')
    bad |= not difference < 1e-6
    eager = run('eager')
    for mode in ('compiled', 'fair'):
        result = run(mode)
        difference = abs(result['loss'] / eager['loss'] - 1)
        print(f'{mode} ({result["compiled"]}): loss {difference:.1e} from the eager '
              f'one after 8 steps; {result["warmup_s"]} s before the timed steps')
        bad |= not difference < 1e-4
    sys.exit(bad)


if __name__ == '__main__':
    main()
