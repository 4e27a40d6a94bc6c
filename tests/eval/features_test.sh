#!/usr/bin/env bash
# music_features as a user runs it, on a tiny generated data set.
#   features_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# expect CODE PATTERN COMMAND...: exit code and one line of error.
expect() {
  local code=$1 pattern=$2 out status
  shift 2
  out=$("$@" 2>&1 >/dev/null)
  status=$?
  ((status == code)) || fail "$*: exit $status, expected $code ($out)"
  out=$(grep -Ev '^[0-9:]{8} (info|warning) ' <<<"$out")
  grep -Eq -- "$pattern" <<<"$out" || fail "$*: no \"$pattern\" in: $out"
  (($(wc -l <<<"$out") == 1)) || fail "$*: more than one line: $out"
}
features() { "$build/music_features" "$@" --progress none; }
# The value of a key in a one-line JSON object or in info.json.
value() { grep -Eo "\"$1\": ?[^,}]*" | head -1 | sed 's/.*: *//'; }
# The bytes behind a .npy header of 128 bytes, and its shape.
body() { tail -c +129 "$1"; }
shape() { head -c 128 "$1" | tr -d '\0' | grep -ao "'shape': ([^)]*)" | sed 's/.*: //'; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

"$build/music_attributes" --out "$work/data" --train 64 --test 48 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
"$build/music_train" --preset demo --data "$work/data/train" --augment.size 16 \
  --model.width 4 --mlp 32-24 --loss.segment 8 --batch-size 16 --epochs 1 \
  --progress none --train.log_level error --out "$work/run" 2>/dev/null ||
  { echo "training failed" >&2; exit 1; }

# Every kind has its files, of the right shapes.
for kind in pooled res5 embedding codes; do
  features "$work/run" --data "$work/data" --split test --kind $kind --out \
    "$work/$kind" >/dev/null 2>&1 || fail "$kind"
  [[ $(shape "$work/$kind/labels.npy") == "(48,)" ]] || fail "$kind: labels"
  (($(wc -l <"$work/$kind/files.txt") == 48)) || fail "$kind: names"
  [[ $(value left_out <"$work/$kind/info.json") == 0 ]] || fail "$kind: left out"
done
[[ $(shape "$work/pooled/features.npy") == "(48, 32)" ]] || fail "pooled shape"
[[ $(shape "$work/res5/features.npy") == "(48, 128)" ]] || fail "res5 shape"
[[ $(shape "$work/embedding/features.npy") == "(48, 24)" ]] || fail "embedding shape"
[[ $(shape "$work/codes/codes.npy") == "(48, 3)" ]] || fail "codes shape"
# 3 segments of 8 units: 9 bits.
[[ $(shape "$work/codes/codes_packed.npy") == "(48, 2)" ]] || fail "packed shape"
[[ ! -e $work/codes/features.npy ]] || fail "codes wrote features"
# A label of each name's folder: labels, rows and names agree.
[[ $(sed 's|/[^/]*$||; s|.*/||' "$work/pooled/files.txt" | uniq | wc -l) == 10 ]] ||
  fail "names are not in the order of their classes"

# A second run in the folder leaves no file of the first that it has not written.
cp -r "$work/codes" "$work/again"
features "$work/run" --data "$work/data" --split test --out "$work/again" \
  >/dev/null 2>&1 || fail "a folder that has files"
[[ ! -e $work/again/codes.npy ]] || fail "codes of an earlier run are still there"
same "$work/again/features.npy" "$work/pooled/features.npy"

# Two and four loader threads, another batch: the same rows to rounding; the same
# batch: the same bytes.
features "$work/run" --data "$work/data" --split test --workers 4 --out \
  "$work/workers" >/dev/null 2>&1 || fail "--workers 4"
same "$work/workers/features.npy" "$work/pooled/features.npy"

# Processes of a job write what one writes.
if ldd "$build/music_features" | grep -q libmpi && command -v mpirun >/dev/null; then
  OMP_NUM_THREADS=1 \
    mpirun -np 3 "$build/music_features" "$work/run" --data "$work/data" --split test \
    --kind codes --batch 16 --progress none --out "$work/mpi" >/dev/null 2>&1 || fail "three processes"
  OMP_NUM_THREADS=1 features "$work/run" --data "$work/data" --split test --kind \
    codes --batch 16 --out "$work/one" >/dev/null 2>&1
  for file in codes.npy codes_packed.npy labels.npy files.txt; do
    same "$work/mpi/$file" "$work/one/$file"
  done
  [[ -z $(ls -d "$work"/mpi/.part-* 2>/dev/null) ]] || fail "parts are left"
  [[ $(value processes <"$work/mpi/info.json") == 3 ]] || fail "processes"
else
  echo "[skipped] several processes: this build or machine has no MPI"
fi

# Images that cannot be read: out of every file, and listed.
cp -r "$work/data/test" "$work/damaged"
mapfile -t images < <(find "$work/damaged" -name '*.png' -o -name '*.jpg' | sort)
for i in 3 17 40; do echo "no image" >"${images[$i]}"; done
json=$(features "$work/run" --data "$work/damaged" --kind pooled --out \
  "$work/skipped" --json 2>/dev/null) || fail "three bad images"
[[ $(value left_out <<<"$json") == 3 ]] || fail "left_out of $json"
[[ $(shape "$work/skipped/features.npy") == "(45, 32)" ]] || fail "rows of 45"
[[ $(shape "$work/skipped/labels.npy") == "(45,)" ]] || fail "labels of 45"
(($(wc -l <"$work/skipped/files.txt") == 45)) || fail "names of 45"
(($(wc -l <"$work/skipped/left_out.txt") == 3)) || fail "left_out.txt"
grep -qF "${images[17]}" "$work/skipped/left_out.txt" || fail "which was left out"
grep -qF "${images[17]}" "$work/skipped/files.txt" && fail "a bad image has a row"
expect 3 'cannot be read' features "$work/run" --data "$work/damaged" \
  --bad-images refuse --out "$work/refused"
[[ -z $(ls "$work/refused") ]] || fail "a refused run left $(ls "$work/refused")"

# An encoder from elsewhere has no projector and no segments.
cp "$work/run/encoder.safetensors" "$work/foreign.safetensors"
expect 2 'embeddings of .*expected --projector' features \
  "$work/foreign.safetensors" --data "$work/data" --kind embedding --out "$work/x"
expect 2 'codes of .*expected --segments' features "$work/foreign.safetensors" \
  --data "$work/data" --kind codes --projector "$work/run/projector.safetensors" \
  --out "$work/x"
features "$work/foreign.safetensors" --data "$work/data" --split test --kind codes \
  --projector "$work/run/projector.safetensors" --segments 8 --out "$work/f" \
  >/dev/null 2>&1 || fail "codes of a foreign encoder"
same "$work/f/codes.npy" "$work/codes/codes.npy"
expect 2 'add up to 20, expected .* 24' features "$work/run" --data "$work/data" \
  --kind codes --segments 8,12 --out "$work/x"
expect 2 'expected embedding or codes' features "$work/run" --data "$work/data" \
  --segments 8 --out "$work/x"
expect 3 'expected a projector' features "$work/run" --data "$work/data" --kind \
  embedding --projector "$work/run/encoder.safetensors" --out "$work/x"
expect 3 'no such file or folder' features "$work/run" --data "$work/nowhere" --out \
  "$work/x"
touch "$work/file"
expect 2 'cannot make' features "$work/run" --data "$work/data" --out \
  "$work/file/x"

# Memory does not grow with the number of images: 4,000 rows of 128 floats against
# 64,000 differ by 30 MB in files, and by much less in the process.
resident() {
  local list=$work/list-$1.txt
  for ((i = 0; i < $1 / 64; ++i)); do
    find "$work/data/train" -type f \( -name '*.png' -o -name '*.jpg' \)
  done >"$list"
  /usr/bin/env python3 - "$build" "$work" "$list" <<'PY'
import resource, subprocess, sys
build, work, data = sys.argv[1:]
subprocess.run([f'{build}/music_features', f'{work}/run', '--data', data, '--kind',
                'res5', '--progress', 'none', '--out', f'{work}/big'], check=True,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
PY
}
if command -v python3 >/dev/null; then
  few=$(resident 4096)
  many=$(resident 65536)
  bytes=$(stat -c %s "$work/big/features.npy")
  ((bytes > 33000000)) || fail "features of 65,536 images are $bytes bytes"
  ((many - few < 12000)) ||
    fail "$few KiB resident for 4,096 images, $many for 65,536"
else
  echo "memory: skipped"
fi

((failures == 0)) && echo "passed"
exit $((failures > 0))
