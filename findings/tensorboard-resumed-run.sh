#!/usr/bin/env bash
# TensorBoard 2.21.0 with tensorboard-data-server 0.7.2 (PyPI), Python 3.11 or later.
# Seen 2026-11-28: three readers of one folder show a different number of points of
# a run that was resumed. Steps 0 to 100 stand in one file, 80 to 120 in a second
# one, which may begin with SessionLog START: 121 different steps. Points of
# EventAccumulator, the page's slow loader (--load_fast=false) and its fast one:
#   START, names in order of time     121 142 121
#   START, names in the other order   142 142 101
#   no START, in order of time        142 142 121
#   no START, in the other order      142 142 101
# The slow loader drops nothing, the fast one drops by the order of steps and
# heeds no START, and files are read by name: where the clock of the machine that
# goes on is behind, the fast loader loses the steps after the interruption.
# Way out: no step in two files, and names that sort as the steps do; music_train
# cuts off what is done again, and tools/peers/check_tensorboard.py checks it.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || {
  echo "no Python 3.11 here"
  exit 77
}
{
  "$python" -m venv "$work/venv" &&
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      tensorboard==2.21.0 tensorboard-data-server==0.7.2
} > "$work/log" 2>&1 || {
  echo "tensorboard 2.21.0 is not to be had here: $(tail -1 "$work/log")"
  exit 77
}
"$work/venv/bin/python" - "$work" 2> "$work/log" << 'P' || { tail -3 "$work/log"; exit 1; }
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def write(path, first, last, start):
    with open(path, 'wb') as file:
        out = RecordWriter(file)
        out.write(Event(wall_time=1, file_version='brain.Event:2').SerializeToString())
        if start:
            log = SessionLog(status=SessionLog.START)
            out.write(Event(wall_time=1, step=first, session_log=log).SerializeToString())
        for step in range(first, last + 1):
            value = Summary.Value(tag='loss', simple_value=step)
            out.write(Event(wall_time=1, step=step,
                            summary=Summary(value=[value])).SerializeToString())


def page(folder, fast):
    server = subprocess.Popen(
        [sys.executable, '-m', 'tensorboard.main', '--logdir', folder, '--port', '0',
         f'--load_fast={fast}'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            if at := re.search(r'at (http://\S+?)/? ', line):
                break
        seen = None
        for _ in range(60):
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(
                        f'{at.group(1)}/data/plugin/scalars/scalars?run=.&tag=loss') as reply:
                    found = len(json.load(reply))
            except urllib.error.HTTPError:  # not loaded yet
                continue
            if found and found == seen:
                return found
            seen = found
        return -1
    finally:
        server.terminate()
        server.wait()


found = []
for start in (True, False):
    for names in ('12', '21'):
        folder = Path(sys.argv[1]) / f'{start}{names}'
        folder.mkdir()
        write(folder / f'events.out.tfevents.000000000{names[0]}.host', 0, 100, False)
        write(folder / f'events.out.tfevents.000000000{names[1]}.host', 80, 120, start)
        reader = EventAccumulator(str(folder))
        reader.Reload()
        found.append((len(reader.Scalars('loss')), page(str(folder), 'false'),
                      page(str(folder), 'true')))
        print('START' if start else 'no START',
              'in order of time' if names == '12' else 'in the other order', *found[-1])
if found != [(121, 142, 121), (142, 142, 101), (142, 142, 121), (142, 142, 101)]:
    sys.exit('these points have changed')
P
echo "as described"
