#!/usr/bin/env python3
"""Is twin.py the twin of ours?

    check_twin.py BUILD [--data CIFAR_FOLDER]

Its loss, gradients, schedule and optimisers are held to tests/golden. Then
music_train runs with --augment.mode exact, and the twin from the same weights on
the same views, SGD and LARS, with a short last batch: every term of every step,
the weights, the running statistics, the encoder's file and the 20-NN score must be
the same. Without --data the images are noise, smoothed, in files like CIFAR-10's.
Exit status 1 when anything differs.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import our_draws
import twin
from check_torchvision import read_safetensors

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / 'tests' / 'golden'
sys.path.insert(0, str(GOLDEN.parents[1] / 'tools'))
failures = 0


def check(what, error, bound):
    global failures
    good = error <= bound  # False for NaN
    failures += not good
    print(f'{"ok" if good else "FAILED"}: {what}: {error:.1e}, bound {bound:.0e}')


def distance(a, b):
    """Of b, relative."""
    return ((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-6)).item()


# ---- goldens ---------------------------------------------------------------

def check_loss():
    from make_goldens import INVARIANCES, NORMS, hashed
    torch.set_default_dtype(torch.float32)
    golden, _ = read_safetensors(GOLDEN / 'loss.safetensors')
    terms_error = gradient_error = 0.0
    for name in sorted({key.split('/')[0] for key in golden}):
        sizes = golden[name + '/segments'].tolist()
        options = golden[name + '/options'].tolist()
        spec = {'norm': NORMS[int(options[0])], 'invariance': INVARIANCES[int(options[1])],
                **dict(zip(('de', 'oe', 'ti', 'temperature', 'clamp'), options[2:7]))}
        shape = golden[name + '/dz1'].shape
        z1, z2 = (hashed(f'{name}/z{v}', tuple(shape), options[7]).float()
                  .requires_grad_() for v in (1, 2))
        *terms, _ = twin.music_loss(z1, z2, sizes, spec)
        terms[3].backward()
        for mine, expected in zip(terms, golden[name + '/terms']):
            scale = max(1.0, abs(expected.item()))
            terms_error = max(terms_error, abs(mine.item() - expected.item()) / scale)
        gradient_error = max(gradient_error, distance(
            torch.cat([z1.grad, z2.grad]),
            torch.cat([golden[name + '/dz1'], golden[name + '/dz2']])))
    check('terms and total of the loss goldens', terms_error, 1e-5)
    check('their gradients', gradient_error, 1e-5)


def check_schedule():
    golden, _ = read_safetensors(GOLDEN / 'schedule.safetensors')
    error = 0.0
    for name in sorted({key.split('/')[0] for key in golden}):
        base, batch, warmup, steps, epochs = golden[name + '/config'].tolist()
        spec = {'base_lr': base, 'warmup_epochs': warmup, 'final_ratio': 0.001,
                'final_absolute': -1, 'schedule': 'cosine'}
        for step, rate in zip(golden[name + '/steps'].tolist(),
                              golden[name + '/rates'].tolist()):
            mine = twin.rate_at(step, spec, batch, int(steps), int(epochs))
            error = max(error, abs(mine - rate) / base)
    check('rates of the schedule goldens', error, 1e-12)


def check_knn():
    """As tools/make_knn_goldens.py forms the features."""
    from make_goldens import hash32
    golden, _ = read_safetensors(GOLDEN / 'knn.safetensors')
    train, test, width, classes = golden['shape'].tolist()

    def uniform(name, rows):
        n = hash32(name, np.arange(rows * width)).astype(np.float64)
        return (n / 2.0**32 - 0.5).reshape(rows, width)

    def rows_of(name, rows):
        labels = (hash32(name + '/labels', np.arange(rows)) %
                  np.uint64(classes)).astype(np.int64)
        values = 0.6 * uniform('knn/centres', classes)[labels] + uniform(name, rows)
        return F.normalize(torch.from_numpy(values)), labels

    bank, queries = rows_of('knn/train', train), rows_of('knn/test', test)
    error = 0.0
    for k in golden['k'].tolist():
        for t in golden['temperature'].tolist():
            right = golden[f'predicted/{k}/{t}'].numpy() == queries[1]
            mine = twin.knn(*bank, *queries, ks=(k,), temperature=t)[f'knn{k}']
            error = max(error, abs(mine - 100 * right.mean()))
    check('points of the kNN goldens', error, 1e-9)


# ---- what the twin draws by itself ------------------------------------------

def largest_step(a, b):
    """Kolmogorov's and Smirnov's distance of two samples, beside that which chance
    exceeds once in a thousand times."""
    both = np.sort(np.concatenate([a, b]))
    apart = np.abs(np.searchsorted(np.sort(a), both, 'right') / len(a) -
                   np.searchsorted(np.sort(b), both, 'right') / len(b)).max()
    return apart / (1.95 * np.sqrt(1 / len(a) + 1 / len(b)))


def check_views(spec):
    """torchvision's views of an image against those by our draws."""
    rng = np.random.default_rng(3)
    small = torch.from_numpy(rng.normal(size=(1, 3, 6, 6)) * 60 + 120)
    image = Image.fromarray(F.interpolate(small, (32, 32), mode='bicubic')[0].permute(
        1, 2, 0).clamp(0, 255).byte().numpy())
    count = 3000
    worst = 0.0
    for view in (0, 1):
        torch.manual_seed(view)
        make = twin.make_transform(spec, view)
        theirs = np.stack([np.asarray(make(image)) for _ in range(count)])
        mine = our_draws.make_views([image] * count, np.arange(count), spec, 0, 0, view,
                                    twin.mode_of(spec))
        for name, measure in {
                'mean': lambda v: v.mean((1, 2, 3)), 'red': lambda v: v[..., 0].mean((1, 2)),
                'blue': lambda v: v[..., 2].mean((1, 2)), 'contrast': lambda v: v.std((1, 2, 3)),
                'colour': lambda v: (v.max(3) - v.min(3)).mean((1, 2)),
                'left': lambda v: v[:, :, :16].mean((1, 2, 3)) - v[:, :, 16:].mean((1, 2, 3)),
                'top': lambda v: v[:, :16].mean((1, 2, 3)) - v[:, 16:].mean((1, 2, 3)),
                'edges': lambda v: np.abs(np.diff(v, axis=2)).mean((1, 2, 3))}.items():
            apart = largest_step(measure(mine.astype(np.float32)),
                                 measure(theirs.astype(np.float32)))
            if apart > 1:
                print(f'view {view}, {name}: {apart:.2f}')
            worst = max(worst, apart)
    check('views of torchvision, distance from ours in 16 respects, of chance\'s', worst, 1)


# ---- a run of ours, and the twin's -----------------------------------------

def write_images(folder):
    """Noise, smoothed so that crops of an image are alike, with a hue a class."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name, count in [(f'data_batch_{i}.bin', 20) for i in range(1, 6)] + [
            ('test_batch.bin', 50)]:
        labels = np.arange(count) % 10
        noise = torch.from_numpy(rng.normal(size=(count, 3, 8, 8)))
        hue = torch.from_numpy(np.random.default_rng(1).normal(size=(10, 3)))[labels]
        pixels = F.interpolate(noise, (32, 32), mode='bilinear') * 50 + 128 + (
            40 * hue[:, :, None, None])
        records = np.concatenate([
            labels[:, None].astype(np.uint8),
            pixels.clamp(0, 255).byte().numpy().reshape(count, -1)], 1)
        records.tofile(folder / name)


def layout(value):
    """Convolutions of ours are [K,R,S,C]."""
    return value.permute(0, 3, 1, 2) if value.dim() == 4 else value


def momentum_of(run, p):
    state = run.optimizer.state[p]
    return 'mu' if isinstance(run.optimizer, twin.Lars) else 'momentum_buffer', state


@torch.no_grad()
def load(run, tensors):
    """A checkpoint of ours becomes the state of the twin."""
    for name, p in run.model.named_parameters():
        p.copy_(layout(tensors['value/' + name]))
        key, state = momentum_of(run, p)
        state[key] = layout(tensors['momentum/' + name]).clone(
            memory_format=torch.preserve_format)
    for name, b in run.model.named_buffers():
        if 'running' in name:
            b.copy_(tensors['buffer/' + name])


@torch.no_grad()
def state_errors(run, tensors, before):
    """Of momentum, change of the weights, running statistics: relative, over all
    tensors as one vector."""
    params = dict(run.model.named_parameters())
    running = {n: b for n, b in run.model.named_buffers() if 'running' in n}

    def all_of(values):
        return torch.cat([v.double().flatten() for v in values])

    def momentum(p):
        key, state = momentum_of(run, p)
        return state[key]

    return (distance(all_of(momentum(p) for p in params.values()),
                     all_of(layout(tensors['momentum/' + n]) for n in params)),
            distance(all_of(p - layout(before['value/' + n]) for n, p in params.items()),
                     all_of(layout(tensors['value/' + n] - before['value/' + n])
                            for n in params)),
            distance(all_of(running.values()),
                     all_of(tensors['buffer/' + n] for n in running)))


def beginning(after):
    """The state before the first step, whose rate is 0, of that behind it."""
    tensors = dict(after)
    for name in after:
        if name.startswith('momentum/') or name.endswith('running_mean'):
            tensors[name] = torch.zeros_like(after[name])
        elif name.endswith('running_var'):
            tensors[name] = torch.ones_like(after[name])
    return tensors


def check_initialisation(kind, run, tensors):
    """Of every tensor of 100 numbers or more."""
    worst = 0.0
    for name, p in run.model.named_parameters():
        value = tensors['value/' + name]
        if p.numel() >= 100 and p.std() > 0:
            worst = max(worst, largest_step(p.detach().flatten().numpy(),
                                            value.flatten().numpy()))
        elif p.std() == 0:
            worst = max(worst, 2.0 * (value != p).any().item())
    check(f'{kind}: initial values, distance from ours, of chance\'s', worst, 1.2)


def compare(build, data, work, kind, flags):
    out = work / kind
    subprocess.run([
        build / 'music_train', '--preset', 'cifar10-cpu', '--data', data,
        '--augment.mode', 'exact', '--checkpoint-every', '1', '--train.keep', '1000',
        '--knn-every', '1', '--train.progress', 'none', '--train.log_level', 'warn',
        '--out', out, *flags], check=True)
    config = twin.read_config(out / 'config.toml')
    # Channels first: PyTorch's gradients are then six times nearer to fp64's.
    run = twin.Run(config, twin.Data(config), ours=True,
                   layout=torch.contiguous_format)
    states = [read_safetensors(path)[0] for path in
              sorted(out.glob('ckpt/step_*/rank-0000.safetensors'))]
    states.insert(0, beginning(states[0]))
    check_initialisation(kind, run, states[0])
    check_views(config['augment'])
    ours = [json.loads(line) for line in open(out / 'metrics.jsonl')][1:]
    scores = {s['epoch']: s for s in map(
        json.loads, open(out / 'eval/knn_during_training.jsonl'))}
    terms = others = points = 0.0
    states_off = []
    lines = run.steps()
    for expected, before, after in zip(ours, states[:-1], states[1:], strict=True):
        load(run, before)
        line = next(lines)
        for key, value in line.items():
            error = abs(value - expected[key]) / max(1.0, abs(expected[key]))
            if key.startswith('loss'):
                terms = max(terms, error)
            elif key not in ('time', 'images_per_s', 'data_wait'):
                others = max(others, error)
        states_off.append(state_errors(run, after, before))
        if (line['step'] + 1) % run.per_epoch == 0:
            load(run, after)
            mine = run.knn()
            points = max(points, *(abs(mine[key] - scores[line['epoch'] + 1][key])
                                   for key in mine))
    count = f'{kind}, each of {len(ours)} steps: '
    check(count + 'terms of the loss', terms, 1e-5)
    check(count + 'rates and what else metrics.jsonl has', others, 1e-5)
    momentum, change, running = zip(*states_off)
    change = change[1:]  # the first step, at the rate 0, changes nothing
    # An activation within rounding of its ReLU's kink moves a gradient by some
    # 1e-2 in networks this small, on either side.
    for what, errors in (('momentum', momentum), ('change of the weights', change)):
        check(f'{count}{what}, median', statistics.median(errors), 1e-4)
        check(f'{count}{what}, worst', max(errors), 5e-2)
    check(count + 'running statistics', max(running), 1e-5)
    one_image = 100 / len(run.data.test)
    check(f'{kind}, each epoch: kNN scores, points', points, 1.5 * one_image)
    run.save_encoder(work / f'{kind}.safetensors')
    scored = json.loads(subprocess.run(
        [build / 'music_knn', work / f'{kind}.safetensors', '--data', data, '--json',
         '--k', '20', '--random-bank', '0', '--progress', 'none'],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    check(f'{kind}: music_knn on the file of the twin, points', abs(
        scored['scores'][0]['value'] - run.knn()['knn20']), 1.5 * one_image)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('build', type=pathlib.Path)
    parser.add_argument('--data', type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    check_loss()
    check_schedule()
    check_knn()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        if args.data:
            flags = ['--data.limit', '1056', '--epochs', '2']
        else:
            write_images(work / 'cifar-10-batches-bin')
            flags = ['--model.width', '4', '--mlp', '48-32', '--loss.segment', '8',
                     '--batch', '16', '--epochs', '3', '--data.limit', '40']
        data = args.data or work / 'cifar-10-batches-bin'
        compare(args.build, data, work, 'sgd', flags)
        compare(args.build, data, work, 'lars', [
            *flags, '--optim.kind', 'lars', '--optim.decay_1d', 'false', '--base-lr',
            '0.6', '--model.init', 'kaiming', '--augment.interpolation', 'bicubic',
            '--augment.blur', '1,0.1', '--augment.solarize', '0,0.2', '--seed', '1'])
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
