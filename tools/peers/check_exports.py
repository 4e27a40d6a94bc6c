#!/usr/bin/env python3
"""Loads what music_export wrote in the programs it was written for.

    check_exports.py BUILD_DIR RUN [--work DIR]

RUN is a run directory of music_train. Each format is written, loaded strictly and
run on the same images; prints a line a check, exits 1 when one fails. Needs PyTorch,
torchvision and safetensors; checks of ONNX say skipped without onnxruntime or cv2.
"""
import argparse
import os
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from check_torchvision import build

failures = 0


def check(name, good, note=''):
    global failures
    failures += not good
    print(f"{'ok' if good else 'FAILED'}: {name} {note}")


def close(name, a, b, tolerance):
    """Largest difference relative to the largest value of b."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    good = a.shape == b.shape
    error = np.abs(a - b).max() / np.abs(b).max() if good else np.inf
    check(name, good and error <= tolerance, f'error {error:.2e}, at most {tolerance:g}')


def resnet(metadata):
    net, _ = build(metadata, argparse.Namespace(depth=None, width=None, stem=None))
    net.fc = torch.nn.Identity()
    return net.eval()


def sequential(tensors):
    """The projector a file holds, by its names."""
    layers, last = [], max(int(k.split('.')[0]) for k in tensors)
    for i in range(last + 1):
        weight = tensors.get(f'{i}.weight')
        if f'{i}.running_mean' in tensors:
            layers.append(torch.nn.BatchNorm1d(len(tensors[f'{i}.running_mean'])))
        elif weight is not None:
            layers.append(torch.nn.Linear(weight.shape[1], weight.shape[0], bias=f'{i}.bias' in tensors))
        else:
            layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers).eval()


# detectron2's converter: each rule as it is stated there, in its order.
def d2_name(key):
    if 'layer' not in key:
        key = 'stem.' + key
    for t in (1, 2, 3, 4):
        key = key.replace(f'layer{t}', f'res{t + 1}')
    for t in (1, 2, 3):
        key = key.replace(f'bn{t}', f'conv{t}.norm')
    return key.replace('downsample.0', 'shortcut').replace('downsample.1', 'shortcut.norm')


def small(build, work):
    """The files whose hashes tests/engine/zip_test.cpp holds, tensor by tensor."""
    folder = os.path.join(work, 'small')
    os.makedirs(folder, exist_ok=True)
    subprocess.run([os.path.join(build, 'test_weights'), '-ts=zip'], env={**os.environ, 'MUSIC_KEEP_FILES': folder},
                   stdout=subprocess.DEVNULL, check=True)
    expected = {'a.weight': np.array([[1, -2, 3.5], [0, 5, 6]], np.float32), 'd': np.array([0.1, -1e300]),
                'n': np.array(-7), 'u': np.array([[1], [2], [255]], np.uint8), 'none': np.zeros((0, 4), np.float32)}

    def same(found):
        found = {k: np.asarray(v) for k, v in found.items()}
        return list(found) == list(expected) and all(
            found[k].dtype == v.dtype and found[k].shape == v.shape and (found[k] == v).all()
            for k, v in expected.items())

    def wrapped(found):
        return same(found['model']) and found['by'] == 'x' and found['flag'] is True

    check('small.pth', same(torch.load(os.path.join(folder, 't.pth'), weights_only=True)))
    check('small.pth, wrapped', wrapped(torch.load(os.path.join(folder, 'm.pth'), weights_only=True)))
    with open(os.path.join(folder, 't.pkl'), 'rb') as f:
        check('small.pkl, wrapped', wrapped(pickle.load(f, encoding='latin1')))
    with np.load(os.path.join(folder, 't.npz')) as z:
        check('small.npz', same(dict(z)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('run')
    parser.add_argument('--work')
    args = parser.parse_args()
    work = args.work or tempfile.mkdtemp()
    program = os.path.join(args.build, 'music_export')

    if os.path.exists(os.path.join(args.build, 'test_weights')):
        small(args.build, work)

    def export(to, name, *flags):
        out = os.path.join(work, name)
        subprocess.run([program, args.run, '--to', to, '--out', out, *flags], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return out

    source = load_file(os.path.join(args.run, 'encoder.safetensors'))
    with safe_open(os.path.join(args.run, 'encoder.safetensors'), 'pt') as f:
        metadata = f.metadata()
    size = int(metadata['image_size'])
    mean, std = (np.array([float(v) for v in metadata[k].split(',')], np.float32).reshape(3, 1, 1)
                 for k in ('pixel_mean', 'pixel_std'))
    rgb = np.random.default_rng(0).integers(0, 256, (8, 3, size, size)).astype(np.float32)
    images = (rgb / 255 - mean) / std
    net = resnet(metadata)
    net.load_state_dict(source, strict=True)
    with torch.no_grad():
        features = net(torch.from_numpy(images)).numpy()

    def same(tensors):
        return tensors.keys() == source.keys() and all(
            torch.equal(torch.as_tensor(tensors[k]), source[k]) for k in source)

    check('safetensors: every bit', same(load_file(export('safetensors', 'e.safetensors'))))
    loaded = torch.load(export('pth', 'e.pth'), weights_only=True)
    check('pth: every bit by torch.load(weights_only=True)', same(loaded))
    check('pth: dtypes and strides', all(loaded[k].dtype == source[k].dtype and loaded[k].is_contiguous()
                                         for k in source))
    fresh = resnet(metadata)
    fresh.load_state_dict(loaded, strict=True)
    with torch.no_grad():
        close('pth: features, strict', fresh(torch.from_numpy(images)).numpy(), features, 1e-5)
    loaded = torch.load(os.path.join(work, 'e.pth'), weights_only=True, mmap=True)
    check('pth: mmap', same(loaded))
    with np.load(export('npz', 'e.npz')) as z:
        check('npz: every bit', same(dict(z)))
    with_fc = torch.load(export('pth', 'fc.pth', '--fc', 'zeros'), weights_only=True)
    net_fc = resnet(metadata)
    net_fc.fc = torch.nn.Linear(features.shape[1], 1000)
    net_fc.load_state_dict(with_fc, strict=True)
    with torch.no_grad():
        check('--fc zeros: strict, logits 0', float(net_fc(torch.from_numpy(images)).abs().max()) == 0)

    projector = load_file(os.path.join(args.run, 'projector.safetensors'))
    head = sequential(projector)
    head.load_state_dict(torch.load(export('pth', 'p.pth', '--part', 'projector'), weights_only=True), strict=True)
    with torch.no_grad():
        embedding = head(torch.from_numpy(features)).numpy()
    heads = torch.load(export('pth', 'h.pth', '--part', 'heads'), weights_only=True)
    check('heads: the projector is among them', all(torch.equal(heads['projector.' + k], v) for k, v in projector.items()))
    whole = load_file(export('safetensors', 'c.safetensors', '--part', 'codes'))
    check('codes: backbone. and projector.', {k for k in whole} == {'backbone.' + k for k in source} |
          {'projector.' + k for k in projector})
    with safe_open(os.path.join(work, 'c.safetensors'), 'pt') as f:
        segments = [int(v) for v in f.metadata()['segments'].split(',')]
    codes = np.stack([s.argmax(1) for s in np.split(embedding, np.cumsum(segments)[:-1], axis=1)], 1)

    if int(metadata['resnet_depth']) >= 50 and metadata['resnet_stem'] == 'imagenet':
        table = {d2_name(k): v for k, v in source.items() if 'num_batches' not in k}
        d2 = torch.load(export('detectron2', 'd2.pth'), weights_only=True)
        with open(export('detectron2', 'd2.pkl'), 'rb') as f:
            pkl = pickle.load(f, encoding='latin1')
        for name, file in (('pth', d2), ('pkl', pkl)):
            model = file['model']
            check(f'detectron2 .{name}: names of its converter, one by one', model.keys() == table.keys())
            check(f'detectron2 .{name}: every bit', all(torch.equal(torch.as_tensor(model[k]), v)
                                                         for k, v in table.items()))
            check(f'detectron2 .{name}: says what it is', file['matching_heuristics'] is True and
                  file['__author__'] != 'Caffe2')
        check('detectron2 .pkl: arrays are writable', all(v.flags.writeable for v in pkl['model'].values()))
        try:
            import yaml

            class Strict(yaml.SafeLoader):
                pass

            def no_twice(loader, node):
                keys = [k.value for k, _ in node.value]
                assert len(keys) == len(set(keys)), f'twice: {keys}'
                return yaml.SafeLoader.construct_mapping(loader, node, True)
            Strict.add_constructor('tag:yaml.org,2002:map', no_twice)
            with open(os.path.join(work, 'd2.yaml')) as f:
                config = yaml.load(f, Strict)
            check('detectron2 yaml: 1x, no key twice', config['SOLVER']['MAX_ITER'] == 90000 and
                  config['SOLVER']['BASE_LR'] == 0.1 and config['MODEL']['RESNETS']['STRIDE_IN_1X1'] is False)
        except ImportError:
            print('skipped: detectron2 yaml: no PyYAML')

    onnx_files = [(export('onnx', 'e.onnx', '--part', 'codes'), 'image', images),
                  (export('onnx', 'rgb.onnx', '--part', 'codes', '--input', 'rgb'), 'rgb', rgb)]
    plain = export('onnx', 'plain.onnx')
    try:
        import onnx
        for path, *_ in onnx_files:
            onnx.checker.check_model(path, full_check=True)
        check("onnx: the newer onnx's checker", True)
    except ImportError:
        print('skipped: checker: no onnx')
    try:
        import onnxruntime
        for path, name, pixels in onnx_files:
            session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
            for n in (8, 3):  # any batch
                f, e, c = session.run(['features', 'embedding', 'codes'], {name: pixels[:n]})
                close(f'onnx {name}, {n} images: features by ONNX Runtime', f, features[:n], 1e-4)
                close(f'onnx {name}, {n} images: embedding', e, embedding[:n], 1e-4)
                check(f'onnx {name}, {n} images: codes', np.mean(c == codes[:n]) > 0.99, f'{np.mean(c == codes[:n]):.4f} equal')
    except ImportError:
        print('skipped: no onnxruntime')
    try:
        import cv2
        read = cv2.dnn.readNetFromONNX(plain)
        read.setInput(images)
        close('onnx: features by OpenCV', read.forward(), features, 1e-4)
    except ImportError:
        print('skipped: no cv2')
    return failures > 0


if __name__ == '__main__':
    sys.exit(main())
