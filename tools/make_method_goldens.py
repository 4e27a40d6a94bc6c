#!/usr/bin/env python3
"""Writes tests/golden/methods.safetensors: five training steps of every method.

    tools/make_method_goldens.py            write the file
    tools/make_method_goldens.py --check    recompute and compare with it
    tools/make_method_goldens.py --seeds    look for seeds

Numbers, names and requirements are those of make_goldens.py. The methods are
written after their papers and the authors' code, with what differs from them
stated in music/method/*.h. Of a case there are: loss, the total of each step;
and for grad (first step), change and target_change (of parameters and target,
over five steps) and buffers (at the end) the tensors in the order of their
names: <kind>_norm, their Euclidean norms, and <kind>, the elements of each, of
those with more than 32 the ones at 32 hashed positions.

A seed is taken when float32 keeps to float64 over all five steps.
"""
import argparse
import copy
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import make_goldens as base
from make_goldens import hash32, hashed, hashed_parameter

BATCH, SIZE, STEPS = 8, 12, 5
PICKED = 32
MEAN, STD = ([np.float32(x).item() for x in v]
             for v in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
TOTAL_STEPS = 10  # that knobs reckon with


# ---- inputs ----------------------------------------------------------------

def pixels(seed, step, views):
    """[views * n, 3, size, size], normalised; samples differ in brightness."""
    name, n = f'pixels{seed}/{step}', views * BATCH
    count = SIZE * SIZE * 3
    low = hash32(name + '/low', np.arange(n)) % np.uint64(120)
    span = np.uint64(8) + hash32(name + '/span', np.arange(n)) % np.uint64(128)
    noise = hash32(name, np.arange(n * count)).reshape(n, count)
    x = (low[:, None] + noise % span[:, None]).astype(np.float64)
    x = torch.from_numpy(x.reshape(n, SIZE, SIZE, 3)) / 255
    return ((x - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def unit_rows(name, rows, units):
    return F.normalize(hashed(name, (rows, units)), dim=1)


def fill(net, prefix=''):
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.requires_grad:
                p.copy_(hashed_parameter(prefix + name, tuple(p.shape)))
            else:
                p.zero_()  # a beta that is none
        for name, b in net.named_buffers():
            if 'running' in name:
                b.copy_(hashed(prefix + name, tuple(b.shape), 0.5,
                               1.0 if 'var' in name else 0.0))


# ---- networks --------------------------------------------------------------

FEATURES = 32


def encoder():
    return base.Encoder(18, 4, 'cifar')


def vicreg_head(*w, first=FEATURES):
    layers = []
    for a, b in zip((first, *w), w[:-1]):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(w[-2], w[-1], bias=False))


class GroupNorms:
    """Batch norms of a network by groups of samples: index tensors, that
    partition the rows. Running values are those of all rows."""

    def __init__(self, net, groups):
        for m in net.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.forward = lambda x, m=m: self.normalise(m, x, groups)

    @staticmethod
    def normalise(m, x, groups):
        with torch.no_grad():
            flat = x.transpose(0, 1).flatten(1)
            m.running_mean.mul_(0.9).add_(flat.mean(1), alpha=0.1)
            m.running_var.mul_(0.9).add_(flat.var(1), alpha=0.1)
        y = [F.batch_norm(x[g], None, None, m.weight, m.bias, training=True)
             for g in groups]
        return torch.cat(y)[torch.argsort(torch.cat(groups))]


# ---- methods ---------------------------------------------------------------
# A method has net (a ModuleDict, backbone first), may have target (another),
# and buffers; loss(x, step) gives a step's loss, after(step) what follows the
# optimiser's update of rates(step): of each top-level module.

class Method:
    optimizer, views = 'lars', 2
    grouped = None  # the module with a rate of its own: at 0 it stays as it is

    def __init__(self, seed, dtype, **heads):
        self.seed, self.dtype = seed, dtype
        self.net = nn.ModuleDict({'backbone': encoder(), **heads})
        fill(self.net)
        self.target, self.buffers = None, {}

    def finish(self):
        self.net.to(self.dtype)
        if self.target is not None:
            self.target.to(self.dtype)
        self.buffers = {k: v.to(self.dtype) for k, v in self.buffers.items()}
        return self

    def embed(self, x):
        return self.net['projector'](self.net['backbone'](x))

    def make_target(self, *modules):
        self.target = nn.ModuleDict({m: copy.deepcopy(self.net[m]) for m in modules})
        fill(self.target, 'target/')
        for p in self.target.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def embed_target(self, x):
        return self.target['projector'](self.target['backbone'](x))

    @torch.no_grad()
    def move_target(self, tau):
        for name, p in self.target.named_parameters():
            p.copy_(tau * p + (1 - tau) * self.net.get_parameter(name))

    def rates(self, step):
        rate = (0.0, 0.5, 1.0, 1.5, 2.0)[step]
        if self.optimizer == 'sgd':
            rate = (0.02, 0.04, 0.06, 0.08, 0.1)[step]
        return {m: rate for m in self.net}

    def after(self, step):
        pass


class Vicreg(Method):
    def __init__(self, *a):
        super().__init__(*a, projector=vicreg_head(24, 20, 28))

    def loss(self, x, step):
        return base.vicreg_loss(*(self.embed(v) for v in x.chunk(2)))[0]


class BarlowTwins(Method):
    def __init__(self, *a):
        super().__init__(*a, projector=nn.Sequential(
            nn.Linear(FEATURES, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU(),
            nn.Linear(24, 28, bias=False)))

    def loss(self, x, step):
        return base.barlow_twins_loss(*(self.embed(v) for v in x.chunk(2)))[0]


class SimClr(Method):
    def __init__(self, *a):
        last = nn.BatchNorm1d(16)
        last.bias.requires_grad_(False)
        super().__init__(*a, projector=nn.Sequential(
            nn.Linear(FEATURES, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU(),
            nn.Linear(24, 16, bias=False), last))

    def loss(self, x, step):
        z = F.normalize(self.embed(x), dim=1)  # both views in one batch norm
        scores = (z @ z.t() / 0.1).masked_fill(
            torch.eye(2 * BATCH, dtype=torch.bool), -math.inf)
        positive = (torch.arange(2 * BATCH) + BATCH) % (2 * BATCH)
        return F.cross_entropy(scores, positive, reduction='sum') / BATCH


class SimSiam(Method):
    optimizer, grouped = 'sgd', 'predictor'

    def __init__(self, *a):
        super().__init__(
            *a,
            projector=nn.Sequential(
                nn.Linear(FEATURES, 24, bias=False), nn.BatchNorm1d(24), nn.ReLU(),
                nn.Linear(24, 16, bias=False), nn.BatchNorm1d(16, affine=False)),
            predictor=nn.Sequential(
                nn.Linear(16, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(),
                nn.Linear(12, 16)))

    def loss(self, x, step):
        z = [self.embed(v) for v in x.chunk(2)]
        p = [self.net['predictor'](v) for v in z]
        return -(F.cosine_similarity(p[0], z[1].detach()).mean() +
                 F.cosine_similarity(p[1], z[0].detach()).mean()) / 2

    def rates(self, step):
        return {**super().rates(step), 'predictor': 0.1}


class Byol(Method):
    def __init__(self, *a):
        super().__init__(*a, projector=vicreg_head(24, 16),
                         predictor=vicreg_head(12, 16, first=16))
        self.make_target('backbone', 'projector', 'predictor')

    def loss(self, x, step):
        a, b = x.chunk(2)
        p = [F.normalize(self.net['predictor'](self.embed(v)), dim=1) for v in (a, b)]
        t = [F.normalize(self.embed_target(v), dim=1) for v in (a, b)]
        return ((p[0] - t[1])**2 + (p[1] - t[0])**2).sum(1).mean()

    def after(self, step):
        self.move_target(1 - (1 - 0.9) * (1 + math.cos(math.pi * step / TOTAL_STEPS)) / 2)


class MocoV2(Method):
    optimizer = 'sgd'
    group, symmetric = 0, False

    def __init__(self, *a):
        super().__init__(*a, projector=nn.Sequential(
            nn.Linear(FEATURES, 24), nn.ReLU(), nn.Linear(24, 16)))
        self.make_target('backbone', 'projector')
        if self.group:
            i, count = torch.arange(BATCH), BATCH // self.group
            GroupNorms(self.net, [i[i % count == g] for g in range(count)])
            GroupNorms(self.target, list(i.split(self.group)))
        self.buffers = {'queue.keys': unit_rows('queue.keys', 32, 16),
                        'queue.position': torch.tensor([0.0])}

    def loss(self, x, step):
        a, b = x.chunk(2)
        queue = self.buffers['queue.keys'].clone()
        losses, self.keys = [], []
        for query, key in ((a, b), (b, a)) if self.symmetric else ((a, b),):
            q = F.normalize(self.embed(query), dim=1)
            k = F.normalize(self.embed_target(key), dim=1)
            scores = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.t()], dim=1)
            losses.append(F.cross_entropy(scores / 0.2, torch.zeros(BATCH, dtype=torch.long)))
            self.keys.append(k)
        return sum(losses) / len(losses)

    def after(self, step):
        keys = torch.cat(self.keys)
        at = int(self.buffers['queue.position'].item())
        self.buffers['queue.keys'][at:at + len(keys)] = keys
        self.buffers['queue.position'][0] = (at + len(keys)) % 32
        self.move_target(0.9)


class MocoV2Groups(MocoV2):
    group = 4


class MocoV2Symmetric(MocoV2):
    group, symmetric = 2, True


class Swav(Method):
    """A queue of 16 from the second of epochs of a step: one step without, two
    that fill it, two that use it. Prototypes rest for two steps."""
    queue, grouped = 16, 'prototypes'

    def __init__(self, *a):
        head = nn.Sequential(nn.Linear(FEATURES, 24), nn.BatchNorm1d(24), nn.ReLU(),
                             nn.Linear(24, 16))
        super().__init__(*a, projector=head, prototypes=nn.Linear(16, 10, bias=False))
        for v in (1, 2) if self.queue else ():
            self.buffers[f'queue.{v}.embeddings'] = torch.zeros(self.queue, 16)
            self.buffers[f'queue.{v}.position'] = torch.tensor([0.0])

    @staticmethod
    def codes(scores):
        q = torch.exp(scores / 0.05).t()
        q /= q.sum()
        for _ in range(3):
            q /= q.sum(1, keepdim=True) * q.shape[0]
            q /= q.sum(0, keepdim=True) * q.shape[1]
        return (q * q.shape[1]).t()

    def loss(self, x, step):
        weight = self.net['prototypes'].weight
        with torch.no_grad():
            weight.copy_(F.normalize(weight, dim=1))
        z = F.normalize(self.embed(x), dim=1)
        self.z = z.detach()
        scores = (z @ weight.t()).chunk(2)
        total = 0
        for v in (0, 1):
            with torch.no_grad():
                rows = scores[v].detach()
                if self.queue and step >= 1 + self.queue // BATCH:
                    kept = self.buffers[f'queue.{v + 1}.embeddings']
                    rows = torch.cat([rows, kept @ weight.t()])
                code = self.codes(rows)[:BATCH]
            total = total - (code * F.log_softmax(scores[1 - v] / 0.1, dim=1)).sum(1).mean()
        return total / 2

    def rates(self, step):
        rates = super().rates(step)
        return {**rates, 'prototypes': 0.0} if step < 2 else rates

    def after(self, step):
        if not self.queue or step < 1:
            return
        for v, rows in enumerate(self.z.chunk(2)):
            position = self.buffers[f'queue.{v + 1}.position']
            at = int(position.item())
            self.buffers[f'queue.{v + 1}.embeddings'][at:at + BATCH] = rows
            position[0] = (at + BATCH) % self.queue


class SwavPlain(Swav):
    queue = 0


class Supervised(Method):
    optimizer, views, frozen, grouped = 'sgd', 1, False, 'classifier'

    def __init__(self, *a):
        super().__init__(*a, classifier=nn.Linear(FEATURES, 7))
        if self.frozen:
            for p in self.net['backbone'].parameters():
                p.requires_grad_(False)
            self.net['backbone'].eval()

    def loss(self, x, step):
        labels = torch.from_numpy((hash32(f'labels{self.seed}/{step}', np.arange(BATCH)) %
                                   np.uint64(7)).astype(np.int64))
        return F.cross_entropy(self.net['classifier'](self.net['backbone'](x)), labels)

    def rates(self, step):
        rate = super().rates(step)['backbone']
        return {'backbone': rate * 0.5, 'classifier': rate * 2}


class SupervisedFrozen(Supervised):
    frozen = True


CASES = {  # name: method, seed
    'vicreg': (Vicreg, 0), 'barlow_twins': (BarlowTwins, 0), 'simclr': (SimClr, 0),
    'simsiam': (SimSiam, 0), 'byol': (Byol, 0), 'moco_v2': (MocoV2, 0),
    'moco_v2/groups': (MocoV2Groups, 0), 'moco_v2/symmetric': (MocoV2Symmetric, 0),
    'swav': (SwavPlain, 0), 'swav/queue': (Swav, 0),
    'supervised': (Supervised, 0), 'supervised/frozen': (SupervisedFrozen, 0)}


# ---- runs ------------------------------------------------------------------

class Optimizer:
    """LARS (eta 0.02, 1-D parameters at a hundredth of the rate) or momentum SGD,
    with a rate for each module."""

    def __init__(self, kind, net, grouped):
        self.kind, self.net, self.grouped = kind, net, grouped
        self.mu = {n: torch.zeros_like(p) for n, p in net.named_parameters()}

    @torch.no_grad()
    def step(self, rates):
        for name, p in self.net.named_parameters():
            module = name.split('.')[0]
            rate = rates[module]
            if not p.requires_grad or (rate == 0 and module == self.grouped):
                continue
            d = p.grad
            if self.kind == 'lars' and p.ndim == 1:
                rate *= 0.01
            if self.kind == 'sgd':
                d = d + 1e-4 * p
            elif p.ndim > 1:
                d = d + 1e-6 * p
                d = d * (0.02 * p.norm() / d.norm())
            self.mu[name].mul_(0.9).add_(d)
            p.sub_(rate * self.mu[name])


def run(make, seed, dtype=torch.float64):
    """{kind: {name: tensor}}"""
    m = make(seed, dtype).finish()
    params = dict(m.net.named_parameters())
    start = {n: p.detach().clone() for n, p in params.items()}
    optimizer = Optimizer(m.optimizer, m.net, m.grouped)
    out = {'loss': []}
    if m.target is not None:
        target = {n: p.clone() for n, p in m.target.named_parameters()}
    for step in range(STEPS):
        loss = m.loss(pixels(seed, step, m.views).to(dtype), step)
        m.net.zero_grad()
        loss.backward()
        if step == 0:
            out['grad'] = {n: p.grad.clone() for n, p in params.items() if p.requires_grad}
        optimizer.step(m.rates(step))
        m.after(step)
        out['loss'].append(loss.item())
    out['change'] = {n: p.detach() - start[n] for n, p in params.items()}
    if m.target is not None:
        out['target_change'] = {n: p - target[n] for n, p in m.target.named_parameters()}
    out['buffers'] = {**base.running_statistics(m.net), **m.buffers}
    return out


def picked(name, flat):
    if len(flat) <= PICKED:
        return flat
    return flat[hash32('samples/' + name, np.arange(PICKED)).astype(np.int64) % len(flat)]


def add(golden, case, result):
    golden.add(case + '/seed', np.asarray(CASES[case][1], np.int64))
    golden.add(case + '/loss', result['loss'], exact=True)
    for kind, tensors in result.items():
        if kind == 'loss':
            continue
        flat = {n: t.detach().numpy().reshape(-1) for n, t in sorted(tensors.items())}
        golden.add(f'{case}/{kind}_norm', [np.linalg.norm(v) for v in flat.values()],
                   exact=True)
        golden.add(f'{case}/{kind}', np.concatenate([picked(n, v) for n, v in flat.items()]))


def golden():
    out = base.Golden()
    for case, (make, seed) in CASES.items():
        add(out, case, run(make, seed))
    return out


def disagreement(make, seed):
    """Of float32 and float64: the worst tensor. Biases in front of a batch norm have
    no gradient but rounding."""
    exact, rough = run(make, seed), run(make, seed, torch.float32)
    worst = [0.0, '']
    for kind, tensors in exact.items():
        if kind == 'loss':
            continue
        for name, t in tensors.items():
            floor = 0.1 if t.norm() < 1e-6 else 0
            if 'change' in kind:  # a value of 1 is rounded to 6e-8
                floor = max(floor, 1e-3 * math.sqrt(t.numel()))
            error = (rough[kind][name].double() - t).norm().item()
            worst = max(worst, [error / max(t.norm().item(), floor), f'{kind} {name}'])
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--seeds', action='store_true')
    parser.add_argument('cases', nargs='*')
    args = parser.parse_args()
    if args.seeds:
        for case in args.cases or CASES:
            for seed in range(6):
                worst = disagreement(CASES[case][0], seed)
                print(case, seed, *worst, flush=True)
                if worst[0] < 6e-5:
                    break
        return
    path = os.path.join(base.OUT, 'methods.safetensors')
    fresh = golden()
    if args.check:
        worst = base.check('methods', fresh, path)
        print(f'methods worst difference {worst:.2e}')
        sys.exit(not worst < 1e-6)
    with open(path, 'wb') as file:
        file.write(fresh.encode())
    print(f'methods {len(fresh.tensors)} tensors {os.path.getsize(path)} bytes')


if __name__ == '__main__':
    main()
