#!/usr/bin/env bash
# tools/gpu_check.sh where there is no GPU, and on the emulated one; and what it
# counts on in the benches.
#   gpu_check_test.sh BUILD_DIR
set -u
build=$(cd "$1" && pwd) || exit 2
check=$(dirname "${BASH_SOURCE[0]}")/../tools/gpu_check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}
# A build folder whose programs are those of the emulated device, but for what
# the caller puts in their place.
folder() { # NAME
  mkdir -p "$work/$1"
  ln -sf "$build"/emulated/bench_* "$build"/emulated/music_* "$work/$1/"
  ln -sf "$build/test_emulated" "$work/$1/"
  sed 's,^\.\./,,' "$build/emulated/gpu_tests.txt" > "$work/$1/gpu_tests.txt"
}
tiny() { # NAME, and options
  local name=$1
  shift
  "$check" --tiny --build "$work/$name" --out "$work/out-$name" "$@" \
    > "$work/$name.log" 2>&1
}
# "name status" of the parts, as a result file has them.
parts_of_json() {
  sed -n 's/^  {"name": "\([^"]*\)", "status": "\([^"]*\)".*/\1 \2/p' "$1"
}
parts_of_markdown() {
  awk -F' [|] ' '/^## /{ exit } /^[|] / && !/^[|] Part/ { sub(/^[|] /, "", $1); print $1, $2 }' "$1"
}
results() { # NAME: both files, whole, the same parts in both
  local json=("$work/out-$1"/*.json) markdown=("$work/out-$1"/*.md)
  [[ ${#json[@]} == 1 && -s ${json[0]} && -s ${markdown[0]} ]] ||
    { fail "$1: not one file of each kind" && return; }
  [[ $(tail -n 1 "${json[0]}") == ']}' ]] || fail "$1: the JSON is cut off"
  ! command -v python3 > /dev/null || python3 -m json.tool "${json[0]}" > /dev/null ||
    fail "$1: not JSON"
  [[ $(parts_of_json "${json[0]}") == "$(parts_of_markdown "${markdown[0]}")" ]] ||
    fail "$1: the files differ"
  parts_of_json "${json[0]}"
}
expect() { # WHAT FOUND EXPECTED
  [[ $2 == "$3" ]] || fail "$1: found"$'\n'"$2"$'\n'"expected"$'\n'"$3"
}

# A step whose loss scale must fall first is timed when it has fallen.
"$build/emulated/bench_step" --device cuda --precision fp16 --batch 2 --depth 18 --width 2 \
  --size 8 --stem cifar --projector 8-8 --segment 4 --steps 4 --warmup 2 --peer none \
  --json > "$work/falling" 2> "$work/falling.err" || fail "a falling loss scale ends bench_step"
grep -q '"more_warmup":[1-9]' "$work/falling" || fail "the loss scale did not fall"
grep -q 'more steps to warm up' "$work/falling.err" || fail "it is not said that it fell"

# What is ours is printed before a peer begins. The peer is a program that looks.
cat > "$work/python" <<END
#!/bin/sh
[ "\$1" = -c ] && exit 0
[ "\$(grep -c '"step_ms"' "$work/step" 2> /dev/null)" = 1 ] && echo '{"views_per_s": 1, "step_ms": 2}'
[ "\$(grep -c '^D ' "$work/loss" 2> /dev/null)" = 2 ] &&
  echo '{"ms": 1, "extra_mb": 1, "total": 1, "torch": "-", "distance": 0}'
exit 0
END
chmod +x "$work/python"
"$build/emulated/bench_step" --batch 2 --depth 18 --width 2 --size 8 --stem cifar \
  --projector 8-8 --segment 4 --device cpu --steps 1 --peer "$work/python" --json > "$work/step"
grep -q '"ratios":{"eager"' "$work/step" || fail "bench_step asks the peer first"
"$build/emulated/bench_loss" --batch 8 --reps 1 --units 80 160 --peer "$work/python" > "$work/loss"
grep -q 'torch -' "$work/loss" || fail "bench_loss asks the peer first"

# Without a GPU, or without CUDA: at once, and nothing is written.
if ! nvidia-smi > /dev/null 2>&1; then
  begin=${EPOCHREALTIME/./}
  "$check" --quick --build "$build" --out "$work/out-none" > "$work/none.log" 2>&1
  expect "exit without a GPU" $? 77
  took=$((${EPOCHREALTIME/./} - begin))
  grep -q '^gpu_check: skipped: .' "$work/none.log" || fail "it is not said why"
  ((took < 1000000)) || echo "note: $took us until it was known that there is no GPU"
  [[ -z $(ls "$work/out-none") ]] || fail "files without a GPU"
fi

# CIFAR-10 of 20 images to train on and 4 to score on.
mkdir "$work/cifar"
for batch in data_batch_{1..5} test_batch; do
  for label in 0 1 2 3; do
    printf "\\x0$label"
    head -c 3072 /dev/urandom
  done > "$work/cifar/$batch.bin"
done
printf '%s\n' a b c d e f g h i j > "$work/cifar/batches.meta.txt"

# Every part, in order, with a step that fails in its first forms and a peer that
# fails: what fails is recorded and the rest goes on.
folder broken
cat > "$work/pytorch" <<'END'
#!/bin/sh
case "$*" in
  -c*) echo 9.9 ;;
  *loss_peer*) echo '{"ms": 1, "extra_mb": 1, "total": 1, "torch": "9.9", "distance": 0}' ;;
  *"--mode fair"*) exit 1 ;;
  *) echo '{"views_per_s": 100, "step_ms": 1234, "peak_mib": 5}' ;;
esac
END
chmod +x "$work/pytorch"
rm "$work/broken/bench_step"
cat > "$work/broken/bench_step" <<END
#!/bin/sh
case "\$* graph \$MUSIC_CUDA_GRAPH tune \$MUSIC_TUNE" in
  *"--batch 4 "*fp16*" tune 1"*) echo broken; exit 1 ;;
esac
exec "$build/emulated/bench_step" "\$@"
END
chmod +x "$work/broken/bench_step"
tiny broken --quick --python "$work/pytorch" --train "$work/cifar" --train-time 1
expect "exit after a failure" $? 1
expect "parts" "$(results broken)" "device passed
conv passed
step-fp16-2 passed
step-fp16-4 failed
step-fp16-4-no-graph failed
step-fp16-4-no-tuning passed
step-fp16-2-profile passed
test_emulated-cuda_runtime passed
test_emulated-cuda_optim passed
peer-fp16-2-eager passed
peer-fp16-2-compiled passed
peer-fp16-2-fair failed
loss passed
step-bf16-2 passed
step-bf16-4 passed
train passed"
grep -q '^{.*"views_per_s"' "$work/broken.log" || fail "no figure on standard output"
grep -q '"knn": {' "$work"/out-broken/*.json || fail "no kNN score in the JSON"
grep -q '"total_ms"' "$work"/out-broken/*.json || fail "no convolutions in the JSON"
grep -q '^| peer-fp16-2-eager | 1234.00 | 100 | 5 | [0-9.]* |' "$work"/out-broken/*.md ||
  fail "no ratio beside the peer"
grep -q '^| step-fp16-4-no-tuning | [0-9.]* | [0-9]* |' "$work"/out-broken/*.md ||
  fail "no step in the table"

# Killed in the middle: what was done by then is in both files, and what the part
# of that moment had printed was seen.
folder killed
rm "$work/killed/bench_step"
printf '#!/bin/sh\necho a figure\nexec sleep 20\n' > "$work/killed/bench_step"
chmod +x "$work/killed/bench_step"
setsid "$check" --tiny --quick --build "$work/killed" --out "$work/out-killed" \
  --python false > "$work/killed.log" 2>&1 &
group=$!
seen=0
for _ in $(seq 600); do
  grep -qs '^== step-fp16-2: ' "$work/killed.log" && break
  grep -qs '^a figure' "$work/killed.log" && seen=1 && break
  sleep 0.1
done
((seen)) || fail "a figure is not printed when it is known"
kill -KILL -- "-$group"
wait "$group" 2> /dev/null
expect "parts before it was killed" "$(results killed)" "device passed
conv passed"

# Out of time: the part that hangs ends, nothing is begun that cannot be done,
# and failing tests do not count.
folder late
rm "$work/late/bench_step"
printf '#!/bin/sh\nexec sleep 60\n' > "$work/late/bench_step"
printf '#!/bin/sh\nexit 1\n' > "$work/late/failing"
chmod +x "$work/late/bench_step" "$work/late/failing"
echo failing >> "$work/late/gpu_tests.txt"
tiny late --quick --python false --limit 100 --only device,tests
expect "exit when tests fail" $? 0
expect "tests that fail" "$(results late | grep failing)" "failing failed"
rm -r "$work/out-late"
tiny late --quick --python false --limit 25 --only device,eager,step,loss
expect "exit when time is out" $? 1
found=$(results late)
[[ $found == "device passed
peer-fp16-2-eager no PyTorch here
step-fp16-2 out of time ("*"loss no time left" ]] || fail "out of time: found $found"

((failures == 0)) && echo "gpu_check: all cases passed"
exit "$((failures > 0))"
