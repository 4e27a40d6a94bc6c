#!/usr/bin/env python3
"""Writes tests/golden/encoder_names.txt: names and shapes of the encoders of torchvision
and timm, which tests load. "[a = b]" says that a's list is that of b.

    make_encoder_names.py OUT
"""
import sys

import timm
import torchvision


def tensors(net):
    return [f"{k} {str(v.dtype).removeprefix('torch.')} {','.join(map(str, v.shape))}".rstrip()
            for k, v in net.state_dict().items()]


lists = {}
for depth in (18, 34, 50, 101):
    lists[f'torchvision.resnet{depth}'] = tensors(getattr(torchvision.models, f'resnet{depth}')())
    lists[f'timm.resnet{depth}'] = tensors(timm.create_model(f'resnet{depth}'))
out, first = [f'# torchvision {torchvision.__version__}, timm {timm.__version__}'], {}
for name, lines in lists.items():
    same = next((k for k, v in first.items() if sorted(v) == sorted(lines)), None)
    if same:
        out.append(f'[{name} = {same}]')
    else:
        first[name] = lines
        out += [f'[{name}]', *lines]
with open(sys.argv[1], 'w') as f:
    f.write('\n'.join(out) + '\n')
