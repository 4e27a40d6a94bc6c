#!/usr/bin/env bash
# music_export and music_inspect as a user runs them, on two tiny runs, and encoders
# of other origin in an evaluator.
#   export_test.sh BUILD_DIR
# Where PyTorch is found (MUSIC_PEER_PYTHON, or python3), it loads every export
# strictly and computes the same features; else that part says skipped.
set -u
build=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}
# expect CODE REGEX COMMAND...: its exit code and its one line on standard error
# that is no log line.
expect() {
  local code=$1 pattern=$2 status
  shift 2
  "$@" >"$work/out" 2>"$work/err"
  status=$?
  ((status == code)) || fail "$*: exit $status, expected $code: $(tail -1 "$work/err")"
  grep -qE -- "$pattern" "$work/err" "$work/out" ||
    fail "$*: expected /$pattern/, found: $(tail -2 "$work/err")"
}
export_to() { "$build/music_export" "$@" >"$work/out" 2>"$work/err" || fail "music_export $*: $(tail -1 "$work/err")"; }
inspect="$build/music_inspect"

"$build/music_attributes" --out "$work/data" --train 256 --test 64 --size 32 >/dev/null ||
  { echo "generator failed" >&2; exit 1; }
train() {
  "$build/music_train" --preset demo --data "$work/data/train" --mlp 64-64 --batch-size 32 \
    --epochs 3 --progress none --train.log_level warn "$@" || fail "music_train $*"
}
train --out "$work/run" --augment.size 32 --model.width 16 --loss.segment 16
train --out "$work/deep" --augment.size 32 --model.width 4 --arch resnet50 \
  --model.stem imagenet --loss.segments 24,40

# Every format of every part; whole or absent.
for run in run deep; do
  for to in safetensors pth npz; do
    for part in encoder projector heads codes; do
      export_to "$work/$run" --to $to --part $part --out "$work/$run.$part.$to"
    done
    export_to "$work/$run" --to $to --fc zeros --out "$work/$run.fc.$to"
  done
done
cmp -s <(tail -c 5000 "$work/run.encoder.safetensors") <(tail -c 5000 "$work/run/encoder.safetensors") ||
  fail "a safetensors export has other bytes than the run's encoder"
"$inspect" "$work/run/encoder.safetensors" --diff "$work/run.encoder.safetensors" >/dev/null ||
  fail "an export differs from its source"
"$inspect" "$work/run/encoder.safetensors" --diff "$work/run.encoder.npz" >/dev/null ||
  fail "an .npz differs from its source"
export_to "$work/deep" --to detectron2 --out "$work/d2.pth"
[[ -s $work/d2.yaml ]] || fail "no YAML beside the detectron2 weights"
export_to "$work/deep" --to detectron2 --recipe plain_1x --out "$work/d2.pkl"
grep -q 'FORMAT: "RGB"' "$work/d2.yaml" || fail "the recipe's pixels"
if "$build/music_export" "$work/run" --to onnx --out "$work/e.onnx" 2>/dev/null >&2; then
  for part in projector codes; do
    export_to "$work/run" --to onnx --part $part --input rgb --out "$work/$part.onnx"
  done
  "$inspect" "$work/codes.onnx" >"$work/out" || fail "music_inspect of ONNX"
  grep -q 'output codes: INT64 \[n,4\]' "$work/out" || fail "the codes of four segments"
  head -c 3000 "$work/codes.onnx" >"$work/cut.onnx"
  expect 3 'not an ONNX model' "$inspect" "$work/cut.onnx"
else
  echo "[skipped] ONNX: this build is without it"
fi

# What cannot be.
n="$work/no"
expect 2 'ResNet-18 with the CIFAR stem' "$build/music_export" "$work/run" --to detectron2 --out "$n.pth"
expect 2 'expected encoder' "$build/music_export" "$work/deep" --to detectron2 --part codes --out "$n.pth"
expect 2 'expected a run directory' "$build/music_export" "$work/run/encoder.safetensors" \
  --to pth --part projector --out "$n.pth"
expect 2 'fc goes with' "$build/music_export" "$work/run" --to pth --part heads --fc zeros --out "$n.pth"
expect 2 'which start from pixels' "$build/music_export" "$work/run" --to onnx --part heads --out "$n.onnx"
expect 2 'would be a file of torch.save, expected a name that ends in .pth' \
  "$build/music_export" "$work/run" --to pth --out "$n.pkl"
expect 2 'would be safetensors, expected' "$build/music_export" "$work/run" --to safetensors --out "$n.pth"
expect 2 'would be ONNX, expected' "$build/music_export" "$work/run" --to onnx --out "$n.npz"
expect 2 'ends in .pth or .pkl' "$build/music_export" "$work/deep" --to detectron2 --out "$n.yaml"
expect 2 'cannot write' "$build/music_export" "$work/run" --to pth --out "$work/no/such/file.pth"
[[ -z $(ls "$work" | grep '^no\.\|tmp-') ]] || fail "a refused export left a file: $(ls "$work")"
"$build/music_train" --preset demo --data "$work/data/train" --method vicreg --mlp 32-32 \
  --batch-size 32 --epochs 1 --model.width 4 --augment.size 16 --progress none \
  --train.log_level warn --out "$work/vicreg" || fail "a run of VICReg"
expect 2 'no other method has codes' "$build/music_export" "$work/vicreg" --to pth --part codes --out "$n.pth"

# music_inspect.
for path in run run/ckpt/latest run.encoder.safetensors run.encoder.pth run.encoder.npz; do
  "$inspect" "$work/$path" --json >"$work/json" || fail "music_inspect $path"
  python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); assert j["entries"] and j["kind"]' \
    "$work/json" 2>/dev/null || ! command -v python3 >/dev/null || fail "the JSON of $path"
done
"$inspect" "$work/run/encoder.safetensors" --stats | grep -q '^bn1.running_var .* 0$' ||
  fail "statistics of a tensor"
expect 1 '\+ projector' "$inspect" "$work/run.encoder.safetensors" --diff "$work/run.heads.safetensors"
expect 3 'pickle' "$inspect" "$work/d2.pkl"
expect 3 'neither a run directory' "$inspect" "$work/data"
cp -r "$work/run/ckpt/$(readlink "$work/run/ckpt/latest")" "$work/damaged"
printf x | dd of="$work/damaged/rank-0000.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
expect 3 'rank-0000' "$inspect" "$work/damaged"
head -c 2000 "$work/run.encoder.pth" >"$work/cut.pth"
expect 3 'no directory of a zip' "$inspect" "$work/cut.pth"

# An encoder of other origin in an evaluator: the same features, and what is wrong
# is said. codes.safetensors has VICReg's names.
features() { "$build/music_features" "$1" --data "$work/data/test" --out "$2" "${@:3}" >"$work/out" 2>"$work/err"; }
features "$work/run" "$work/f1" || fail "features of the run"
grep -q '100 of 100 tensors .* matched' "$work/err" || fail "no report on the keys: $(cat "$work/err")"
! grep -qE 'RANDOM|FIT' "$work/err" || fail "a trained encoder is doubted: $(cat "$work/err")"
features "$work/run.codes.safetensors" "$work/f2" --report keys || fail "features of VICReg's names"
grep -q "under 'backbone.'" "$work/err" || fail "the prefix is not named"
(($(grep -c ' matched  ' "$work/err") == 100)) || fail "not every key is in the report"
cmp -s "$work/f1/features.npy" "$work/f2/features.npy" || fail "features depend on the names"
expect 3 'python3 -c ' "$build/music_features" "$work/run.encoder.pth" --data "$work/data/test" --out "$work/f3"
expect 3 'no convolution: a projector or a head' "$build/music_features" \
  "$work/run/projector.safetensors" --data "$work/data/test" --out "$work/f3"
head -c 100000 "$work/run/encoder.safetensors" >"$work/cut.safetensors"
expect 3 'cut.safetensors' "$build/music_features" "$work/cut.safetensors" --data "$work/data/test" --out "$work/f3"
[[ ! -e $work/f3 ]] || fail "a refused encoder was scored"

python=${MUSIC_PEER_PYTHON:-python3}
if "$python" -c 'import torch, torchvision, safetensors, numpy' 2>/dev/null; then
  for run in run deep; do
    "$python" "$root/tools/peers/check_exports.py" "$build" "$work/$run" >"$work/out" 2>&1 ||
      fail "PyTorch on $run: $(grep -v '^ok' "$work/out" | tail -3)"
    grep '^skipped' "$work/out"
  done
  "$python" "$root/tools/peers/check_imports.py" "$build" "$work/data/test" >"$work/out" 2>&1 ||
    fail "encoders from elsewhere: $(grep -v '^ok' "$work/out" | tail -3)"
else
  echo "[skipped] peers: $python has no torch, torchvision, safetensors"
fi
((failures == 0)) && echo "all passed"
exit $((failures > 0))
