#!/usr/bin/env bash
# music_figures as a user runs it, on a tiny generated data set.
#   figures_test.sh BUILD_DIR
set -u
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/../eval/common.sh"
source "$here/../expect.sh"
# What the encoder's file holds is told before; errors are one line beside it.
figures() {
  "$build/music_figures" "$@" --progress none 2>"$work/log"
  local status=$?
  grep -Ev '^[0-9:]{8} info ' "$work/log" >&2
  return $status
}
# Value of a key of figures.json, not of one within another.
value() { grep -E "^ \"$2\": " "$1" | sed "s/.*: *//; s/,$//"; }
side() { head -c "$(($2 + 4))" "$1" | tail -c 4 | od -An -tu1 | tr -s ' '; }
width() { side "$1" 16; }
height() { side "$1" 20; }
train() {
  "$build/music_train" --preset demo --data "$work/data/train" --augment.size 16 \
    --model.width 4 --mlp 32-24 --batch-size 16 --epochs 1 --progress none \
    --train.log_level error "$@" 2>/dev/null || { echo "training failed" >&2; exit 1; }
}

"$build/music_attributes" --out "$work/data" --train 48 --test 40 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
train --loss.segment 8 --out "$work/run"
train --loss.segments 4,12,8 --out "$work/uneven"
train --method vicreg --out "$work/vicreg"
out=$work/run/figures

# What it says, and the files of the defaults: the four surest of two segments.
figures "$work/run" "$work/data" >"$work/said" 2>/dev/null || fail "defaults"
grep -q '12 pictures of 48 images' "$work/said" || fail "said: $(cat "$work/said")"
for file in p embeddings mutual_information usage; do
  [[ $(head -c 4 "$out/$file.png" | tail -c 3) == PNG ]] || fail "$file.png"
  grep -q "\"$file\": \"$file.png\"" "$out/figures.json" || fail "$file in figures.json"
done
# 24 units of 33 pixels, 3 segments of 32.
[[ $(width "$out/p.png") == " 0 0 3 24" ]] || fail "width of P: $(width "$out/p.png")"
[[ $(height "$out/mutual_information.png") == " 0 0 0 96" ]] || fail "segments drawn"
(($(ls "$out" | grep -c '^unit-.*\.png$') == 8)) || fail "galleries: $(ls "$out")"
grep -q '"views": "augmented"' "$out/figures.json" || fail "views"
if command -v python3 >/dev/null; then
  python3 - "$out" <<'PY' || fail "figures.json"
import json, math, os, sys
out = sys.argv[1]
f = json.load(open(f'{out}/figures.json'))
assert f['version'] == 1 and f['images'] == 48 and f['segments'] == [8, 8, 8]
assert len(f['usage']) == len(f['dead_units']) == 3
assert all(0 <= u <= 1 for u in f['usage']) and 0 < f['agreement'] <= 1
mi = f['mutual_information']
assert [[x is None for x in row] for row in mi] == [[i == j for j in range(3)] for i in range(3)]
assert all(mi[i][j] == mi[j][i] for i in range(3) for j in range(3))
assert set(f['files']) == set(f['captions'])
for name in list(f['files'].values()) + [g['file'] for g in f['galleries']]:
    assert os.path.exists(f'{out}/{name}'), name
assert [g['segment'] for g in f['galleries']] == [0] * 4 + [1] * 4
for g in f['galleries']:
    assert g['unit'] // 8 == g['segment'] and g['file'] == f"unit-{g['unit']:05}.png"
    q = [i['q'] for i in g['images']]
    assert len(q) == 10 and q == sorted(q, reverse=True) and 0 <= g['share'] <= 1
assert f['encoder']['hash'] and f['data']['fingerprint']
PY
fi

# Any batch and number of loader threads give the same pictures; to rounding, for
# the network's own sums may differ.
for how in "--workers 3" "--workers 1"; do
  figures "$work/run" "$work/data" $how --out "$work/other" >/dev/null 2>&1 ||
    fail "$how"
  for file in p embeddings mutual_information usage; do
    cmp "$out/$file.png" "$work/other/$file.png" || fail "$how: $file.png"
  done
done

# A second run replaces the first; files of other names stay.
touch "$out/unit-notes.png" "$out/mine.txt"
json=$(figures "$work/run" "$work/data" --split test --views same --units 23,0,23 \
  --per-unit 3 --first 8 --limit 20 --json 2>/dev/null) || fail "a second run"
[[ $(ls "$out" | tr '\n' ' ') == "embeddings.png figures.json mine.txt \
mutual_information.png p.png unit-00000.png unit-00023.png unit-notes.png usage.png " ]] ||
  fail "after a second run: $(ls "$out")"
[[ $(width "$out/p.png") == " 0 0 3 32" ]] || fail "width of 8 units"
grep -q '"same_codes":1.0' <<<"$json" || fail "the same view does not agree: $json"
[[ $(value "$out/figures.json" images) == 20 ]] || fail "--limit"
(($(grep -c '"q":' "$out/figures.json") == 6)) || fail "--per-unit"
figures "$work/run" "$work/data" --per-unit 0 --out "$work/none" >/dev/null 2>&1 ||
  fail "--per-unit 0"
ls "$work/none" | grep -q unit && fail "galleries of --per-unit 0"

# Uneven segments; a method without segments; an encoder that is no run.
figures "$work/uneven" "$work/data" --limit 16 >/dev/null 2>&1 || fail "uneven segments"
grep -q '"captions"' "$work/uneven/figures/figures.json" || fail "uneven: figures.json"
expect 2 'trained by vicreg, .*expected --segments' \
  figures "$work/vicreg" "$work/data" --out "$work/x"
figures "$work/vicreg" "$work/data" --segments 8 --limit 16 >/dev/null 2>&1 ||
  fail "another method with --segments"
cp "$work/run/encoder.safetensors" "$work/foreign.safetensors"
mine=(--projector "$work/run/projector.safetensors" --segments 8)
expect 2 'no run: expected --out$' figures "$work/foreign.safetensors" "$work/data"
expect 2 'no run: expected --projector$' figures "$work/foreign.safetensors" \
  "$work/data" --out "$work/x"
expect 2 'augmentations of .*no run: expected --views same$' \
  figures "$work/foreign.safetensors" "$work/data" "${mine[@]}" --out "$work/x"
figures "$work/foreign.safetensors" "$work/data" "${mine[@]}" --views same --limit 8 \
  --out "$work/foreign" >/dev/null 2>&1 || fail "an encoder that is no run"

# Bad input: one line, and nothing is made.
cp -r "$work/run" "$work/broken" && rm -r "$work/broken/figures"
rm "$work/broken/projector.safetensors"
expect 3 'projector.safetensors' figures "$work/broken" "$work/data" --out "$work/x"
rm "$work/broken/encoder.safetensors"
expect 3 'encoder' figures "$work/broken" "$work/data" --out "$work/x"
expect 2 'unit 24, expected one of 0 to 23' \
  figures "$work/run" "$work/data" --units 3,24 --out "$work/x"
expect 3 'no such file or folder' figures "$work/run" "$work/nowhere" --out "$work/x"
mkdir "$work/empty"
expect 3 'no image' figures "$work/run" "$work/empty" --out "$work/x"
expect 2 'add up to 20, expected .* 24' \
  figures "$work/run" "$work/data" --segments 8,12 --out "$work/x"
expect 2 'is the name of a file' \
  figures "$work/run" "$work/data" --out "$work/figures.json"
[[ ! -e $work/x ]] || fail "bad input made a folder"
touch "$work/file"
expect 2 'cannot be made' figures "$work/run" "$work/data" --out "$work/file/x"
if ((EUID != 0)); then
  mkdir "$work/locked" && chmod a-w "$work/locked"
  expect 2 'locked' figures "$work/run" "$work/data" --out "$work/locked"
fi
mkdir "$work/taken" && mkdir "$work/taken/figures.json"
"$build/music_figures" "$work/run" "$work/data" --out "$work/taken" --progress none \
  --limit 8 >/dev/null 2>"$work/stderr" && fail "a folder called figures.json"
grep -q 'figures.json' "$work/stderr" || fail "said: $(cat "$work/stderr")"

(ulimit -f 2; "$build/music_figures" "$work/run" "$work/data" --out "$work/x/y" \
  --progress none >/dev/null 2>"$work/stderr"; (($? == 20))) || fail "a limit: $(cat "$work/stderr")"
[[ ! -e $work/x ]] || fail "a failure left $(find "$work/x")"

# Images that cannot be read are left out.
cp -r "$work/data/test" "$work/damaged"
mapfile -t images < <(find "$work/damaged" -name '*.png' -o -name '*.jpg' | sort)
for i in 3 17; do echo "no image" >"${images[$i]}"; done
figures "$work/run" "$work/damaged" --out "$work/skipped" >/dev/null 2>&1 ||
  fail "two bad images"
[[ $(value "$work/skipped/figures.json" images) == 38 ]] || fail "images of 38"
[[ $(value "$work/skipped/figures.json" left_out) == 2 ]] || fail "left_out"

if ldd "$build/music_figures" | grep -q libmpi && command -v mpirun >/dev/null; then
  mpirun -np 2 "$build/music_figures" "$work/run" "$work/data" --out "$work/x" \
    >/dev/null 2>"$work/stderr" && fail "two processes"
  grep -q '2 processes, expected one' "$work/stderr" || fail "said: $(cat "$work/stderr")"
fi

((failures == 0)) && echo "passed"
exit $((failures > 0))
