#!/usr/bin/env bash
# Everything that needs a GPU, in one go: tools/gpu_check.sh [options]
#   --build DIR    a CUDA build of this source tree   [build/cuda]
#   --out DIR      where the two result files go      [docs/results; installed: .]
#   --python PY    a Python that may have PyTorch     [python3]
#   --only PARTS   of tests,step,loss,step-bf16,train,sanitizer
#                                                     [all that can run, in this order]
#   --limit S      seconds for the whole run: what no longer fits is left out and
#                  said so                            [none]
#   --steps N      timed steps a bench                [20]
#   --data DIR     CIFAR-10 in its binary version, for train
#   --train-time S seconds of training: as many epochs as fit   [300]
# Runs the tests labelled gpu; bench_step (fp16; then bf16) and bench_loss beside
# PyTorch where it is present; training on CIFAR-10 with its kNN score; and
# compute-sanitizer on the ops' cases where it is present. Writes
# DATE-gpu-DEVICE[-PARTS].json and .md. Also runs from an installed tree
# (cmake --install BUILD --component portable --prefix DIR): DIR/bin/gpu_check.sh.
# A part that fails or runs out of time is recorded and the rest goes on.
# Exit status: 0 all passed, 1 something failed, 77 no GPU, 2 usage.
set -uo pipefail

usage() {
  echo "gpu_check: $1" >&2
  exit 2
}
all=tests,step,loss,step-bf16,train,sanitizer
build=build/cuda out='' commit='' python=python3 parts='' steps=20 limit=0 data=''
train_time=300
command="gpu_check.sh${*:+ $*}"
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --build | --out | --python | --only | --limit | --steps | --data | --train-time)
      [[ $# -ge 2 ]] || usage "$1 needs a value"
      case $1 in
        --build) build=$2 ;;
        --out) out=$2 ;;
        --python) python=$2 ;;
        --only) parts=$2 ;;
        --limit) limit=$2 ;;
        --steps) steps=$2 ;;
        --data) data=$2 ;;
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
[[ $steps =~ ^[1-9][0-9]*$ ]] || usage "--steps $steps: expected a positive number"
[[ $train_time =~ ^[1-9][0-9]*$ ]] || usage "--train-time $train_time: expected seconds"
if [[ -n $data ]]; then
  data=$(cd "$data" 2> /dev/null && pwd) || usage "--data: no such folder"
elif [[ ,$parts, == *,train,* ]]; then
  usage "--only train needs --data, a folder with CIFAR-10 in its binary version"
fi
if [[ -z $parts ]]; then
  parts=$all
  [[ -n $data ]] || parts=${parts/train,/}
fi

# A source tree or an installed one.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ -z $out ]] || { mkdir -p "$out" && out=$(cd "$out" && pwd); } || usage "--out: cannot make it"
if [[ -f $here/../CMakePresets.json ]]; then
  cd "$here/.." || exit 2
  commit=$(git rev-parse --short HEAD 2> /dev/null)
  bin=$(cd "$build" 2> /dev/null && pwd) ||
    usage "no $build: expected a CUDA build (cmake --preset cuda && cmake --build --preset cuda)"
  list=$bin/gpu_tests.txt peers=$PWD/tools/peers out=${out:-docs/results}
else
  bin=$here list=$here/../share/music/gpu_tests.txt
  peers=$here/../share/music/peers out=${out:-.}
  export MUSIC_TESTS=$here/../share/music/tests
fi
[[ -s $list ]] || usage "no $list: expected a build with tests, or an installed component 'portable'"
mapfile -t tests < "$list"
first=$bin/${tests[0]}
[[ -x $first ]] || usage "no $first: build it first"

# CUDA's libraries, where the loader does not know them: a toolkit, or the
# packages that a Python with PyTorch brings.
if ldd "$first" | grep -q 'not found'; then
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
timeout 120 "$first" --test-suite=cuda_runtime > "$scratch/probe" 2>&1
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
torch=$("$python" -c 'import torch; print(torch.__version__)' 2> /dev/null || true)
libraries=$(ldd "$first" | grep -oE 'lib(cudnn|cublasLt)\.so[.0-9]* => [^ ]+' |
  while read -r _ _ path; do basename "$(readlink -f "$path")"; done | sort | paste -sd ' ')
now=$(date -u +%Y-%m-%dT%H:%MZ)

# run NAME SECONDS COMMAND...: output in $scratch/NAME.log; one row of `rows`,
# "name<tab>status<tab>seconds".
rows=$scratch/rows
failed=0
: > "$rows"
row() {
  printf '%s\t%s\t%s\n' "$@" >> "$rows"
  printf '%-34s %s, %s s\n' "$@"
}
run() {
  local name=$1 most=$2 begin=$SECONDS status
  shift 2
  if ((limit > 0 && limit - SECONDS < most)); then
    most=$((limit - SECONDS))
    if ((most < 20)); then
      row "$name" "no time left" 0
      return
    fi
  fi
  timeout --kill-after=10 "$most" "$@" > "$scratch/$name.log" 2>&1
  case $? in
    0) status=passed ;;
    77) status=skipped ;;
    124 | 137) status="out of time ($most s)" ;;
    *) status=failed ;;
  esac
  if [[ $status == failed ]] &&
    grep -q 'Device not supported' "$scratch/$name.log"; then
    status="not supported here"
  fi
  [[ $status == failed || $status == out* ]] && failed=1
  row "$name" "$status" "$((SECONDS - begin))"
  if [[ $status == failed || $status == out* ]]; then
    tail -n 15 "$scratch/$name.log" | sed 's/^/    /'
  fi
}

bench_step() { # PRECISION BATCH, and what else to say
  local precision=$1 batch=$2
  shift 2
  "$bin/bench_step" --device cuda --depth 50 --size 224 --batch "$batch" \
    --projector 8192-8160 --segment 80 --precision "$precision" --steps "$steps" \
    --warmup 5 --peer-script "$peers/step_peer.py" "$@"
}
steps_of() { # PRECISION
  local batch
  for batch in 64 128; do
    run "step-$1-$batch" 300 bash -c 'bench_step "$@"' - "$1" "$batch" --json \
      --peer "$python" --compile
  done
}

# As many epochs as fit into train_time, by the speed of a first one; the first
# row of metrics.jsonl pays for the search of algorithms.
field_of_log() { # FILE KEY: the median over the lines but the first 10
  sed 1,10d "$1" | grep -oE "\"$2\":[-0-9.e+]+" | cut -d: -f2 | sort -g |
    awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}
train() {
  local run=$scratch/run probe=$scratch/probe-run speed epochs begin
  local music_train=("$bin/music_train" --preset cifar10-authors --data "$data" --device cuda)
  "${music_train[@]}" --train.epochs 1 --optim.warmup_epochs 0 --out "$probe" || return
  speed=$(field_of_log "$probe/metrics.jsonl" images_per_s)
  epochs=$(awk -v s="${speed:-1}" -v t="$train_time" \
    'BEGIN { e = int(s * t / 50000); print (e < 2 ? 2 : (e > 800 ? 800 : e)) }')
  begin=$SECONDS
  "${music_train[@]}" --train.epochs "$epochs" \
    --optim.warmup_epochs "$((epochs < 20 ? 1 : epochs / 20))" --out "$run" || return
  local seconds=$((SECONDS - begin))
  "$bin/music_knn" "$run" --data "$data" --k 20,200 || return
  printf '{"epochs": %s, "seconds": %s, "images_per_s": %s, "data_wait": %s, "knn": %s}\n' \
    "$epochs" "$seconds" "$(field_of_log "$run/metrics.jsonl" images_per_s)" \
    "$(field_of_log "$run/metrics.jsonl" data_wait)" "$(tr -d '\n' < "$run/eval/knn.json")"
}
# timeout starts programs, not functions: those run in a bash of their own.
export -f bench_step train field_of_log
export bin data peers scratch steps train_time

for part in ${parts//,/ }; do
  case $part in
    tests)
      for test in "${tests[@]}"; do run "$test" 400 "$bin/$test"; done
      # Two processes that share the GPU, in a build with MPI.
      if command -v mpirun > /dev/null && ldd "$bin/test_dist_cuda" | grep -q libmpi; then
        run test_dist_cuda-2 400 mpirun --allow-run-as-root --oversubscribe -np 2 \
          "$bin/test_dist_cuda"
      fi
      ;;
    step)
      steps_of fp16
      # What choices are worth, without the peer.
      extra=(fp16 128 --peer none)
      run step-fp16-128-profile 120 bash -c 'bench_step "$@"' - "${extra[@]}" --profile
      if [[ -n $torch ]]; then
        run peer-fp16-128-profile 120 "$python" "$peers/step_peer.py" --device cuda \
          --precision fp16 --batch 128 --steps 5 --profile
      fi
      run step-fp16-128-conv1x1-by-gemm 120 env MUSIC_CONV_1X1=gemm \
        bash -c 'bench_step "$@"' - "${extra[@]}" --json
      run step-fp16-128-no-graph 120 env MUSIC_CUDA_GRAPH=0 \
        bash -c 'bench_step "$@"' - "${extra[@]}" --json
      ;;
    step-bf16) steps_of bf16 ;;
    loss)
      run loss 300 "$bin/bench_loss" --device cuda --batch 2048 --units 960 2000 4080 \
        8160 16320 --peer "$python" --peer-script "$peers/loss_peer.py"
      ;;
    train) run train "$((train_time * 3 / 2 + 150))" bash -c train ;;
    sanitizer)
      sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer \
        2> /dev/null)
      if [[ -n $sanitizer ]]; then
        for tool in memcheck racecheck synccheck; do
          run "sanitizer-$tool" 300 env MUSIC_TUNE=0 "$sanitizer" --tool "$tool" \
            --error-exitcode 9 "$first" --test-suite=cuda_ops
        done
      else
        row sanitizer "no compute-sanitizer here" 0
      fi
      ;;
  esac
done

# ---- the two files
quoted() { # as a JSON string
  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' | tr -d '\000-\011\013-\037' |
    awk '{ printf "%s%s", (NR > 1 ? "\\n" : "\""), $0 } END { printf "%s\"", NR ? "" : "\"" }'
}
field() { # KEY: the first number of that name in a JSON object on stdin
  grep -oE "\"$1\": ?[-0-9.e+]+" | head -1 | grep -oE '[-0-9.e+]+$' | xargs -r printf "%.${2:-0}f"
}
result_of() { # NAME: the last line of its output that is a JSON object
  grep -E '^\{.*\}$' "$scratch/$1.log" 2> /dev/null | tail -1
}

mkdir -p "$out" || exit 1
slug=$(tr -cs '[:alnum:]' '-' <<< "${device,,}")
file=$out/${now%T*}-gpu-${slug%-}$suffix
{
  printf '{"date": "%s", "command": %s, "commit": "%s",\n' "$now" \
    "$(quoted <<< "$command")" "$commit"
  printf ' "device": %s, "driver": "%s", "memory": "%s", "libraries": "%s", "torch": "%s",\n' \
    "$(quoted <<< "$device")" "$driver" "$memory" "$libraries" "$torch"
  printf ' "parts": ['
  separator=
  while IFS=$'\t' read -r name status seconds; do
    printf '%s\n  {"name": "%s", "status": "%s", "seconds": %s' "$separator" "$name" \
      "$status" "$seconds"
    result=$(result_of "$name")
    if [[ -n $result ]]; then
      printf ', "result": %s' "$result"
    elif [[ -f $scratch/$name.log ]]; then
      lines=40
      [[ $status == passed ]] || lines=1000
      printf ', "output": %s' "$(tail -n "$lines" "$scratch/$name.log" | quoted)"
    fi
    printf '}'
    separator=,
  done < "$rows"
  printf '\n]}\n'
} > "$file.json"

{
  printf '# %s\n\n%s, commit %s, driver %s, %s, %s, PyTorch %s.\n`%s`\n\n' "$device" \
    "${now%T*}" "${commit:-not known}" "${driver:-unknown}" "${memory:-unknown}" \
    "${libraries:-}" "${torch:-none}" "$command"
  printf '| Part | Result | Seconds |\n|---|---|---:|\n'
  awk -F'\t' '{ printf "| %s | %s | %s |\n", $1, $2, $3 }' "$rows"
  if grep -q '^step-' "$rows"; then
    printf '\n## Training step\n\nResNet-50, 224, two views, projector 8192-8160, D_S 80: median of %s steps.\n' "$steps"
    printf 'PyTorch runs AMP of the same precision in channels_last.\n\n'
    printf '| Run | ms | views/s | Peak, MiB | PyTorch eager ms | Peak, MiB | Ratio | compiled ms | Peak, MiB | Ratio |\n'
    printf '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n'
    while IFS=$'\t' read -r name status _; do
      result=$(result_of "$name")
      [[ $name == step-* && $status == passed && -n $result ]] || continue
      eager=$(grep -oE '"peer": ?\{[^}]*\}' <<< "$result")
      compiled=$(grep -oE '"peer_compiled": ?\{[^}]*\}' <<< "$result")
      ours=${result/"$eager"/}
      ours=${ours/"$compiled"/}
      printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "${name#step-}" \
        "$(field step_ms 2 <<< "$ours")" "$(field views_per_s <<< "$ours")" \
        "$(field peak_mib <<< "$ours")" "$(field step_ms 2 <<< "$eager")" \
        "$(field peak_mib <<< "$eager")" "$(field ratio 2 <<< "$ours")" \
        "$(field step_ms 2 <<< "$compiled")" "$(field peak_mib <<< "$compiled")" \
        "$(field ratio_compiled 2 <<< "$ours")"
    done < "$rows"
  fi
  for name in step-fp16-128-profile peer-fp16-128-profile loss train; do
    [[ -f $scratch/$name.log ]] || continue
    printf '\n## %s\n\n```\n' "${name^}"
    tail -n 60 "$scratch/$name.log"
    printf '```\n'
  done
} > "$file.md"
echo "wrote $file.json and $file.md"
exit "$failed"
