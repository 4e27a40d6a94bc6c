#!/usr/bin/env bash
# Tar shards from elsewhere, as a user trains and scores with them.
#   shards_test.sh BUILD_DIR
set -u
source "$(dirname "$0")/../eval/common.sh"
work=$(cd "$work" && pwd -P)
"$build/music_attributes" --out "$work/data" --train 40 --test 20 --size 24 \
  --label shape >/dev/null || { echo "generator failed" >&2; exit 1; }
mapfile -t images < <(find "$work/data/train" -name '*.jpg' | sort | head -32)
export MUSIC_INDEX_CACHE=off
run=0
train() {  # DATA: into $out, with what was said in $said
  run=$((run + 1))
  out=$work/run$run
  "$build/music_train" --preset demo --data "$1" --augment.size 16 --model.width 4 \
    --mlp 32-32 --loss.segment 8 --batch-size 8 --epochs 1 --progress none \
    --train.log_level warn --out "$out" >"$work/said" 2>&1
  status=$?
  said=$(<"$work/said")
}
says() {  # TEXT: once
  [[ $(grep -cF "$1" "$work/said") == 1 ]] || fail "$what: not once '$1' in: $said"
}
silent() { [[ -z $said ]] || fail "$what says: $said"; }
steps() { grep -c '"step"' "$1/metrics.jsonl"; }
weights() { sha256sum <"$1/encoder.safetensors"; }
pack() {  # NAME: the files in $work/in, in order of their names
  mkdir -p "$work/$1"
  (cd "$work/in" && find . -type f -printf '%P\n' | LC_ALL=C sort) |
    tar -C "$work/in" -cf "$work/$1/a-000000.tar" --no-recursion -T -
  rm -rf "$work/in"
  mkdir "$work/in"
}
mkdir "$work/in"
ln_images() {  # FORMAT N [FIRST]: images under names of that printf format
  for ((i = 0; i < $2; ++i)); do
    local name
    name=$(printf "$1" "$i")
    mkdir -p "$(dirname "$work/in/$name")"
    cp "${images[i + ${3:-0}]}" "$work/in/$name"
  done
}

what=plain
ln_images 's%04d.jpg' 16
pack plain
train "$work/plain"
((status == 0)) || fail "$what: exit $status: $said"
silent
plain=$(weights "$out")

what=depth  # the map comes first, and is not learnt from
ln_images 's%04d.jpg' 16
ln_images 's%04d.depth.jpg' 16 16
pack depth
train "$work/depth"
[[ $(weights "$out") == "$plain" ]] || fail "$what: learns from other images"
says 'depth: 16 images are not used, as their samples have another (s0000.jpg before s0000.depth.jpg, s0001.jpg before s0001.depth.jpg, s0002.jpg before s0002.depth.jpg, ...)'
train "$work/depth#jpg"
silent
[[ $(weights "$out") == "$plain" ]] || fail "$what: #jpg is another image"
train "$work/depth#depth.jpg"
silent
[[ $(weights "$out") != "$plain" ]] || fail "$what: #depth.jpg is not used"
train "$work/depth#all"
silent
[[ $(steps "$out") == 4 ]] || fail "$what: #all is not 32 images"
train "$work/depth#rgb.jpg"
((status == 3)) || fail "$what: #rgb.jpg: exit $status"
says 'has no image in 1 archive: expected KEY as chosen by #; samples without one: 16 (s0000.depth.jpg'

what=dots
ln_images 'v1.%04d.jpg' 16
ln_images 'v2.%04d.jpg' 16 16
ln_images 'x%d.jpg' 8
pack dots
train "$work/dots"
((status == 0)) || fail "$what: exit $status"
says 'dots: 30 images are not used'
train "$work/dots#all"
silent
[[ $(steps "$out") == 5 ]] || fail "$what: #all is not 40 images"

what=labels  # of any form, or of some only: no matter to pre-training
ln_images 's%04d.jpg' 16
for ((i = 0; i < 16; ++i)); do echo n0144076$((i % 3)) >"$work/in/s00$(printf %02d $i).cls"; done
cp -r "$work/in" "$work/copy"
pack named
train "$work/named"
((status == 0)) || fail "$what: names: exit $status: $said"
silent
[[ $(weights "$out") == "$plain" ]] || fail "$what: names change the weights"
cp -r "$work/copy/." "$work/in"
echo '{"label": 3}' >"$work/in/s0000.cls"
printf '\x80\x04K\x03.' >"$work/in/s0001.cls"
rm "$work/in/s0002.cls"
pack odd
train "$work/odd"
((status == 0)) || fail "$what: others: exit $status: $said"
silent

what=evaluators
encoder=$out
ln_images 's%04d.jpg' 12 16
for ((i = 0; i < 12; ++i)); do echo n0144076$((i % 2)) >"$work/in/s00$(printf %02d $i).cls"; done
pack named-test
"$build/music_knn" "$encoder" --train "$work/named" --test "$work/named-test" --k 3 \
  --progress none >"$work/said" 2>&1 || fail "$what: names: $(<"$work/said")"
"$build/music_knn" "$encoder" --train "$work/odd" --test "$work/named-test" --k 3 \
  --progress none >"$work/said" 2>&1
said=$(<"$work/said")
says "odd: 2 .cls files hold neither a class number nor a name (s0000.cls holds '{"
says 'odd: 3 images have no label (s0000.jpg, s0001.jpg, s0002.jpg)'

what='empty shards'
cp -r "$work/plain" "$work/empty"
tar -cf "$work/empty/a-000001.tar" -T /dev/null
: >"$work/empty/a-000002.tar"
train "$work/empty"
says 'empty: 2 shards have no image (a-000001.tar, a-000002.tar)'
[[ $(weights "$out") == "$plain" ]] || fail "$what: other weights"
rm "$work/empty/a-000000.tar"
train "$work/empty"
((status == 3)) || fail "$what: of nothing else: exit $status"
says 'has no image in 2 archives'

what='archives that are not read, beside one that is'
cp -r "$work/plain" "$work/beside"
: >"$work/beside/a-000001.tar.part"
gzip -c "$work/plain/a-000000.tar" >"$work/beside/a-000000.tar.gz"
train "$work/beside"
says 'beside: 1 unfinished download is left out (a-000001.tar.part)'
says 'beside: 1 compressed archive is left out (a-000000.tar.gz); unpack them to .tar'
[[ $(weights "$out") == "$plain" ]] || fail "$what: other weights"

what='a run beside the shards'
out=$work/plain/run
for _ in 1 2; do
  "$build/music_train" --preset demo --data "$work/plain" --augment.size 16 \
    --model.width 4 --mlp 32-32 --loss.segment 8 --batch-size 8 --epochs 1 \
    --progress none --train.log_level warn --out "$out" >"$work/said" 2>&1 ||
    fail "$what: $(<"$work/said")"
done
[[ $(weights "$out") == "$plain" ]] || fail "$what: other weights"
rm -r "$out"

what=joined
ln_images 's%04d.jpg' 8
pack first
ln_images 's%04d.jpg' 8 8
for ((i = 0; i < 8; ++i)); do mv "$work/in/s000$i.jpg" "$work/in/s$(printf %04d $((i + 8))).jpg"; done
pack second
mkdir "$work/joined"
cat "$work/first/a-000000.tar" "$work/second/a-000000.tar" >"$work/joined/a-000000.tar"
train "$work/joined"
silent
[[ $(weights "$out") == "$plain" ]] || fail "$what: other weights"

what=refused
refused() {  # DATA TEXT
  train "$1"
  ((status == 3)) || fail "$1: exit $status"
  says "$2"
  [[ $(wc -l <"$work/said") == 1 ]] || fail "$1: more than one line: $said"
}
mkdir "$work/packed" "$work/gz" "$work/lfs" "$work/cut"
gzip -c "$work/first/a-000000.tar" >"$work/packed/a-000000.tar.gz"
refused "$work/packed" 'no .tar file in it, but 1 compressed ones (a-000000.tar.gz): unpack them'
refused "$work/packed/a-000000.tar.gz" 'it is compressed by gzip, expected a plain archive (gzip -dc OLD > NEW.tar)'
cp "$work/packed/a-000000.tar.gz" "$work/gz/a-000000.tar"
refused "$work/gz" 'it is compressed by gzip'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >"$work/lfs/a-000000.tar"
refused "$work/lfs" 'it is a Git LFS pointer'
head -c 3000 "$work/first/a-000000.tar" >"$work/cut/a-000000.tar"
refused "$work/cut" 'a-000000.tar'

what='pictures that are not read'
ln_images 's%04d.jpg' 16
for ((i = 0; i < 5; ++i)); do cp "${images[i]}" "$work/in/t$i.tif"; done
ln_images 't%d.depth.jpg' 5
pack tiff
train "$work/tiff"
says 'tiff: 5 samples are left out, their formats are not read (t0.tif, t1.tif, t2.tif, ...)'
[[ $(weights "$out") == "$plain" ]] || fail "$what: other weights"

exit $((failures > 0))
