#!/usr/bin/env bash
# music_svm as a user runs it: a VOC-layout miniature made of real photographs
# (without ../shared/data of generated images), and bad input.
#   svm_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
shared=${MUSIC_SHARED:-$here/../../../shared}
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
command -v python3 >/dev/null || { echo "no python3: skipped"; exit 0; }
svm() { "$build/music_svm" "$@" --progress none; }

"$build/music_attributes" --out "$work/data" --train 128 --test 128 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
"$build/music_train" --preset demo --data "$work/data/train" --augment.size 16 \
  --model.width 4 --mlp 32-24 --loss.segment 8 --batch-size 16 --epochs 1 \
  --progress none --train.log_level error --out "$work/run" 2>/dev/null ||
  { echo "training failed" >&2; exit 1; }

# Images of one class each become a VOC: image i of split s, a list a class.
photos=$shared/data/caltech-101
if [[ -d $photos/train ]]; then
  classes=(Leopards bonsai car_side)
  source_of() { find "$photos/$1/$2" -type f | sort | head -12; }
else
  echo "real photographs: skipped"
  photos=$work/data
  mapfile -t classes < <(ls "$work/data/train" | head -3)
  source_of() { find "$photos/$([[ $1 == val ]] && echo test || echo $1)/$2" -type f | sort | head -12; }
fi
voc=$work/VOCdevkit/VOC2007
lists=$voc/ImageSets/Main
mkdir -p "$voc/JPEGImages" "$lists"
number=0
declare -A count=([trainval]=0 [test]=0)
for split in train val; do
  set=trainval
  [[ $split == val ]] && set=test
  for class in "${classes[@]}"; do
    while read -r file; do
      number=$((number + 1))
      id=$(printf '%06d' $number)
      cp "$file" "$voc/JPEGImages/$id.jpg"
      count[$set]=$((count[$set] + 1))
      for c in "${classes[@]}"; do
        target=-1
        [[ $c == "$class" ]] && target=1
        # Every ninth image: the next class is there, but difficult.
        ((number % 9 == 0)) && [[ $c == "${classes[0]}" && $target == -1 ]] && target=0
        printf '%s %2d\n' "$id" "$target" >>"$lists/${c}_$set.txt"
      done
    done < <(source_of $split "$class")
  done
done

# Devkit, VOC2007 or the folder above: the same score, and the right counts.
json=$(svm "$work/run" --data "$voc" --json 2>/dev/null) || fail "the miniature"
field() { python3 -c "import json,sys; r=json.load(sys.stdin); print(($1))"; }
[[ $(field "r['data']['train']['images'], r['data']['test']['images']" <<<"$json") == \
  "(${count[trainval]}, ${count[test]})" ]] || fail "counts of $json"
[[ $(field "[s['name'] for s in r['scores']]" <<<"$json") == \
  "['mAP', 'AP ${classes[0]}', 'AP ${classes[1]}', 'AP ${classes[2]}']" ]] ||
  fail "rows of $json"
[[ $(field "r['protocol']['id'], len(r['protocol']['hash'])" <<<"$json") == \
  "('svm.voc', 16)" ]] || fail "protocol of $json"
[[ $(field "all(0 < s['value'] <= 100 and s['random_initialisation'] and s['chance'] for s in r['scores'])" <<<"$json") == True ]] ||
  fail "scores of $json"
[[ -e $work/run/eval/svm.voc.json ]] || fail "no line in the run"
for path in "$work/VOCdevkit" "$work"; do
  other=$(svm "$work/run" --data "$path" --json --no-random 2>/dev/null)
  [[ $(field "r['scores'][0]['value']" <<<"$other") == \
    "$(field "r['scores'][0]['value']" <<<"$json")" ]] || fail "score of $path"
done
# Threads and processes change nothing but time.
one=$(OMP_NUM_THREADS=1 svm "$work/run" --data "$voc" --json --no-random 2>/dev/null)
[[ $(field "[s['value'] for s in r['scores']]" <<<"$one") == \
  "$(field "[s['value'] for s in r['scores']]" <<<"$json")" ]] || fail "one thread"
if ldd "$build/music_svm" | grep -q libmpi && command -v mpirun >/dev/null; then
  several=$(OMP_NUM_THREADS=1 mpirun -np 2 \
    "$build/music_svm" "$work/run" --data "$voc" --json --no-random --progress none \
    2>/dev/null) || fail "two processes end with $?"
  [[ $(field "[round(s['value'], 3) for s in r['scores']], r['processes']" <<<"$several") == \
    "$(field "[round(s['value'], 3) for s in r['scores']], 2" <<<"$json")" ]] ||
    fail "two processes"
else
  echo "[skipped] several processes: this build or machine has no MPI"
fi

# A few examples.
low=$(svm "$work/run" --data "$voc" --low-shot --shots 1,4 --shot-negatives 3 --draws 3 \
  --no-random --json 2>/dev/null) || fail "--low-shot"
[[ $(field "[(s['name'], len(s['values'])) for s in r['scores']]" <<<"$low") == \
  "[('mAP, 1 positive', 3), ('mAP, 4 positive', 3)]" ]] || fail "low shot: $low"
expect 3 'has 12 positive training images, expected 16' svm "$work/run" --data "$voc" \
  --low-shot --shots 16 --shot-negatives 1

# Images of one class each: accuracy too.
folder=$(svm "$work/run" --data "$work/data" --features pooled --no-random --json \
  2>/dev/null) || fail "class folders"
[[ $(field "[s['name'] for s in r['scores']][:2]" <<<"$folder") == "['mAP', 'top-1']" ]] ||
  fail "rows of $folder"

# An image that cannot be read is left out of rows and targets, and told.
cp -r "$work/VOCdevkit" "$work/damaged"
echo "no image" >"$work/damaged/VOC2007/JPEGImages/000002.jpg"
bad=$(svm "$work/run" --data "$work/damaged" --no-random --json 2>/dev/null) ||
  fail "a damaged image"
grep -q "1 of ${count[trainval]} training images cannot be read" <<<"$bad" ||
  fail "a damaged image is not told"

# Bad lists: one line, no score.
broken() {  # broken PATTERN COMMAND on $lists of a copy
  rm -rf "$work/broken"
  cp -r "$work/VOCdevkit" "$work/broken"
  (cd "$work/broken/VOC2007" && eval "$2")
  expect 3 "$1" svm "$work/run" --data "$work/broken" --no-random
}
c=${classes[1]}
broken "lists 000003, but there is no .*000003.jpg" 'rm JPEGImages/000003.jpg'
broken "${c}_trainval.txt has 0 images with" \
  "sed -i 's/ 1\$/-1/' ImageSets/Main/${c}_trainval.txt"
broken "${c}_test.txt:2: .*, expected an image's name and 1, -1 or 0" \
  "sed -i '2s/ [-0-9]*\$/ yes/' ImageSets/Main/${c}_test.txt"
broken "${c}_test.txt:2: .*, expected" "sed -i '2s/ .*//' ImageSets/Main/${c}_test.txt"
broken "class $c has a list of trainval or of test, expected both" \
  "rm ImageSets/Main/${c}_test.txt"
broken "where .* has" "sed -i '1d' ImageSets/Main/${c}_test.txt"
expect 3 'no list CLASS_val.txt' svm "$work/run" --data "$voc" --train-set val
expect 2 'expected images to score on' svm "$work/run"
expect 2 '--data, or --train and --test' svm "$work/run" --data "$voc" --train x
expect 3 'with positive|expected|projector|encoder' svm \
  "$work/run/projector.safetensors" --data "$voc"

((failures == 0)) && echo "passed"
exit $((failures > 0))
