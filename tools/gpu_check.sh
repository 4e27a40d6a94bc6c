#!/usr/bin/env bash
# Everything that needs a GPU: tools/gpu_check.sh [options]
#   --quick        one call of at most 480 seconds: the parts device to bf16, each
#                  within what is left, small ones first
#   --train DIR    training on CIFAR-10 (its binary version is in DIR) for 300
#                  seconds, with its kNN score; alone or after --quick
#   --only PARTS   of device,conv,step,profile,tests,eager,compiled,fair,loss,bf16,
#                  choices,sanitizer                  [all, in this order]
#   --limit S      seconds for all but the training: what no longer fits is left
#                  out and said so                    [none; --quick: 480]
#   --build DIR    a CUDA build of this source tree   [build/cuda]
#   --out DIR      where the two result files go      [docs/results; installed: .]
#   --python PY    a Python that may have PyTorch     [python3]
#   --steps N      timed steps a bench                [20]
#   --train-time S seconds of training: as many epochs as fit   [300]
#   --tiny         toy networks: shows that the check works; its figures mean
#                  nothing
# device: what there is. conv: every convolution of ResNet-50, through the calls
# of training and cuDNN's graph API, plain and fused (bench_conv). step, bf16:
# bench_step, where it fails without a captured graph, then without timed
# algorithms, then with a quarter of the batch. profile: time per operation.
# tests: those labelled gpu; they never keep the rest from running, and with
# --quick do not count. eager, compiled, fair: the step in PyTorch, fair being as
# fast as it can (step_peer.py). loss: bench_loss. choices: what choices are
# worth. sanitizer: compute-sanitizer on the ops' cases.
# Figures are printed as they come; DATE-gpu-DEVICE[-PARTS].json and .md are
# written after every part. A part that fails or runs out of time is recorded and
# the rest goes on. Also runs from an installed tree
# (cmake --install BUILD --component portable --prefix DIR): DIR/bin/gpu_check.sh.
# Exit status: 0 all passed, 1 something failed, 77 no GPU, 2 usage.
set -uo pipefail

usage() {
  echo "gpu_check: $1" >&2
  exit 2
}
all=device,conv,step,profile,tests,eager,compiled,fair,loss,bf16,choices,sanitizer
build=build/cuda out='' commit='' python=python3 parts='' steps='' limit=0 data=''
train_time=300 quick=0 tiny=0
command="gpu_check.sh${*:+ $*}"
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --quick) quick=1 && shift ;;
    --tiny) tiny=1 && shift ;;
    --build | --out | --python | --only | --limit | --steps | --train | --train-time)
      [[ $# -ge 2 ]] || usage "$1 needs a value"
      case $1 in
        --build) build=$2 ;;
        --out) out=$2 ;;
        --python) python=$2 ;;
        --only) parts=$2 ;;
        --limit) limit=$2 ;;
        --steps) steps=$2 ;;
        --train) data=$2 ;;
        --train-time) train_time=$2 ;;
      esac
      shift 2
      ;;
    *) usage "unknown argument '$1' (--help says what there is)" ;;
  esac
done
suffix=${parts:+-${parts//,/-}}
for part in ${parts//,/ }; do
  [[ ,$all, == *",$part,"* ]] ||
    usage "--only $part: expected some of $all"
done
[[ $limit =~ ^[0-9]+$ ]] || usage "--limit $limit: expected seconds"
[[ -z $steps || $steps =~ ^[1-9][0-9]*$ ]] || usage "--steps $steps: expected a positive number"
[[ $train_time =~ ^[1-9][0-9]*$ ]] || usage "--train-time $train_time: expected seconds"
if ((quick)); then
  suffix=-quick$suffix
  parts=${parts:-${all%,choices*}}
  ((limit)) || limit=480
fi
((limit <= 8)) || ((limit -= 4))  # for what has to be killed, and the last report
if [[ -n $data ]]; then
  data=$(cd "$data" 2> /dev/null && pwd) || usage "--train: no such folder"
  [[ -n $parts ]] || suffix=-train
elif [[ -z $parts ]]; then
  parts=$all
fi

# What is measured.
network='--depth 50 --size 224 --projector 8192-8160 --segment 80'
batches=(64 128)
conv=(--depth 50 --batch 64)
loss=(--batch 2048 --units 960 2000 4080 8160 16320)
train_flags='' knn=20,200
if ((tiny)); then
  network='--depth 18 --width 4 --size 16 --stem cifar --projector 16-16 --segment 8'
  batches=(2 4) conv=(--depth 18 --batch 1 --width 1 --size 32) steps=${steps:-2}
  loss=(--batch 8 --reps 1 --units 80 160) knn=2,4
  train_flags='--model.width 4 --mlp 16-16 --loss.segment 8 --batch-size 8 --augment.size 16'
fi
steps=${steps:-20}
# PyTorch's step at both sizes where there is time.
((quick)) && peer_batches=("${batches[0]}") || peer_batches=("${batches[@]}")

# A source tree or an installed one.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ -z $out ]] || { mkdir -p "$out" && out=$(cd "$out" && pwd); } || usage "--out: cannot make it"
if [[ -f $here/../CMakePresets.json ]]; then
  cd "$here/.." || exit 2
  commit=$(git rev-parse --short HEAD 2> /dev/null)
  bin=$(cd "$build" 2> /dev/null && pwd) ||
    usage "no $build: expected a CUDA build (cmake --preset cuda && cmake --build --preset cuda)"
  list=$bin/gpu_tests.txt peers=$PWD/tools/peers out=${out:-$PWD/docs/results}
else
  bin=$here list=$here/../share/music/gpu_tests.txt
  peers=$here/../share/music/peers out=${out:-$PWD}
  export MUSIC_TESTS=$here/../share/music/tests
fi
[[ -s $list ]] || usage "no $list: expected a build with tests, or an installed component 'portable'"
mapfile -t tests < "$list"
if [[ -z ${tests[0]} ]]; then
  echo "gpu_check: skipped: $bin was built without CUDA"
  exit 77
fi
first=$bin/${tests[0]%% *}
[[ -x $first ]] || usage "no $first: build it first"
# shellcheck source=tools/gpu_report.sh
source "$here/gpu_report.sh"

# CUDA's libraries, where the loader does not know them: a toolkit, or the
# packages that a Python with PyTorch brings.
programs=("$first")
[[ ! -x $bin/bench_conv ]] || programs+=("$bin/bench_conv")
if ldd "${programs[@]}" | grep -q 'not found'; then
  candidates=(/usr/local/cuda/lib64)
  while read -r folder; do candidates+=("$folder"); done < <("$python" -c '
import glob, site, sys
paths = sys.path + site.getsitepackages() + [site.getusersitepackages()]
print(*dict.fromkeys(f for p in paths for f in sorted(glob.glob(p + "/nvidia/*/lib"))), sep="\n")' 2> /dev/null)
  for folder in "${candidates[@]}"; do
    [[ -d $folder ]] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
  done
  export LD_LIBRARY_PATH
  missing=$(ldd "$first" | awk '/not found/ { printf " %s", $1 }')
  [[ -z $missing ]] || usage "cannot find$missing: name their folders in LD_LIBRARY_PATH"
fi
# What the loader says otherwise: an older C library than the build machine's.
problem=$(ldd "$first" 2>&1 > /dev/null | head -1)
[[ -z $problem ]] || usage "$problem"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Is there a GPU that this build can use? The tests of the runtime say.
timeout 60 "$first" --test-suite=cuda_runtime > "$scratch/probe" 2>&1
status=$?
if [[ $status -eq 77 ]]; then
  echo "gpu_check: skipped: $(sed -n 's/.*\[skipped\] //p' "$scratch/probe" | head -1)"
  exit 77
elif [[ $status -ne 0 ]]; then
  echo "gpu_check: the tests of the runtime fail ($status):" >&2
  tail -n 15 "$scratch/probe" >&2
fi

query() {
  nvidia-smi -i 0 --query-gpu="$1" --format=csv,noheader 2> /dev/null | head -1
}
device=$(query name)
device=${device:-unknown}
driver=$(query driver_version)
memory=$(query memory.total)
libraries=$(ldd "$first" | grep -oE 'lib(cudnn|cublasLt)\.so[.0-9]* => [^ ]+' |
  while read -r _ _ path; do basename "$(readlink -f "$path")"; done | sort | paste -sd ' ')
torch=''
if [[ ,$parts, =~ ,(device|eager|compiled|fair), ]]; then
  torch=$(timeout 60 "$python" -c 'import torch, torchvision; print(torch.__version__)' 2> /dev/null)
fi
now=$(date -u +%Y-%m-%dT%H:%MZ)
slug=$(tr -cs '[:alnum:]' '-' <<< "${device,,}")
file=$out/${now%T*}-gpu-${slug%-}$suffix
mkdir -p "$out" || exit 1
: > "$scratch/rows"

# run NAME SECONDS COMMAND...: its output as it comes and in $scratch/NAME.log; a
# row of the report. Returns 0 when it passed, 3 when there was no time.
failed=0 counts=1 training=0 running=''
row() {
  printf '%s\t%s\t%s\n' "$@" >> "$scratch/rows"
  printf '== %s: %s, %s s\n' "$@"
  write_report
}
run() {
  local name=$1 most=$2 begin=$SECONDS status
  shift 2
  if ((limit > 0 && !training && limit - SECONDS < most)); then
    most=$((limit - SECONDS))
    if ((most < 5)); then
      row "$name" "no time left" 0
      return 3
    fi
  fi
  printf '== %s (at most %s s)\n' "$name" "$most"
  : > "$scratch/$name.log"
  timeout --kill-after=3 "$most" "$@" > "$scratch/$name.log" 2>&1 &
  running=$!
  tail -n +1 -f -s 0.2 --pid="$running" "$scratch/$name.log" 2> /dev/null |
    sed -u -E 's/^(.{400}).*/\1 .../' &
  wait "$running"
  status=$?
  wait $!
  running=''
  case $status in
    0) status=passed ;;
    77) status=skipped ;;
    124 | 137) status="out of time ($most s)" ;;
    *) status=failed ;;
  esac
  if [[ $status == failed ]] &&
    grep -q 'Device not supported' "$scratch/$name.log"; then
    status="not supported here"
  fi
  [[ $status != failed && $status != out* ]] || ((!counts)) || failed=1
  row "$name" "$status" "$((SECONDS - begin))"
  [[ $status == passed ]]
}
stopped() {
  [[ -z $running ]] || kill "$running" 2> /dev/null
  echo "gpu_check: stopped; what was done is in $file.json and $file.md" >&2
  exit 130
}
trap stopped INT TERM
# Seconds for a part: that many in a quick run, more where time is no matter.
cap() { echo "$(($1 * (quick ? 1 : 4)))"; }
left() { echo "$((limit ? limit - SECONDS : 3600))"; }

bench_step() { # PRECISION BATCH, and what else to say
  local precision=$1 batch=$2
  shift 2
  # shellcheck disable=SC2086  # flags
  "$bin/bench_step" --device cuda $network --batch "$batch" --precision "$precision" \
    --steps "$steps" --warmup 5 --peer none "$@"
}
# Where it fails, with less and less of what may be the reason. What worked last
# is where the next batch begins.
fallbacks=('' -no-graph -no-tuning -small) level=0
step() { # PRECISION BATCH
  local name batch=$2 result graph tune
  while ((level < ${#fallbacks[@]})); do
    graph=1 tune=1
    ((level < 1)) || graph=0
    ((level < 2)) || tune=0
    ((level < 3)) || batch=$((($2 + 3) / 4))
    name=step-$1-$batch${fallbacks[level]}
    MUSIC_CUDA_GRAPH=$graph MUSIC_TUNE=$tune run "$name" "$(cap 60)" \
      bash -c 'bench_step "$@"' - "$1" "$batch" --json
    result=$?
    ((result == 1)) || return "$result"
    ((++level))
  done
}
peer() { # NAME SECONDS PRECISION BATCH MODE, and what else to say
  local name=$1 most=$2 precision=$3 batch=$4 mode=$5 flags
  shift 5
  if [[ -z $torch ]]; then
    row "$name" "no PyTorch here" 0
    return
  fi
  ((most >= 5)) || { row "$name" "no time left" 0 && return; }
  flags=${network/--depth /--arch resnet}
  # shellcheck disable=SC2086  # flags
  run "$name" "$most" "$python" "$peers/step_peer.py" --device cuda \
    --precision "$precision" $flags --batch "$batch" --steps "$steps" --mode "$mode" \
    --budget 10 "$@"
}

# A test program; then the tolerances that it came nearest to, as shares of their
# bounds.
gpu_test() { # PROGRAM, and what it is told
  local status margins
  margins=$(mktemp -p "$scratch")
  MUSIC_MARGINS=$margins "$bin/$1" "${@:2}"
  status=$?
  awk -F'|' 'NF == 6 && $6 > 0 { printf "%8.3f of %s  %s, %s, %s\n", $5 / $6, $6, $1, $2, $4 }' \
    "$margins" | sort -gr | head -n 20
  return "$status"
}

# As many epochs as fit into train_time, by the speed of a first one; the first
# row of metrics.jsonl pays for the search of algorithms.
field_of_log() { # FILE KEY: the median over the second half of the lines
  grep -oE "\"$2\":[-0-9.e+]+" "$1" | cut -d: -f2 | awk '{ v[NR] = $1 }
    END { for (i = int(NR / 2) + 1; i <= NR; ++i) print v[i] }' | sort -g |
    awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}
train() {
  local run=$scratch/run probe=$scratch/probe-run speed epochs begin images
  # shellcheck disable=SC2206  # flags
  local music_train=("$bin/music_train" --preset cifar10-authors --data "$data" --device cuda
    --progress plain $train_flags)
  images=$(find -L "$data" -name 'data_batch_*.bin' -exec stat -Lc %s {} + |
    awk '{ n += $1 / 3073 } END { print int(n) }')
  "${music_train[@]}" --train.epochs 1 --optim.warmup_epochs 0 --out "$probe" || return
  speed=$(field_of_log "$probe/metrics.jsonl" images_per_s)
  epochs=$(awk -v s="${speed:-1}" -v t="$train_time" -v n="${images:-50000}" \
    'BEGIN { e = int(s * t / n); print (e < 2 ? 2 : (e > 800 ? 800 : e)) }')
  echo "a first epoch ran at $speed images/s: now $epochs"
  begin=$SECONDS
  "${music_train[@]}" --train.epochs "$epochs" \
    --optim.warmup_epochs "$((epochs < 20 ? 1 : epochs / 20))" --out "$run" || return
  local seconds=$((SECONDS - begin))
  "$bin/music_knn" "$run" --data "$data" --k "$knn" || return
  printf '{"epochs": %s, "seconds": %s, "images_per_s": %s, "data_wait": %s, "knn": %s}\n' \
    "$epochs" "$seconds" "$(field_of_log "$run/metrics.jsonl" images_per_s)" \
    "$(field_of_log "$run/metrics.jsonl" data_wait)" "$(tr -d '\n' < "$run/eval/knn.json")"
}
# timeout starts programs, not functions: those run in a bash of their own.
export -f bench_step gpu_test train field_of_log
export bin data network scratch steps train_time train_flags knn

device() {
  printf '%s, driver %s, %s\nlibraries: %s\n' "$device" "${driver:-unknown}" \
    "${memory:-unknown}" "${libraries:-none of cuDNN and cuBLASLt}"
  nvidia-smi 2> /dev/null
  echo "PyTorch: ${torch:-none in $python}"
}
export -f device
export device driver memory libraries python torch scratch

for part in ${parts//,/ }; do
  case $part in
    device)
      run device 30 bash -c device
      ;;
    conv)
      if [[ -x $bin/bench_conv ]]; then
        most=$(cap 90)
        ((most <= $(left))) || most=$(left)
        run conv "$most" "$bin/bench_conv" --precision fp16 "${conv[@]}" \
          --limit "$((most > 20 ? most - 8 : most))" --json
      else
        row conv "no bench_conv here" 0
      fi
      ;;
    step)
      for batch in "${batches[@]}"; do step fp16 "$batch"; done
      ;;
    profile)
      MUSIC_TUNE=$((level < 2)) run step-fp16-"${batches[0]}"-profile "$(cap 45)" \
        bash -c 'bench_step "$@"' - fp16 "${batches[0]}" --profile
      ;;
    tests)
      ((quick)) && counts=0
      for test in "${tests[@]}"; do
        name=${test##*/}
        run "${name// --test-suite=/-}" "$(cap 45)" bash -c "gpu_test $test"
      done
      # Two processes that share the GPU, in a build with MPI.
      if ((!quick)) && command -v mpirun > /dev/null && ldd "$bin/test_dist_cuda" | grep -q libmpi; then
        run test_dist_cuda-2 400 mpirun --allow-run-as-root --oversubscribe -np 2 \
          "$bin/test_dist_cuda"
      fi
      counts=1
      ;;
    eager | compiled)
      for batch in "${peer_batches[@]}"; do
        peer "peer-fp16-$batch-$part" "$(cap "$([[ $part == eager ]] && echo 40 || echo 90)")" \
          fp16 "$batch" "$part"
      done
      ((quick)) || [[ $part == compiled ]] ||
        peer "peer-fp16-${batches[0]}-eager-profile" 120 fp16 "${batches[0]}" eager --profile
      ;;
    fair)
      # It tunes for minutes: all but what the small parts behind it need.
      reserve=0
      [[ ,$parts, != *,loss,* ]] || ((reserve += 25))
      [[ ,$parts, != *,bf16,* ]] || ((reserve += 50))
      for batch in "${peer_batches[@]}"; do
        peer "peer-fp16-$batch-fair" "$(($(left) - reserve))" fp16 "$batch" fair
      done
      ;;
    loss)
      TMPDIR=$scratch run loss "$(cap 40)" "$bin/bench_loss" --device cuda "${loss[@]}" \
        --peer "$python" --peer-script "$peers/loss_peer.py"
      ;;
    bf16)
      level=0
      for batch in "${batches[@]}"; do step bf16 "$batch"; done
      ((quick)) || for mode in eager compiled; do
        peer "peer-bf16-${batches[0]}-$mode" 400 bf16 "${batches[0]}" "$mode"
      done
      ;;
    choices)
      MUSIC_CONV_1X1=gemm run "step-fp16-${batches[1]}-conv1x1-by-gemm" 120 \
        bash -c 'bench_step "$@"' - fp16 "${batches[1]}" --json
      MUSIC_CUDA_GRAPH=0 run "step-fp16-${batches[1]}-without-graph" 120 \
        bash -c 'bench_step "$@"' - fp16 "${batches[1]}" --json
      ;;
    sanitizer)
      sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer \
        2> /dev/null)
      if [[ -n $sanitizer ]]; then
        for tool in memcheck racecheck synccheck; do
          MUSIC_TUNE=0 run "sanitizer-$tool" 300 "$sanitizer" --tool "$tool" \
            --error-exitcode 9 "$first" --test-suite=cuda_ops
        done
      else
        row sanitizer "no compute-sanitizer here" 0
      fi
      ;;
  esac
done
if [[ -n $data ]]; then
  training=1
  run train "$((train_time * 3 / 2 + 150))" bash -c train
fi
echo "wrote $file.json and $file.md"
exit "$failed"
