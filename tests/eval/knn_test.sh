#!/usr/bin/env bash
# music_knn as a user runs it: a run, an encoder file, features in files, several
# processes, real photographs, and all that it must refuse.
#   knn_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
knn=$build/music_knn
# expect CODE PATTERN command...: exit code, one line on stderr, that matches,
# and no score.
expect() {
  local code=$1 pattern=$2
  shift 2
  "$@" --progress none >"$work/stdout" 2>"$work/stderr"
  local status=$?
  ((status == code)) || fail "exit $status, expected $code: $*: $(cat "$work/stderr")"
  (($(grep -c . "$work/stderr") == 1)) ||
    fail "$(grep -c . "$work/stderr") lines, expected 1: $*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stderr" ||
    fail "no '$pattern' in: $(cat "$work/stderr")"
  [[ ! -s $work/stdout ]] || fail "a score all the same: $*"
}
# The numbers of a record, in order.
scores() { grep -o '"scores":\[.*\],"notes"' "$1"; }
# has FILE TEXT...
has() {
  local file=$1
  shift
  for text; do
    grep -qF -- "$text" "$file" || fail "no '$text' in $(cat "$file")"
  done
}

"$build/music_attributes" --out "$work/data" --train 200 --test 60 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
data=$work/data run=$work/run
"$build/music_train" --preset demo --data "$data/train" --augment.size 16 \
  --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 40 --epochs 2 \
  --progress none --train.log_level warn --out "$run" --knn-every 1 \
  --data.eval_train "$data/test" --data.eval_test "$data/train" ||
  fail "the run to score"
# While it trains, of 20 and 200 neighbours those that 60 images suffice for.
(($(grep -c '"knn20":' "$run/eval/knn_during_training.jsonl") == 2)) ||
  fail "not a score an epoch"
grep -q knn200 "$run"/eval/*.jsonl && fail "200 neighbours among 60"

# A run: the table, and its record in the run.
"$knn" "$run" --data "$data" >"$work/table" 2>"$work/log" || fail "a run: $(cat "$work/log")"
has "$work/table" 'protocol knn (' 'train 200 images' 'test 60 images' \
  '20-NN top-1' '200-NN top-5' 'random initialisation: 200 of 200 training images'
has "$work/log" 'features of the training images 200/200' 'neighbours 60/60' \
  'features of the test images, random initialisation 0 60/60'
"$knn" "$run" --data "$data" -k 1,5 -T 0.07,0.5 --random-bank 50 --seeds 3 \
  --seed 4 --json --progress none >"$work/json" 2>/dev/null || fail "grids"
has "$work/json" '"1-NN, T 0.07 top-1"' '"5-NN, T 0.5 top-5"' '"seeds":[4,5,6]' \
  '"5-NN, T 0.5 top-1, 50 voters"' '"random init, 5-NN, T 0.5 top-1"' \
  '50 of 200 training images, drawn by seed 4, mean of 3 seeds' '"fingerprint":"' \
  '"hash":"'
(($(wc -l <"$run/eval/scores.jsonl") == 2)) || fail "not a line a score"
has "$run/eval/knn.json" '"seeds": ['

# An encoder file scores as its run; other threads, processes, splits by hand.
same() {
  local what=$1
  shift
  "$@" --k 1,5,20 --random-bank 80 --json --progress none \
    >"$work/other" 2>/dev/null || fail "$what"
  [[ -n $(scores "$work/other") && $(scores "$work/other") == "$(scores "$work/one")" ]] ||
    fail "$what: other scores: $(scores "$work/other")"
}
"$knn" "$run" --data "$data" --k 1,5,20 --random-bank 80 --json --progress none \
  >"$work/one" 2>/dev/null || fail "--json"
same "an encoder file, a folder each" "$knn" "$run/encoder.safetensors" \
  --train "$data/train" --test "$data/test"
same "one thread" "$knn" "$run" --data "$data" --threads 1 --workers 1
if ldd "$knn" | grep -q libmpi && command -v mpirun >/dev/null; then
  for np in 2 3; do
    same "$np processes" mpirun -np $np "$knn" "$run" --data "$data"
    has "$work/other" "\"processes\":$np"
  done
  # One message, and no process stays behind.
  mpirun -np 2 "$knn" "$run" --data "$data" -k 500 >"$work/stdout" 2>"$work/stderr"
  (($? == 2)) || fail "an error on two processes: $(cat "$work/stderr")"
  (($(grep -c 'a bank of 200' "$work/stderr") == 1)) ||
    fail "two processes: $(cat "$work/stderr")"
fi

# Features in files score as the encoder they are of.
for split in train test; do
  "$build/music_features" "$run" --data "$data" --split $split \
    --out "$work/features/$split" >/dev/null 2>&1 || fail "features of $split"
done
"$knn" "$run" --data "$data" --k 1,5,20 --random-bank 0 --json --progress none \
  >"$work/one" 2>/dev/null
from_files() {
  "$knn" "$@" --k 1,5,20 --json --progress none >"$work/other" || fail "$*"
  [[ -n $(scores "$work/other") && $(scores "$work/other") == "$(scores "$work/one")" ]] ||
    fail "$*: $(scores "$work/other"), not $(scores "$work/one")"
}
from_files --features "$work/features"
from_files --train-features "$work/features/train" \
  --test-features "$work/features/test"

# Copies of training images are no test images.
cp -r "$data/train" "$work/copy"
expect 3 '200 of 200 test images .* are copies of training images' \
  "$knn" "$run" --train "$data/train" --test "$work/copy" --k 1 --random-bank 0

# Defaults that the bank has no images for are left out, and said to be.
mkdir "$work/few" && cp -r "$data/test" "$work/few/train" && cp -r "$data/train" "$work/few/val"
"$knn" "$run" --data "$work/few" >"$work/table" 2>/dev/null || fail "a bank of 60"
has "$work/table" '20-NN top-1' 'k 200 left out: there are 60 training images'
grep -q '200-NN' "$work/table" && fail "200-NN of 60 images"

# Lists that lack a class: scored, and said so.
list() {  # file, split, classes to leave out
  local c=-1 folder
  for folder in "$data/$2"/*/; do
    c=$((c + 1))
    [[ " $3 " == *" $c "* ]] || find "$folder" -type f -printf "%p $c\n"
  done | sort >"$1"
}
list "$work/train.txt" train ''
classes=$(ls "$data/train" | wc -l)
for without in 0 $((classes - 1)); do
  list "$work/test.txt" test "$without"
  "$knn" "$run" --train "$work/train.txt" --test "$work/test.txt" --k 5 \
    >"$work/table" 2>"$work/log" || fail "a list without class $without"
  has "$work/table" "1 of $classes classes has no test image: $without"
  has "$work/log" "1 of $classes classes has no test image: $without"
done

# Images that cannot be read are left out, and said to be.
cp -r "$data" "$work/broken"
find "$work/broken/test" -type f | sort | head -2 | while read -r f; do : >"$f"; done
"$knn" "$run" --data "$work/broken" --k 5 --random-bank 0 >"$work/table" 2>/dev/null ||
  fail "two bad images"
has "$work/table" '2 of 60 test images cannot be read and are left out: ' 'test 58 of 60 images'

# Real photographs, all of them.
photos=$(cd "$(dirname "$0")/../.." && pwd)/../shared/data/caltech-101
if [[ -d $photos ]]; then
  "$knn" "$run" --data "$photos" --random-bank 0 >"$work/table" 2>/dev/null ||
    fail "photographs"
  has "$work/table" 'train 768 images, 12 classes' 'test 240 images, 12 classes'
else
  echo "[skipped] no shared data"
fi

# Bad input.
"$build/music_train" --preset demo --data "$data/train" --out "$work/never" \
  --knn-every 1 --progress none >/dev/null 2>"$work/stderr"
(($? == 3)) && [[ ! -s $work/never/metrics.jsonl ]] || fail "training before scoring is refused"
has "$work/stderr" 'has no test images of its own'
expect 2 'nothing to score: expected an encoder' "$knn"
expect 2 'no images to score on: expected --data' "$knn" "$run"
expect 2 'no images to score on' "$knn" "$run" --train "$data/train"
expect 2 'k 201 and a bank of 200 training images: expected --k from 1 to 200' \
  "$knn" "$run" --data "$data" --k 1,201
expect 2 'range 1 to' "$knn" "$run" --data "$data" --k 0
expect 2 'range' "$knn" "$run" --data "$data" -T 0
expect 2 'random-bank 3 and k 5' "$knn" "$run" --data "$data" --k 5 --random-bank 3
expect 2 'seeds 2 and --random-bank 0' "$knn" "$run" --data "$data" --seeds 2 --random-bank 0
expect 2 'excludes' "$knn" "$run" --features "$work/features"
expect 2 'excludes' "$knn" --features "$work/features" --seeds 2
expect 2 'requires' "$knn" --train-features "$work/features/train"
expect 3 'has no test images of its own.* expected a folder with train/ and val/' \
  "$knn" "$run" --data "$data/train"
expect 3 'has no test images of its own' "$knn" "$run" --train "$data/train" --test "$data/train"
ln -s "$data/train" "$work/link"
expect 3 'has no test images of its own' "$knn" "$run" --train "$data/train" --test "$work/link"
expect 3 '200 of 200 test images .*are training images' \
  "$knn" "$run" --train "$work/train.txt" --test "$data/train"
expect 3 '200 of 200 test images' "$knn" \
  --train-features "$work/features/train" --test-features "$work/features/train"
one=$data/train/$(ls "$data/train" | head -1)
expect 3 'has no label' "$knn" "$run" --train "$one" --test "$data/test"
mkdir "$work/single" && cp -r "$one" "$work/single/"
expect 3 'images of one class only' "$knn" "$run" --train "$work/single" --test "$data/test"
"$build/music_attributes" --out "$work/shapes" --train 20 --test 20 --size 24 \
  --label shape >/dev/null
expect 3 'test images of .* classes that .*no training image of' \
  "$knn" "$run" --train "$data/train" --test "$work/shapes/test"
list "$work/gap.txt" train 2
expect 3 "test images of 1 of its $classes classes that .*no training image of: 2" \
  "$knn" "$run" --train "$work/gap.txt" --test "$data/test"
mkdir -p "$work/empty/train" && cp -r "$data/test" "$work/empty/" &&
  cp -r "$data/train"/* "$work/empty/train/" && mkdir "$work/empty/train/zzz"
expect 3 'class folder zzz has no image' "$knn" "$run" --data "$work/empty"
expect 3 'cannot read .*features.npy' "$knn" --features "$work/none"
cp -r "$work/features" "$work/cut" && truncate -s -4 "$work/cut/test/features.npy"
expect 3 'does not fit' "$knn" --features "$work/cut"
cp -r "$work/features" "$work/mixed" && cp "$work/features/test/labels.npy" "$work/mixed/train/"
expect 3 'labels.npy holds I64 .*expected .*one a row' "$knn" --features "$work/mixed"

((failures == 0))
