#!/usr/bin/env bash
# Folders and lists as they lie on users' disks: trained on, previewed, scored.
#   folders_test.sh BUILD_DIR
set -u
source "$(dirname "$0")/../eval/common.sh"
work=$(cd "$work" && pwd -P)
"$build/music_attributes" --out "$work/data" --train 40 --test 20 --size 24 \
  --label shape >/dev/null || { echo "generator failed" >&2; exit 1; }
mapfile -t images < <(find "$work/data/train" -name '*.jpg' | sort)
export MUSIC_INDEX_CACHE=off
cd "$work" || exit 1
copy() {  # FOLDER N [FIRST]: images there
  mkdir -p "$1"
  for ((i = 0; i < $2; ++i)); do cp "${images[i + ${3:-0}]}" "$1/$((1000 + i)).jpg"; done
}
train() {  # STATUS DATA [FLAG...]: what it says, without what it always says, in $said
  local expected=$1 data=$2
  what=$data
  shift 2
  local head='--mlp 32-32 --loss.segment 8'
  [[ " $* " == *" --method "* ]] && head=
  [[ " $* " == *" --out "* ]] || set -- "$@" --out "$work/out"
  rm -rf "$work/out"
  "$build/music_train" --preset demo --data "$data" --augment.size 16 --model.width 4 \
    $head --batch-size 4 --epochs 1 --progress none \
    "$@" >/dev/null 2>"$work/log"
  local status=$?
  said=$(grep -a 'warn\|music_train:\|info \[dataset\]' "$work/log" | grep -av '\[data\]')
  ((status == expected)) || fail "$what: exit $status: $said"
  (($(grep -c . <<<"$said") <= 2)) || fail "$what: more than a line a kind: $said"
}
says() { [[ $said == *"$1"* ]] || fail "$what: no '$1' in: $said"; }
silent() { [[ -z $said ]] || fail "$what says: $said"; }
learns() { grep -q "\[run\] $1 images" "$work/log" || fail "$what: not $1 images: $(<"$work/log")"; }
bad() { [[ $(cat "$work/out/quarantine.jsonl" 2>/dev/null | wc -l) == "$1" ]] || fail "$what: bad images"; }

# Left behind by systems: macOS, Windows, a NAS, Jupyter.
copy mac/a 8
copy mac/b 8 8
copy mac/__MACOSX/a 2
copy mac/@eaDir 2
copy mac/.ipynb_checkpoints 2
copy 'mac/$RECYCLE.BIN' 2
copy mac/lost+found 2
for name in ._1000.jpg .DS_Store Thumbs.db desktop.ini; do echo x >"mac/a/$name"; done
train 0 mac
silent
learns 16
bad 0

# A folder of annotations is nobody's class; who scores is told.
copy voc/JPEGImages 8
mkdir -p voc/Annotations voc/ImageSets/Main
echo '<annotation/>' >voc/Annotations/1000.xml
train 0 voc
silent
learns 8
run=$work/run
train 0 mac --out "$run"
for program in "music_knn $run --train voc --test mac" "music_features $run --data voc --out f"; do
  "$build"/$program >/dev/null 2>"$work/log"
  (($? == 3)) || fail "$program: $(<"$work/log")"
  grep -q 'have no image (Annotations, ImageSets)' "$work/log" || fail "$(<"$work/log")"
done
"$build/music_features" "$run" --data voc --split pretrain --out f >/dev/null 2>"$work/log" ||
  fail "features without labels: $(<"$work/log")"

# Other names, other formats.
copy other/a 6
mv other/a/1000.jpg other/a/1000.jfif
mv other/a/1001.jpg other/a/1001
mv other/a/1002.jpg other/a/1002.PNG
printf 'GIF89a' >other/a/x.gif
printf 'PK\3\4' >other/more.zip
train 0 other
says '1 picture in formats that are not read left out: 1 .gif (a/x.gif)'
says '1 archive not looked into (more.zip)'
learns 6
bad 0

# The run within the data: the same images when it goes on, and for the next run.
copy inside/a 8
copy inside/b 8 8
train 0 inside --out inside/run
train 0 inside --out inside/run
says "left out (run)"
grep -q 'goes on at step 4 of 4' "$work/log" || fail "does not go on: $(<"$work/log")"
train 0 inside --out inside/more/two
says "left out (run)"
learns 16
(cd inside && "$build/music_preview" --preset demo --data . >/dev/null 2>"$work/log")
(($? == 2)) || fail "a sheet among the images: $(<"$work/log")"
[[ ! -e inside/preview.png ]] || fail "a sheet among the images"

# Splits, links.
mkdir split && cp -r mac split/train && cp -r voc split/val
train 0 split
says 'learns from train, not from val'
learns 16
ln -s .. mac/a/up
ln -s /nowhere mac/c
train 0 mac
says '1 link to a folder above not followed (a/up)'
says '1 link to what is not there (c)'
learns 16
copy alone 4
rm mac/a/up mac/c

# Nothing that can be read: the reason, once.
mkdir pointers pages empty
for ((i = 0; i < 8; ++i)); do
  echo 'version https://git-lfs.github.com/spec/v1' >"pointers/$i.jpg"
  echo '<!DOCTYPE html><html>404</html>' >"pages/$i.jpg"
done
train 3 pointers
says 'git lfs pull'
train 3 pages
says 'HTML'
train 3 empty
says 'no image found'

# Formats that are converted in different ways.
copy formats/a 8
printf 'BM' >formats/a/1.bmp
printf 'GIF89a' >formats/a/2.gif
train 0 formats
says ".bmp: \`mogrify -format png FILE\` converts it; .gif: \`convert 'FILE[0]' OUT.png\` converts its first frame"

# What full batches leave out.
copy ten/a 10
declare -A flags=([moco_v2]='--mlp 32-32 --moco_v2.group 4 --moco_v2.queue 8' [swav]='--mlp 32-32')
for method in moco_v2 swav; do
  train 0 ten --method $method ${flags[$method]}
  grep -q "\[run\] 2 images of each epoch left out, others each time: $method takes full batches only" log ||
    fail "$method: $(<log)"
done
train 0 ten
grep -q 'left out' log && fail "MUSIC leaves out: $(<log)"

# Lists.
names=(mac/a/100{0..7}.jpg)
printf '\xef\xbb\xbf%s\r\n' "${names[0]}" >list.txt
printf '"%s", 3\r\n' "${names[@]:1}" >>list.txt
train 0 list.txt
silent
learns 8
bad 0
printf '# two are gone\n%s\n%s\n' mac/a/none.jpg $'\xef\xbb\xbfmac/a/1000.jpg' >list.txt
printf '%s cat\n' "${names[@]}" >>list.txt
train 0 list.txt
says '2 of the 10 images it lists cannot be read (mac/a/none.jpg, \u{feff}mac/a/1000.jpg)'
printf 'path,label\n%s,3\n' "${names[0]}" >list.txt
train 3 list.txt
says "list.txt:1: 'path,label' is the header of a table"
printf '%s\n' "${names[@]}" | iconv -t UTF-16 >list.txt
train 3 list.txt
says 'UTF-16'

# CIFAR as pickles, in part, as a pointer.
mkdir -p py/cifar-10-batches-py part
echo pickle >py/cifar-10-batches-py/data_batch_1
train 3 py
says 'cifar-10-binary.tar.gz'
head -c $((3073 * 8)) /dev/zero >part/data_batch_2.bin
train 0 part
says 'data_batch_1.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin of CIFAR-10 not there; 8 images'
# Labels out of range: no matter to pre-training, but it may be damage.
{ head -c 3073 /dev/zero; printf '\12'; head -c 3072 /dev/zero; head -c 3073 /dev/zero | tr '\0' '\377'
  head -c $((3073 * 5)) /dev/zero; } >part/data_batch_2.bin
train 0 part
says '2 labels out of range (10 of data_batch_2.bin:1, 255 of data_batch_2.bin:2), which may'
learns 8
train 3 part --method supervised
says 'record 1 has label 10, expected 0 to 9'
echo 'version https://git-lfs.github.com/spec/v1' >part/data_batch_1.bin
train 3 part
says 'git lfs pull'
printf 'PAR1 ' >train.parquet
train 3 train.parquet
says 'a Parquet table'

((failures == 0))
