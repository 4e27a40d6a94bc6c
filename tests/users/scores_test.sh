#!/usr/bin/env bash
# A score is of what it says, or there is none: what users really give to the
# programs that score.
#   scores_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../eval/common.sh"
run=$work/run
mpi() { ldd "$build/music_knn" | grep -q libmpi && command -v mpirun >/dev/null; }
# refused PATTERN command...: exit code 3, one error, that matches, and no score.
refused() {
  local pattern=$1
  shift
  "$@" --progress none >"$work/stdout" 2>"$work/stderr"
  local status=$?
  ((status == ${code:-3})) || fail "exit $status: $*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stderr" || fail "no '$pattern' of $*: $(cat "$work/stderr")"
  [[ ! -s $work/stdout ]] || fail "a score all the same: $*"
}
# scored TEXT... -- command...: its table has the texts.
scored() {
  local texts=()
  while [[ $1 != -- ]]; do
    texts+=("$1")
    shift
  done
  shift
  "$@" --progress none >"$work/stdout" 2>"$work/stderr" || fail "$*: $(cat "$work/stderr")"
  for text in "${texts[@]}"; do
    grep -qF -- "$text" "$work/stdout" || fail "no '$text' of $*: $(cat "$work/stdout")"
  done
}
score_list() { grep -o '"scores":.*"compute"' "$1"; }
knn() { "$build/music_knn" "$run" --random-bank 0 "$@"; }
svm() { "$build/music_svm" "$run" --no-random "$@"; }
linear() {
  rm -rf "$work/linear"
  "$build/music_linear" "$run" --random-init no --batch 12 --epochs 2 --optim.milestones 1 \
    --train.log_level warn --out "$work/linear" "$@"
}
cached() {
  "$build/music_linear" "$run" --cached --random-init no --train.log_level warn \
    --out "$work/cached" "$@"
}
finetune() {
  rm -rf "$work/finetune"
  "$build/music_finetune" "$run" --random-init no --batch 12 --epochs 1 --labels 50% \
    --train.log_level warn --out "$work/finetune" "$@"
}
train() {
  "$build/music_train" --preset demo --augment.size 16 --model.width 4 --mlp 32-32 \
    --loss.segment 8 --batch-size 12 --epochs 1 --train.log_level warn "$@"
}

# Eight colours: c0 to c7, train/ and test/.
"$build/music_attributes" --out "$work/made" --train 120 --test 60 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
for split in train test; do
  i=0
  for class in "$work/made/$split"/*/; do
    mkdir -p "$work/data/$split" && cp -r "$class" "$work/data/$split/c$i"
    i=$((i + 1))
  done
done
data=$work/data
train --data "$data/train" --out "$run" --progress none || fail "the run to score"

# No test part: no score.
plain=$data/train
for program in knn svm; do
  refused 'no test images of its own.*expected a folder with train/ and val/ or test/.*--train and --test' \
    $program --data "$plain"
done
for program in linear cached finetune; do
  refused 'no test images of its own.*or --data.eval_test' $program --data "$plain"
done
refused 'no test images of its own.*--data.eval_train and --data.eval_test' \
  train --data "$plain" --knn-every 1 --out "$work/never"
[[ ! -e $work/never/encoder.safetensors ]] || fail "trained before the data was looked at"
mkdir "$work/named" && cp -r "$plain" "$work/named/train" && cp -r "$data/test" "$work/named/validation"
refused 'of its own \(found train, validation\)' knn --data "$work/named"
mkdir "$work/cifar" "$work/stl"
for label in 0 1 2 3; do
  printf "\\x0$label" && head -c 3072 /dev/urandom
done >"$work/cifar/data_batch_1.bin"
refused 'expected test_batch.bin' knn --data "$work/cifar"
refused 'expected test_batch.bin' knn --train "$work/cifar" --test "$work/cifar"
head -c $((27648 * 3)) /dev/urandom >"$work/stl/train_X.bin" && printf '\1\2\3' >"$work/stl/train_y.bin"
refused 'expected test_X.bin' knn --data "$work/stl"
"$build/music_shard" --data "$plain" --out "$work/shards/train" >/dev/null 2>&1 || fail "shards"
refused 'of its own \(found train\)' knn --data "$work/shards"
refused 'of its own' knn --data "$work/shards/train"
"$build/music_shard" --data "$data" --split test --out "$work/shards/val" >/dev/null 2>&1

# Training images by another way.
cp -r "$plain" "$work/copy" && cp -rl "$work/copy" "$work/hard"
refused '120 of 120 test images .* are copies of training images' knn --train "$plain" --test "$work/copy"
refused '120 of 120 test images .* are copies' svm --train "$work/copy" --test "$work/hard"
refused 'are copies of training images' linear --data "$plain" --data.eval_test "$work/copy"
refused 'are copies of training images' finetune --data "$plain" --data.eval_test "$work/copy"
refused 'are copies of training images' knn --train "$work/shards/train" --test "$plain"
refused 'are training images' knn --train "$work/shards/train" \
  --test "$work/shards/train/train-000000.tar"
cp -r "$data" "$work/some" && for f in "$plain"/c0/*; do
  cp "$f" "$work/some/test/c1/copy-$(basename "$f")"
done
few=$(ls "$plain/c0" | wc -l)
scored "$few of $((60 + few)) test images are copies of training images (" -- knn --data "$work/some" --k 5
for part in train test; do
  "$build/music_features" "$run" --data "$data" --split train --out "$work/twice/$part" \
    >/dev/null 2>&1 || fail "features"
done
refused 'are copies of training images' "$build/music_knn" --features "$work/twice"

# Top-5 counts classes with a vote.
scored 'test 60 images, 8 classes' -- knn --data "$data" --k 1
[[ $(awk '/top-1/ {print $3}' "$work/stdout") == "$(awk '/top-5/ {print $3}' "$work/stdout")" ]] ||
  fail "1-NN top-5: $(cat "$work/stdout")"

# Images that cannot be read: counted, named, explained, before the score and in
# the record, in both parts.
cp -r "$data" "$work/bad"
printf 'GIF89a' >"$work/bad/train/c1/zz.jpg"
for i in 1 2 3 4; do printf "RIFF...$i" >"$work/bad/test/c$i/a.jpg"; done
for program in knn svm linear cached finetune; do
  scored 'test 60 of 64 images' \
    '4 of 64 test images cannot be read and are left out: ' 'test/c3/a.jpg (' \
    -- $program --data "$work/bad" $([[ $program == knn ]] && echo --k 5)
  warning=$(grep -c 'test images cannot be read' "$work/stderr")
  ((warning == 1)) || fail "$program: $warning warnings: $(cat "$work/stderr")"
  grep -q 'c4/a.jpg' "$work/stdout" && fail "$program names more than three"
  [[ $program == finetune ]] || grep -qF 'train 120 of 121 images' "$work/stdout" ||
    fail "$program, training images: $(cat "$work/stdout")"
done
scored '"images":64,"used":60,' '"left_out":[{"name":"'"$work"'/bad/test/c1/a.jpg","reason":"' \
  -- knn --data "$work/bad" --k 5 --json
cp "$work/stdout" "$work/alone"
"$build/music_features" "$run" --data "$work/bad" --split test --out "$work/f" >/dev/null 2>"$work/stderr"
grep -q '4 of 64 test images cannot be read and are left out: .*c1/a.jpg' "$work/stderr" ||
  fail "features: $(cat "$work/stderr")"
train --data "$work/bad" --knn-every 1 --out "$work/watched" --progress none >/dev/null 2>"$work/stderr" ||
  fail "kNN while training: $(cat "$work/stderr")"
grep -q '"train_left_out":1,"test_left_out":4' "$work/watched/eval/knn_during_training.jsonl" ||
  fail "left out of kNN while training: $(cat "$work"/watched/eval/*.jsonl)"
mkdir "$work/none" && cp -r "$data/train" "$work/none/" && mkdir -p "$work/none/test/c0"
printf 'GIF89a' >"$work/none/test/c0/a.jpg"
for program in knn svm linear cached finetune; do
  refused 'no test image|none of' $program --data "$work/none"
done

# Test classes may be a part of the training classes, whichever are missing.
list() {  # FILE SPLIT classes...
  local file=$1 split=$2 c
  shift 2
  for c; do find "$data/$split/c$c" -type f -printf "%p $c\n"; done | sort >"$file"
}
list "$work/train.txt" train 0 1 2 3
for test in '1 2 3' '0 1 3' '0 1 2' '2'; do
  list "$work/test.txt" test $test
  rm -rf "$work/part" && mkdir -p "$work/part/train" "$work/part/val"
  cp -r "$data"/train/c[0-3] "$work/part/train"
  for c in $test; do cp -r "$data/test/c$c" "$work/part/val"; done
  for program in knn svm; do
    scored 'of 4 classes ha' ' no test image: ' -- $program --train "$work/train.txt" --test "$work/test.txt"
    numbers=$(grep -E '^(20-NN|mAP|top-1)' "$work/stdout")
    scored 'of 4 classes ha' ' no test image: ' -- $program --data "$work/part"
    [[ $(grep -E '^(20-NN|mAP|top-1)' "$work/stdout") == "$numbers" ]] ||
      fail "$program: folders without a class score otherwise than a list: $(cat "$work/stdout"), not $numbers"
  done
  scored 'of 4 classes ha' ' no test image: ' -- linear --data "$work/part"
done
rm -rf "$work/tars"
for split in train test; do
  "$build/music_shard" --data "$work/part" --split $split --out "$work/tars/$split" >/dev/null 2>&1 ||
    fail "shards of a part"
done
scored 'of 4 classes have no test image' -- knn --data "$work/tars" --k 5
list "$work/test.txt" test 0 1 2
refused 'no training image of: 3' knn --train "$work/test.txt" --test "$work/train.txt" --k 5
list "$work/ones.txt" test 1 2
refused 'no training image' svm --train "$work/ones.txt" --test "$work/train.txt"

# Names that look alike.
alike() {  # PATTERN TRAIN TEST
  rm -rf "$work/alike" && mkdir -p "$work/alike/train" "$work/alike/val"
  cp -r "$data/train/c0" "$work/alike/train/$2" && cp -r "$data/test/c0" "$work/alike/val/$3"
  cp -r "$data/train/c1" "$work/alike/train/z" && cp -r "$data/test/c1" "$work/alike/val/z"
  refused "$1" knn --data "$work/alike" --k 3
}
alike "'cafe.xcc.x81' and the training class 'caf.xc3.xa9' differ only by Unicode normalisation" \
  $'caf\xc3\xa9' $'cafe\xcc\x81'
alike "'cat' and the training class 'Cat' differ only by case" Cat cat
alike "'cat ' and the training class 'cat' differ only by blanks" cat 'cat '
alike "'caf.xe9' and the training class 'caf.xc3.xa9' differ only by character encoding" \
  $'caf\xc3\xa9' $'caf\xe9'
alike "c.xd0.xb0t" cat $'c\xd0\xb0t'

# Fewer test images than processes, one of them unreadable; any number of them.
head -1 "$work/ones.txt" >"$work/one.txt"
if mpi; then
  scored 'top-1' -- knn --train "$work/train.txt" --test "$work/one.txt" --k 1,5
  numbers=$(grep NN "$work/stdout")
  for np in 2 3; do
    scored "$numbers" -- mpirun -np $np "$build/music_knn" "$run" --random-bank 0 \
      --train "$work/train.txt" --test "$work/one.txt" --k 1,5
    scored '3 of 4 classes have no test image' -- mpirun -np $np "$build/music_svm" "$run" \
      --no-random --train "$work/train.txt" --test "$work/one.txt"
    scored 'test 1 image, ' -- mpirun -np $np "$build/music_linear" "$run" --data "$work/train.txt" \
      --data.eval_test "$work/one.txt" --random-init no --batch 12 --epochs 1 --optim.milestones 1 \
      --train.log_level warn --out "$work/np-$np"
    scored '"left_out":[{"name":"'"$work"'/bad/test/c1/a.jpg","reason":"' \
      -- mpirun -np $np "$build/music_knn" "$run" --random-bank 0 --data "$work/bad" --k 5 --json
    [[ $(score_list "$work/stdout") == "$(score_list "$work/alone")" ]] ||
      fail "$np processes: $(cat "$work/stdout"), not $(cat "$work/alone")"
  done
fi

# A finished run is scored again on other test images, and on other views of them.
linear_again() {
  "$build/music_linear" "$run" --random-init no --batch 12 --epochs 2 --optim.milestones 1 \
    --train.log_level warn --out "$work/again" "$@"
}
scored '60 test images scored' -- linear_again --data "$data"
scored "$((60 + few)) test images scored" -- linear_again --data "$plain" --data.eval_test "$work/some/test"
first=$(tail -1 "$work/again/seed-0/eval/classifier.jsonl")
scored '' -- linear_again --data "$plain" --data.eval_test "$work/some/test" --data.eval_resize 64
[[ $(tail -1 "$work/again/seed-0/eval/classifier.jsonl") != "$first" ]] || fail "another view, the old score"

# Lists of labels.
find "$plain" -type f | sort >"$work/all.txt"
(printf '\xef\xbb\xbf' && cat "$work/all.txt") >"$work/mark.txt"
scored 'train 120 images' -- finetune --data "$data" --labels "$work/mark.txt"
(cat "$work/all.txt" && head -1 "$work/all.txt") >"$work/twice.txt"
refused 'stands on line 1 already' finetune --data "$data" --labels "$work/twice.txt"
(cat "$work/all.txt" && echo c0/none.png && echo c1/none.png) >"$work/unknown.txt"
refused '2 of 122 images .* are not in the data: c0/none.png, c1/none.png' \
  finetune --data "$data" --labels "$work/unknown.txt"
(cat "$work/train.txt" && sed -n 1p "$work/train.txt" | sed 's/ 0$/ 1/') >"$work/two.txt"
list "$work/test.txt" test 0 1 2 3
scored 'images stands there a second time, and counts again, 1 under another label' \
  -- knn --train "$work/two.txt" --test "$work/test.txt" --k 5

# What would have no effect.
code=2
refused 'loss.segment \(flag\) would have no effect' train --data "$plain" --loss.segments 16,16 \
  --out "$work/never"
refused 'data.eval_train \(flag\) would have no effect' train --data "$plain" \
  --data.eval_train "$plain" --data.eval_test "$data/test" --out "$work/never"
refused 'train.epochs would have no effect' cached --data "$data" --epochs 3
refused '--data .* would have no effect' knn --data "$data" --train "$plain" --test "$data/test"
refused 'is of VOC' svm --data "$data" --train-set train
refused 'k 121 and a bank of 120 training images that can be read' knn --data "$work/bad" --k 121

((failures == 0)) || { echo "$failures failures" >&2; exit 1; }
echo passed
