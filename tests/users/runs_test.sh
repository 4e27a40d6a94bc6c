#!/usr/bin/env bash
# Run directories as users treat them: copied, moved, extended, on a full disk, in
# a read-only place; weights from elsewhere; flags that are nearly right.
#   runs_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../eval/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../expect.sh"
weights() { (cd "$1" && cat encoder.safetensors projector.safetensors | sha256sum); }
steps() { grep -c '"step"' "$1/metrics.jsonl"; }
# said FILE PATTERN COUNT
said() {
  local n
  n=$(grep -cE -- "$2" "$1")
  ((n == $3)) || fail "'$2' $n times, expected $3: $(cat "$1")"
}

"$build/music_attributes" --out "$work/data" --train 96 --test 48 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
data=$work/data/train
tiny=("$build/music_train" --preset demo --augment.size 16 --model.width 4
  --mlp 32-32 --loss.segment 8 --batch-size 16 --train.checkpoint_every 5
  --progress none --data "$data")
four=("${tiny[@]}" --epochs 4)  # of 6 steps; the last checkpoints are 15, 20, 24

"${four[@]}" --train.log_level warn --out "$work/whole" || fail "the whole run"
expected=$(weights "$work/whole")
half=$work/half  # as it was after step 15
cp -r "$work/whole" "$half"
rm -r "$half"/ckpt/step_*2? "$half"/*.safetensors
ln -sfn step_000000000015 "$half/ckpt/latest"

# What copies make of the link, and of a checkpoint of which a part is missing.
copied() {
  local run=$work/copied how=$1
  rm -rf "$run"
  case $how in
    links) cp -rL "$half" "$run" ;;
    plain) cp -r --no-preserve=mode,timestamps "$half" "$run"; ln -sfn step_9 "$run/ckpt/latest" ;;
    text) cp -r "$half" "$run"; rm "$run/ckpt/latest"; echo step_000000000015 >"$run/ckpt/latest" ;;
    empty) cp -r "$half" "$run"; rm "$run/ckpt/latest"; : >"$run/ckpt/latest" ;;
    only) cp -r "$half" "$run"; rm "$run/ckpt/latest"; mv "$run"/ckpt/step_*15 "$run/ckpt/latest" ;;
    part) cp -r "$half" "$run"; mkdir "$run/ckpt/step_000000000020"
      cp "$work"/whole/ckpt/step_*20/manifest.json "$run/ckpt/step_000000000020" ;;
    cut) cp -r "$half" "$run"; cp -r "$work"/whole/ckpt/step_*20 "$run/ckpt"
      truncate -s 999 "$run"/ckpt/step_*20/rank-0000.safetensors ;;
    metrics) cp -r "$half" "$run"; rm -r "$run"/{metrics.jsonl,env.json,tb,logs} ;;
    config) cp -r "$half" "$run"; : >"$run/config.toml" ;;
    desktop) cp -r "$half" "$run"; touch "$run/ckpt/.DS_Store"
      (cd "$run"/ckpt/step_*15 && touch .DS_Store ._manifest.json) ;;
    elsewhere) cp -r "$half" "$run"; rm -rf "$work/far"; mv "$run/ckpt" "$work/far"
      ln -s ../far "$run/ckpt" ;;
    nothing) cp -r "$half" "$run"; mkdir "$run/ckpt/step_000000000020" ;;
  esac
  "${four[@]}" --out "$run" 2>"$work/log" || fail "$how: $(tail -3 "$work/log")"
  [[ $(weights "$run") == "$expected" ]] || fail "$how ends elsewhere"
  [[ $(readlink "$run/ckpt/latest") == step_000000000024 ]] || fail "$how: latest"
  said "$work/log" 'goes on at step 15 of 24' 1
}
for how in links plain text empty desktop elsewhere; do
  copied "$how"
  said "$work/log" 'warning' 0
done
copied only
said "$work/log" 'latest was a folder, as copies make of a link: it is now step_0+15' 1
for how in part cut nothing; do
  copied "$how"
  said "$work/log" 'step_0+20 is skipped: ' 1
done
copied config
said "$work/log" 'config.toml is empty; what the run is, its checkpoints say' 1
copied metrics
said "$work/log" 'metrics.jsonl has 0 bytes, the checkpoint knows of [0-9]+: steps before 15' 1
head -1 "$work/copied/metrics.jsonl" | grep -q '"argv"' || fail "no header in metrics.jsonl"
# A configuration that is not all there lets no other in.
cp -r "$half" "$work/other" && : >"$work/other/config.toml"
"${four[@]}" --seed 3 --out "$work/other" 2>"$work/log" && fail "another seed is taken"
said "$work/log" 'written under another configuration \(train.seed 0 -> 3\)' 1
cp -r "$half" "$work/more" && : >"$work/more/config.toml"
"${tiny[@]}" --epochs 9 --out "$work/more" 2>"$work/log" && fail "more epochs without --extend"
said "$work/log" 'written under another configuration .*--extend to go on' 1
# Moved, it goes on; two at a time do not.
mv "$work/copied" "$work/moved"
"${four[@]}" --out "$work/moved" 2>"$work/log" || fail "a moved run"
said "$work/log" 'has had its 4 epochs; --extend with more --epochs goes on' 1
"${tiny[@]}" --epochs 500 --train.log_level off --out "$work/two" &
first=$!
until [[ -e $work/two/metrics.jsonl ]]; do kill -0 $first || break; sleep 0.02; done
expect 2 'two is in use by process [0-9]+ on .*; expected a run that no other' \
  "${tiny[@]}" --epochs 500 --out "$work/two"
kill -INT $first
wait $first

# A place that cannot be written to: the score is printed all the same. (Root may
# write anywhere; nobody may make a folder in /proc.)
mkdir "$work/still"
cp "$work/whole/encoder.safetensors" "$work/still"
ln -s /proc/nowhere "$work/still/eval"
"$build/music_knn" "$work/still" --data "$work/data" -k 1 --progress none \
  >"$work/table" 2>"$work/log" || fail "a read-only run: $(cat "$work/log")"
grep -q '1-NN top-1' "$work/table" || fail "no score of a read-only run"
said "$work/log" 'warning.*still/eval/knn.json is not written: .*printed only' 1
expect 3 'half is a run that has not ended, without encoder.safetensors' \
  "$build/music_knn" "$half" --data "$work/data" --progress none

# A full disk: one attempt, however many checkpoints become due; at the end the
# wait ends with a signal, when the disk has room again. (A limit on the size of
# files stands for the disk.)
full=("${tiny[@]}" --epochs 2 --train.checkpoint_every 1 --train.log_level warn)
(
  trap '' XFSZ
  ulimit -S -f 60
  exec "${full[@]}" --out "$work/full"
) 2>"$work/log" &
pid=$!
until [[ -e $work/full/metrics.jsonl ]] && (($(steps "$work/full") >= 12)); do
  kill -0 $pid 2>/dev/null || break
  sleep 0.02
done
sleep 0.3
said "$work/log" 'File too large; training goes on, next attempt in 20 s' 1
prlimit --pid $pid --fsize=unlimited && kill -USR1 $pid
wait $pid || fail "a run whose disk was full for a while: exit $?"
said "$work/log" 'warning' 1
"${full[@]}" --out "$work/roomy" || fail "the same on a disk with room"
[[ $(weights "$work/full") == $(weights "$work/roomy") ]] || fail "a full disk changed weights"
[[ -d $work/full/ckpt/step_000000000012 ]] || fail "the last checkpoint is missing"

# More epochs.
run=$work/extended
cp -r "$work/whole" "$run"
nine=("${tiny[@]}" --epochs 9)
expect 2 'train.epochs 4 -> 9\); expected the same, --extend to go on to 9 epochs .*--weights' \
  "${nine[@]}" --out "$run"
expect 2 'train.epochs 4 -> 9, train.seed 0 -> 3\); expected --extend with more epochs and no' \
  "${nine[@]}" --seed 3 --extend --out "$run"
expect 2 'expected more epochs to extend it to' "${tiny[@]}" --epochs 3 --extend --out "$run"
expect 4 'holds no run' "${nine[@]}" --extend --out "$work/none"
expect 2 'did you mean --extend' "${nine[@]}" --extent --out "$run"
cp -r "$run" "$work/stopped"
"${nine[@]}" --extend --out "$run" 2>"$work/log" || fail "--extend: $(cat "$work/log")"
said "$work/log" 'extended from 4 epochs to 9 at step 24: learning rate [0-9.e-]+ at the step before, [0-9.e-]+ at the next, by the schedule of 9 epochs; no second warm-up' 1
# One history, whose second part has the rate of a run of nine.
(($(steps "$run") == 54)) || fail "$(steps "$run") steps in the extended run, expected 54"
"${nine[@]}" --train.log_level warn --out "$work/nine" || fail "nine epochs at once"
rates() { grep -o '"step":[0-9]*\|"lr":[^,]*' "$1/metrics.jsonl" | paste - - | sed -n "$2"; }
[[ $(rates "$run" '25,$p') == $(rates "$work/nine" '25,$p') ]] || fail "rates from step 24 on"
[[ $(rates "$run" '1,24p') == $(rates "$work/whole" '1,24p') ]] || fail "rates to step 24"
grep -q '^epochs = 9' "$run/config.toml" || fail "config.toml"
grep -q '"extended": "4@24"' "$run"/ckpt/step_*54/manifest.json || fail "the manifest"
(($(find "$run/ckpt" -name 'step_*' | wc -l) == 3)) || fail "checkpoints of an extended run"
expected=$(weights "$run")
# Killed in the added part, before its first checkpoint and later, it goes on with
# and without --extend, to the same bytes.
for stop in 25 33 44; do
  "${nine[@]}" --train.log_level off --extend --out "$work/stopped" &
  pid=$!
  until (($(steps "$work/stopped") >= stop)); do
    kill -0 $pid 2>/dev/null || break
    sleep 0.005
  done
  kill -KILL $pid 2>/dev/null
  wait $pid 2>/dev/null
done
"${nine[@]}" --train.log_level warn --out "$work/stopped" || fail "an extended run that was killed"
[[ $(weights "$work/stopped") == "$expected" ]] || fail "an extended run ends elsewhere"
(($(steps "$work/stopped") == 54)) || fail "metrics of an extended run"
# Its configuration written, its checkpoint not.
cp -r "$work/whole" "$work/between"
sed -i 's/^epochs = 4/epochs = 9/' "$work/between/config.toml"
"${nine[@]}" --train.log_level warn --out "$work/between" || fail "between two files"
[[ $(weights "$work/between") == "$expected" ]] || fail "between two files: weights"
# Its configuration written, its checkpoint not, and then not wanted.
cp -r "$work/whole" "$work/unwanted"
sed -i 's/^epochs = 4/epochs = 9/' "$work/unwanted/config.toml"
"${four[@]}" --out "$work/unwanted" 2>"$work/log" || fail "not extended after all: $(cat "$work/log")"
said "$work/log" 'config.toml is of another configuration than the checkpoints \(train.epochs 9 -> 4\): theirs' 1
expect 2 'cli. --extend and --resume never: expected one of them' \
  "${nine[@]}" --extend --resume never --out "$run"
# A classifier's training likewise.
linear=("$build/music_linear" "$work/whole" --data "$work/data" --batch 16 --random-init no
  --optim.milestones 1 --train.log_level warn --progress none --out "$work/linear")
"${linear[@]}" --epochs 2 >/dev/null || fail "music_linear"
"${linear[@]}" --epochs 3 --extend >/dev/null || fail "music_linear --extend"
(($(steps "$work/linear/seed-0") == 18)) || fail "steps of an extended music_linear"
# Copied without its checkpoints, a finished run is not trained anew.
mkdir "$work/light"
cp -r "$work"/whole/{config.toml,metrics.jsonl,encoder.safetensors} "$work/light"
for extend in '' --extend; do
  expect 4 'light has a result, encoder.safetensors, and no checkpoint in .*light/ckpt' \
    "${four[@]}" $extend --out "$work/light"
done
(($(steps "$work/light") == 24)) || fail "metrics of a run without checkpoints"
rm "$work/light/encoder.safetensors"
expect 4 'light holds no run with a checkpoint' "${nine[@]}" --extend --out "$work/light"
# A place for logs that is none.
cp -r "$work/whole" "$work/logless" && rm -rf "$work/logless/logs" && touch "$work/logless/logs"
expect 2 'log.*logless/logs/.*: expected a folder that can be written' "${four[@]}" --out "$work/logless"
# Extended again.
"${tiny[@]}" --epochs 11 --train.log_level warn --resume extend --out "$run" || fail "twice"
grep -q '"extended": "4@24 9@54"' "$run"/ckpt/step_*66/manifest.json || fail "extended twice"

# TensorBoard's readers, where the package is.
if [[ -n ${MUSIC_PEER_PYTHON:-} ]] &&
  "$MUSIC_PEER_PYTHON" -c 'import tensorboard' 2>/dev/null; then
  "$MUSIC_PEER_PYTHON" "$(dirname "${BASH_SOURCE[0]}")/../../tools/peers/check_tensorboard.py" \
    "$run" "$work/stopped" "$work/moved" >"$work/readers" 2>/dev/null ||
    fail "TensorBoard's readers: $(cat "$work/readers")"
fi

# All of the batch at once is the same run under one name.
"${four[@]}" --micro-batch 16 --train.log_level warn --out "$work/whole" || fail "--micro-batch 16"
expect 2 'train.micro_batch 0 -> 8' "${four[@]}" --micro-batch 8 --out "$work/whole"

# Where one thing is given in place of another.
expect 2 'whole is a run directory, expected images' "${four[@]}" --data "$work/whole" --out "$work/x"
expect 2 'whole is a run directory, expected images' "$build/music_knn" "$work/whole" \
  --data "$work/whole" --progress none
expect 2 'holds weights, expected images' "${four[@]}" \
  --data "$work/whole/encoder.safetensors" --out "$work/x"
expect 3 'is a folder without encoder.safetensors' "${four[@]}" --weights "$data" --out "$work/x"
expect 3 'is a checkpoint to go on from' "${four[@]}" --weights "$work/whole/ckpt/latest" \
  --out "$work/x"
expect 2 'is a file, expected a folder' "${four[@]}" --out "$work/whole/encoder.safetensors"
expect 2 'is the name of a file' "${four[@]}" --out "$work/x.safetensors"
for name in x.npy x.NPZ x.tar; do
  expect 2 "$name is the name of a file" "${four[@]}" --out "$work/$name"
  expect 2 "$name is the name of a file" "$build/music_features" "$work/whole" --data "$data" --out "$work/$name"
  expect 2 "$name is the name of a file" "$build/music_shard" --data "$data" --out "$work/$name"
done
for name in x.png x.safetensors x.json.gz; do
  expect 2 "$name: the file would be JSON, expected a name that ends in .json" "${four[@]}" \
    --trace "$work/$name" --out "$work/x"
done
expect 2 'is the folder of the images' "${four[@]}" --out "$data"
expect 2 'unknown preset "cifar-cpu" \(did you mean cifar10-cpu' "${four[@]}" --preset cifar-cpu --out "$work/x"
expect 2 'unknown preset "presets/demo.toml" \(did you mean demo\?\).*; -c reads a file' \
  "${four[@]}" --preset presets/demo.toml --out "$work/x"
expect 2 'whole is a folder, expected a file, as .*whole/config.toml' \
  "${four[@]}" -c "$work/whole" --out "$work/x"
[[ ! -e $work/x ]] || fail "a refused run left its folder"
"${tiny[@]}" --epochs 1 --out "$work/one" 2>"$work/log" || fail "one epoch: $(cat "$work/log")"
"${tiny[@]}" --epochs 1 --out "$work/one" 2>"$work/log" || fail "one epoch again: $(cat "$work/log")"
said "$work/log" 'has had its 1 epoch; --extend' 1
"${tiny[@]}" --epochs 2 --extend --out "$work/one" 2>"$work/log" || fail "a second epoch: $(cat "$work/log")"
said "$work/log" 'extended from 1 epoch to 2 at step 6: .* by the schedule of 2 epochs' 1
"${tiny[@]}" --epochs 1 --weights "$work/whole" --out "$work/from" --warmup 2>/dev/null &&
  fail "--warmup is taken"
"${tiny[@]}" --epochs 1 --weights "$work/whole" --out "$data/runs/a" \
  --optim.warmup_epochs 5 2>"$work/log" || fail "weights of a run: $(cat "$work/log")"
said "$work/log" 'lies in the folder of the images' 1
said "$work/log" 'warm-up of 5 epochs \(flag\) is longer than the run.*rises to 0.0025 and never reaches its peak, 0.0125' 1
said "$work/log" 'learning rate up to 0.002083' 1
expect 2 'memory-gib: found -1, expected a number above 0$' "$build/music_plan" --memory-gib -1

((failures == 0)) && echo "runs as users treat them: all as described"
exit $((failures > 0))
