#!/usr/bin/env python3
"""How far PyTorch's own 16-bit steps are from the truth, on several seeds.

    tools/peers/step_spread.py            print, and write the golden
    tools/peers/step_spread.py --print    print alone

The five LARS steps of music_step.safetensors (make_goldens.py) once in float64 and
once under torch.autocast, on the CPU. A seed gives the statistics of
tests/support/golden_run.h, where the engine is held to twice the largest of all
seeds. They depend a little on the processor, so make_goldens.py --check leaves
them out.
"""
import argparse
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import make_goldens  # noqa: E402

SEEDS = [2, 3, 4, 5, 6, 7, 8, 9]  # the first is that of the golden
TENSORS = ['gradient', 'weights', 'change', 'statistics']
NAMES = ['terms'] + [t + s for t in TENSORS for s in ('', '_median', '_decile')]
FLOOR = {'projector.0.bias': 1e-2}  # batch_norm takes it away: rounding alone


def norm(values):
    return torch.cat([v.reshape(-1).double() for v in values]).norm().item()


def errors(got, truth, floors):
    """Of all tensors as one vector, the median and the ninth decile."""
    each = sorted(norm([got[n] - t]) / max(norm([t]), floors.get(n, 0.0))
                  for n, t in truth.items())
    whole = norm([got[n] - t for n, t in truth.items()]) / norm(truth.values())
    at = lambda share: each[int(share * (len(each) - 1))]
    return whole, at(0.5), at(0.9)


def statistics(kind, seed, dtype, scale):
    """NAMES of one seed."""
    terms, gradients, changes, running = make_goldens.step_run(kind, seed)
    terms16, gradients16, changes16, running16 = make_goldens.step_run(
        kind, seed, dtype, scale)
    start = {n: make_goldens.hashed_parameter(n, tuple(c.shape))
             for n, c in changes.items()}
    weights, weights16 = ({n: start[n] + v for n, v in c.items()}
                          for c in (changes, changes16))
    relative = (terms16.double() - terms) / terms
    return [relative.square().mean().sqrt().item(),
            *errors(gradients16, gradients, FLOOR),
            *errors(weights16, weights, {}),
            *errors(changes16, changes, FLOOR),
            *errors(running16, running, {})]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--print', action='store_true', help='write nothing')
    args = parser.parse_args()
    out = make_goldens.Golden()
    out.add('seeds', np.asarray(SEEDS, np.int64))
    for name, dtype, scale in (('F16', torch.float16, 1024.0),
                               ('BF16', torch.bfloat16, 1.0)):
        rows = np.asarray([statistics('lars', seed, dtype, scale)
                           for seed in SEEDS])
        for i, what in enumerate(NAMES):
            out.add(f'lars/{name}/{what}', rows[:, i], exact=True)
            print(f'{name:5}{what:18}', ' '.join(f'{v:9.2e}' for v in rows[:, i]))
    if not args.print:
        path = os.path.join(make_goldens.OUT, 'step_spread.safetensors')
        with open(path, 'wb') as file:
            file.write(out.encode())


if __name__ == '__main__':
    main()
