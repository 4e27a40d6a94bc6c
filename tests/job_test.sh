#!/usr/bin/env bash
# Training by several processes as a user runs it, and what becomes of a job of
# which one process is lost.
#   job_test.sh BUILD_DIR runs|methods|agreement|failures [TRIALS]
# runs       the same job twice: the same bytes; the first steps are those of one
#            process; SIGUSR1 stops all ranks after the same step, and the job
#            goes on to the same bytes, or on another number of processes; other
#            signals to mpirun
# methods    every method on one, two and three processes: the same first steps
# agreement  processes that differ in configuration or data are named
# failures   SIGKILL, SIGSEGV, SIGABRT or SIGSTOP to a random rank: exit code not
#            0, the rank is named, no process is left after 5 s (stopped rank: 10 s
#            after the watchdog's limit, of which the others' reports and the
#            launcher's way to SIGKILL take five) and, as the machine may be slow
#            or busy, twice what the job took to start. TRIALS trials, default 4
set -u
build=$1
what=$2
trials=${3:-4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

"$build/music_attributes" --out "$work/data" --train 96 --test 48 --size 24 \
  >/dev/null || { echo "generator failed" >&2; exit 1; }
tiny=("$build/music_train" --preset demo --data "$work/data/train" --augment.size 16
  --model.width 4 --mlp 32-56 --loss.segment 8 --batch-size 20 --epochs 4
  --train.checkpoint_every 3 --progress none --train.log_level warn)
job() {
  local np=$1
  shift
  mpirun -np "$np" "${tiny[@]}" "$@"
}
# In the background, so that $! is mpirun.
start_job() {
  local np=$1
  shift
  mpirun -np "$np" "${tiny[@]}" "$@" &
}
weights() { cat "$1/encoder.safetensors" "$1/projector.safetensors" | sha256sum; }
steps() { [[ -e $1/metrics.jsonl ]] && wc -l <"$1/metrics.jsonl" || echo 0; }
# Loss of the first steps, six digits.
losses() {
  grep -o '"loss":[-0-9.e]*' "$1/metrics.jsonl" | head -5 | cut -d: -f2 |
    awk '{printf "%.5f ", $1}'
}
wait_for_step() {  # run, step, process
  until (($(steps "$1") > $2)); do
    kill -0 "$3" 2>/dev/null || return 1
    sleep 0.01
  done
}

methods() {
  local m np
  local base=("$build/music_train" --preset demo --data "$work/data/train"
    --augment.size 16 --model.width 4 --batch-size 36 --optim.base_lr 0.02 --epochs 2
    --train.checkpoint_every 3 --progress none --train.log_level warn)
  for m in vicreg barlow_twins simclr simsiam byol moco_v2 swav supervised; do
    local run=("${base[@]}" --method "$m") out
    [[ $m == supervised ]] || run+=(--mlp 32-16)
    case $m in
      simsiam | byol) run+=("--$m.predictor" 16) ;;
      moco_v2) run+=(--moco_v2.queue 144 --moco_v2.group 6) ;;
      swav) run+=(--swav.prototypes 12 --swav.freeze 0 --swav.queue 36 --swav.queue_from 0) ;;
    esac
    for np in 1 2 3; do
      out=$work/$m-$np
      mpirun -np "$np" "${run[@]}" --out "$out" || fail "$m on $np processes"
      python3 - "$work/$m-1" "$out" <<'P' || fail "$m on $np processes: another loss"
import json, sys
a, b = ([json.loads(line) for line in open(f'{run}/metrics.jsonl')
         if '"loss"' in line] for run in sys.argv[1:])
assert len(a) == len(b) >= 4
# Behind the first update a ReLU may be on the other side of its kink.
for x, y, bound in zip(a, b, (1e-5, 1e-5, 2e-3)):
    assert abs(x['loss'] - y['loss']) <= bound * max(1, abs(x['loss'])), (x['loss'], y['loss'])
P
    done
  done
  local said
  said=$(mpirun -np 2 "${base[@]}" --method moco_v2 --mlp 32-16 --moco_v2.queue 144 \
    --moco_v2.group 9 --out "$work/refused" 2>&1) && fail "groups of 9 on 2 processes"
  grep -q '2 processes and 4 groups of moco_v2.group = 9' <<<"$said" ||
    fail "said: $said"
}

runs() {
  "${tiny[@]}" --out "$work/one" || fail "one process"
  job 2 --out "$work/a" --workers 1 || fail "two processes"
  job 2 --out "$work/b" --workers 3 || fail "two processes again"
  job 3 --out "$work/c" || fail "three processes"
  [[ $(weights "$work/a") == $(weights "$work/b") ]] ||
    fail "two runs of two processes differ"
  local run
  for run in a c; do
    [[ $(losses "$work/$run") == $(losses "$work/one") ]] ||
      fail "first losses of $run: $(losses "$work/$run"), expected $(losses "$work/one")"
    (($(steps "$work/$run") == $(steps "$work/one"))) || fail "steps of $run"
  done
  [[ -e $work/c/logs/rank-0002.log && ! -e $work/c/logs/beat-rank-0002.txt ]] ||
    fail "logs: $(ls "$work/c/logs")"

  # A signal reaches the ranks at different times.
  start_job 2 --out "$work/d"
  local pid=$!
  wait_for_step "$work/d" 6 "$pid"
  kill -USR1 "$pid"
  wait "$pid"
  local status=$?
  ((status == 16)) || fail "SIGUSR1: exit $status, expected 16"
  cp -r "$work/d" "$work/e"
  # What mpirun forwards, and what it makes of the others.
  local signal step
  for signal in USR2:16 XCPU:16 TERM:1 HUP:1; do
    rm -rf "$work/f"
    start_job 2 --out "$work/f" --epochs 100000 --train.checkpoint_every 1000000 \
      2>/dev/null
    pid=$!
    wait_for_step "$work/f" 6 "$pid"
    step=$(($(steps "$work/f") - 1))
    kill -"${signal%:*}" "$pid"
    wait "$pid"
    status=$?
    ((status == ${signal#*:})) || fail "SIG${signal%:*}: exit $status, expected ${signal#*:}"
    newest=$(basename "$work"/f/ckpt/step_*)
    ((10#${newest#step_} >= step)) || fail "SIG${signal%:*} after $step steps saved $newest"
  done
  job 2 --out "$work/d" || fail "going on"
  [[ $(weights "$work/d") == $(weights "$work/a") ]] || fail "the resumed job differs"
  job 3 --out "$work/e" || fail "going on with three processes"
  (($(steps "$work/e") == $(steps "$work/one"))) || fail "steps of the job that grew"
}

# expect CODE PATTERN command...: exit code, and one line of ours, that matches.
expect() {
  local code=$1 pattern=$2
  shift 2
  "$@" >"$work/stdout" 2>"$work/stderr"
  local status=$?
  ((status == code)) || fail "exit $status, expected $code: $(cat "$work/stderr")"
  local said
  said=$(grep '^music_train: ' "$work/stderr")
  (($(grep -c . <<<"$said") == 1)) && grep -qE -- "$pattern" <<<"$said" ||
    fail "no single line with '$pattern': $(cat "$work/stderr")"
}
agreement() {
  local out=(--out "$work/out")
  expect 2 'different train.seed: rank 0 has 0, rank 2 has 5' \
    mpirun -np 2 "${tiny[@]}" "${out[@]}" : -np 1 "${tiny[@]}" "${out[@]}" --seed 5
  expect 2 'different data: rank 0 has 96 images, .*, rank 1 has 48 images' \
    mpirun -np 1 "${tiny[@]}" "${out[@]}" : \
    -np 1 "${tiny[@]}" "${out[@]}" --data "$work/data/test"
  # A process may have no sample at all.
  job 3 --out "$work/few" --batch-size 2 --epochs 1 || fail "2 samples on 3 processes"
  expect 3 'rank 1: .*no/such' mpirun -np 1 "${tiny[@]}" "${out[@]}" : \
    -np 1 "${tiny[@]}" "${out[@]}" --data "$work/no/such"
  expect 2 'nknown flag --nonsense' job 3 "${out[@]}" --nonsense
  [[ ! -e $work/out/metrics.jsonl ]] || fail "a refused job left metrics behind"
}

failures() {
  local signals=(KILL SEGV ABRT STOP) limit=10 trial
  for ((trial = 0; trial < trials; ++trial)); do
    local np=$((RANDOM % 3 + 2)) signal=${signals[trial % 4]}
    local victim=$((RANDOM % np)) run=$work/run$trial r pids=()
    local began=$EPOCHREALTIME
    start_job $np --out "$run" --epochs 100000 --watchdog $limit >"$work/said" 2>&1
    local launcher=$!
    if ! wait_for_step "$run" $((RANDOM % 6 + 2)) $launcher; then
      fail "trial $trial does not train: $(cat "$work/said")"
      continue
    fi
    for ((r = 0; r < np; ++r)); do
      pids+=("$(cut -d' ' -f3 "$run/logs/beat-rank-000$r.txt")")
    done
    local start=$EPOCHREALTIME allowed=5
    [[ $signal == STOP ]] && allowed=$((limit + 10))
    allowed=$(awk "BEGIN {print $allowed + 2 * ($start - $began)}")
    kill -$signal "${pids[victim]}"
    local left=1
    while ((left)) && awk "BEGIN {exit !($EPOCHREALTIME - $start < $allowed)}"; do
      left=0
      for r in "${pids[@]}"; do [[ -d /proc/$r ]] && left=1; done
      sleep 0.05
    done
    local took
    took=$(awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $start}")
    ((left == 0)) || fail "SIG$signal of rank $victim of $np: processes left after $took s, limit $allowed s"
    wait "$launcher"
    local status=$?
    ((status != 0)) || fail "SIG$signal: exit 0"
    [[ $signal != STOP ]] || ((status == 18)) ||
      fail "SIGSTOP: exit $status, expected 18: $(cat "$work/said")"
    grep -qE "rank $victim( |:)" "$work/said" ||
      fail "SIG$signal of rank $victim is not named in: $(cat "$work/said")"
    if [[ $signal == STOP ]]; then
      grep -qE "rank $victim \(process ${pids[victim]} " "$work/said" ||
        fail "the stopped process is not named: $(cat "$work/said")"
      grep -q 'main' "$run"/logs/hang-rank-*.txt || fail "no stacks in $(ls "$run/logs")"
    fi
    echo "SIG$signal to rank $victim of $np: exit $status, all gone after $took s"
  done
}

"$what"
((failures == 0))
