#!/usr/bin/env bash
# Any number of processes gives what one gives, whatever the last batch holds.
#   ranks_test.sh BUILD_DIR
set -u
source "$(dirname "$0")/../eval/common.sh"
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
command -v mpirun >/dev/null && ldd "$build/music_train" | grep -q libmpi ||
  { echo "no MPI: skipped"; exit 0; }
"$build/music_attributes" --out "$work/data" --train 24 --test 8 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
find "$work/data/train" -name '*.jpg' | sort >"$work/all.txt"
first() { head -n "$1" "$work/all.txt" >"$work/$1.txt"; echo "$work/$1.txt"; }
train() {  # PROCESSES OUT LIST [FLAGS]
  local np=$1 out=$2 data=$3
  shift 3
  mpirun -np "$np" "$build/music_train" --preset demo --data "$data" --out "$out" \
    --augment.size 16 --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 8 \
    --optim.base_lr 0.002 --epochs 3 --progress none --train.log_level error "$@"
}
newest() {
  find "$1/ckpt" -mindepth 1 -maxdepth 1 -name 'step_*' | sort | tail -1
}
losses() { grep -o '"loss":[^,]*' "$1/metrics.jsonl" | cut -d: -f2; }
# same A B: losses to 1e-6 and running statistics, each beside its largest, to 5e-6;
# weights beside the largest weight to 1e-6. Steps are short: at the published rates
# a ReLU that lies within rounding of its kink sends the same run of one process
# elsewhere.
same() {
  paste <(losses "$1") <(losses "$2") | awk '
    function size(x) { return x < 0 ? -x : x }
    NF != 2 || size($1 - $2) > 1e-6 * size($1) { print "loss " $1 ", " $2; bad = 1 }
    END { exit bad || NR < 3 }' || fail "$2: other losses than $1"
  "$build/music_inspect" "$(newest "$1")" --diff "$(newest "$2")" >"$work/diff"
  awk '
    $1 != "!" { if ($1 ~ /^[-+]$/) { print; bad = 1 } next }
    { by = $0; sub(/.*by up to /, "", by); by += 0
      of = $0; sub(/.*largest value /, "", of); of += 0 }
    $2 ~ /^buffer/ && by > 5e-6 * of { print; bad = 1 }
    $2 ~ /^value/ { if (by > most) most = by; if (of > largest) largest = of }
    END { if (most > 1e-6 * largest) { print "weights by " most " of " largest; bad = 1 }
          exit bad }' "$work/diff" || fail "$2: another state than $1"
}

# The last batch has one sample, or four; parts of a batch; a batch with fewer
# samples than processes.
compare() {  # IMAGES "PROCESSES..." [FLAGS]
  local n=$1 numbers=$2 np
  shift 2
  local name="$work/$n${*// /_}"
  train 1 "$name-1" "$(first "$n")" "$@" || fail "$n images $*"
  for np in $numbers; do
    train "$np" "$name-$np" "$(first "$n")" "$@" || fail "$n images on $np $*"
    same "$name-1" "$name-$np"
  done
}
compare 17 "2 3 5"
compare 17 "2 3" --micro-batch 4
compare 20 "2 5"
compare 20 5 --batch-size 4 --epochs 1

# An epoch that another number of processes goes on with: steps 4 and 5, of
# which the last is of one sample.
train 2 "$work/whole" "$(first 17)" --train.checkpoint_every 4 || fail "two processes"
for np in 2 5; do
  cp -r "$work/whole" "$work/on$np"
  rm -r "$work/on$np"/*.safetensors "$work/on$np"/ckpt/step_*0{8,9} "$work/on$np/ckpt/latest"
  train "$np" "$work/on$np" "$(first 17)" --train.checkpoint_every 4 || fail "going on by $np"
  same "$work/whole" "$work/on$np"
done
cmp "$work/whole/encoder.safetensors" "$work/on2/encoder.safetensors" ||
  fail "the same number of processes went on to other weights"

# Images that cannot be read are listed in the order of one process, and are too
# many for all of them together.
mkdir "$work/bad"
head -17 "$work/all.txt" | xargs cp -t "$work/bad"
spoil() { find "$work/bad" -name '*.jpg' | sort | sed -n "$1" | while read -r f; do echo no >"$f"; done; }
spoil '3p;9p'
for np in 1 3; do
  train "$np" "$work/bad$np" "$work/bad" || fail "bad images on $np"
done
cmp "$work/bad1/quarantine.jsonl" "$work/bad3/quarantine.jsonl" || fail "another quarantine"
same "$work/bad1" "$work/bad3"
spoil '5p;6p;11p'
for np in 1 3 5; do
  train "$np" "$work/refused$np" "$work/bad" >"$work/said" 2>&1
  (($? == 3)) && grep -q "5 of the epoch's 17 images cannot be read, limit 3" "$work/said" ||
    fail "too many bad images on $np: $(<"$work/said")"
  train "$np" "$work/small$np" "$(first 5)" >"$work/said" 2>&1
  (($? == 2)) && grep -q 'batch of 8 samples from a data set of 5 images' "$work/said" ||
    fail "a batch of more than all images on $np: $(<"$work/said")"
done

# Evaluators of fewer images than processes.
mkdir -p "$work"/three/{train,test}/{a,b}
for split in train test; do
  mapfile -t files < <(find "$work/data/$split" -name '*.jpg' | sort | head -3)
  cp "${files[0]}" "${files[2]}" "$work/three/$split/a"
  cp "${files[1]}" "$work/three/$split/b"
done
scores() { grep -o '"scores":.*' | sed -E 's/"(notes|compute|seconds|processes)".*//'; }
for np in 1 2 5; do
  on() { mpirun -np "$np" "$build/$1" "$work/17-1" --data "$work/three" "${@:2}" 2>"$work/said"; }
  on music_knn --k 1,2,3 --json | scores >"$work/knn$np"
  on music_features --split train --out "$work/features$np" >/dev/null
  on music_linear --out "$work/linear$np" --cached --json |
    scores >"$work/linear$np.txt"
  on music_linear --out "$work/steps$np" --epochs 3 --batch-size 3 --random-init no --json |
    scores >"$work/steps$np.txt"
  for file in "knn$np" "features$np/features.npy" "features$np/labels.npy" "linear$np.txt" \
    "steps$np.txt"; do
    [[ -s $work/$file ]] && cmp "$work/$file" "$work/${file/$np/1}" || fail "$file: $(<"$work/said")"
  done
done

# The run itself scores beside its steps.
labelled="$work/three/train"
for np in 1 4; do
  train "$np" "$work/scored$np" "$labelled" --batch-size 2 --knn-every 1 \
    --data.eval_train "$work/three/train" --data.eval_test "$work/three/test" ||
    fail "kNN during training on $np"
done
cmp "$work"/scored{1,4}/eval/knn_during_training.jsonl || fail "other scores during training"

((failures == 0)) && echo "any number of processes: as expected"
exit "$((failures > 0))"
