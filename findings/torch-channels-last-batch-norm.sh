#!/usr/bin/env bash
# torch 2.15.0 (PyPI), on the CPU.
# Seen 2026-11-28: batch_norm in training on channels-last fp32 input, the layout that
# PyTorch recommends for convolutions on a CPU, sums a channel in single precision, one
# value after another: the fewer threads, the worse. [64,64,112,112], the map behind
# ResNet-50's stem, one thread, normal values:
#   mean 0:  variance off by 4e-4 of itself (channels first: 9e-8)
#   mean 10: mean off by 3e-4 of the deviation (channels first: 5e-7), variance by 4e-4
# With 2 threads a half to a third of that, with 16 still 8e-6 and 3e-5; of [256,64,32,32],
# one thread, 7e-5 and 3e-4. That layouts differ by the order of their sums has been said
# (pytorch issue 121651); this is no order of a sum but a thousand times its rounding.
# A network trained there has gradients that are six times and more further from fp64's
# than channels first (docs/results/2026-11-twin.md).
# Takes the torch that $PYTHON has, or else installs that version with pip.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
if ! "$python" -c 'import torch' 2> /dev/null; then
  "$python" -m pip install --quiet --disable-pip-version-check \
    --target "$work/packages" torch==2.15.0 > "$work/log" 2>&1 || {
    echo "torch 2.15.0 is not to be had here: $(tail -1 "$work/log")"
    exit 77
  }
  export PYTHONPATH=$work/packages
fi
"$python" - << 'P'
import sys

import torch

torch.manual_seed(0)
torch.set_num_threads(1)
print('torch', torch.__version__)
worst = {}
for mean in (0, 10):
    x = torch.randn(64, 64, 112, 112) + mean
    true_mean, true_variance = x.double().mean((0, 2, 3)), x.double().var((0, 2, 3))
    for name, layout in (('channels first', torch.contiguous_format),
                         ('channels last', torch.channels_last)):
        seen_mean, seen_variance = torch.zeros(64), torch.ones(64)
        torch.nn.functional.batch_norm(x.contiguous(memory_format=layout), seen_mean,
                                       seen_variance, training=True, momentum=1)
        off = (((seen_mean.double() - true_mean).abs() / true_variance.sqrt()).max().item(),
               (seen_variance.double() / true_variance - 1).abs().max().item())
        print(f'mean {mean}, {name}: mean off by {off[0]:.1e} of the deviation, '
              f'variance by {off[1]:.1e} of itself')
        worst[name] = max(worst.get(name, 0), *off)
sys.exit(not (worst['channels first'] < 1e-6 and worst['channels last'] > 1e-4))
P
echo "as described"
