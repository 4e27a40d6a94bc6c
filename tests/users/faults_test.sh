#!/usr/bin/env bash
# What becomes of a run when its surroundings fail: signals from the first moment on,
# saves that fail, data that is away, a run folder that is taken away, numbers that
# are not finite, memory that cannot be had.
#   faults_test.sh BUILD_DIR [CASE...]
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../eval/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../expect.sh"
shim=$build/tests/libfault_shim.so
weights() { (cd "$1" && cat encoder.safetensors projector.safetensors | sha256sum); }
steps() { [[ -e $1/metrics.jsonl ]] && grep -c '"step"' "$1/metrics.jsonl" || echo 0; }
newest() { { find "$1/ckpt" -maxdepth 1 -name 'step_*' -printf '%f\n' 2>/dev/null; echo step_0; } | sort -r | head -1 | cut -c6-; }
# until_true COMMAND...: while the process $pid lives
until_true() {
  until "$@" 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.01
  done
}
has_steps() { (($(steps "$1") >= $2)); }
# ends CODE WHAT: how the process $pid ended
ends() {
  wait "$pid"
  local status=$?
  ((status == $1)) || fail "$2: exit $status, expected $1: $(tail -3 "$work/log")"
}
one_line() {
  (($(grep -c '^music_train: ' "$work/log") == 1)) && grep -qE "^music_train: .*$1" "$work/log" ||
    fail "no one line with '$1': $(cat "$work/log")"
}
said() { grep -qE -- "$1" "$work/log" || fail "not said: '$1': $(cat "$work/log")"; }

"$build/music_attributes" --out "$work/data" --train 96 --test 16 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
tiny=("$build/music_train" --preset demo --augment.size 16 --model.width 4
  --mlp 32-32 --loss.segment 8 --batch-size 16 --train.checkpoint_every 3
  --progress none --threads 1 --workers 1)
here=("${tiny[@]}" --data "$work/data/train")
long=("${here[@]}" --epochs 100000 --train.log_level warn)

"${here[@]}" --epochs 4 --train.log_level error --out "$work/whole" || fail "the whole run"
expected=$(weights "$work/whole")
goes_on() {
  "${here[@]}" --epochs 4 --train.log_level error --out "$1" || fail "$2: going on"
  [[ $(weights "$1") == "$expected" ]] || fail "$2: another end"
}

# Where the run's folder is opened, which takes as long as we want.
starting() {
  local pair control=$work/hold
  for pair in USR1:16 USR2:16 XCPU:16 TERM:143 INT:130 HUP:129; do
    rm -f "$control.count"
    echo "hold 0 .lock" >"$control"
    LD_PRELOAD=$shim MUSIC_TEST_FAULTS=$control "${long[@]}" --out "$work/none" \
      2>"$work/log" &
    pid=$!
    until_true test -s "$control.count" || fail "it does not start: $(cat "$work/log")"
    kill -"${pair%:*}" $pid
    ends "${pair#*:}" "SIG${pair%:*} at the start"
    one_line "SIG${pair%:*} outside of training: nothing to save"
  done
  [[ ! -e $work/none/metrics.jsonl ]] || fail "a run that did not start has steps"
}

training() {
  local pair run before
  for pair in USR1:16 USR2:16 XCPU:16 TERM:143 HUP:129; do
    run=$work/on-${pair%:*}
    "${long[@]}" --out "$run" --train.checkpoint_every 1000000 2>"$work/log" &
    pid=$!
    until_true has_steps "$run" 5 || fail "no steps before SIG${pair%:*}"
    before=$(steps "$run")
    kill -"${pair%:*}" $pid
    ends "${pair#*:}" "SIG${pair%:*} while training"
    ((10#$(newest "$run") >= before)) ||
      fail "SIG${pair%:*} after $before steps saved $(newest "$run")"
  done
  # nohup stays what it is.
  (trap '' HUP; exec "${long[@]}" --out "$work/nohup" 2>"$work/log") &
  pid=$!
  until_true has_steps "$work/nohup" 3
  kill -HUP $pid
  before=$(steps "$work/nohup")
  until_true has_steps "$work/nohup" $((before + 3)) || fail "SIGHUP ended a run under nohup"
  kill -TERM $pid
  wait $pid
}

# As mpirun does it: SIGTERM, and SIGKILL before the step is over.
long_step() {
  local slow=("${here[@]}" --augment.size 32 --model.width 40 --batch-size 96
    --epochs 1000 --train.log_level warn) name=ckpt/step_000000000001/rank-0000.safetensors
  "${slow[@]}" --train.checkpoint_every 1 --out "$work/first" 2>"$work/log" &
  pid=$!
  until_true test -e "$work/first/$name" || fail "no step: $(cat "$work/log")"
  kill -KILL $pid
  wait $pid 2>/dev/null
  "${slow[@]}" --train.checkpoint_every 1000 --out "$work/second" 2>"$work/log" &
  pid=$!
  until_true has_steps "$work/second" 1
  kill -TERM $pid
  until_true grep -q 'saved the state after step 1 while the next one runs' "$work/log" ||
    fail "not saved within the step: $(cat "$work/log")"
  kill -KILL $pid
  wait $pid 2>/dev/null
  cmp "$work/first/$name" "$work/second/$name" || fail "the state within the second step"
}

# A save that fails once does not end the run; on a signal it is tried again.
saves() {
  local fault run n=0 control=$work/control
  for fault in "open 116 .rank-0000" "mkdir 30 .tmp-" "rename 13 step_0" \
    "open 110 rank-0000" "open 24 .manifest.json.tmp" "fsync 5 rank-0000"; do
    run=$work/run$((n++))
    rm -f "$control" "$control.count"
    echo "$fault" >"$control"
    LD_PRELOAD=$shim MUSIC_TEST_FAULTS=$control "${long[@]}" --out "$run" 2>"$work/log" &
    pid=$!
    until_true test -s "$control.count" || fail "$fault: no save was tried: $(cat "$work/log")"
    local at
    at=$(steps "$run")
    until_true has_steps "$run" $((at + 4)) || fail "$fault: training does not go on"
    said 'training goes on, next attempt in 20 s'
    (($(wc -l <"$control.count") == 1)) ||
      fail "$fault: tried $(wc -l <"$control.count") times, expected to wait"
    rm "$control"
    kill -USR1 $pid
    ends 16 "$fault"
    ((10#$(newest "$run") > at)) || fail "$fault: saved $(newest "$run")"
  done
  # One that still fails, for storage that is away and for a full disk.
  for fault in "open 116 rank-0000:21" "open 28 rank-0000:20"; do
    echo "${fault%:*}" >"$control"
    LD_PRELOAD=$shim MUSIC_TEST_FAULTS=$control "${long[@]}" --out "$work/fails" \
      2>"$work/log" &
    pid=$!
    until_true has_steps "$work/fails" 4
    kill -USR1 $pid
    ends "${fault#*:}" "a save that fails to the end, $fault"
    one_line 'cannot write .*start it again when it can be written to'
    rm -rf "$work/fails" "$control"
  done
  # A file of the size that the process may write (SIGXFSZ would end it).
  (ulimit -f 40; exec "${long[@]}" --out "$work/fails" 2>"$work/log") &
  pid=$!
  until_true has_steps "$work/fails" 4
  kill -USR1 $pid
  ends 20 "ulimit -f"
  one_line 'File too large.*start it again when it can be written to'
}

# The data folder is away until that has been noticed, or for longer than waited for.
data_away() {
  local data=$work/mine run=$work/away
  cp -r "$work/data/train" "$data"
  local mine=("${tiny[@]}" --data "$data" --epochs 4)
  "${mine[@]}" --epochs 40 --out "$run" 2>"$work/log" &
  pid=$!
  until_true has_steps "$run" 3
  mv "$data" "$data.away"
  until_true grep -q 'waiting for it, up to 60 s' "$work/log" ||
    fail "nothing said of data that is away: $(cat "$work/log")"
  mv "$data.away" "$data"
  ends 0 "data that was away"
  said 'is back after [0-9.]+ s and [0-9]+ failed attempt'
  said 'storage was away [0-9]+ time'
  [[ ! -s $run/quarantine.jsonl ]] || fail "images in quarantine: $(cat "$run/quarantine.jsonl")"

  run=$work/gone
  "${mine[@]}" --train.outage 0.3 --out "$run" --train.checkpoint_every 1000 2>"$work/log" &
  pid=$!
  until_true has_steps "$run" 3
  mv "$data" "$data.away"
  ends 21 "data that stays away"
  one_line 'storage that is away'
  ((10#$(newest "$run") >= 3)) || fail "nothing saved: $(ls "$run/ckpt")"
  mv "$data.away" "$data"
  "${mine[@]}" --out "$run" --train.checkpoint_every 1000 2>"$work/log" || fail "going on with data that is back"
  [[ $(weights "$run") == "$expected" ]] || fail "another end after an outage"

  # Other contents under the same names.
  run=$work/replaced
  "${mine[@]}" --out "$run" 2>"$work/log" &
  pid=$!
  until_true test -e "$run/ckpt/latest"
  kill -KILL $pid
  wait $pid 2>/dev/null
  local images
  mapfile -t images < <(find "$data" -name '*.jpg' | sort)
  cp "${images[5]}" "${images[0]}"
  "${mine[@]}" --out "$run" 2>"$work/log" || fail "going on with replaced images"
  said "images hold something else than when .*: 1 of those .*first .${images[0]}"
}

# The run's folder is deleted, replaced, or another start writes to it.
folder() {
  local run=$work/deleted
  "${long[@]}" --out "$run" 2>"$work/log" &
  pid=$!
  until_true has_steps "$run" 3
  mv "$run" "$work/hidden" && rm -rf "$work/hidden"
  ends 22 "a deleted run"
  one_line 'it was moved or deleted while the run wrote to it'
  [[ ! -e $run ]] || fail "a deleted run is back: $(ls "$run")"

  run=$work/moved
  "${long[@]}" --out "$run" 2>"$work/log" &
  pid=$!
  until_true has_steps "$run" 3
  mv "$run" "$run.old"
  "${here[@]}" --epochs 4 --train.log_level error --out "$run" || fail "a start at the old place"
  ends 22 "a moved run"
  one_line 'replaced by another folder|moved or deleted'
  [[ $(weights "$run") == "$expected" ]] || fail "the second start was disturbed"

  local control=$work/locks
  echo "flock 38 .lock" >"$control"
  run=$work/unlocked
  LD_PRELOAD=$shim MUSIC_TEST_FAULTS=$control expect 2 \
    'cannot lock .*Function not implemented; expected .*--train.unlocked true' \
    "${long[@]}" --out "$run"
  export LD_PRELOAD=$shim MUSIC_TEST_FAULTS=$control
  "${long[@]}" --train.unlocked true --out "$run" 2>"$work/log" &
  pid=$!
  unset LD_PRELOAD
  until_true test -e "$run/ckpt/latest"
  rm -rf "$run"/ckpt/step_*  # a start of its own: it does not go on
  LD_PRELOAD=$shim "${long[@]}" --train.unlocked true --out "$run" 2>"$work/log2" &
  local second=$!
  ends 22 "a run that another start took over"
  one_line 'process [0-9]+ on .* has begun to write to it'
  kill -TERM $second
  wait $second
  local status=$?
  ((status == 143)) || fail "the second start: exit $status: $(cat "$work/log2")"
  ls -A "$run/ckpt" | grep -q tmp && fail "left: $(ls -A "$run/ckpt")"
  unset MUSIC_TEST_FAULTS
}

# A rate at which numbers overflow.
numbers() {
  local run=$work/diverges
  "${here[@]}" --epochs 20 --optim.base_lr 1e8 --train.checkpoint_every 1 --train.keep 1 \
    --train.log_level error --out "$run" 2>"$work/log" &
  pid=$!
  ends 17 "a run that diverges"
  python3 - "$run" <<'P' || fail "what is left of a run that diverged"
import array, glob, json, math, struct, sys
for path in glob.glob(sys.argv[1] + '/**/*.safetensors', recursive=True):
    b = open(path, 'rb').read()
    n, = struct.unpack('<Q', b[:8])
    for name, t in json.loads(b[8:8 + n]).items():
        if name == '__metadata__' or t['dtype'] != 'F32': continue
        i, j = t['data_offsets']
        assert all(map(math.isfinite, array.array('f', b[8 + n + i:8 + n + j]))), (path, name)
healthy = [m for m in glob.glob(sys.argv[1] + '/ckpt/step_*/manifest.json')
           if json.load(open(m))['extra']['skipped_in_a_row'] == '0']
assert healthy, glob.glob(sys.argv[1] + '/ckpt/*')
P
  [[ ! -e $run/encoder.safetensors ]] || fail "a run that diverged has a result"
  # An encoder that is spoilt, by whatever hand.
  local file
  for file in encoder projector; do
    cp "$work/whole/$file.safetensors" "$work/$file.safetensors"
    python3 - "$work/$file.safetensors" <<'P'
import json, struct, sys
b = bytearray(open(sys.argv[1], 'rb').read())
n, = struct.unpack('<Q', b[:8])
h = json.loads(b[8:8 + n])
at = 8 + n + next(h[k] for k in h if 'running_mean' in k)['data_offsets'][0]
b[at:at + 4] = b'\0\0\xc0\x7f'
open(sys.argv[1], 'wb').write(b)
P
  done
  expect 3 'running_mean holds nan' "$build/music_knn" "$work/encoder.safetensors" \
    --data "$work/data" --progress none
}

# Less and less address space: it trains, or says in one line that it cannot.
memory() {
  local mib status refused=0
  for ((mib = 80; mib <= 170; mib += 15)); do
    rm -rf "$work/small"
    (ulimit -v $((mib * 1024)); exec "${here[@]}" --epochs 1 --train.log_level error \
      --out "$work/small") >"$work/log" 2>&1
    status=$?
    case $status in
      0) ;;
      127) ;;  # the system's loader has no room for the libraries
      23) refused=$((refused + 1))
        (($(grep -c . "$work/log") == 1)) || fail "$mib MiB: $(cat "$work/log")" ;;
      *) fail "$mib MiB: exit $status: $(cat "$work/log")" ;;
    esac
  done
  ((refused > 0)) || fail "no limit was too low"
}

shift
cases="training long_step data_away numbers"
# A sanitizer wants to be loaded first, and terabytes of address space.
ldd "$build/music_train" | grep -qE 'lib[at]san' ||
  cases="starting $cases saves folder memory"
for case in "${@:-$cases}"; do
  for one in $case; do
    before=$SECONDS
    "$one"
    echo "$one: $((SECONDS - before)) s, $failures failures so far"
  done
done
((failures == 0))
