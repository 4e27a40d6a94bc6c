#!/usr/bin/env bash
# From a bare Debian 12 to a trained encoder: tools/demo.sh [--out DIR]
#   --out DIR   where data and runs go (default: out/demo)
# Installs what is missing, builds, makes images, trains without labels and
# scores the encoder by its nearest neighbours. Run it again and it starts a new
# run, or goes on with one that was interrupted; build and images are re-used.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=out/demo
while (($#)); do
  case $1 in
    --out)
      [[ -n ${2:-} ]] || { echo "demo: --out needs a folder" >&2; exit 2; }
      out=$2
      [[ $out == /* ]] || out=$here/$out
      shift 2
      ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "demo: unknown argument '$1', expected --out DIR or --help" >&2
      exit 2
      ;;
  esac
done

step() { printf '\n== %s [%dm%02ds]\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
trap 'echo; echo "demo: stopped; run it again to go on" >&2; exit 130' INT

step "1/5 packages"
tools/setup.sh
echo "all there"

step "2/5 build"
bin=build/cpu
mkdir -p build
cmake --preset cpu >build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset cpu --parallel "$(nproc)" \
  --target music_attributes music_train music_knn

step "3/5 images"
data=$out/data
if [[ -f $data/attributes.csv ]]; then
  echo "$data is there already"
else
  mkdir -p "$out"
  "$bin/music_attributes" --out "$data" --label colour
fi

step "4/5 training without labels"
number=1
while [[ -f $out/run-$number/encoder.safetensors ]]; do ((++number)); done
run=$out/run-$number
if [[ -d $run/ckpt ]]; then
  echo "going on with $run, which was interrupted"
else
  echo "new run: $run"
fi
"$bin/music_train" --preset demo --data "$data" --out "$run"

step "5/5 nearest neighbours"
"$bin/music_knn" "$run" --train "$data/train" --test "$data/test"
step "done: $run"
