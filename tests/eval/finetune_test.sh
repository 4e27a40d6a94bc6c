#!/usr/bin/env bash
# music_finetune and data.labels as a user runs them, on a tiny generated data set.
#   finetune_test.sh BUILD_DIR [mpi]
# Without mpi: the score and its record; lists, shares and numbers of labels, with
# the right counts; SIGKILL and SIGUSR1, then on to the same weights; another
# choice of labels is refused; bad input is one line and the right exit code.
# mpi: the same by two processes, each with statistics of its own.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
what=${2:-}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
# expect CODE PATTERN COMMAND: that exit code, and one line on standard error with
# the pattern; nothing written into $work/refused.
expect() {
  local code=$1 pattern=$2
  shift 2
  "$@" >"$work/stdout" 2>"$work/stderr"
  local status=$?
  ((status == code)) || fail "exit $status, expected $code: $*: $(cat "$work/stderr")"
  (($(grep -vc ' info \| warning ' "$work/stderr") == 1)) ||
    fail "not one line: $*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stderr" || fail "no '$pattern' in: $(cat "$work/stderr")"
  [[ ! -e $work/refused ]] || { fail "written by a refused run: $*"; rm -rf "$work/refused"; }
}
field() { grep -o "\"$2\": *[^,}]*" "$1" | head -1 | sed 's/.*: *//'; }  # FILE NAME

"$build/music_attributes" --out "$work/data" --train 120 --test 50 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
data=$work/data
quiet=(--progress none --train.log_level error)
"$build/music_train" --preset demo --data "$data/train" --augment.size 16 \
  --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 16 --epochs 2 \
  --out "$work/run" "${quiet[@]}" || { echo "pre-training failed" >&2; exit 1; }
tiny=("$build/music_finetune" "$work/run" --data "$data" --batch-size 10 --epochs 6
  --train.checkpoint_every 2 "${quiet[@]}")
tune() { "${tiny[@]}" --labels 3-per-class --random-init no "$@"; }
weights() { cat "$1"/seed-0/{encoder,classifier}.safetensors | sha256sum; }
steps() { [[ -e $1/metrics.jsonl ]] && wc -l <"$1/metrics.jsonl" || echo 0; }
# Kills process $3 with signal $4 when the run in $1 has done $2 steps.
stop_at() {
  until (($(steps "$1") >= $2)); do
    kill -0 "$3" 2>/dev/null || break
    sleep 0.01
  done
  kill -"$4" "$3" 2>/dev/null
  wait "$3" 2>/dev/null
}

scores() {
  "${tiny[@]}" --labels 10% --seeds 2 --out "$work/tuned" --json >"$work/score.json" ||
    fail "a run of two seeds"
  local s=$work/score.json
  cmp -s <(tr -d ' \n' <"$s") <(tr -d ' \n' <"$work/run/eval/finetune.10pct.json") ||
    fail "the record in the encoder's run is another"
  [[ $(ls "$work/tuned") == $'random-seed-0\nseed-0\nseed-1' ]] || fail "parts: $(ls "$work/tuned")"
  [[ $(field "$s" id) == '"finetune.10pct"' ]] || fail "protocol $(field "$s" id)"
  grep -q '"train": *{[^}]*"images": *12,' <(tr -d '\n' <"$s") || fail "not 12 training images: $(cat "$s")"
  grep -q '"test": *{[^}]*"images": *50,' <(tr -d '\n' <"$s") || fail "not all 50 test images"
  [[ $(field "$s" encoder_rate) == 0.00078125 && $(field "$s" head_rate) == 0.00390625 ]] ||
    fail "rates $(field "$s" encoder_rate), $(field "$s" head_rate): expected .02 and .1 x 10 / 256"
  grep -q '"seeds": *\[ *0, *1 *\]' <(tr -d '\n' <"$s") || fail "seeds"
  [[ $(field "$s" chance) == 10.0 && $(field "$s" deviation) != null &&
    $(field "$s" random_initialisation) != null ]] || fail "chance, deviation or random: $(cat "$s")"
  # The value is the mean of what the runs wrote down after their last epoch.
  local seed mean=0
  for seed in 0 1; do
    local line
    line=$(tail -1 "$work/tuned/seed-$seed/eval/classifier.jsonl")
    [[ $line == *'"epoch":6,'* ]] || fail "the last score of seed $seed is $line"
    mean=$(echo "$mean $(grep -o '"top1":[0-9.]*' <<<"$line" | cut -d: -f2)" | awk '{print $1 + $2 / 2}')
  done
  awk -v a="$mean" -v b="$(field "$s" value)" 'BEGIN { exit !(a - b < 1e-6 && b - a < 1e-6) }' ||
    fail "mean $mean in the runs, $(field "$s" value) in the record"
  # The encoder is trained too.
  cmp -s "$work/run/encoder.safetensors" "$work/tuned/seed-0/encoder.safetensors" &&
    fail "the encoder was not trained"
  # A table without --json, beside it chance and random initialisation.
  "${tiny[@]}" --labels 10% --seeds 2 --out "$work/tuned" 2>/dev/null |
    grep -qE '^top-1 +[0-9.]+ ± [0-9.]+ +[0-9.]+ +10\.00' || fail "no table with deviation"
  # A tuned run goes through the other evaluators.
  "$build/music_knn" "$work/tuned/seed-0" --data "$data" --k 1 >/dev/null 2>&1 ||
    fail "kNN on a fine-tuned encoder"
}

# said PATTERN ARGS: fine-tuning logs that of its labels.
said() {
  local pattern=$1
  shift
  rm -rf "$work/said"
  "${tiny[@]}" --random-init no --epochs 1 --train.log_level info --out "$work/said" "$@" \
    >"$work/stdout" 2>"$work/stderr" || fail "$*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stderr" || fail "no '$pattern' for $*: $(cat "$work/stderr")"
}
labels() {
  said '\[labels\] 12 of 120 images, 1 to 2 of each of 10' --labels 10% --seed 3
  said '\[labels\] 10 of 120 images, 1 of each of 10' --labels 1%
  said '\[labels\] 40 of 120 images, 4 of each of 10' --labels 4-per-class
  (cd "$data/train" && for c in *; do find "$c" -type f | sort | head -2; done) >"$work/list.txt"
  said '\[labels\] 20 of 120 images, 2 of each of 10' --labels "$work/list.txt"
  grep -q 'finetune.list' "$work/stdout" || fail "the protocol of a list"
  # SimCLR's form: names alone, class_number.
  mkdir -p "$work/named/train" "$work/named/val"
  local split c f n
  for split in train test; do
    for c in "$data/$split"/*/; do
      c=$(basename "$c")
      mkdir -p "$work/named/${split/test/val}/$c"
      n=0
      for f in "$data/$split/$c"/*; do
        cp "$f" "$work/named/${split/test/val}/$c/${c}_$((++n)).${f##*.}"
      done
    done
  done
  for c in "$work/named/train"/*/; do ls "$c" | head -1; done >"$work/simclr.txt"
  said '\[labels\] 10 of 120 images, 1 of each of 10' --data "$work/named" \
    --labels "$work/simclr.txt"
  # By the names in shards too.
  "$build/music_shard" --data "$work/named/train" --out "$work/shards" >/dev/null 2>&1 ||
    fail "music_shard"
  said '\[labels\] 10 of 120 images' --data "$work/shards" --data.eval_test "$work/named/val" \
    --labels "$work/simclr.txt"
  # Pre-training from a part of the images.
  "$build/music_train" --preset demo --data "$data/train" --labels 5-per-class --augment.size 16 \
    --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 16 --epochs 1 \
    --out "$work/half" --progress none 2>&1 | grep -q 'run\] 50 images' || fail "music_train --labels"
}

resume() {
  tune --out "$work/whole" >/dev/null || fail "the uninterrupted run"
  local expected trial
  expected=$(weights "$work/whole")
  for trial in KILL:7 USR1:12; do
    local out=$work/stopped-${trial%:*}
    "${tiny[@]}" --labels 3-per-class --random-init no --out "$out" >/dev/null 2>&1 &
    stop_at "$out/seed-0" "${trial#*:}" $! "${trial%:*}"
    tune --out "$out" >/dev/null || fail "resuming after SIG${trial%:*}"
    [[ $(weights "$out") == "$expected" ]] || fail "weights after SIG${trial%:*} differ"
    (($(wc -l <"$out/seed-0/eval/classifier.jsonl") == 6)) || fail "not six scores"
  done
  # The same labels by another choice, others by the same list: refused.
  expect 2 'data.labels "3-per-class" -> "4-per-class"' "${tiny[@]}" \
    --labels 4-per-class --random-init no --out "$work/whole"
  expect 2 'data.labels .*another configuration|another configuration.*data.labels' "${tiny[@]}" \
    --labels 25% --random-init no --out "$work/whole"
  cp "$work/list.txt" "$work/changing.txt"
  "${tiny[@]}" --labels "$work/changing.txt" --random-init no --out "$work/listed" >/dev/null ||
    fail "a list that changes"
  (cd "$data/train" && for c in *; do find "$c" -type f | sort | tail -2; done) >"$work/changing.txt"
  expect 2 'is not the data this run was started on' "${tiny[@]}" \
    --labels "$work/changing.txt" --random-init no --out "$work/listed"
}

errors() {
  local t=("${tiny[@]}" --out "$work/refused")
  expect 2 '0.1% of 120 images is none' "${t[@]}" --labels 0.1%
  expect 2 'found 0%: expected a share' "${t[@]}" --labels 0%
  expect 2 'found x-per-class: expected a number' "${t[@]}" --labels x-per-class
  expect 3 'expected a share as 1%, a number as 10-per-class, or a file' "${t[@]}" --labels 10pct
  expect 3 'has [0-9]+ images: expected at least the 50' "${t[@]}" --labels 50-per-class
  expect 2 'data.labels is not set; expected --labels' "${t[@]}"
  expect 2 'unknown flag --lables \(did you mean --labels\?\)' "${t[@]}" --lables 1%
  expect 2 'unknown flag --seed-s' "${t[@]}" --labels 10% --seed-s 2
  expect 2 'encoder is required' "$build/music_finetune" --data "$data" --labels 10% --out "$work/refused"
  expect 3 'no/such' "$build/music_finetune" no/such.safetensors --data "$data" --labels 10% --out "$work/refused"
  expect 3 'projector.safetensors' "$build/music_finetune" "$work/run/projector.safetensors" \
    --data "$data" --labels 10% --out "$work/refused"
  expect 2 'supervised.encoder is "frozen"' "${t[@]}" --labels 10% --supervised.encoder frozen \
    --supervised.encoder_rate 1 --supervised.batch_norm shared
  expect 2 'batch_norm .*is "own", and supervised.encoder .*is "frozen"' "${t[@]}" --labels 10% \
    --supervised.encoder frozen --supervised.encoder_rate 1
  expect 2 'score_every is 0' "${t[@]}" --labels 10% --score-every 0
  expect 2 'method.name is simclr' "${t[@]}" --labels 10% --method simclr --score-every 0
  expect 2 'batch of 50 samples from a data set of 10' "${t[@]}" --labels 1% --batch-size 50
  # Lists.
  { cat "$work/list.txt"; echo none_1.png; echo none_2.png; } >"$work/bad.txt"
  expect 3 '2 of 22 images of .* are not in the data: none_1.png, none_2.png' "${t[@]}" \
    --labels "$work/bad.txt"
  { cat "$work/list.txt"; head -1 "$work/list.txt"; } >"$work/bad.txt"
  expect 3 'bad.txt:21: .* stands on line 1 already' "${t[@]}" --labels "$work/bad.txt"
  head -18 "$work/list.txt" >"$work/bad.txt"
  expect 3 'names no image of 1 of 10 classes' "${t[@]}" --labels "$work/bad.txt"
  # A class without images, and one that only the test images have.
  cp -r "$work/named" "$work/gap"
  local c
  c=$(ls "$work/gap/train" | head -1)
  rm "$work/gap/train/$c"/*
  expect 3 "class folder $c has no image" "${t[@]}" --data "$work/gap" --labels 10%
  rmdir "$work/gap/train/$c"
  expect 3 "$c" "${t[@]}" --data "$work/gap" --labels 10%
  # A folder without a split is not scored on what it was trained on.
  expect 3 'no test split|expected .*test' "${t[@]}" --data "$data/train" --labels 10%
}

by_processes() {
  local np=(mpirun -np 2 "${tiny[@]}" --labels 3-per-class --random-init no)
  "${np[@]}" --out "$work/two" --json >"$work/two.json" || fail "two processes"
  [[ $(field "$work/two.json" processes) == 2 ]] || fail "processes: $(cat "$work/two.json")"
  grep -q 'each of 2 processes' "$work/two.json" || fail "whose statistics: $(cat "$work/two.json")"
  grep -q '"test": *{[^}]*"images": *50,' <(tr -d '\n' <"$work/two.json") || fail "not all test images"
  "${np[@]}" --out "$work/again" >/dev/null || fail "two processes, again"
  [[ $(weights "$work/two") == $(weights "$work/again") ]] || fail "two processes differ from themselves"
  # Statistics of each process's own are not those of all; shared ones are one
  # process's.
  local first shared
  tune --out "$work/one" >/dev/null || fail "one process"
  "${np[@]}" --supervised.batch_norm shared --out "$work/shared" >/dev/null || fail "shared statistics"
  loss() { grep -o '"loss":[-0-9.e]*' "$1/seed-0/metrics.jsonl" | head -1 | cut -d: -f2; }
  first=$(loss "$work/one")
  shared=$(loss "$work/shared")
  awk -v a="$first" -v b="$shared" 'BEGIN { exit !(a - b < 1e-5 && b - a < 1e-5) }' ||
    fail "first loss $first of one process, $shared of two that share statistics"
  awk -v a="$first" -v b="$(loss "$work/two")" 'BEGIN { exit a - b < 1e-5 && b - a < 1e-5 }' ||
    fail "statistics of each process's own are those of all"
  # Stopped and resumed together.
  "${np[@]}" --out "$work/stopped" >/dev/null 2>&1 &
  stop_at "$work/stopped/seed-0" 7 $! USR1
  "${np[@]}" --out "$work/stopped" >/dev/null || fail "two processes, resumed"
  [[ $(weights "$work/two") == $(weights "$work/stopped") ]] || fail "resumed by two processes: other weights"
}

if [[ $what == mpi ]]; then
  by_processes
else
  scores
  labels
  resume
  errors
fi
if ((failures > 0)); then
  echo "$failures failures" >&2
  exit 1
fi
echo "ok"
