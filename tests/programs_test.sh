#!/usr/bin/env bash
# The programs as a user runs them, on a tiny generated data set.
#   programs_test.sh BUILD_DIR resume|methods|workers|errors|corrupt|preview|shards|plan
# resume   kill -9 at a random step, SIGUSR1, SIGINT, then go on: the weights
#          are those of the uninterrupted run, byte for byte
# methods  every method: SIGUSR1 and kill -9, then on to the same files and the same
#          checkpoint; settings, data and weights that do not fit are refused
# workers  one and four loader threads: the same bytes
# errors   bad input: one line, the right exit code, nothing written
# corrupt  5 % of the images damaged in ten ways: training ends, each is listed
#          once, two runs and a resumed one are equal
# preview  the contact sheet is what the loader yields, on any number of workers
# shards   training from tar shards is training from the files in them
# plan     what many processes will take: a network costs, a wrong flag is named
set -u
build=$1
what=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

"$build/music_attributes" --out "$work/data" --train 96 --test 48 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
data=$work/data/train
tiny=(--preset demo --data "$data" --augment.size 16 --model.width 4
  --mlp 32-32 --loss.segment 8 --batch-size 16 --epochs 4
  --train.checkpoint_every 3 --progress none --train.log_level warn)
train() { "$build/music_train" "${tiny[@]}" "$@"; }
weights() { cat "$1/encoder.safetensors" "$1/projector.safetensors" | sha256sum; }
steps() { wc -l <"$1/metrics.jsonl"; }

resume() {
  train --out "$work/whole" || fail "the uninterrupted run"
  local expected lines
  expected=$(weights "$work/whole")
  lines=$(steps "$work/whole")
  for trial in 1 2 3 4; do
    local run=$work/killed$trial
    "$build/music_train" "${tiny[@]}" --out "$run" &
    local pid=$!
    # Somewhere within the run, by the clock of the run itself.
    local stop=$((RANDOM % (lines - 6) + 3))
    until [[ -e $run/metrics.jsonl ]] && (($(steps "$run") >= stop)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.01
    done
    local signal=KILL code=137
    ((trial == 3)) && signal=USR1 code=16
    ((trial == 4)) && signal=INT code=130
    kill -"$signal" "$pid" 2>/dev/null
    wait "$pid"
    local status=$?
    # A run that was already past its last step ends with 0.
    ((status == code || status == 0)) ||
      fail "SIG$signal at step $stop: exit $status, expected $code"
    train --out "$run" || fail "resuming after SIG$signal"
    [[ $(weights "$run") == "$expected" ]] ||
      fail "weights after SIG$signal at step $stop differ"
    (($(steps "$run") == lines)) ||
      fail "metrics after SIG$signal: $(steps "$run") lines, expected $lines"
  done
  # In two passes too.
  train --out "$work/parts" --micro-batch 6 || fail "the run in two passes"
  "$build/music_train" "${tiny[@]}" --out "$work/stopped" --micro-batch 6 &
  local parts=$!
  until [[ -e $work/stopped/metrics.jsonl ]] && (($(steps "$work/stopped") >= 5)); do
    kill -0 "$parts" 2>/dev/null || break
    sleep 0.01
  done
  kill -KILL "$parts" 2>/dev/null
  wait "$parts"
  train --out "$work/stopped" --micro-batch 6 || fail "resuming in two passes"
  [[ $(weights "$work/stopped") == $(weights "$work/parts") ]] ||
    fail "weights in two passes after SIGKILL differ"
  expect 2 'another configuration \(train.micro_batch 6 -> ' \
    train --out "$work/parts"
  # Going on with a finished run changes nothing.
  train --out "$work/whole" || fail "a second run of a finished one"
  [[ $(weights "$work/whole") == "$expected" ]] || fail "finished run changed"
  # One configuration and one hash, wherever it stands; naming what auto came to
  # is no change, and a refusal names what is.
  (($(grep -hoE '"config_hash": ?"[0-9a-f]{32}"' "$work/whole"/{env.json,metrics.jsonl} \
    "$work/whole"/ckpt/step_*/manifest.json | tr -d ' ' | sort -u | wc -l) == 1)) ||
    fail "a run with several configuration hashes"
  train --out "$work/whole" --precision fp32 --device cpu ||
    fail "naming the precision that auto had chosen"
  expect 2 'another configuration \(train.seed 0 -> 9\)' train --out "$work/whole" --seed 9
  mkdir "$work/moved"
  cp -r "$work/whole/ckpt" "$work/moved/"
  expect 2 'written under another configuration \(train.seed 0 -> 9\)' \
    train --out "$work/moved" --seed 9
  # A damaged newest checkpoint: the one before is used, with the same end.
  local newest
  newest=$(find "$work/whole/ckpt" -mindepth 1 -maxdepth 1 -name 'step_*' | sort | tail -1)
  truncate -s 1000 "$newest/rank-0000.safetensors"
  rm "$work/whole/encoder.safetensors"
  train --out "$work/whole" || fail "falling back to an older checkpoint"
  [[ $(weights "$work/whole") == "$expected" ]] || fail "fallback ended elsewhere"
}

# Everything that a run leaves of its weights, and of what it goes on from.
outcome() {
  local newest
  newest=$(find "$1/ckpt" -mindepth 1 -maxdepth 1 -name 'step_*' | sort | tail -1)
  (cd "$1" && sha256sum ./*.safetensors "ckpt/${newest##*/}"/*.safetensors)
}
# settings_of METHOD: small; SwAV's queue begins to be kept at step 6 and is used
# from step 8 on.
settings_of() {
  case $1 in
    music) echo --mlp 32-32 --loss.segment 8 ;;
    simsiam | byol) echo --mlp 32-16 "--$1.predictor" 16 ;;
    moco_v2) echo --mlp 32-16 --moco_v2.queue 64 --moco_v2.group 4 ;;
    swav) echo --mlp 32-16 --swav.prototypes 12 --swav.freeze 0.5 --swav.queue 32 \
      --swav.queue_from 1 ;;
    supervised) ;;
    *) echo --mlp 32-16 ;;
  esac
}
methods() {
  local base=("$build/music_train" --preset demo --data "$data" --augment.size 16
    --model.width 4 --batch-size 16 --train.checkpoint_every 3 --progress none
    --train.log_level warn --epochs 8)
  local m trial stopped=0
  for m in music vicreg barlow_twins simclr simsiam byol moco_v2 swav supervised; do
    local run=("${base[@]}" --method "$m") whole=$work/$m expected files=projector
    read -ra settings <<<"$(settings_of "$m")"
    run+=("${settings[@]}")
    "${run[@]}" --out "$whole" || fail "$m"
    expected=$(outcome "$whole")
    case $m in
      simsiam | byol) files="predictor projector" ;;
      swav) files="projector prototypes" ;;
      supervised) files=classifier ;;
    esac
    [[ $(cd "$whole" && echo *.safetensors) == \
      "$(printf '%s\n' encoder $files | sort | sed 's/$/.safetensors/' | xargs)" ]] ||
      fail "$m wrote $(cd "$whole" && echo *.safetensors), expected encoder $files"
    for trial in USR1:16:7 KILL:137:11; do
      local signal=${trial%%:*} code step=${trial##*:} out=$work/$m-${trial%%:*}
      code=${trial#*:} code=${code%:*}
      "${run[@]}" --out "$out" &
      local pid=$!
      until [[ -e $out/metrics.jsonl ]] && (($(steps "$out") >= step)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
      done
      kill -"$signal" "$pid" 2>/dev/null
      wait "$pid" 2>/dev/null
      local status=$?
      ((status == code || status == 0)) || fail "$m, SIG$signal: exit $status"
      ((status != code)) || stopped=$((stopped + 1))
      "${run[@]}" --out "$out" || fail "$m: going on after SIG$signal"
      [[ $(outcome "$out") == "$expected" ]] ||
        fail "$m: another end after SIG$signal: $(diff <(outcome "$out") <(echo "$expected"))"
    done
  done
  ((stopped > 9)) || fail "only $stopped of 18 runs were stopped before their end"
  # Starting from an encoder.
  "${base[@]}" --method supervised --supervised.encoder frozen --epochs 1 \
    --model.weights "$work/byol/encoder.safetensors" --out "$work/probe" ||
    fail "a probe of BYOL's encoder"
  cmp -s <(tail -c 2000 "$work/probe/encoder.safetensors") \
    <(tail -c 2000 "$work/byol/encoder.safetensors") || fail "a frozen encoder moved"

  local b=("${base[@]}" --out "$work/refused")
  mkdir "$work/flat" "$work/one"
  cp "$data"/cross/* "$work/flat" && cp -r "$data/cross" "$work/one"
  expect 2 'music, vicreg.*found "no_such"' "${b[@]}" --method no_such
  expect 2 'moco_v2.queue .*method "moco_v2", and method.name is "byol"' \
    "${b[@]}" --method byol --moco_v2.queue 64
  expect 2 'D 30 does not divide into segments of 8' "${b[@]}" --mlp 32-30 --loss.segment 8
  expect 2 'queue .*of 60 keys and 16 keys a batch .*multiple' \
    "${b[@]}" --method moco_v2 --moco_v2.queue 60
  expect 2 'queue .*of 48 keys and 32 keys a batch .*multiple' \
    "${b[@]}" --method moco_v2 --moco_v2.symmetric true --moco_v2.queue 48
  expect 2 'group .*of 5 samples and .*of 16: expected a divisor' \
    "${b[@]}" --method moco_v2 --moco_v2.queue 64 --moco_v2.group 5
  expect 2 'swav.queue .*of 20 .*of 16: expected a multiple' \
    "${b[@]}" --method swav --swav.queue 20
  expect 2 'classes among the labels of the data: 0, expected at least 2' \
    "${b[@]}" --method supervised --data "$work/flat" --batch-size 4
  expect 2 'among the labels of the data: 1, expected at least 2' \
    "${b[@]}" --method supervised --data "$work/one" --batch-size 4
  expect 2 '\[vicreg\] a batch of 1 sample .*expected at least 2' \
    "${b[@]}" --method vicreg --data "$work/flat" --batch-size \
    "$(($(ls "$work/flat" | wc -l) - 1))"
  local w=("${b[@]}" --method vicreg --model.weights)
  expect 3 'cannot read no/such' "${w[@]}" no/such
  expect 3 'no convolution: a projector or a head' \
    "${w[@]}" "$work/vicreg/projector.safetensors"
  expect 3 'a ResNet-18, CIFAR stem, width 4, expected .*conv1.weight \[8,3,3,3\]' \
    "${w[@]}" "$work/vicreg/encoder.safetensors" --model.width 8

  # A run goes on from the weights it was started from, wherever they lie.
  cp "$work/vicreg/encoder.safetensors" "$work/start"
  w=("${b[@]}" --method vicreg --out "$work/started")
  "${w[@]}" --weights "$work/start" 2>/dev/null || fail "a run from weights"
  mv "$work/start" "$work/moved"
  "${w[@]}" --weights "$work/moved" 2>/dev/null || fail "weights elsewhere"
  "${w[@]}" --weights "$work/start" 2>/dev/null || fail "weights that are gone"
  cp "$work/byol/encoder.safetensors" "$work/start"
  expect 2 'was started from weights .*found .*expected the same' \
    "${w[@]}" --weights "$work/start"
  expect 2 'was started from weights .*found none named' "${w[@]}"
}

workers() {
  train --out "$work/one" --workers 1 || fail "one worker"
  train --out "$work/four" --workers 4 || fail "four workers"
  [[ $(weights "$work/one") == $(weights "$work/four") ]] ||
    fail "weights depend on the number of workers"
  train --out "$work/other" --seed 1 || fail "another seed"
  [[ $(weights "$work/one") != $(weights "$work/other") ]] ||
    fail "the seed changes nothing"
  MUSIC_PLANNER=off train --out "$work/planner" || fail "planner off"
  [[ $(weights "$work/one") == $(weights "$work/planner") ]] ||
    fail "weights depend on memory re-use"
}

source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

errors() {
  local t=$build/music_train out=$work/out
  mkdir "$work/empty" "$work/broken"
  for i in 1 2 3 4 5; do echo "not an image" >"$work/broken/$i.jpg"; done
  expect 3 'no/such.*expected' "$t" "${tiny[@]}" --data "$work/no/such" --out "$out"
  expect 3 'empty' "$t" "${tiny[@]}" --data "$work/empty" --out "$out"
  expect 3 'bad|image' "$t" "${tiny[@]}" --data "$work/broken" --batch-size 2 --out "$work/bad"
  expect 2 'base_lr' "$t" "${tiny[@]}" --optim.base_rl 0.1 --out "$out"
  expect 2 '[Uu]nknown' "$t" "${tiny[@]}" --nonsense --out "$out"
  expect 2 'nearest|expected' "$t" "${tiny[@]}" --mlp 32-36 --out "$out"
  expect 2 'at most 96' "$t" "${tiny[@]}" --batch-size 200 --out "$out"
  expect 2 'data' "$t" --out "$out"
  expect 2 'resnet' "$t" "${tiny[@]}" --arch resnet77 --out "$out"
  printf '[optim]\nbase_rl = 0.3\n' >"$work/bad.toml"
  expect 2 'bad.toml:2.*base_lr' "$t" -c "$work/bad.toml" --data "$data" --out "$out"
  printf '[optim]\nbase_lr = "x"\n' >"$work/bad.toml"
  expect 2 'bad.toml:2' "$t" -c "$work/bad.toml" --data "$data" --out "$out"
  [[ ! -e $out/metrics.jsonl ]] || fail "a refused run left metrics behind"

  train --out "$work/run" || fail "the run to damage"
  expect 2 'base_lr' "$t" "${tiny[@]}" --base-lr 0.01 --out "$work/run"
  local c
  for c in "$work"/run/ckpt/step_*; do truncate -s 100 "$c/rank-0000.safetensors"; done
  train --out "$work/run" 2>"$work/stderr"
  local status=$?
  ((status == 4)) || fail "all checkpoints damaged: exit $status, expected 4"
  cp "$work/run/encoder.safetensors" "$work/e.safetensors"
  truncate -s 500 "$work/e.safetensors"
  expect 3 'e.safetensors' "$build/music_knn" "$work/e.safetensors" --data "$work/data"
  expect 3 'missing|unexpected|expected' "$build/music_knn" \
    "$work/run/projector.safetensors" --data "$work/data"
  expect 3 'label|expected' "$build/music_knn" "$work/run" \
    --train "$work/data/train/$(ls "$work/data/train" | head -1)" --test "$work/data/test"
}

# corrupt_one WAY FILE
corrupt_one() {
  local file=$2
  cp "$file" "$work/was"
  case $1 in
    0) : >"$file" ;;
    1) head -c 100 "$work/was" >"$file" ;;
    2) head -c $(($(stat -c %s "$work/was") / 2)) "$work/was" >"$file" ;;
    3) echo "<html>404 Not Found</html>" >"$file" ;;
    4) { printf '\xff\xd8\xff'; seq 500; } >"$file" ;;
    5) { printf 'GIF89a'; tail -c +7 "$work/was"; } >"$file" ;;
    6) tail -c +2 "$work/was" >"$file" ;;
    7) echo 'version https://git-lfs.github.com/spec/v1' >"$work/pointer"
      ln -sf "$work/pointer" "$file" ;;
    8) head -c "$(stat -c %s "$work/was")" /dev/zero >"$file" ;;
    # The start of frame asks for 65,500 x 65,500 pixels.
    9) LC_ALL=C sed 's/\xff\xc0\x00\x11\x08..../\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc/' \
      "$work/was" >"$file" ;;
  esac
}
corrupt() {
  "$build/music_attributes" --out "$work/many" --train 200 --test 1 --size 24 >/dev/null
  local files bad=() i
  mapfile -t files < <(find "$work/many/train" -name '*.jpg' | sort)
  for i in 0 1 2 3 4 5 6 7 8 9; do
    corrupt_one $i "${files[i * 20 + 3]}"
    bad+=("${files[i * 20 + 3]}")
  done
  # A link to nothing is no image: said, not among the damaged ones.
  ln -s no/such/file "${files[0]%/*}/gone.jpg"
  local many=("$build/music_train" "${tiny[@]}" --data "$work/many/train" --bad-max 0.06
    --train.log_level error)
  "${many[@]}" --out "$work/one" || fail "training with damaged images: exit $?"
  "${many[@]}" --out "$work/two" --workers 5 || fail "the same again: exit $?"
  [[ $(weights "$work/one") == $(weights "$work/two") ]] || fail "the two runs differ"
  cmp "$work/one/quarantine.jsonl" "$work/two/quarantine.jsonl" ||
    fail "their quarantines differ"
  listed() { grep -o '"name":"[^"]*"' "$1/quarantine.jsonl" | cut -d'"' -f4 | sort; }
  [[ $(listed "$work/one") == "$(printf '%s\n' "${bad[@]}" | sort)" ]] ||
    fail "quarantine: $(listed "$work/one")"
  "${many[@]}" --out "$work/killed" &
  local pid=$!
  until [[ -e $work/killed/metrics.jsonl ]] && (($(steps "$work/killed") >= 20)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.01
  done
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  "${many[@]}" --out "$work/killed" || fail "going on among damaged images"
  [[ $(weights "$work/killed") == $(weights "$work/one") ]] || fail "the resumed run differs"
  [[ $(listed "$work/killed") == $(listed "$work/one") ]] ||
    fail "quarantine after a resume: $(listed "$work/killed")"
  expect 3 'of the epoch.s 200 images cannot be read, limit 8' "${many[@]}" \
    --bad-max 0.04 --out "$work/refused"
  expect 3 'many/train/' "${many[@]}" --bad-image abort --out "$work/aborted"
  "${many[@]}" --bad-image zero --train.log_level warn --out "$work/zero" 2>"$work/said" ||
    fail "--bad-image zero"
  (($(grep -c '; black in its place$' "$work/said") == 10)) || fail "said: $(cat "$work/said")"
  grep -q '1 link to what is not there (.*/gone.jpg)' "$work/said" ||
    fail "said: $(cat "$work/said")"
  grep -q replaced "$work/said" && fail "black images are called replaced"
  [[ $(weights "$work/zero") != $(weights "$work/one") ]] ||
    fail "black images train to the same weights as replaced ones"
}

preview() {
  local preview=("$build/music_preview" --preset demo --data "$data" --augment.size 16)
  "${preview[@]}" --sheet "$work/a.png" --images 5 --columns 3 >"$work/said" &&
    "${preview[@]}" --sheet "$work/b.png" --images 5 --columns 3 --workers 3 >/dev/null &&
    "${preview[@]}" --sheet "$work/c.png" --images 5 --columns 3 --epoch 1 >/dev/null ||
    fail "music_preview"
  grep -q '5 of 96 images' "$work/said" || fail "said: $(cat "$work/said")"
  cmp "$work/a.png" "$work/b.png" || fail "the sheet depends on workers"
  cmp -s "$work/a.png" "$work/c.png" && fail "two epochs have the same views"
  # A PNG under another format's name.
  for name in x.jpg x.JPEG x.tiff x.pdf x.npy; do
    expect 2 'would be a PNG, expected a name that ends in .png$' "${preview[@]}" --sheet "$work/$name"
    [[ ! -e $work/$name ]] || fail "$name was written"
  done
  for name in plain v1.2 y.PNG; do
    "${preview[@]}" --sheet "$work/$name" --images 2 >/dev/null || fail "a sheet called $name"
  done
  # It is an image like any other: three sets of three tiles wide, two high.
  mkdir "$work/sheets" && cp "$work/a.png" "$work/c.png" "$work/sheets"
  [[ $(head -c 24 "$work/a.png" | tail -c 8 | od -An -tu1 | tr -s ' ') == \
    " 0 0 0 212 0 0 0 56" ]] || fail "size of the sheet"
  "$build/music_preview" --preset demo --data "$work/sheets" --sheet "$work/d.png" \
    >/dev/null || fail "a sheet of sheets"
}

scores() { grep -oE '"value":[0-9.]+' "$1"; }
shards() {
  local shard=$build/music_shard
  "$shard" --data "$work/data" --out "$work/s/train" --shard-mib 1 --in-order \
    >"$work/said" || fail "music_shard"
  grep -q '96 images in 1 shard,' "$work/said" || fail "said: $(cat "$work/said")"
  "$shard" --data "$work/data" --split test --out "$work/s/val" >/dev/null ||
    fail "music_shard --split test"
  train --out "$work/files" || fail "training from files"
  "$build/music_train" "${tiny[@]}" --data "$work/s" --out "$work/shards" ||
    fail "training from shards"
  [[ $(weights "$work/files") == $(weights "$work/shards") ]] ||
    fail "weights from shards differ"
  "$build/music_train" "${tiny[@]}" --data "$work/s/train/train-{000000..000000}.tar" \
    --out "$work/shards" || fail "the same shards by a pattern"
  "$build/music_knn" "$work/shards" --data "$work/s" --json --k 5 >"$work/from_shards" &&
    "$build/music_knn" "$work/shards" --data "$work/data" --json --k 5 >"$work/from_files" ||
    fail "scoring from shards"
  [[ -n $(scores "$work/from_files") && $(scores "$work/from_shards") == $(scores "$work/from_files") ]] ||
    fail "scores from shards differ"
  expect 2 'already' "$shard" --data "$work/data" --out "$work/s/train"
  expect 3 'expected' "$shard" --data "$work/no/such" --out "$work/t"
}

plan() {
  local p=$build/music_plan ideal real
  ideal=$("$p" --nodes 4 --gpus 8 --network ideal --json) || fail "ideal network"
  real=$("$p" --nodes 4 --gpus 8 --json) || fail "4 nodes of 8"
  [[ $ideal == *'"efficiency":1.0,'* ]] || fail "ideal: $ideal"
  [[ $real == *'"efficiency":0.'*'"nodes":4,'* ]] || fail "real: $real"
  "$p" --nodes 4 --gpus 8 | grep -q '^  step  .* % of as many processes alone$' ||
    fail "no step in the text"
  expect 2 'expected the times' "$p" --preset demo --nodes 2 --gpus 2 \
    --device cpu
  expect 2 'processes 3 on 2 nodes of 2: expected 4' \
    "$p" --processes 3 --nodes 2 --gpus 2
  "$p" --preset demo --extend --epochs 300 >/dev/null || fail "a plan of a run to extend"
  expect 2 'at least one sample' "$p" --nodes 2 --gpus 8 --batch-size 8
  expect 2 'network' "$p" --nodes 2 --network token-ring
  expect 3 'is not a profile' "$p" --preset demo \
    --profile "$build/CMakeCache.txt"
  expect 3 'is not a profile' "$p" --preset demo --profile "$work/none.json"
}

"$what"
((failures == 0))
