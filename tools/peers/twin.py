#!/usr/bin/env python3
"""A MUSIC run in PyTorch: the twin of one of ours.

    music_train --preset cifar10-cpu ... --print-config > config.toml
    twin.py config.toml --out RUN [--set optim.base_lr=0.1 ...]

Written from the paper (eq. 2 to 5) and docs/numerics.md. The configuration is
that of a run of ours, the images are those that data.limit and the seed choose
there, the network is torchvision's ResNet with PyTorch's initialisation, the
views are torchvision's transforms on PIL images. The data's order and every
other random number are PyTorch's own, unless --views ours: then order and views
are those of music_train --augment.mode exact, to the byte.

RUN gets what a run of ours has: config.toml, metrics.jsonl under the same keys,
eval/knn_during_training.jsonl every train.knn_every epochs (all training images
vote), and encoder.safetensors, which music_knn scores too. CIFAR-10 in its binary
version, on the CPU, in fp32; a setting that is not here is refused.
"""
import argparse
import json
import math
import os
import pathlib
import sys
import time
import tomllib

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
import torchvision.transforms as T
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import InterpolationMode

import our_draws
from step_peer import Encoder, Lars, make_projector


# ---- configuration and data ------------------------------------------------

def read_config(path, changes=()):
    config = tomllib.loads(pathlib.Path(path).read_text())
    for change in changes:
        key, value = change.split('=', 1)
        section, name = key.split('.')
        if name not in config.get(section, {}):
            sys.exit(f'{path} has no {key}')
        try:
            config[section][name] = tomllib.loads('v = ' + value)['v']
        except tomllib.TOMLDecodeError:
            config[section][name] = value
    require_known(config)
    return config


def require_known(config):
    """What the twin has not, it does not leave out silently."""
    known = {'method.name': ['music'], 'loss.blocks': [[]],
             'loss.norm': ['eq5', 'eq3'],
             'loss.invariance': ['inner', 'eq4', 'xent', 'none'],
             'optim.kind': ['sgd', 'lars'],
             'optim.schedule': ['cosine', 'epoch_cosine'],
             'data.format': ['auto', 'cifar10'], 'data.labels': [''],
             'data.holdout': [0], 'data.eval_train': [''], 'data.eval_test': [''],
             'model.init': ['pytorch', 'kaiming'], 'model.weights': [''],
             'augment.size': [32],
             'train.micro_batch': [0, config['train']['batch']],
             'train.device': ['auto', 'cpu'], 'train.precision': ['auto', 'fp32']}
    if config['optim']['kind'] == 'lars':
        known |= {'optim.lr_1d': [1], 'optim.decay_1d': [False],
                  'optim.nesterov': [False]}
    for key, values in known.items():
        section, name = key.split('.')
        if config[section][name] not in values:
            sys.exit(f'{key} is {config[section][name]!r}, the twin has '
                     f'{" or ".join(repr(v) for v in values)}')


def read_cifar(folder, names):
    """uint8 [n,32,32,3], labels."""
    records = np.concatenate([np.fromfile(f'{folder}/{name}', np.uint8)
                              for name in names]).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), records[:, 0].astype(np.int64)


class Data:
    def __init__(self, config):
        folder = config['data']['path']
        self.bank, self.bank_labels = read_cifar(
            folder, [f'data_batch_{i}.bin' for i in range(1, 6)])
        self.test, self.test_labels = read_cifar(folder, ['test_batch.bin'])
        self.images = self.bank[our_draws.chosen(
            len(self.bank), config['data']['limit'], config['train']['seed'])]


# ---- views -----------------------------------------------------------------

class PillowBlur:
    def __init__(self, p, sigmas):
        self.p, self.sigmas = p, sigmas

    def __call__(self, image):
        draws = torch.rand(2).tolist()
        if draws[0] >= self.p:
            return image
        low, high = self.sigmas
        return image.filter(
            ImageFilter.GaussianBlur(radius=low + (high - low) * draws[1]))


def mode_of(spec):
    return InterpolationMode(spec['interpolation'])


def make_transform(spec, view):
    jitter = T.ColorJitter(*(spec[k] for k in
                             ('brightness', 'contrast', 'saturation', 'hue')))
    stack = [T.RandomResizedCrop(spec['size'], spec['scale'], spec['ratio'],
                                 mode_of(spec)),
             T.RandomHorizontalFlip(spec['flip']),
             T.RandomApply([jitter], spec['jitter']),
             T.RandomGrayscale(spec['grayscale'])]
    if spec['blur'][view] > 0:
        stack.append(PillowBlur(spec['blur'][view], spec['blur_sigma']))
    if spec['solarize'][view] > 0:
        stack.append(T.RandomSolarize(128, spec['solarize'][view]))
    return T.Compose(stack)


class Batches(torch.utils.data.Dataset):
    """Item (epoch, k): both views of its k-th batch, uint8 [2,n,32,32,3]. The last
    batch of an epoch may be short, as in ours."""

    def __init__(self, images, config, ours):
        self.images = images
        self.batch, self.seed = config['train']['batch'], config['train']['seed']
        self.spec, self.ours = config['augment'], ours
        self.transforms = [make_transform(self.spec, view) for view in (0, 1)]
        self.order_of = None, None

    def per_epoch(self):
        return -(-len(self.images) // self.batch)

    def order(self, epoch):
        if self.order_of[0] != epoch:
            n = len(self.images)
            self.order_of = epoch, (
                our_draws.permutation(n, self.seed, epoch) if self.ours else
                np.random.default_rng((self.seed, epoch)).permutation(n))
        return self.order_of[1]

    def __getitem__(self, at):
        epoch, k = at
        samples = self.order(epoch)[k * self.batch:(k + 1) * self.batch]
        images = [Image.fromarray(self.images[i]) for i in samples]
        if self.ours:
            views = [our_draws.make_views(images, samples, self.spec, self.seed,
                                          epoch, view, mode_of(self.spec))
                     for view in (0, 1)]
        else:
            views = [np.stack([np.asarray(make(i)) for i in images])
                     for make in self.transforms]
        return torch.from_numpy(np.stack(views))


def to_input(pixels, spec):
    """uint8 [n,32,32,3] to the network's input."""
    mean, std = (torch.tensor(spec[key]) for key in ('mean', 'std'))
    return ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)


# ---- loss ------------------------------------------------------------------

def segment_sizes(config):
    units = int(config['model']['projector'].split('-')[-1])
    size = config['loss']['segment']
    return config['loss']['segments'] or [size] * (units // size)


def music_loss(z1, z2, sizes, spec):
    """de, oe, ti, total of the logits of two views, and the mean codes [2,D]."""
    count = len(sizes)
    q1, q2 = (torch.cat([F.softmax(part / spec['temperature'], dim=1)
                         for part in z.split(sizes, dim=1)], 1)
              .clamp(min=spec['clamp']) for z in (z1, z2))
    p = q1.t() @ q2 / len(z1)  # eq. 2
    entropy = torch.xlogy(p, p)
    owner = torch.repeat_interleave(torch.arange(count), torch.tensor(sizes))
    other = owner[:, None] != owner[None, :]
    if spec['norm'] == 'eq5':
        weights = 1 / count, 1 / (count * (count - 1)) if count > 1 else 0
    else:
        weights = 1 / count**2, 1 / count**2
    de = weights[0] * entropy.diagonal().sum()
    oe = weights[1] * entropy[other].sum()
    if spec['invariance'] == 'none':
        ti = torch.zeros_like(de)
    else:
        product = {'inner': q1 * q2, 'eq4': (q1 * q2).log(),
                   'xent': q1 * q2.log()}[spec['invariance']]
        sums = torch.stack([part.sum(1) for part in product.split(sizes, dim=1)], 1)
        ti = -(sums.log() if spec['invariance'] == 'inner' else sums).mean()
    total = spec['de'] * de + spec['oe'] * oe + spec['ti'] * ti
    return de, oe, ti, total, torch.stack([q1, q2]).mean(1).detach()


def gauges(mean_q, sizes, spec, ti, n):
    """What metrics.jsonl says of segments of one size beside the terms."""
    size, count = sizes[0], len(sizes)
    weights = (1, 1) if spec['norm'] == 'eq5' else (1 / count, 1 - 1 / count)
    log = math.log(size)
    q = mean_q.double().view(2, count, size)
    q = q / q.sum(2, keepdim=True)
    usage = -torch.xlogy(q, q).sum(2).mean(0) / log
    dead = (mean_q < 0.05 / size).all(0).sum().item()
    return {'uniform_de': -weights[0] * 2 * log / size,
            'uniform_oe': -weights[1] * 2 * log, 'uniform_ti': log,
            'best_de': -weights[0] * log, 'best_oe': -weights[1] * 2 * log,
            'oe_floor': -weights[1] * math.log(min(n, size**2)),
            'usage_entropy': usage.mean().item(),
            'usage_entropy_min': usage.min().item(), 'agreement': math.exp(-ti),
            'dead_units': dead}


# ---- model and optimiser ---------------------------------------------------

def make_model(config):
    spec = config['model']
    net = Encoder(spec['arch'], spec['width'], spec['stem'])
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and spec['init'] == 'kaiming':
            nn.init.kaiming_normal_(module.weight, mode='fan_out',
                                    nonlinearity='relu')
        last = getattr(module, 'bn3', getattr(module, 'bn2', None))
        if last is not None and spec['zero_init_residual']:
            nn.init.zeros_(last.weight)
    return nn.ModuleDict({'backbone': net, 'projector':
                          make_projector(net.features, spec['projector'])})


def make_optimizer(model, spec):
    params = list(model.parameters())
    if spec['kind'] == 'lars':
        return Lars(params, 0.0, spec['momentum'], spec['weight_decay'], spec['eta'])
    groups = [{'params': [p for p in params if p.ndim > 1], 'share': 1.0},
              {'params': [p for p in params if p.ndim == 1], 'share': spec['lr_1d'],
               'weight_decay': spec['weight_decay'] if spec['decay_1d'] else 0.0}]
    return torch.optim.SGD(groups, lr=0.0, momentum=spec['momentum'],
                           weight_decay=spec['weight_decay'],
                           nesterov=spec['nesterov'])


def rate_at(step, spec, batch, per_epoch, epochs):
    """Linear from 0 over the warm-up, then half a cosine to the last rate."""
    peak = spec['base_lr'] * batch / 256
    last = (spec['final_absolute'] if spec['final_absolute'] >= 0
            else spec['final_ratio'] * peak)
    warmup = round(spec['warmup_epochs'] * per_epoch)
    if step < warmup:
        return peak * step / warmup
    if spec['schedule'] == 'epoch_cosine':
        step = max(step // per_epoch * per_epoch, warmup)
    span = epochs * per_epoch - warmup
    done = min((step - warmup) / span, 1.0) if span > 0 else 1.0
    share = 0.5 * (1 + math.cos(math.pi * done))
    return peak * share + last * (1 - share)


# ---- 20-NN -----------------------------------------------------------------

@torch.no_grad()
def features(net, images, spec):
    net.eval()
    rows = [net(to_input(torch.from_numpy(part), spec))
            for part in np.array_split(images, -(-len(images) // 500))]
    net.train()
    return F.normalize(torch.cat(rows))


def knn(bank, bank_labels, test, test_labels, ks=(20, 200), temperature=0.07):
    """Top-1 in percent for each k: votes exp(cosine similarity / T)."""
    right = dict.fromkeys(k for k in ks if k <= len(bank))
    right = {k: 0 for k in right} or {1: 0}
    bank_labels = torch.from_numpy(bank_labels)
    for part, truth in zip(test.split(1000),
                           torch.from_numpy(test_labels).split(1000)):
        similarity, rows = (part @ bank.t()).topk(max(right))
        votes = (similarity.double() / temperature).exp()
        labels = bank_labels[rows]
        for k in right:
            by_class = torch.zeros(len(part), 10, dtype=torch.float64)
            by_class.scatter_add_(1, labels[:, :k], votes[:, :k])
            right[k] += (by_class.argmax(1) == truth).sum().item()
    return {f'knn{k}': 100 * hits / len(test) for k, hits in right.items()}


# ---- the run ---------------------------------------------------------------

class Run:
    def __init__(self, config, data, ours=False, workers=0,
                 layout=torch.channels_last):
        self.config, self.data = config, data
        self.train = config['train']
        torch.manual_seed(self.train['seed'])
        self.model = make_model(config).to(memory_format=layout)
        self.layout = layout
        self.optimizer = make_optimizer(self.model, config['optim'])
        self.batches = Batches(data.images, config, ours)
        self.per_epoch = self.batches.per_epoch()
        self.total = self.train['epochs'] * self.per_epoch
        self.loader = torch.utils.data.DataLoader(
            self.batches, batch_size=None, num_workers=workers,
            sampler=[divmod(step, self.per_epoch) for step in range(self.total)])
        self.sizes = segment_sizes(config)

    def step(self, views, rate):
        """Terms, total and mean codes of one step of training."""
        for group in self.optimizer.param_groups:
            group['lr'] = rate * group.get('share', 1.0)
        net, projector = self.model['backbone'], self.model['projector']
        # A view at a time: batch norm takes each one's own statistics.
        z = [projector(net(to_input(view, self.config['augment']).contiguous(
            memory_format=self.layout))) for view in views]
        out = music_loss(*z, self.sizes, self.config['loss'])
        self.optimizer.zero_grad()
        out[3].backward()
        self.optimizer.step()
        return out

    def steps(self):
        """A line of metrics.jsonl for each step, made as it is asked for."""
        begin = last = time.perf_counter()
        for step, views in enumerate(self.loader):
            waited = time.perf_counter() - last
            rate = rate_at(step, self.config['optim'], self.train['batch'],
                           self.per_epoch, self.train['epochs'])
            de, oe, ti, total, mean_q = self.step(views, rate)
            now = time.perf_counter()
            line = {'epoch': step // self.per_epoch, 'step': step,
                    'loss': total.item(), 'time': now - begin, 'lr': rate,
                    'loss_de': de.item(), 'loss_oe': oe.item(), 'loss_ti': ti.item()}
            if len(set(self.sizes)) == 1:
                line |= gauges(mean_q, self.sizes, self.config['loss'], ti.item(),
                               views.shape[1])
            line |= {'images_per_s': views.shape[1] / (now - last),
                     'data_wait': waited / (now - last)}
            yield line
            last = time.perf_counter()

    def knn(self):
        net, spec = self.model['backbone'], self.config['augment']
        return knn(features(net, self.data.bank, spec), self.data.bank_labels,
                   features(net, self.data.test, spec), self.data.test_labels)

    def save_encoder(self, path):
        spec, pixels = self.config['model'], self.config['augment']
        save_file({key: value.contiguous() for key, value in
                   self.model['backbone'].state_dict().items()
                   if not key.endswith('num_batches_tracked')}, path,
                  {'format': 'pt', 'resnet_depth': spec['arch'][6:],
                   'resnet_width': str(spec['width']), 'resnet_stem': spec['stem'],
                   'image_size': str(pixels['size']),
                   'pixel_mean': ','.join(map(str, pixels['mean'])),
                   'pixel_std': ','.join(map(str, pixels['std']))})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help="config.toml of a run, or --print-config's text")
    parser.add_argument('--out', required=True, help='a new folder')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        help='instead of what the file says; may be repeated')
    parser.add_argument('--views', default='torchvision',
                        choices=['torchvision', 'ours'])
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--workers', type=int, default=0,
                        help='processes that make views')
    parser.add_argument('--steps', type=int, help='stop after so many')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = read_config(args.config, args.set)
    out = pathlib.Path(args.out)
    try:
        (out / 'eval').mkdir(parents=True)
    except FileExistsError:
        sys.exit(f'{out} is there already, expected a new folder')
    (out / 'config.toml').write_text(pathlib.Path(args.config).read_text() + ''.join(
        f'# twin.py --set {change}\n' for change in args.set))
    run = Run(config, Data(config), args.views == 'ours', args.workers)
    every = config['train']['knn_every'] * run.per_epoch
    with open(out / 'metrics.jsonl', 'w', buffering=1) as metrics:
        metrics.write(json.dumps({
            'argv': ' '.join(sys.argv), 'torch': torch.__version__,
            'torchvision': torchvision.__version__, 'views': args.views}) + '\n')
        for line in run.steps():
            metrics.write(json.dumps(line) + '\n')
            done = line['step'] + 1
            if done % run.per_epoch == 0:
                print(f'epoch {line["epoch"] + 1}, {line["time"]:.0f} s: loss '
                      f'{line["loss"]:.3f}', flush=True)
            if every > 0 and (done % every == 0 or done == run.total):
                scores = {'epoch': done // run.per_epoch, 'step': done, **run.knn()}
                with open(out / 'eval/knn_during_training.jsonl', 'a') as scored:
                    scored.write(json.dumps(scores) + '\n')
                print(scores, flush=True)
            if done == args.steps:
                break
    run.save_encoder(out / 'encoder.safetensors')
    print(f'{time.process_time():.0f} s of one core', flush=True)


if __name__ == '__main__':
    main()
