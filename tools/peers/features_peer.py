"""Pooled features of image files with torchvision and PyTorch: time and result.

Reads the names in FOLDER/names.txt and the weights in FOLDER/encoder.safetensors
(ResNet-50, strictly), prints one line of JSON, and then, for every line it is
given, extracts all features once and prints the time. At the end of its input it
writes FOLDER/features.f32 (raw float32).

Images come as a user's would: Pillow, Resize(256), CenterCrop(224), a DataLoader
with as many workers as threads. Of both memory formats and, eager, with and
without the batch norms fused into the convolutions (torch.fx), the faster is
taken; --compile: torch.compile on top.
"""
import argparse
import json
import resource
import sys
import time

import torch
import torch.fx.experimental.optimization
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torchvision import transforms


class Files(torch.utils.data.Dataset):
    def __init__(self, names, size):
        self.names = names
        self.transform = transforms.Compose([
            transforms.Resize((size * 8 + 3) // 7), transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        with open(self.names[i], 'rb') as f:
            return self.transform(Image.open(f).convert('RGB'))


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def seconds_of(model, x):
    best = float('inf')
    for _ in range(3):
        start = time.perf_counter()
        model(x)
        best = min(best, time.perf_counter() - start)
    return best


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--folder', required=True)
    parser.add_argument('--size', type=int, required=True)
    parser.add_argument('--batch', type=int, required=True)
    parser.add_argument('--threads', type=int, required=True)
    parser.add_argument('--compile', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = open(f'{args.folder}/names.txt').read().splitlines()

    model = torchvision.models.resnet50()
    model.fc = torch.nn.Identity()
    model.load_state_dict(load_file(f'{args.folder}/encoder.safetensors'))
    model.eval()
    fused = torch.fx.experimental.optimization.fuse(model)
    if args.compile:
        torch._inductor.config.freezing = True
    choices = []
    x = torch.rand(args.batch, 3, args.size, args.size)
    for name, network in (('', model), ('fused', fused)):
        for layout in (torch.contiguous_format, torch.channels_last):
            net = network.to(memory_format=layout)
            if args.compile:
                torch._dynamo.reset()
                net = torch.compile(net)
            y = x.contiguous(memory_format=layout)
            net(y)
            choices.append((seconds_of(net, y), name, layout))
            print(name, layout, choices[-1][0], file=sys.stderr)
        if args.compile:
            break  # freezing fuses them
    best, name, layout = min(choices, key=lambda c: c[0])
    net = (fused if name else model).to(memory_format=layout)
    if args.compile:
        torch._dynamo.reset()
        net = torch.compile(net, dynamic=False)
        net(x.contiguous(memory_format=layout))
        last = len(names) % args.batch
        if last:
            net(x[:last].contiguous(memory_format=layout))
    print(json.dumps({
        'torch': torch.__version__, 'torchvision': torchvision.__version__,
        'how': ' '.join(filter(None, [
            'compiled' if args.compile else 'eager', name,
            str(layout).replace('torch.', '')])),
        'network': best / args.batch}), flush=True)

    features = None
    for _ in sys.stdin:
        start, cpu = time.perf_counter(), cpu_seconds()
        loader = torch.utils.data.DataLoader(
            Files(names, args.size), batch_size=args.batch,
            num_workers=args.threads)
        rows = [net(b.contiguous(memory_format=layout)).clone() for b in loader]
        del loader
        features = torch.cat(rows)
        print(json.dumps({'seconds': time.perf_counter() - start,
                          'cpu': cpu_seconds() - cpu}), flush=True)
    features.contiguous().numpy().tofile(f'{args.folder}/features.f32')
    print('{}', flush=True)


if __name__ == '__main__':
    main()
