#!/usr/bin/env bash
# From a bare Debian 12 to a trained encoder: tools/demo.sh [--out DIR] [--epochs N]
#   --out DIR    where data and runs go (default: out/demo)
#   --epochs N   passes over the images (default: as many as this machine does in
#                four minutes by the speed of its first steps, 10 to 40)
# Installs what is missing, builds, makes images, trains without labels and
# scores the encoder by its nearest neighbours; the last line names a report to
# look at. Run it again and it starts a new run, or goes on with one that was
# interrupted; build and images are re-used.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=out/demo epochs=
while (($#)); do
  case $1 in
    --out)
      [[ -n ${2:-} ]] || { echo "demo: --out needs a folder" >&2; exit 2; }
      out=$2
      [[ $out == /* ]] || out=$here/$out
      shift 2
      ;;
    --epochs)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] ||
        { echo "demo: --epochs ${2:-}: expected a positive number" >&2; exit 2; }
      epochs=$2
      shift 2
      ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "demo: unknown argument '$1', expected --out DIR, --epochs N or --help" >&2
      exit 2
      ;;
  esac
done

step() { printf '\n== %s [%dm%02ds]\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
trap 'echo; echo "demo: stopped; run it again to go on" >&2; exit 130' INT

step "1/6 packages"
tools/setup.sh
echo "all there"

step "2/6 build"
bin=build/cpu
mkdir -p build
cmake --preset cpu >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset cpu --parallel "$(nproc)" \
  --target music_attributes music_train music_knn music_figures music_atlas \
  music_report

step "3/6 images"
data=$out/data
if [[ -f $data/attributes.csv ]]; then
  echo "$data is there already"
else
  mkdir -p "$out"
  "$bin/music_attributes" --out "$data" --label colour
fi

step "4/6 training without labels"
number=1
while [[ -f $out/run-$number/encoder.safetensors ]]; do ((++number)); done
run=$out/run-$number
if [[ -d $run/ckpt ]]; then
  epochs=$(sed -n 's/^epochs = \([0-9]*\).*/\1/p' "$run/config.toml")
  echo "going on with $run, which was interrupted"
elif [[ -z $epochs ]]; then
  # A few steps of the same training tell the machine's speed.
  rm -rf "$out/probe"
  "$bin/music_train" --preset demo --data "$data" --out "$out/probe" --epochs 1 \
    --data.limit 1500 --progress none --train.log_level warn
  images=$(sed -n 's/.*"images_per_s":\([0-9.]*\).*/\1/p' "$out/probe/metrics.jsonl" |
    tail -n +4 | sort -g | awk '{ v[NR] = $1 } END { print int(v[int((NR + 1) / 2)]) }')
  rm -rf "$out/probe"
  epochs=$((images * 240 / 4000))
  ((epochs < 40)) || epochs=40
  ((epochs > 10)) || epochs=10
  echo "this machine trains on $images images a second: $epochs epochs of 4000" \
    "images, about $((epochs * 4000 / (images > 0 ? images : 1))) s (the full demo has 40)"
fi
[[ -d $run/ckpt ]] || echo "new run: $run"
"$bin/music_train" --preset demo --data "$data" --out "$run" --epochs "$epochs"

step "5/6 nearest neighbours"
"$bin/music_knn" "$run" --train "$data/train" --test "$data/test"

step "6/6 pictures and report"
"$bin/music_figures" "$run" "$data" --split test --progress none >/dev/null
"$bin/music_atlas" "$run" "$data" --split test --attributes "$data/attributes.csv" \
  --progress none >/dev/null
"$bin/music_report" "$run" >/dev/null
echo "$run/atlas/index.html shows the images by their codes"

step "done"
echo "open $run/report.html in a browser"
