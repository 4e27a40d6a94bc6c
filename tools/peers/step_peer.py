#!/usr/bin/env python3
"""One MUSIC training step in PyTorch: the peer of bench_step.

Two views through the network one after the other, the loss, backward, LARS or
SGD. Prints one line of JSON:

    {"views_per_s": ..., "step_ms": ..., "peak_rss_mb": ..., ...}

views_per_s is 2 x batch over the median step.

On the CPU memory layout `auto` times both and keeps the faster. By default
glibc is told to keep freed memory, as PyTorch's tuning guide achieves with
jemalloc: without it a third of the time of a large network goes to page faults;
--allocator default leaves glibc alone, which is slower and peaks lower.

On a GPU (--device cuda) the step is that of automatic mixed precision: autocast
to --precision, a gradient scaler with fp16; fp32 without TF32. cuDNN picks its
algorithms by timing, `auto` is channels_last. The views lie on the GPU already.
peak_mib, in place of peak_rss_mb, is what the process took of the GPU's memory
beyond its context, as bench_step counts.

--mode says how much of it is compiled:
    eager     nothing
    compiled  the network and the loss by torch.compile, as it comes
    fair      the same with mode='max-autotune' (CUDA graphs, tuned kernels;
              without CUDA graphs where they fail), and LARS over all tensors at
              once, compiled too: what PyTorch can do
Compiling, tuning and the recording of graphs happen in the steps before the
timed ones; warmup_s is what all that took.
"""
import argparse
import contextlib
import ctypes
import json
import math
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class Encoder(ResNet):
    """torchvision's ResNet without fc, of any width, with either stem."""

    def __init__(self, arch, width, stem):
        block, layers = {'resnet18': (BasicBlock, [2, 2, 2, 2]),
                         'resnet34': (BasicBlock, [3, 4, 6, 3]),
                         'resnet50': (Bottleneck, [3, 4, 6, 3]),
                         'resnet101': (Bottleneck, [3, 4, 23, 3])}[arch]
        super().__init__(block, layers)
        self.fc = nn.Identity()
        if stem == 'imagenet':
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        else:
            self.conv1 = nn.Conv2d(3, width, 3, stride=1, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.inplanes = width
        for i, count in enumerate(layers):
            setattr(self, f'layer{i + 1}', self._make_layer(
                block, width << i, count, stride=1 if i == 0 else 2))
        self.features = self.inplanes


def make_projector(features, spec):
    widths = [int(w) for w in spec.split('-')]
    layers = []
    for width in widths[:-1]:
        layers += [nn.Linear(features, width), nn.BatchNorm1d(width),
                   nn.ReLU(inplace=True)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, widths[-1], bias=False))


def music_loss(z1, z2, segment):
    """Eq. 5 weights, inner-product invariance, clamp 1e-8. Materialises P."""
    n, d = z1.shape
    s = d // segment
    q1 = z1.view(n, s, segment).softmax(2).clamp(min=1e-8)
    q2 = z2.view(n, s, segment).softmax(2).clamp(min=1e-8)
    ti = -(q1 * q2).sum(2).log().mean()
    p = q1.view(n, d).t() @ q2.view(n, d) / n
    plogp = (p * p.log()).view(s, segment, s, segment)
    blocks = plogp.sum((1, 3))
    de = plogp.diagonal(dim1=0, dim2=2).diagonal(dim1=0, dim2=1).sum() / s
    if s == 1:
        return de + ti
    return de + (blocks.sum() - blocks.diagonal().sum()) / (s * (s - 1)) + ti


class Lars(torch.optim.Optimizer):
    """LARS as VICReg runs it, tensor by tensor; 1-D parameters take plain
    momentum SGD."""

    def __init__(self, params, lr, momentum=0.9, weight_decay=1e-6, eta=1e-3):
        super().__init__(params, dict(lr=lr, momentum=momentum,
                                      weight_decay=weight_decay, eta=eta))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group['params']:
                dp = p.grad
                if p.ndim != 1:
                    dp = dp.add(p, alpha=group['weight_decay'])
                    numerator, denominator = p.norm(), dp.norm()
                    # Not an if: that would wait for the GPU.
                    dp.mul_(torch.where((numerator > 0) & (denominator > 0),
                                        group['eta'] * numerator / denominator,
                                        torch.ones_like(numerator)))
                state = self.state[p]
                if 'mu' not in state:
                    state['mu'] = torch.zeros_like(p)
                p.add_(state['mu'].mul_(group['momentum']).add_(dp),
                       alpha=-group['lr'])


def lars_update(params, grads, momenta, lr, momentum, weight_decay, eta):
    """The step of Lars, by operations over lists of tensors. grads are spent."""
    scaled = [i for i, p in enumerate(params) if p.ndim != 1]
    weights = [params[i] for i in scaled]
    decayed = torch._foreach_add([grads[i] for i in scaled], weights,
                                 alpha=weight_decay)
    for i, dp, numerator, denominator in zip(
            scaled, decayed, torch._foreach_norm(weights),
            torch._foreach_norm(decayed)):
        rate = torch.where((numerator > 0) & (denominator > 0),
                           eta * numerator / denominator, 1.0)
        grads[i] = dp * rate
    torch._foreach_mul_(momenta, momentum)
    torch._foreach_add_(momenta, grads)
    torch._foreach_add_(params, momenta, alpha=-lr)


class CompiledLars(torch.optim.Optimizer):
    """Lars with its whole step as one compiled function."""

    def __init__(self, params, lr, momentum=0.9, weight_decay=1e-6, eta=1e-3):
        super().__init__(params, dict(lr=lr, momentum=momentum,
                                      weight_decay=weight_decay, eta=eta))
        self.update = torch.compile(lars_update)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group['params']
            for p in params:
                if 'mu' not in self.state[p]:
                    self.state[p]['mu'] = torch.zeros_like(p)
            self.update(params, [p.grad for p in params],
                        [self.state[p]['mu'] for p in params], group['lr'],
                        group['momentum'], group['weight_decay'], group['eta'])


def keep_freed_memory():
    """glibc: one arena, no mmap, no trimming, 64 MB steps."""
    libc = ctypes.CDLL(None)
    for option, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1), (-2, 64 << 20)):
        if libc.mallopt(option, value) != 1:
            raise SystemExit('mallopt failed: use --allocator default')


HALF = {'fp16': torch.float16, 'bf16': torch.bfloat16}


class Measured:
    """Seconds of each timed step, of all before them, and the last loss."""

    def __init__(self, times, warmup_s, loss):
        self.times, self.warmup_s, self.loss = times, warmup_s, loss


def measure(args, memory_format, warmup, steps, budget, compile_mode=None):
    """At least 5 timed steps, then as the budget of seconds allows."""
    torch.manual_seed(0)
    begin = time.perf_counter()
    net = Encoder(args.arch, args.width, args.stem)
    projector = make_projector(net.features, args.projector)
    model = nn.Sequential(net, projector).to(args.device,
                                             memory_format=memory_format)
    params = list(model.parameters())
    if args.optimizer == 'lars':
        lars = CompiledLars if args.mode == 'fair' else Lars
        optimizer = lars(params, lr=0.01)
    else:
        optimizer = torch.optim.SGD(params, lr=0.01, momentum=0.9,
                                    weight_decay=5e-4)
    views = [torch.randn(args.batch, 3, args.size, args.size, device=args.device)
             .contiguous(memory_format=memory_format) for _ in range(2)]
    criterion = music_loss
    if args.mode != 'eager':
        model = torch.compile(model, mode=compile_mode)
        criterion = torch.compile(music_loss, mode=compile_mode)
    autocast = contextlib.nullcontext
    if args.precision in HALF:
        def autocast():
            return torch.autocast(args.device, dtype=HALF[args.precision])
    make_scaler = getattr(torch.amp, 'GradScaler', None) or torch.cuda.amp.GradScaler
    scaler = make_scaler(enabled=args.precision == 'fp16')

    def wait():
        if args.device == 'cuda':
            torch.cuda.synchronize()

    def train():
        optimizer.zero_grad(set_to_none=True)
        if args.mode == 'fair':  # what CUDA graphs gave out is free again
            torch.compiler.cudagraph_mark_step_begin()
        with autocast():
            z1, z2 = (model(view) for view in views)
            loss = criterion(z1, z2, args.segment)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        wait()
        return loss

    for _ in range(warmup):
        train()
    wait()
    times, start = [], time.perf_counter()
    warmup_s, first = start - begin, start
    for _ in range(steps):
        loss = train()
        now = time.perf_counter()
        times.append(now - start)
        if len(times) >= min(5, steps) and now - first > budget:
            break
        start = time.perf_counter()
    if not math.isfinite(loss.item()):
        raise SystemExit('the loss is not finite')
    if args.profile:
        print_kernels(train, args.device)
    return Measured(times, warmup_s, loss.item())


def measure_mode(args, memory_format):
    """As --mode asks; also how it was compiled."""
    def run(compile_mode=None):
        # A recorded graph is replayed from the third step on.
        warmup = max(args.warmup, 5) if args.mode == 'fair' else args.warmup
        return measure(args, memory_format, warmup, args.steps, args.budget,
                       compile_mode)
    if args.mode == 'eager':
        return run(), None
    if args.mode == 'compiled':
        return run(), 'default'
    try:
        return run('max-autotune'), 'max-autotune'
    except Exception as e:  # whatever the compiler or its graphs raise
        print(f'max-autotune: {type(e).__name__}: {str(e).splitlines()[:1]}; '
              'now without CUDA graphs', file=sys.stderr, flush=True)
    torch.compiler.reset()
    mode = 'max-autotune-no-cudagraphs'
    return run(mode), mode


def print_kernels(step, device):
    """The 30 kernels (on a CPU: operators) that take most of a step."""
    activity = getattr(torch.profiler.ProfilerActivity,
                       'CUDA' if device == 'cuda' else 'CPU')
    with torch.profiler.profile(activities=[activity]) as profile:
        step()
    rows = []
    for event in profile.key_averages():
        us = (getattr(event, 'self_device_time_total', 0) or
              getattr(event, 'self_cuda_time_total', 0)) \
            if device == 'cuda' else event.self_cpu_time_total
        rows.append((us / 1000, event.count, event.key))
    rows.sort(reverse=True)
    print(f'a step: {sum(row[0] for row in rows):.2f} ms of '
          f'{sum(row[1] for row in rows)} launches')
    for ms, count, key in rows[:30]:
        print(f'  {ms:9.3f} ms {count:5d}x  {key[:110]}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--arch', default='resnet50',
                        choices=['resnet18', 'resnet34', 'resnet50', 'resnet101'])
    parser.add_argument('--width', type=int, default=64)
    parser.add_argument('--stem', default='imagenet', choices=['imagenet', 'cifar'])
    parser.add_argument('--size', type=int, default=224, help='pixels a side')
    parser.add_argument('--batch', type=int, default=8,
                        help='samples; two views each')
    parser.add_argument('--projector', default='8192-8160')
    parser.add_argument('--segment', type=int, default=80, help='D_S')
    parser.add_argument('--optimizer', default='lars', choices=['lars', 'sgd'])
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--precision', default='fp32',
                        choices=['fp32', 'fp16', 'bf16'])
    parser.add_argument('--mode', default='eager',
                        choices=['eager', 'compiled', 'fair'])
    parser.add_argument('--profile', action='store_true',
                        help='print what a step spends its time on')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--layout', default='auto',
                        choices=['auto', 'channels_last', 'contiguous'])
    parser.add_argument('--allocator', default='reuse', choices=['reuse', 'default'])
    parser.add_argument('--warmup', type=int, default=3)
    parser.add_argument('--steps', type=int, default=10, help='timed, at most')
    parser.add_argument('--budget', type=float, default=60,
                        help='seconds after which 5 timed steps are enough')
    args = parser.parse_args()
    if args.allocator == 'reuse':
        keep_freed_memory()
    torch.set_num_threads(args.threads)
    free_before = 0
    if args.device == 'cuda':
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        free_before = torch.cuda.mem_get_info()[0]
    elif args.precision == 'fp16':
        raise SystemExit('--precision fp16 needs --device cuda')
    formats = {'channels_last': torch.channels_last,
               'contiguous': torch.contiguous_format}
    layout = args.layout
    if layout == 'auto' and args.device == 'cuda':
        layout = 'channels_last'
    if layout == 'auto':
        probe = {name: min(measure(args, f, 1, 2, 0).times)
                 for name, f in formats.items()}
        layout = min(probe, key=probe.get)
    cpu = time.process_time()
    begin = time.perf_counter()
    result, compiled = measure_mode(args, formats[layout])
    times = result.times
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    step = statistics.median(times)
    if args.device == 'cuda':  # the caching allocator keeps the most it had
        peak = {'peak_mib': (free_before - torch.cuda.mem_get_info()[0]) / 2**20}
    else:
        peak = {'peak_rss_mb':
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    print(json.dumps({
        'views_per_s': round(2 * args.batch / step, 2),
        'step_ms': round(1000 * step, 2),
        'fastest_ms': round(1000 * min(times), 2), 'timed_steps': len(times),
        **{key: round(value, 1) for key, value in peak.items()}, 'cpu_s': round(cpu, 2),
        'cpu_per_wall': round(cpu / wall, 2),
        'device': torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu',
        'precision': args.precision, 'mode': args.mode, 'compiled': compiled,
        'warmup_s': round(result.warmup_s, 1), 'loss': result.loss,
        'layout': layout, 'allocator': args.allocator, 'threads': args.threads,
        'torch': torch.__version__}), flush=True)


if __name__ == '__main__':
    main()
