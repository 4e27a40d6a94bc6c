#!/usr/bin/env bash
# music_atlas as a user runs it, on a tiny generated data set: files, search, page.
#   atlas_test.sh BUILD_DIR
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../eval/common.sh"
source "$here/../expect.sh"
atlas() {
  "$build/music_atlas" "$@" 2>"$work/log"
  local status=$?
  grep -Ev '^[0-9:]{8} info |^(codes|features|attributes|neighbours) ' "$work/log" >&2
  return $status
}
make_atlas() { atlas "$@" --progress none; }
search() { atlas --search "$@"; }
shape() { head -c 128 "$1" | tr -d '\0' | grep -ao "'shape': ([^)]*)" | sed 's/.*: //'; }

"$build/music_attributes" --out "$work/data" --train 48 --test 60 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
train() {
  "$build/music_train" --preset demo --data "$work/data/train" --augment.size 16 \
    --model.width 4 --mlp 32-24 --batch-size 16 --epochs 1 --progress none \
    --train.log_level error "$@" 2>/dev/null || { echo "training failed" >&2; exit 1; }
}
train --loss.segments 4,12,8 --out "$work/run"
train --method vicreg --out "$work/vicreg"
out=$work/run/atlas

# Files of the default place, their shapes, and what they say of each other.
make_atlas "$work/run" "$work/data" --split test --neighbours 3 --permutations 99 \
  --level 0.05 --attributes "$work/data/attributes.csv" >"$work/said" || fail "defaults"
grep -q '60 images, 3 segments' "$work/said" || fail "said: $(cat "$work/said")"
[[ ! -e $out.part && ! -e $out.old ]] || fail "parts are left"
[[ -z $(find "$out" -name '*tmp*') ]] || fail "temporaries are left"
[[ $(shape "$out/codes.npy") == "(60, 3)" ]] || fail "codes"
[[ $(shape "$out/postings.npy") == "(3, 60)" ]] || fail "postings"
[[ $(shape "$out/offsets.npy") == "(25,)" ]] || fail "offsets"
[[ $(shape "$out/soft_units.npy") == "(60, 3, 3)" ]] || fail "soft units"
[[ $(shape "$out/neighbours.npy") == "(3, 60, 3)" ]] || fail "neighbours"
(($(grep -c '"mean_confidence"' "$out/units.json") == 24)) || fail "units.json"
[[ -s $out/attributes.json ]] || fail "attributes.json"
for file in attributes.json index.html; do
  grep -q '48 of 108 rows in .* without an image' "$out/$file" || fail "no note in $file"
done
[[ -s $out/sheets/00000.jpg && ! -e $out/sheets/00001.jpg ]] || fail "sheets"
[[ -s $out/units/00002.jpg && ! -e $out/units/00003.jpg ]] || fail "sheets of units"
# The codes are those of music_features.
"$build/music_features" "$work/run" --data "$work/data" --split test --kind codes \
  --out "$work/codes" --progress none >/dev/null 2>&1
for file in codes.npy codes_packed.npy labels.npy files.txt; do
  cmp -s "$out/$file" "$work/codes/$file" || fail "$file is not music_features'"
done
if command -v python3 >/dev/null && python3 -c 'import numpy' 2>/dev/null; then
  python3 - "$out" <<'PY' || fail "files do not agree"
import json, sys
import numpy as np
out = sys.argv[1]
load = lambda name: np.load(f'{out}/{name}.npy')
codes, sizes = load('codes'), [4, 12, 8]
units = json.load(open(f'{out}/units.json'))
offsets, postings = load('offsets'), load('postings').ravel()
for unit in units:
    u = unit['global']
    images = np.flatnonzero(codes[:, unit['segment']] == unit['unit'])
    assert unit['count'] == len(images)
    assert (postings[offsets[u]:offsets[u + 1]] == images).all()
    assert len(unit['exemplars']) == 8 and unit['q'] == sorted(unit['q'], reverse=True)
near, scores = load('neighbours'), load('neighbour_scores')
agree = (codes[:, None] == codes[None]).sum(2)
np.fill_diagonal(agree, -1)
for i in range(len(codes)):
    best = sorted(range(len(codes)), key=lambda j: (-agree[i, j], j))[:3]
    assert list(near[0, i]) == best and (3 - scores[0, i] == agree[i, best]).all()
    assert i not in near[:, i]
soft, weights = load('soft_units').astype(int), load('soft_weights').astype(int)
assert (soft[:, :, 0] == codes).mean() > 0.99
for i in (0, 33):
    q = np.zeros((2, 3, 12))
    j = near[1, i, 0]
    for row, image in enumerate((i, j)):
        for s in range(3):
            for u, w in zip(soft[image, s], weights[image, s]):
                q[row, s, u] += w / 255
    assert abs((q[0] * q[1]).sum() - scores[1, i, 0]) < 1e-5
assert (np.diff(scores[2], axis=1) <= 0).all()
PY
else
  echo "[skipped] agreement of the files: no numpy"
fi

# Search: by number, by name, by the end of a name; conditions; JSON.
name=$(sed -n 8p "$out/files.txt")
search "$out" --like 7 --same 0 --different 1 --top 60 >"$work/found" || fail "search"
search "$out" --like "$name" --same 0 --different 1 --top 60 | cmp -s - "$work/found" ||
  fail "a name finds otherwise"
search "$out" --like "$(basename "$(dirname "$name")")/$(basename "$name")" --same 0 \
  --different 1 --top 60 | cmp -s - "$work/found" || fail "the end of a name"
search "$out" --like 7 --json >"$work/json" || fail "search --json"
grep -q '"distance":' "$work/json" || fail "no distance: $(cat "$work/json")"
search "$out" --like 7 --by soft --top 2 >"$work/found" || fail "soft"
(($(wc -l <"$work/found") == 2)) || fail "two soft matches"
search "$out" --unit 0:0,1:3 --no-unit 2:1 >"$work/found" || fail "units"
if command -v python3 >/dev/null; then
  python3 - "$work/json" "$out" <<'PY' || fail "search --json"
import json, sys
found = json.load(open(sys.argv[1]))
assert found['like']['image'] == 7 and len(found['matches']) == 20
distances = [m['distance'] for m in found['matches']]
assert distances == sorted(distances) and 7 not in [m['image'] for m in found['matches']]
PY
fi

# A second call replaces the whole, and a failed one leaves what was there.
touch "$out/stray"
make_atlas "$work/run" "$work/data" --split test --limit 20 --neighbours 0 --thumbnail 0 \
  --permutations 0 >/dev/null || fail "a second call"
[[ $(shape "$out/codes.npy") == "(20, 3)" ]] || fail "codes of the second call"
[[ ! -e $out/stray && ! -e $out/index.html && ! -e $out/neighbours.npy ]] ||
  fail "files of the first call are left"
cp -r "$work/data/test" "$work/damaged"
mapfile -t images < <(find "$work/damaged" -name '*.png' -o -name '*.jpg' | sort)
echo "no image" >"${images[5]}"
expect 3 'cannot be read' make_atlas "$work/run" "$work/damaged" --bad-images refuse
[[ $(shape "$out/codes.npy") == "(20, 3)" ]] || fail "a failed call changed the atlas"
make_atlas "$work/run" "$work/damaged" --out "$work/less" >/dev/null 2>&1 || fail "a bad image"
[[ $(shape "$work/less/codes.npy") == "(59, 3)" ]] || fail "codes of 59"
grep -qF "${images[5]}" "$work/less/left_out.txt" || fail "left_out.txt"

# A link to an atlas stays one.
ln -s shared "$work/link"
make_atlas "$work/run" "$work/data" --limit 12 --neighbours 0 --out "$work/shared" >/dev/null
make_atlas "$work/run" "$work/data" --limit 14 --neighbours 0 --out "$work/link" >/dev/null
[[ -L $work/link && $(shape "$work/shared/codes.npy") == "(14, 3)" ]] || fail "by a link"
rm -r "$work/link" "$work/shared"

# Two at once: one is told; a signal leaves nothing half written.
mkdir "$work/shared.part"
if command -v flock >/dev/null; then
  exec 9>"$work/shared.part/.lock"
  flock 9
  expect 2 'another program is writing .*shared' make_atlas "$work/run" "$work/data" --out "$work/shared"
  exec 9>&-
fi
make_atlas "$work/run" "$work/data" --limit 20 --out "$work/shared" >/dev/null || fail "after a lock"
[[ ! -e $work/shared.part && ! -e $work/shared/.lock ]] || fail "a lock is left"
for ((i = 0; i < 100; ++i)); do realpath "${images[@]}"; done >"$work/many.txt"
stopped() {
  "$build/music_atlas" "$work/run" "$work/many.txt" --out "$work/shared" --batch 2 \
    --progress none 2>"$work/log" &
  local pid=$!
  while [[ ! -e $work/shared.part ]] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
  kill -TERM $pid
  wait $pid
  local status=$?
  tail -1 "$work/log" >&2
  return $status
}
expect 143 'stopped by SIGTERM: nothing is written' stopped
[[ ! -e $work/shared.part ]] || fail "a signal left a part"
[[ $(shape "$work/shared/codes.npy") == "(20, 3)" ]] || fail "a signal changed the atlas"

# What cannot be done is one line.
expect 2 'expected music_atlas RUN DATA' make_atlas "$work/run"
expect 2 'expected music_atlas RUN DATA' make_atlas
mkdir "$work/empty"
expect 3 'empty' make_atlas "$work/empty" "$work/data"
cp -r "$work/run" "$work/headless"
rm "$work/headless/projector.safetensors"
expect 3 'projector' make_atlas "$work/headless" "$work/data" --split test
[[ ! -e $work/headless/atlas.part ]] || fail "a part of a failed call"
expect 2 'vicreg, whose embeddings have no segments' make_atlas "$work/vicreg" "$work/data"
make_atlas "$work/vicreg" "$work/data" --split test --segments 8 --permutations 0 \
  >/dev/null || fail "segments of another method"
expect 3 'no such file or folder' make_atlas "$work/run" "$work/nowhere"
expect 2 'is there and no atlas' make_atlas "$work/run" "$work/data" --out "$work/data"
[[ -d $work/data/test ]] || fail "the data are gone"
expect 2 'expected --out' make_atlas "$work/run/encoder.safetensors" "$work/data"
printf 'file,colour\nother.png,red\n' >"$work/table.csv"
expect 3 'table.csv' make_atlas "$work/run" "$work/data" --split test --attributes "$work/table.csv"
expect 2 'expected a run to write of, or an atlas' make_atlas "$work/run" --search "$out" --like 0
expect 3 'no atlas' search "$work/data" --like 0
expect 2 'expected --like or --unit' search "$out"
expect 2 'expected an image from 0 to 19' search "$out" --like 20
first=$(basename "$(head -1 "$out/files.txt")")
expect 2 'at least 0' make_atlas "$work/run" "$work/data" --limit -3
expect 2 '9 permutations show no p below 0.1, expected 99' make_atlas "$work/run" "$work/data" \
  --split test --permutations 9 --out "$work/x"
expect 3 'run/none' make_atlas "$work/run/none" "$work/data"
expect 2 "no such image .*did you mean" search "$out" --like "x$first"
expect 2 'segments from 0 to 2' search "$out" --like 0 --same 3
expect 2 'unit 4 of segment 0, expected 0 to 3' search "$out" --unit 0:4
expect 2 'expected SEGMENT:UNIT' search "$out" --unit 3-4
expect 2 'expected --by code' search "$out" --like 0 --by soft --same 1
mv "$work/data" "$work/moved"
expect 0 'not there any more' search "$out" --like 0
mv "$work/moved" "$work/data"
head -c 150 "$out/codes.npy" >"$work/short"
cp "$work/short" "$out/codes.npy"
expect 3 'codes.npy' search "$out" --like 0

# The page in a browser, with names that would be markup.
hostile="$work/hostile"
for class in '<script>alert(1)<' "\"'quote"; do
  mkdir -p "$hostile/$class"
  i=0
  for image in "${images[@]:10:20}"; do
    cp "$image" "$hostile/$class/<img src=x onerror=alert($((i++)))>.${image##*.}" ||
      fail "copy"
  done
done
make_atlas "$work/run" "$hostile" --out "$work/page" >/dev/null || fail "hostile names"
grep -q '<script>alert\|<img src=x' "$work/page/index.html" && fail "names are markup"
if command -v python3 >/dev/null; then
  PYTHONDONTWRITEBYTECODE=1 python3 "$here/atlas_browser.py" "$work/page"
  status=$?
  ((status == 77)) && echo "[skipped] the page: no chromium"
  ((status == 0 || status == 77)) || fail "the page in a browser"
fi

((failures == 0)) && echo "passed"
exit $((failures > 0))
