#!/usr/bin/env python3
"""Writes tests/golden/*.safetensors: what PyTorch computes for the tests.

    tools/make_goldens.py            write the files
    tools/make_goldens.py --check    recompute and compare with the files

Needs PyTorch and torchvision only (Debian: python3-torch,
python3-torchvision). Everything is computed in float64 from inputs that are
exactly representable in float32. Inputs and parameters are not stored: they
are hashes of their name and position, which tests/support/golden.h repeats:

    value(name, i) = low32(splitmix64(fnv1a32(name) * 2^32 + i)) / 2^32 - 1/2

with i the flat index in PyTorch's layout (OIHW, NCHW). A parameter is, by rank:
    4  value * sqrt(24 / (O kh kw))   convolution
    2  value * 2 / sqrt(fan_in)       linear
    1  1 + value / 2 if the name ends in "weight"; -1 + value / 4 if the name is
       "bn1.bias"; else 1 + value / 4

A gradient check in float32 fails wherever rounding moves a pre-activation
across the kink of a ReLU, whatever computes it. The biases above keep most of
them away from 0 (and leave a gradient behind the stem's pooling), and `seed`
picks images for which none, in float32, comes within 1.5 times the rounding
error of 0.

Gradients of up to 4096 elements (all of the narrow network and of the step)
are stored whole as grad/<name>; larger ones as their Euclidean norm,
grad_norm/<name>, and 64 elements at hashed positions, grad_samples/<name>.
"""
import argparse
import json
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                   '..', 'tests', 'golden')
COMPLETE = 4096
SAMPLES = 64

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


# ---- hashed numbers -------------------------------------------------------

def hash32(name, index):
    key = 0x811C9DC5
    for byte in name.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    with np.errstate(over='ignore'):
        z = (np.uint64(key) << np.uint64(32)) + index.astype(np.uint64)
        z += np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z & np.uint64(0xFFFFFFFF)


def hashed(name, shape, scale=1.0, offset=0.0):
    """offset + scale * value, rounded to float32, as a float64 tensor."""
    h = hash32(name, np.arange(math.prod(shape), dtype=np.uint64))
    value = h.astype(np.float64) / 2.0**32 - 0.5
    rounded = (offset + scale * value).astype(np.float32)
    return torch.from_numpy(rounded.astype(np.float64).reshape(shape))


def hashed_parameter(name, shape):
    if len(shape) == 4:
        return hashed(name, shape, math.sqrt(24.0 / (shape[0] * shape[2] * shape[3])))
    if len(shape) == 2:
        return hashed(name, shape, 2.0 / math.sqrt(shape[1]))
    if name.endswith('weight'):
        return hashed(name, shape, 0.5, 1.0)
    return hashed(name, shape, 0.25, -1.0 if name == 'bn1.bias' else 1.0)


def hash_parameters(module, prefix=''):
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(hashed_parameter(prefix + name, tuple(p.shape)))


# ---- storing --------------------------------------------------------------

class Golden:
    """The tensors of one file; float arrays stay float64 until written."""

    def __init__(self, complete=COMPLETE):
        self.tensors = {}
        self.complete = complete

    def add(self, name, value, exact=False):
        """exact: kept as F64 in the file (integers stay I64); else F32."""
        array = value.detach().numpy() if torch.is_tensor(value) else np.asarray(value)
        array = np.atleast_1d(array).copy()
        kind = 'I64' if array.dtype.kind == 'i' else 'F64' if exact else 'F32'
        assert np.isfinite(array).all(), name
        assert name not in self.tensors, name
        self.tensors[name] = (kind, array)

    def add_gradient(self, name, grad):
        flat = grad.reshape(-1)
        if flat.numel() <= self.complete:
            self.add('grad/' + name, grad)
            return
        at = hash32('samples/' + name, np.arange(SAMPLES)) % np.uint64(flat.numel())
        self.add('grad_norm/' + name, flat.norm(), exact=True)
        self.add('grad_samples/' + name, flat[torch.from_numpy(at.astype(np.int64))])

    def encode(self):
        numpy_type = {'F32': '<f4', 'F64': '<f8', 'I64': '<i8'}
        header = {'__metadata__': {
            'format': 'pt', 'torch': torch.__version__,
            'torchvision': torchvision.__version__}}
        payload = b''
        order = sorted(self.tensors, key=lambda n: (self.tensors[n][0] == 'F32', n))
        for name in order:
            kind, array = self.tensors[name]
            data = np.ascontiguousarray(array, numpy_type[kind]).tobytes()
            header[name] = {'dtype': kind, 'shape': list(array.shape),
                            'data_offsets': [len(payload), len(payload) + len(data)]}
            payload += data
        text = json.dumps(header, separators=(',', ':')).encode()
        text += b' ' * (-len(text) % 8)
        return struct.pack('<Q', len(text)) + text + payload


def decode(data):
    size, = struct.unpack('<Q', data[:8])
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__')
    kinds = {'F32': '<f4', 'F64': '<f8', 'I64': '<i8'}
    return {name: np.frombuffer(
        data[8 + size + t['data_offsets'][0]:8 + size + t['data_offsets'][1]],
        kinds[t['dtype']]).reshape(t['shape']) for name, t in header.items()}


# ---- networks -------------------------------------------------------------

class Encoder(ResNet):
    """torchvision's ResNet without fc, of any width, with either stem."""

    def __init__(self, depth, width, stem):
        block, layers = {18: (BasicBlock, [2, 2, 2, 2]),
                         50: (Bottleneck, [3, 4, 6, 3])}[depth]
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


def running_statistics(module, prefix=''):
    return {prefix + n: b for n, b in module.named_buffers() if 'running' in n}


def encoder_golden(depth, width, stem, batch, size, seed, complete=COMPLETE):
    """One training-mode forward and backward of sum(features * weights)."""
    net = Encoder(depth, width, stem)
    hash_parameters(net)
    images = hashed(f'images{seed}', (batch, 3, size, size), 4.0)
    features = net(images)
    weights = hashed('loss_weights', tuple(features.shape), 2.0)
    loss = (features * weights).sum()
    loss.backward()
    out = Golden(complete)
    out.add('seed', np.asarray(seed, np.int64))
    out.add('images_shape', np.asarray(images.shape, np.int64))
    out.add('features', features)
    out.add('loss', loss, exact=True)
    for name, p in net.named_parameters():
        out.add_gradient(name, p.grad)
    for name, b in running_statistics(net).items():
        out.add('running/' + name, b)
    net.eval()  # with the running statistics just stored
    with torch.no_grad():
        out.add('eval_features', net(images))
    return out


# ---- single operations ----------------------------------------------------

def ops_golden():
    """y and the gradients of sum(y * hashed weights), by hashed tensors."""
    out = Golden()

    def case(name, function, **inputs):
        y = function(**inputs)
        (y * hashed(f'{name}/weights', tuple(y.shape))).sum().backward()
        out.add(name + '/y', y, exact=True)
        for key, x in inputs.items():
            out.add(f'{name}/d{key}', x.grad, exact=True)

    def tensor(name, *shape, **scale):
        return hashed(name, shape, **scale).requires_grad_()

    for name, shape, kernel, stride, pad in (
            ('conv_3x3', (2, 3, 7, 6), (4, 3, 3, 3), 2, 1),
            ('conv_7x7', (1, 3, 9, 8), (2, 3, 7, 7), 2, 3),
            ('conv_1x1', (3, 4, 5, 5), (6, 4, 1, 1), 2, 0)):
        case(name, lambda x, w, s=stride, p=pad: F.conv2d(x, w, stride=s, padding=p),
             x=tensor(name + '/x', *shape), w=tensor(name + '/w', *kernel))

    mean, var = torch.zeros(3), torch.ones(3)

    def batch_norm(x, gamma, beta, residual):  # two groups
        y = [F.batch_norm(part, mean, var, gamma, beta, training=True, momentum=0.1)
             for part in x.chunk(2)]
        return F.relu(torch.cat(y) + residual)

    inputs = dict(x=tensor('batch_norm/x', 6, 3, 4, 3),
                  gamma=tensor('batch_norm/gamma', 3, offset=1.0),
                  beta=tensor('batch_norm/beta', 3),
                  residual=tensor('batch_norm/residual', 6, 3, 4, 3))
    case('batch_norm', batch_norm, **inputs)
    out.add('batch_norm/running_mean', mean, exact=True)
    out.add('batch_norm/running_var', var, exact=True)
    out.add('batch_norm/inference', F.batch_norm(
        inputs['x'], mean, var, inputs['gamma'], inputs['beta']), exact=True)

    # Whole numbers, so that many windows hold ties.
    case('max_pool', lambda x: F.max_pool2d(x, 3, 2, 1),
         x=hashed('max_pool/x', (2, 3, 8, 7), 6.0).floor().requires_grad_())
    case('global_avg_pool', lambda x: x.mean((2, 3)),
         x=tensor('global_avg_pool/x', 2, 3, 4, 5))
    case('linear', F.linear, input=tensor('linear/x', 5, 7),
         weight=tensor('linear/w', 4, 7), bias=tensor('linear/b', 4))
    case('segment_softmax', lambda x: torch.cat(
        [F.softmax(part / 0.5, dim=1) for part in x.split([3, 5, 2], dim=1)], 1),
         x=tensor('segment_softmax/x', 4, 10, scale=6.0))
    case('cross_entropy', lambda x: F.cross_entropy(x, torch.tensor([2, 0, 4, 4, 1])),
         x=tensor('cross_entropy/x', 5, 5, scale=100.0))
    return out


# ---- loss -----------------------------------------------------------------

def music_loss(z1, z2, segments, norm='eq5', invariance='inner',
               de=1.0, oe=1.0, ti=1.0, temperature=1.0, clamp=1e-8):
    """(total, de, oe, ti) of the MUSIC loss; segments: list of sizes."""
    n, d = z1.shape
    count = len(segments)
    q1, q2 = (torch.cat([F.softmax(part / temperature, dim=1)
                         for part in z.split(segments, dim=1)], dim=1)
              .clamp(min=clamp) for z in (z1, z2))
    p = q1.t() @ q2 / n
    plogp = torch.xlogy(p, p)
    owner = torch.repeat_interleave(torch.arange(count), torch.tensor(segments))
    same = owner[:, None] == owner[None, :]
    de_sum = plogp.diagonal().sum()
    oe_sum = plogp[~same].sum()
    if norm == 'eq5':
        de_term = de_sum / count
        oe_term = oe_sum / (count * (count - 1)) if count > 1 else oe_sum * 0
    else:
        de_term, oe_term = de_sum / count**2, oe_sum / count**2
    product = {'inner': q1 * q2, 'eq4': (q1 * q2).log(),
               'xent': q1 * q2.log(), 'none': q1 * 0}[invariance]
    sums = torch.stack([part.sum(1) for part in product.split(segments, dim=1)], 1)
    ti_term = -(sums.log() if invariance == 'inner' else sums).mean()
    return de * de_term + oe * oe_term + ti * ti_term, de_term, oe_term, ti_term


NORMS = ['eq5', 'eq3']  # the order of EntropyNorm
INVARIANCES = ['inner', 'eq4', 'xent', 'none']  # the order of Invariance


def loss_golden():
    out = Golden()

    def case(name, n, segments, scale, **options):
        d = sum(segments)
        z1, z2 = (hashed(f'{name}/z{v}', (n, d), scale).requires_grad_()
                  for v in (1, 2))
        total, de, oe, ti = music_loss(z1, z2, segments, **options)
        total.backward()
        out.add(name + '/segments', np.asarray(segments, np.int64))
        out.add(name + '/options', [
            NORMS.index(options.get('norm', 'eq5')),
            INVARIANCES.index(options.get('invariance', 'inner')),
            options.get('de', 1.0), options.get('oe', 1.0), options.get('ti', 1.0),
            options.get('temperature', 1.0), options.get('clamp', 1e-8), scale],
            exact=True)
        out.add(name + '/terms', torch.stack([de, oe, ti, total]), exact=True)
        out.add(name + '/dz1', z1.grad, exact=True)
        out.add(name + '/dz2', z2.grad, exact=True)

    for norm in NORMS:
        for invariance in INVARIANCES:
            case(f'{norm}_{invariance}', 6, [4] * 3, 6.0, norm=norm,
                 invariance=invariance)
    case('coefficients', 5, [3] * 4, 6.0, de=0.5, oe=2.0, ti=3.0)
    case('temperature', 7, [8] * 2, 6.0, temperature=0.25)
    case('clamp', 9, [5] * 3, 12.0, clamp=0.03)
    case('confident', 8, [4] * 4, 80.0)
    case('uneven', 11, [3, 7, 2, 5], 6.0)
    case('uneven_eq3_xent', 6, [6, 2, 4], 6.0, norm='eq3', invariance='xent')
    case('one_segment', 5, [6], 6.0)
    case('one_sample', 1, [4] * 2, 6.0)
    case('large', 33, [10] * 13, 8.0)
    return out


def off_diagonal_squares(m):
    return (m**2).sum() - (m.diagonal()**2).sum()


def vicreg_loss(z1, z2, invariance=25.0, variance=25.0, covariance=1.0, epsilon=1e-4):
    """(total, terms) as the authors' code, for a batch of the configured size."""
    n, d = z1.shape
    inv = F.mse_loss(z1, z2)
    var = sum(F.relu(1 - torch.sqrt(z.var(dim=0) + epsilon)).mean() / 2
              for z in (z1, z2))
    cov = sum(off_diagonal_squares(torch.cov(z.t())) / d for z in (z1, z2))
    return invariance * inv + variance * var + covariance * cov, [inv, var, cov]


def barlow_twins_loss(z1, z2, **options):
    n, d = z1.shape
    weight, scale = options.get('lambda', 0.0051), options.get('scale', 1.0)
    unit = [F.batch_norm(z, None, None, training=True, eps=options.get('epsilon', 1e-5))
            for z in (z1, z2)]
    c = unit[0].t() @ unit[1] / n
    on, off = ((c.diagonal() - 1)**2).sum(), off_diagonal_squares(c)
    return scale * (on + weight * off), [on, off]


def view_losses_golden():
    out = Golden()

    def case(method, name, n, d, size, **options):
        name = f'{method.__name__}/{name}'
        z1, z2 = (hashed(f'{name}/z{v}', (n, d), size).requires_grad_()
                  for v in (1, 2))
        total, terms = method(z1, z2, **options)
        total.backward()
        keys = (('invariance', 'variance', 'covariance', 'epsilon')
                if method is vicreg_loss else ('lambda', 'scale', 'epsilon'))
        out.add(name + '/shape', np.asarray([n, d], np.int64))
        out.add(name + '/size', np.asarray(size), exact=True)
        for key in keys:
            if key in options:
                out.add(f'{name}/{key}', np.asarray(options[key]), exact=True)
        out.add(name + '/terms', torch.stack([*terms, total]), exact=True)
        out.add(name + '/dz', torch.cat([z1.grad, z2.grad]), exact=True)

    case(vicreg_loss, 'narrow', 6, 5, 1.0)
    case(vicreg_loss, 'wide', 7, 19, 6.0)
    case(vicreg_loss, 'mixed', 9, 12, 3.2)
    case(vicreg_loss, 'options', 8, 11, 2.0, invariance=3.0, variance=7.0,
         covariance=2.0, epsilon=0.01)
    case(barlow_twins_loss, 'narrow', 6, 5, 1.0)
    case(barlow_twins_loss, 'wide', 7, 19, 6.0)
    case(barlow_twins_loss, 'options', 8, 11, 0.02, **{'lambda': 0.3, 'scale': 0.024,
                                                       'epsilon': 0.001})
    return out


# ---- optimisers -----------------------------------------------------------

class Lars:
    """LARS as VICReg and Barlow Twins train with it."""

    def __init__(self, params, momentum=0.9, weight_decay=1e-6, eta=1e-3, lr_1d=1.0):
        self.params = list(params)
        self.mu = [torch.zeros_like(p) for p in self.params]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.eta, self.lr_1d = eta, lr_1d

    @torch.no_grad()
    def step(self, lr):
        for p, mu in zip(self.params, self.mu):
            dp, rate = p.grad, lr
            if p.ndim == 1:
                rate = lr * self.lr_1d
            else:
                dp = dp + self.weight_decay * p
                numerator, denominator = p.norm(), dp.norm()
                if numerator > 0 and denominator > 0:
                    dp = dp * (self.eta * numerator / denominator)
            mu.mul_(self.momentum).add_(dp)
            p.sub_(rate * mu)


class Sgd:
    """torch.optim.SGD; weight decay of 1-D parameters by option."""

    def __init__(self, params, momentum=0.9, weight_decay=1e-6, lr_1d=1.0,
                 decay_1d=False, nesterov=False):
        self.lr_1d = lr_1d
        params = list(params)
        self.optimizer = torch.optim.SGD([
            {'params': [p for p in params if p.ndim != 1]},
            {'params': [p for p in params if p.ndim == 1],
             'weight_decay': weight_decay if decay_1d else 0.0}],
            lr=1.0, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def step(self, lr):
        self.optimizer.param_groups[0]['lr'] = lr
        self.optimizer.param_groups[1]['lr'] = lr * self.lr_1d
        self.optimizer.step()


def make_optimizer(kind, params, **options):
    return (Lars if kind == 'lars' else Sgd)(params, **options)


def optimizer_golden():
    """Ten steps with hashed gradients; `zero` starts at 0, so ||p|| = 0."""
    shapes = {'matrix': (6, 10), 'kernel': (4, 3, 3, 3), 'vector': (7,), 'zero': (3, 4)}
    out = Golden()

    def case(name, kind, **options):
        params = {k: hashed(f'optimizer/{k}', s, 0.0 if k == 'zero' else 2.0)
                  for k, s in shapes.items()}
        optimizer = make_optimizer(kind, params.values(), **options)
        rates = [0.5 * step for step in range(10)]  # the first is 0, as in training
        history = {k: [] for k in shapes}
        for step, rate in enumerate(rates):
            for k, p in params.items():
                p.grad = hashed(f'optimizer/{k}/grad{step}', shapes[k], 0.125)
            optimizer.step(rate)
            for k, p in params.items():
                history[k].append(p.clone())
        # kind, momentum, weight_decay, eta, lr_1d, decay_1d, nesterov: the
        # fields of OptimizerSpec.
        out.add(name + '/options', [
            0.0 if kind == 'lars' else 1.0, options.get('momentum', 0.9),
            options.get('weight_decay', 1e-6), options.get('eta', 1e-3),
            options.get('lr_1d', 1.0), float(options.get('decay_1d', False)),
            float(options.get('nesterov', False))], exact=True)
        out.add(name + '/rates', rates, exact=True)
        for k in shapes:
            out.add(f'{name}/{k}', torch.stack(history[k]), exact=True)

    case('lars', 'lars')
    case('lars_decay', 'lars', weight_decay=0.1, eta=0.02, lr_1d=0.1)
    case('sgd', 'sgd')
    case('sgd_decay', 'sgd', weight_decay=0.05, decay_1d=True, lr_1d=0.5)
    case('sgd_nesterov', 'sgd', momentum=0.8, weight_decay=5e-4, nesterov=True)
    return out


def schedule_rate(step, base_lr, batch, steps_per_epoch, epochs, warmup_epochs=10):
    peak = base_lr * batch / 256
    warmup, total = warmup_epochs * steps_per_epoch, epochs * steps_per_epoch
    if step < warmup:
        return peak * step / warmup
    q = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    return peak * q + 0.001 * peak * (1 - q)


def schedule_golden():
    out = Golden()
    for name, (base, batch, steps, epochs, warmup) in {
            'imagenet': (0.6, 2048, 626, 100, 10),
            'cifar': (0.1, 512, 98, 800, 10),
            'short': (0.3, 256, 7, 5, 1)}.items():
        total = steps * epochs
        at = sorted({0, 1, steps, warmup * steps // 2, warmup * steps - 1,
                     warmup * steps, warmup * steps + 1, total // 3,
                     (total + warmup * steps) // 2, total - 1, total})
        # base_lr, batch, warmup_epochs, steps_per_epoch, epochs
        out.add(name + '/config', [base, batch, warmup, steps, epochs], exact=True)
        out.add(name + '/steps', np.asarray(at, np.int64))
        out.add(name + '/rates', [schedule_rate(s, base, batch, steps, epochs, warmup)
                                  for s in at], exact=True)
    return out


# ---- the whole step -------------------------------------------------------

STEP_BATCH, STEP_SIZE, STEP_SEGMENT, STEP_SEED = 8, 16, 8, 2


STEP_CASES = {  # kind: options, rates
    'lars': ({}, [0.0, 0.5, 1.0, 1.5, 2.0]),
    'sgd': ({'weight_decay': 5e-4, 'decay_1d': True}, [0.1, 0.2, 0.3, 0.4, 0.5])}


def step_run(kind, seed, narrow=None, scale=1.0):
    """Five training steps: two separate forwards, loss, backward, optimiser.
    Terms, gradients of the first step, changes, running statistics; by name.
    narrow: in float32 with autocast to this type, and the loss scaled."""
    options, rates = STEP_CASES[kind]
    dtype = torch.float32 if narrow else torch.float64
    net = Encoder(18, 8, 'cifar')
    projector = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
                              nn.Linear(64, 48, bias=False))
    hash_parameters(net)
    hash_parameters(projector, 'projector.')
    net.to(dtype)
    projector.to(dtype)
    params = dict(net.named_parameters())
    params.update({'projector.' + n: p for n, p in projector.named_parameters()})
    start = {n: p.detach().clone() for n, p in params.items()}
    optimizer = make_optimizer(kind, params.values(), **options)
    terms, gradients = [], {}
    for step, rate in enumerate(rates):
        with torch.autocast('cpu', narrow, enabled=narrow is not None):
            z = [projector(net(hashed(f'seed{seed}/step{step}/view{view}', (
                STEP_BATCH, 3, STEP_SIZE, STEP_SIZE), 4.0).to(dtype)))
                 for view in (1, 2)]
        total, de, oe, ti = music_loss(*(v.to(dtype) for v in z),
                                       [STEP_SEGMENT] * 6)
        for p in params.values():
            p.grad = None
        (total * scale).backward()
        for p in params.values():
            p.grad /= scale
        gradients = gradients or {n: p.grad.clone() for n, p in params.items()}
        optimizer.step(rate)
        terms.append(torch.stack([de, oe, ti, total]).detach())
    changes = {n: p.detach() - start[n] for n, p in params.items()}
    running = {**running_statistics(net),
               **running_statistics(projector, 'projector.')}
    return torch.stack(terms), gradients, changes, running


def step_golden():
    out = Golden()
    out.add('seed', np.asarray(STEP_SEED, np.int64))
    out.add('images_shape', np.asarray([STEP_BATCH, 3, STEP_SIZE, STEP_SIZE], np.int64))
    for kind, (_, rates) in STEP_CASES.items():
        terms, gradients, changes, running = step_run(kind, STEP_SEED)
        if kind == 'lars':  # the same in both cases
            for name, gradient in gradients.items():
                out.add(f'grad/{name}', gradient)
        out.add(kind + '/rates', rates, exact=True)
        out.add(kind + '/terms', terms, exact=True)
        for name, change in changes.items():
            out.add(f'{kind}/change/{name}', change)
        for name, b in running.items():
            out.add(f'{kind}/running/{name}', b)
    return out


FILES = {
    'resnet18': lambda: encoder_golden(18, 64, 'imagenet', 2, 64, 3),
    'resnet18_cifar': lambda: encoder_golden(18, 64, 'cifar', 4, 16, 14),
    'resnet50': lambda: encoder_golden(50, 64, 'imagenet', 2, 33, 7),
    'resnet50_narrow': lambda: encoder_golden(50, 8, 'imagenet', 2, 64, 1, 1 << 30),
    'ops': ops_golden,
    'loss': loss_golden,
    'view_losses': view_losses_golden,
    'optimizer': optimizer_golden,
    'schedule': schedule_golden,
    'music_step': step_golden,
}


def check(name, fresh, path):
    """Worst difference, relative to each tensor's largest element (or 1e-6:
    a bias before batch_norm has no gradient, only noise of 1e-16)."""
    stored = decode(open(path, 'rb').read())
    if sorted(stored) != sorted(fresh.tensors):
        return math.inf
    worst = 0.0
    for key, (_, array) in fresh.tensors.items():
        scale = max(np.abs(array).max(), 1e-6)
        worst = max(worst, float(np.abs(stored[key] - array).max() / scale))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true',
                        help='compare with the files instead of writing them')
    parser.add_argument('--out', default=OUT)
    parser.add_argument('names', nargs='*', help='of ' + ', '.join(FILES))
    args = parser.parse_args()
    failed = False
    for name in args.names or FILES:
        golden = FILES[name]()
        path = os.path.join(args.out, name + '.safetensors')
        if args.check:
            worst = check(name, golden, path)
            failed |= not worst < 1e-6
            print(f'{name:16} worst difference {worst:.2e}')
        else:
            data = golden.encode()
            with open(path, 'wb') as file:
                file.write(data)
            print(f'{name:16} {len(golden.tensors):4} tensors {len(data):8} bytes')
    sys.exit(failed)


if __name__ == '__main__':
    main()
