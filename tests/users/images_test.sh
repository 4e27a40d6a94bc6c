#!/usr/bin/env bash
# Picture formats and Pillow's releases, as a user meets them.
#   images_test.sh BUILD_DIR
set -u
source "$(dirname "$0")/../eval/common.sh"
work=$(cd "$work" && pwd -P)
webp=$(cd "$(dirname "$0")/../fuzz/corpus/webp" && pwd)
"$build/music_attributes" --out "$work/data" --train 40 --test 20 --size 24 \
  --label shape >/dev/null || { echo "generator failed" >&2; exit 1; }
mapfile -t images < <(find "$work/data/train" -name '*.jpg' | sort | head -32)
export MUSIC_INDEX_CACHE=off
demo=(--preset demo --augment.size 16 --model.width 4 --mlp 32-32 --loss.segment 8
  --batch-size 8 --epochs 1 --progress none --train.log_level warn)
run=0
train() {  # DATA [FLAGS]: into $out, with what was said in $said
  run=$((run + 1))
  out=${into:-$work/run$run}
  "$build/music_train" "${demo[@]}" --data "$1" --out "$out" "${@:2}" \
    >"$work/said" 2>&1
  status=$?
  said=$(<"$work/said")
}
ends() { ((status == $1)) || fail "$what: ended with $status, not $1: $said"; }
says() { [[ $said == *"$1"* ]] || fail "$what: no '$1' in: $said"; }
weights() { sha256sum <"$1/encoder.safetensors"; }

what="WebP of every kind"
mkdir "$work/webp"
i=0
for n in 1 2; do
  for kind in lossy lossy_fine lossless lossless_noise palette alpha_lossy alpha_lossless \
    profile animated animated_part; do
    cp "$webp/$kind" "$work/webp/$((10 + i++)).webp"
  done
done
train "$work/webp"
ends 0
[[ -z $said && ! -s $out/quarantine.jsonl ]] || fail "$what: says $said"
folder=$out

what="WebP in shards"
"$build/music_shard" --data "$work/webp" --out "$work/shards" --in-order \
  >"$work/said" 2>&1 || fail "$what: $(<"$work/said")"
tar -tf "$work/shards/train-000000.tar" | grep -q '^10\.webp$' ||
  fail "$what: members $(tar -tf "$work/shards/train-000000.tar" | head -2)"
train "$work/shards"
ends 0
[[ $(weights "$out") == "$(weights "$folder")" ]] || fail "$what: other weights"

what="a list, and names of other formats"
mkdir "$work/named"
for i in {0..7}; do
  cp "$webp/lossy" "$work/named/w$i.jpg"
  cp "${images[i]}" "$work/named/j$i.webp"
  cp "${images[i + 8]}" "$work/named/p$i.png"
done
(cd "$work/named" && ls) >"$work/list.txt"
sed -i 's:^:named/:' "$work/list.txt"
train "$work/list.txt"
ends 0
[[ ! -s $out/quarantine.jsonl ]] || fail "$what: $(<"$out/quarantine.jsonl")"

what="formats that are not read, under the names of some that are"
mkdir "$work/mixed"
i=0
for f in "${images[@]}"; do cp "$f" "$work/mixed/x$((i++)).jpg"; done
put() {  # NAME BYTES
  printf "$2" >"$work/mixed/$1.jpg"
}
put bmp 'BM\x36\x10\0\0'
put gif 'GIF89a\1\0\1\0'
put tiff 'II*\0\x08\0\0\0'
put jp2 '\0\0\0\x0cjP  \r\n\x87\n'
put jxl '\xff\x0a\xfa'
put avif '\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf'
put heic '\0\0\0\x18ftypheic\0\0\0\0mif1heic'
put lfs 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n'
put html '<!DOCTYPE html>\n<title>404'
head -c 100 "$webp/lossy" >"$work/mixed/cut.webp"
for kind in 12bit:c0:0c lossless:c3:08 hierarchical:c5:08; do
  IFS=: read -r name frame bits <<<"$kind"
  LC_ALL=C sed "s/\xff\xc0\x00\x11\x08/\xff\x$frame\x00\x11\x$bits/" "${images[0]}" \
    >"$work/mixed/$name.jpg"
done
train "$work/mixed" --bad-max 1
ends 0
for reason in 'a BMP, expected JPEG, PNG or WebP: `mogrify' 'a GIF, expected' \
  'a TIFF, expected' 'a JPEG 2000, expected' 'a JPEG XL, expected' 'an AVIF, expected' \
  'a HEIC, expected' 'a Git LFS pointer, not the file itself, expected' \
  'HTML or XML, expected' '[webp] the file ends early' 'a 12-bit JPEG, expected 8 bits' \
  'a lossless JPEG, expected 8 bits' 'a hierarchical JPEG, expected 8 bits'; do
  grep -qF "$reason" "$out/quarantine.jsonl" ||
    fail "$what: no '$reason' in $(<"$out/quarantine.jsonl")"
done

what="Pillow 12 and 13"
exact=(--augment.mode exact --augment.pillow)
train "$work/webp" "${exact[@]}" 13
thirteen=$out
ends 0
train "$work/webp" --augment.mode exact
[[ $(weights "$out") == "$(weights "$thirteen")" ]] || fail "$what: 13 is not the default"
train "$work/webp" "${exact[@]}" 12
twelve=$out
[[ $(weights "$twelve") != "$(weights "$thirteen")" ]] || fail "$what: the same weights"
into=$twelve train "$work/webp" --augment.mode exact --epochs 2
((status != 0)) || fail "$what: a run of 12 goes on as 13"
says "augment.pillow 12 -> 13"
train "$work/webp" "${exact[@]}" 14
ends 2
says "augment.pillow"
# Fast views are none of Pillow's: a run goes on under either.
into=$folder train "$work/webp" --augment.pillow 12
ends 0
((failures == 0)) || exit 1
echo "ok"
