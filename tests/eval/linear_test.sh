#!/usr/bin/env bash
# music_linear as a user runs it: protocols, grids, several processes, kills,
# real photographs, and all that it must refuse.
#   linear_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
linear=$build/music_linear
# expect CODE PATTERN command...: exit code, and one line on stderr that matches
# beside warnings; no score.
expect() {
  local code=$1 pattern=$2
  shift 2
  "$@" >"$work/stdout" 2>"$work/stderr"
  local status=$?
  grep -v ' warning \|\[warning\]' "$work/stderr" >"$work/lines"
  ((status == code)) || fail "exit $status, expected $code: $*: $(cat "$work/stderr")"
  (($(grep -c . "$work/lines") == 1)) ||
    fail "$(grep -c . "$work/lines") lines, expected 1: $*: $(cat "$work/lines")"
  grep -qE -- "$pattern" "$work/lines" ||
    fail "no '$pattern' in: $(cat "$work/lines")"
  [[ ! -s $work/stdout ]] || fail "a score all the same: $*"
}
# has FILE TEXT...
has() {
  local file=$1
  shift
  for text; do
    grep -qF -- "$text" "$file" || fail "no '$text' in $(cat "$file")"
  done
}
scores() { grep -o '"scores":\[.*\],"notes"' "$1"; }
steps() { grep -c '"step":' "$1/metrics.jsonl"; }
# What a run leaves of its classifiers and of its encoder.
outcome() { (cd "$1" && sha256sum ./*.safetensors eval/classifier.jsonl); }

"$build/music_attributes" --out "$work/data" --train 160 --test 60 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
data=$work/data run=$work/run
"$build/music_train" --preset demo --data "$data/train" --augment.size 16 \
  --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 40 --epochs 2 \
  --progress none --train.log_level warn --out "$run" || fail "the run to score"
quiet=(--progress none --train.log_level error)
# BASE: without its output.
base=("$linear" "$run" --data "$data" "${quiet[@]}" --batch 32 --epochs 4)

# A run: the table, its record in the run, every test image, and an encoder that
# is the same to the last byte but for its metadata.
"${base[@]}" --preset imagenet >"$work/table" 2>"$work/log" || fail "a run: $(cat "$work/log")"
has "$work/table" 'protocol linear.imagenet (' 'train 160 images' 'test 60 images' \
  'schedule epoch_cosine' '60 test images scored' 'random init: the same on weights drawn'
grep -qE '^top-1 +[0-9.]+ +[0-9.]+ +[0-9.]+$' "$work/table" ||
  fail "a score without random weights or chance beside it: $(cat "$work/table")"
[[ -s $run/eval/linear.imagenet.json && -s $run/eval/scores.jsonl ]] || fail "no record in the run"
probe=$run/eval/linear/seed-0
(($(wc -l <"$probe/eval/classifier.jsonl") == 4)) || fail "not a score an epoch"
cmp -s <(tail -c 6000 "$run/encoder.safetensors") <(tail -c 6000 "$probe/encoder.safetensors") ||
  fail "the frozen encoder, or its num_batches_tracked, moved"
# The same command again: nothing to do, the same score.
"${base[@]}" --preset imagenet >"$work/again" 2>"$work/log" || fail "a second time: $(cat "$work/log")"
cmp -s "$work/table" "$work/again" || fail "another score the second time"

# A grid trains each as if alone, to the bit, and says which it chose by what.
"${base[@]}" --preset cifar10 --lr 0.5,0.1,2 --wd 0,0.01 --random-init no --json \
  --optim.milestones 2,3 --out "$work/grid" >"$work/grid.json" 2>/dev/null || fail "a grid"
has "$work/grid.json" '"name":"top-1 lr0.5_wd0"' '"name":"top-1 lr2_wd0.01"' \
  'by the test images themselves, which is optimistic' '"random_initialisation":null'
i=0
for lr in 0.5 0.1 2; do
  for wd in 0 0.01; do
    "${base[@]}" --preset cifar10 --lr $lr --wd $wd --random-init no --json \
      --optim.milestones 2,3 --out "$work/one-$i" >"$work/one.json" 2>/dev/null || fail "lr $lr"
    alone=$(grep -o '"classifiers":.*' "$work/one-$i/seed-0/eval/classifier.jsonl" | tail -1 |
      grep -o '"top1":.*')
    grep -qF -- "$alone" <(tail -1 "$work/grid/seed-0/eval/classifier.jsonl" |
      sed 's/},{/}]}}\n/g') || fail "lr $lr wd $wd: alone $alone"
    i=$((i + 1))
  done
done
[[ -s $work/grid/classifier.safetensors ]] || fail "the best classifier was not written"
"${base[@]}" --preset imagenet --lr 0.5,0.1 --holdout 40 --random-init no \
  --out "$work/held" >"$work/table" 2>/dev/null || fail "held-out images"
has "$work/table" 'by 40 held-out training images' 'train 120 images'
(($(grep -c '"holdout":{"images":40' "$work/held/seed-0/eval/classifier.jsonl") == 4)) ||
  fail "held-out images were not scored"

# Places205's: res5, a batch norm, several seeds.
"${base[@]}" --preset places205 --optim.milestones 2,3 --seeds 2 --random-init no \
  --out "$work/places" >"$work/table" 2>/dev/null || fail "places205"
has "$work/table" 'linear.places205' 'features res5' 'batch norm, linear' ' ± '
# Cached: a protocol of its own, by its name.
"$linear" "$run" --data "$data" "${quiet[@]}" --cached --out "$work/cached" >"$work/table" 2>/dev/null || fail "cached"
has "$work/table" 'linear-cached' 'at its optimum, no augmentation'

# Several processes, and a kill and a signal in the middle: the same end.
one=("${base[@]}" --preset imagenet --lr 0.5,0.1 --random-init no)
"${one[@]}" --out "$work/whole" >/dev/null 2>&1 || fail "the whole run"
expected=$(outcome "$work/whole/seed-0")
for signal in USR1 KILL; do
  out=$work/$signal
  "${one[@]}" --train.checkpoint_every 2 --out "$out" >/dev/null 2>&1 &
  pid=$!
  until [[ -e $out/seed-0/metrics.jsonl ]] && (($(steps "$out/seed-0") >= 8)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.01
  done
  kill -$signal "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  "${one[@]}" --train.checkpoint_every 2 --out "$out" >/dev/null 2>"$work/log" || fail "going on after SIG$signal: $(cat "$work/log")"
  [[ $(outcome "$out/seed-0") == "$expected" ]] ||
    fail "another end after SIG$signal: $(diff <(outcome "$out/seed-0") <(echo "$expected"))"
done
# A run that ended between its last checkpoint and its score.
sed -i '$d' "$work/whole/seed-0/eval/classifier.jsonl"
"${one[@]}" --out "$work/whole" >/dev/null 2>&1 || fail "a score to be made up for"
[[ $(outcome "$work/whole/seed-0") == "$expected" ]] || fail "a score that was missing is another"
if ldd "$build/music_linear" | grep -q libmpi && command -v mpirun >/dev/null; then
  top() { grep -o '"name":"top-1","unit":"%","value":[0-9.]*' "$1"; }
  "${one[@]}" --json --out "$work/np1" >"$work/np1.json" 2>/dev/null || fail "1 process"
  for n in 2 3; do
    mpirun -np $n "${one[@]}" --json --out "$work/np$n" >"$work/np$n.json" 2>"$work/log" ||
      fail "$n processes: $(cat "$work/log")"
    [[ -n $(top "$work/np1.json") && $(top "$work/np$n.json") == "$(top "$work/np1.json")" ]] ||
      fail "$n processes: $(top "$work/np$n.json"), 1: $(top "$work/np1.json")"
    has "$work/np$n.json" '60 test images scored' "\"processes\":$n"
  done
fi

# Places205 as it lies on disk, letter/class/image with lists beside, of real
# photographs: every image is counted.
photos=${MUSIC_SHARED:-$(cd "$(dirname "$0")/../.." && pwd)/../shared}/data/caltech-101
if [[ -d $photos ]]; then
  places=$work/places205
  label=0
  for class in $(ls "$photos/train" | head -4); do
    mkdir -p "$places/${class:0:1}/$class"
    for split in train val; do
      for image in $(ls "$photos/$split/$class" | head -20); do
        cp "$photos/$split/$class/$image" "$places/${class:0:1}/$class/$split-$image"
        echo "${class:0:1}/$class/$split-$image $label" >>"$places/${split}_places205.csv"
      done
    done
    label=$((label + 1))
  done
  "$build/music_train" --preset demo --data "$photos/train" --augment.size 64 \
    --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 64 --epochs 1 --data.limit 64 \
    --progress none --train.log_level warn --out "$work/photos" || fail "a run on photographs"
  trains=$(wc -l <"$places/train_places205.csv") tests=$(wc -l <"$places/val_places205.csv")
  "$linear" "$work/photos" --preset places205 --data "$places/train_places205.csv" \
    --data.eval_test "$places/val_places205.csv" "${quiet[@]}" --batch 32 --epochs 3 \
    --optim.milestones 1,2 --lr 0.01,0.1 >"$work/table" 2>"$work/log" ||
    fail "Places205's layout: $(cat "$work/log")"
  has "$work/table" "train $trains images, 4 classes" "test $tests images, 4 classes" \
    "$tests test images scored" 'linear.places205' 'features res5'
  ((trains == 80 && tests >= 20)) || fail "$trains training and $tests test images"
else
  echo "[skipped] Places205's layout: no $photos"
fi

# Bad input.
bad=("${base[@]}" --out "$work/bad")
expect 2 'unknown flag --epoch ' "${bad[@]}" --epoch 3
expect 2 'unknown preset "imagnet"' "${bad[@]}" --preset imagnet
expect 2 'expected a protocol that trains' "${bad[@]}" --preset demo
expect 2 'expected a protocol that trains' "${bad[@]}" --supervised.encoder trained
expect 2 'has no projector' "${bad[@]}" --mlp 32-16
expect 2 'which has no rate' "${bad[@]}" --supervised.encoder_rate 0.5
expect 2 'supervised.rates .*0.1 twice' "${bad[@]}" --lr 0.1,0.1
expect 2 'supervised.rates.*expects numbers' "${bad[@]}" --lr 0.1,x
expect 2 'supervised.rates.*expects numbers each > 0' "${bad[@]}" --lr 0
expect 2 'only grows' "${bad[@]}" --lr 30 --wd 0.1
expect 2 'train.score_every is 0' "${bad[@]}" --score-every 0
expect 2 'data.holdout of 160 images from 160' "${bad[@]}" --holdout 160
expect 2 '160 images: expected at most 160' "${bad[@]}" --batch 161
expect 2 'expected neither rates' "${bad[@]}" --cached --lr 1
expect 2 'data.path is not set' "$linear" "$run" "${quiet[@]}" --out "$work/bad"
expect 3 'no/such' "$linear" no/such --data "$data" "${quiet[@]}" --out "$work/bad"
expect 3 'projector.safetensors' "$linear" "$run/projector.safetensors" --data "$data" \
  "${quiet[@]}" --out "$work/bad"
mkdir -p "$work/flat" "$work/lists"
cp "$data"/train/*/* "$work/flat"
expect 3 'no label|labels' "$linear" "$run" --data "$work/flat" --data.eval_test "$data/test" \
  "${quiet[@]}" --batch 32 --epochs 1 --out "$work/bad"
# A training set on its own has no test images.
expect 3 'split|train' "$linear" "$run" --data "$data/train" "${quiet[@]}" --batch 32 \
  --epochs 1 --out "$work/bad"
# Test classes that training lacks: another number of them, other names.
cp -r "$data" "$work/more"
cp -r "$work/more/test/$(ls "$work/more/test" | head -1)" "$work/more/test/zebra"
expect 3 'zebra' "$linear" "$run" --data "$work/more" "${quiet[@]}" --batch 32 --epochs 1 \
  --out "$work/bad"
# A class without training images, but with test images.
cp -r "$data" "$work/less"
first=$(ls "$work/less/train" | head -1)
rm -r "${work:?}/less/train/$first"
expect 3 "$first" "$linear" "$run" --data "$work/less" "${quiet[@]}" --batch 32 --epochs 1 \
  --out "$work/bad"
# A class without test images is a note.
cp -r "$data" "$work/untested"
rm -r "${work:?}/untested/test/$first"
"$linear" "$run" --data "$work/untested" "${quiet[@]}" --batch 32 --epochs 1 --random-init no \
  --preset imagenet --out "$work/untested-out" >"$work/table" 2>/dev/null || fail "a class without test images"
grep -q "note: .*$first" "$work/table" || fail "no word of $first: $(cat "$work/table")"
[[ ! -e $work/bad/seed-0/encoder.safetensors ]] || fail "what was refused was trained"

((failures == 0)) || { echo "$failures failed" >&2; exit 1; }
echo "music_linear: all passed"
