#!/usr/bin/env python3
"""Holds what TensorBoard shows of runs to their metrics.jsonl.

  check_tensorboard.py RUN...

Three readers of one folder go their own ways: EventAccumulator in Python, the
page with its slow loader (--load_fast=false) and with its fast one. Each must
give every step of loss/total once, in order, with metrics.jsonl's value, and
the same points of every other curve. Needs the package tensorboard
(pip install tensorboard; 2.21 was tried). Exit status 1: one differs.
"""
import json
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import importlib.metadata

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def accumulated(folder):
    """tag -> [(step, value)] as Python programs read it."""
    reader = EventAccumulator(str(folder), size_guidance={'scalars': 0})
    reader.Reload()
    return {tag: [(s.step, s.value) for s in reader.Scalars(tag)]
            for tag in reader.Tags()['scalars']}


def shown(folder, fast):
    """The same as the page gets it."""
    command = [sys.executable, '-m', 'tensorboard.main', '--logdir', str(folder), '--port', '0',
               '--samples_per_plugin', 'scalars=1000000', f'--load_fast={str(fast).lower()}']
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True)
    try:
        for line in server.stderr:
            if at := re.search(r'at (http://\S+)', line):
                break
        else:
            sys.exit('tensorboard did not start')
        base = at.group(1).rstrip('/')

        def get(what):
            with urllib.request.urlopen(f'{base}/data/plugin/scalars/{what}') as reply:
                return json.load(reply)

        seen = None
        for _ in range(60):  # it loads in the background: until nothing is new
            time.sleep(0.5)
            tags = get('tags')
            curves = {}
            for run, names in tags.items():
                for tag in names:
                    query = urllib.parse.urlencode({'run': run, 'tag': tag})
                    curves[tag] = [(int(s), v) for _, s, v in get(f'scalars?{query}')]
            if curves and curves == seen:
                return curves
            seen = curves
        sys.exit('tensorboard does not come to rest')
    finally:
        server.terminate()
        server.wait()


def as_float(value):
    return struct.unpack('f', struct.pack('f', value))[0]


def check(run):
    run = Path(run)
    wanted = []
    for line in (run / 'metrics.jsonl').read_text().splitlines()[1:]:
        line = json.loads(line)
        wanted.append((line['step'], as_float(line['loss'])))
    readers = {'EventAccumulator': accumulated(run / 'tb'),
               'the slow loader': shown(run / 'tb', False),
               'the fast loader': shown(run / 'tb', True)}
    good = True
    first = next(iter(readers.values()))
    for name, curves in readers.items():
        found = curves.get('loss/total', [])
        fine = found == wanted
        if not fine:
            odd = [i for i, (a, b) in enumerate(zip(found, wanted)) if a != b]
            where = f', first at {found[odd[0]]}, expected {wanted[odd[0]]}' if odd else ''
            print(f'{run}: {name}: {len(found)} points, expected {len(wanted)}{where}')
        for tag, points in sorted(curves.items()):
            steps = [step for step, _ in points]
            if steps != sorted(set(steps)):
                print(f'{run}: {name}: {tag}: steps repeat or go back')
                fine = False
            # A NaN is not equal to itself.
            if [repr(p) for p in points] != [repr(p) for p in first.get(tag, [])]:
                print(f'{run}: {name}: {tag}: {len(points)} points, EventAccumulator has '
                      f'{len(first.get(tag, []))}')
                fine = False
        good &= fine
    files = len(list((run / 'tb').glob('*tfevents*')))
    print(f'{run}: {len(wanted)} steps, {files} files, {len(first)} curves: '
          f'{"equal in all readers" if good else "NOT EQUAL"}')
    return good


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print('tensorboard', importlib.metadata.version('tensorboard'))
    sys.exit(0 if all([check(run) for run in sys.argv[1:]]) else 1)


if __name__ == '__main__':
    main()
