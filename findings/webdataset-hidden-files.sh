#!/usr/bin/env bash
# webdataset 1.0.2 (PyPI), with numpy 2.4.6 and Python 3.11 or later.
# Seen 2026-11-28: files that begin with a dot are passed over at the top of an
# archive, but not within a folder: the name "d/._a.jpg" is taken for the file
# "_a.jpg" of a sample "d/". macOS's tar writes such a file before each that has
# extended attributes, so every sample of such a folder is parted into its files:
# label and image are not in one sample, and nothing says so.
#   top:    [('a', cls, jpg), ('b', cls, jpg)]
#   folder: [('d/', _a.cls), ('d/a', cls), ('d/', _a.jpg), ('d/a', jpg), ...]
# Way out: COPYFILE_DISABLE=1 tar ..., or WebDataset(select_files=...); our reader
# passes such files over in any folder.
# Exit status: 0 still so, 1 it changed, 77 no such package here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || {
  echo "no Python 3.11 here"
  exit 77
}
"$python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --target "$work/packages" webdataset==1.0.2 numpy==2.4.6 braceexpand==0.1.7 PyYAML \
  > "$work/log" 2>&1 || {
  echo "webdataset 1.0.2 is not to be had here: $(tail -1 "$work/log")"
  exit 77
}
cd "$work"
PYTHONPATH=$work/packages "$python" - << 'P'
import importlib.metadata
import io
import sys
import tarfile
import warnings

import webdataset


def samples(folder):
    with tarfile.open('a.tar', 'w') as tar:
        for name in ('a.cls', 'a.jpg', 'b.cls', 'b.jpg'):
            for data, file in ((b'AppleDouble', '._' + name), (b'1', name)):
                member = tarfile.TarInfo(folder + file)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        return [(s['__key__'], *(k for k in s if not k.startswith('__')))
                for s in webdataset.WebDataset('a.tar', shardshuffle=False)]


top, inside = samples(''), samples('d/')
print('webdataset', importlib.metadata.version('webdataset'))
print('top:   ', top)
print('folder:', inside)
if top != [('a', 'cls', 'jpg'), ('b', 'cls', 'jpg')]:
    sys.exit(1)
if inside != [('d/', '_a.cls'), ('d/a', 'cls'), ('d/', '_a.jpg'), ('d/a', 'jpg'),
              ('d/', '_b.cls'), ('d/b', 'cls'), ('d/', '_b.jpg'), ('d/b', 'jpg')]:
    sys.exit(1)
P
echo "as described"
