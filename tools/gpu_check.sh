#!/usr/bin/env bash
# Everything that needs a GPU, in one go: tools/gpu_check.sh [options]
#   --build DIR    a CUDA build of this source tree   [build/cuda]
#   --out DIR      where the two result files go      [docs/results; installed: .]
#   --python PY    a Python that may have PyTorch     [python3]
#   --only PARTS   of tests,sanitizer,step,loss       [all, in this order]
#   --steps N      timed steps a bench                [20]
# Runs the tests labelled gpu, compute-sanitizer on the ops' cases where it is
# present, and bench_step and bench_loss beside PyTorch where it is present;
# writes DATE-gpu-DEVICE.json and .md. Also runs from an installed tree
# (cmake --install BUILD --component portable --prefix DIR): DIR/bin/gpu_check.sh.
# A part that fails or runs out of time is recorded and the rest goes on.
# Exit status: 0 all passed, 1 something failed, 77 no GPU, 2 usage.
set -uo pipefail

usage() {
  echo "gpu_check: $1" >&2
  exit 2
}
build=build/cuda out='' commit='' python=python3 parts=tests,sanitizer,step,loss steps=20
command="gpu_check.sh${*:+ $*}"
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --build | --out | --python | --only | --steps)
      [[ $# -ge 2 ]] || usage "$1 needs a value"
      case $1 in
        --build) build=$2 ;;
        --out) out=$2 ;;
        --python) python=$2 ;;
        --only) parts=$2 ;;
        --steps) steps=$2 ;;
      esac
      shift 2
      ;;
    *) usage "unknown argument '$1' (--help says what there is)" ;;
  esac
done
for part in ${parts//,/ }; do
  [[ ,tests,sanitizer,step,loss, == *",$part,"* ]] ||
    usage "--only $part: expected tests, sanitizer, step or loss"
done
[[ $steps =~ ^[1-9][0-9]*$ ]] || usage "--steps $steps: expected a positive number"

# A source tree or an installed one.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
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
import glob, sysconfig
print(*glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib"), sep="\n")' 2> /dev/null)
  for folder in "${candidates[@]}"; do
    [[ -d $folder ]] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
  done
  export LD_LIBRARY_PATH
  missing=$(ldd "$first" | awk '/not found/ { printf " %s", $1 }')
  [[ -z $missing ]] || usage "cannot find$missing: name their folders in LD_LIBRARY_PATH"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Is there a GPU that this build can use? The tests of the runtime say.
timeout 120 "$first" --test-suite=cuda_runtime > "$scratch/probe" 2>&1
if [[ $? -eq 77 ]]; then
  echo "gpu_check: $(sed -n 's/.*\[skipped\] //p' "$scratch/probe" | head -1)"
  exit 77
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
run() {
  local name=$1 limit=$2 begin=$SECONDS status
  shift 2
  timeout --kill-after=10 "$limit" "$@" > "$scratch/$name.log" 2>&1
  case $? in
    0) status=passed ;;
    77) status=skipped ;;
    124 | 137) status="out of time ($limit s)" ;;
    *) status=failed ;;
  esac
  if [[ $status == failed ]] &&
    grep -q 'Device not supported' "$scratch/$name.log"; then
    status="not supported here"
  fi
  [[ $status == failed || $status == out* ]] && failed=1
  printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - begin))" >> "$rows"
  printf '%-34s %s, %s s\n' "$name" "$status" "$((SECONDS - begin))"
  if [[ $status == failed || $status == out* ]]; then
    tail -n 15 "$scratch/$name.log" | sed 's/^/    /'
  fi
}

for part in ${parts//,/ }; do
  case $part in
    tests)
      for test in "${tests[@]}"; do run "$test" 600 "$bin/$test"; done
      ;;
    sanitizer)
      if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck synccheck; do
          MUSIC_TUNE=0 run "sanitizer-$tool" 600 compute-sanitizer --tool "$tool" \
            --error-exitcode 9 "$first" --test-suite=cuda_ops
        done
      else
        printf 'sanitizer\tno compute-sanitizer here\t0\n' >> "$rows"
      fi
      ;;
    step)
      for precision in fp16 bf16; do
        for batch in 64 128; do
          step=("$bin/bench_step" --device cuda --depth 50 --size 224 --batch "$batch"
            --projector 8192-8160 --segment 80 --precision "$precision"
            --steps "$steps" --warmup 5 --json --peer-script "$peers/step_peer.py")
          run "step-$precision-$batch-eager" 300 "${step[@]}" --peer "$python"
          run "step-$precision-$batch-compile" 600 "${step[@]}" --peer "$python" --compile
        done
      done
      # What choices are worth, without the peer.
      step+=(--peer none)
      run step-bf16-128-conv1x1-by-gemm 300 env MUSIC_CONV_1X1=gemm "${step[@]}"
      run step-bf16-128-no-graph 300 env MUSIC_CUDA_GRAPH=0 "${step[@]}"
      run step-bf16-128-profile 300 "${step[@]/--json/--profile}"
      ;;
    loss)
      run loss 600 "$bin/bench_loss" --device cuda --batch 2048 --units 960 2000 4080 \
        8160 16320 --peer "$python" --peer-script "$peers/loss_peer.py"
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

mkdir -p "$out" || exit 1
slug=$(tr -cs '[:alnum:]' '-' <<< "${device,,}")
file=$out/${now%T*}-gpu-${slug%-}
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
    result=$(grep -E '^\{.*\}$' "$scratch/$name.log" 2> /dev/null | tail -1)
    if [[ -n $result ]]; then
      printf ', "result": %s' "$result"
    elif [[ -f $scratch/$name.log ]]; then
      printf ', "output": %s' "$(tail -n 40 "$scratch/$name.log" | quoted)"
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
    printf '\n## Training step\n\nResNet-50, 224, two views, projector 8192-8160, D_S 80: median of %s steps.\n\n' "$steps"
    printf '| Run | ms | views/s | Peak, MiB | PyTorch ms | views/s | Peak, MiB | Ratio |\n'
    printf '|---|---:|---:|---:|---:|---:|---:|---:|\n'
    while IFS=$'\t' read -r name status _; do
      result=$(grep -E '^\{.*\}$' "$scratch/$name.log" 2> /dev/null | tail -1)
      [[ $name == step-* && $status == passed && -n $result ]] || continue
      peer=$(grep -oE '"peer": ?\{[^}]*\}' <<< "$result")
      ours=${result/"$peer"/}
      printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "${name#step-}" \
        "$(field step_ms 2 <<< "$ours")" "$(field views_per_s <<< "$ours")" \
        "$(field peak_mib <<< "$ours")" "$(field step_ms 2 <<< "$peer")" \
        "$(field views_per_s <<< "$peer")" "$(field peak_mib <<< "$peer")" \
        "$(field ratio 2 <<< "$ours")"
    done < "$rows"
  fi
  for name in step-bf16-128-profile loss; do
    [[ -f $scratch/$name.log ]] || continue
    printf '\n## %s\n\n```\n' "${name^}"
    cat "$scratch/$name.log"
    printf '```\n'
  done
} > "$file.md"
echo "wrote $file.json and $file.md"
exit "$failed"
