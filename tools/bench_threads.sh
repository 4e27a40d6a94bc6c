#!/usr/bin/env bash
# Whether training keeps its speed where cores are few, granted or shared:
# tools/bench_threads.sh [options]
#   --build DIR    programs                          [build/cpu]
#   --other DIR    an older build beside it, in turns [none]
#   --seconds S    of each run                       [8]
#   --rounds N     of each figure; medians           [3]
# Trains on images of its own (the demo's network) and prints images a second:
# idle, bound to one core, within a control group of one core, beside one busy
# process and beside two of low priority, each with its ratio to what it should
# keep up with. Needs two cores and nothing else running; the quota needs root.
set -euo pipefail
build=build/cpu other='' seconds=8 rounds=3
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --build | --other | --seconds | --rounds)
      [[ -n ${2:-} ]] || { echo "bench_threads: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2
      ;;
    *)
      echo "bench_threads: unknown argument '$1' (--help says what there is)" >&2
      exit 2
      ;;
  esac
done
for folder in "$build" ${other:+"$other"}; do
  [[ -x $folder/music_train ]] || { echo "bench_threads: no $folder/music_train" >&2; exit 2; }
done
work=$(mktemp -d)
busy=()
group=''
finish() {
  ((${#busy[@]} == 0)) || kill "${busy[@]}" 2> /dev/null || true
  [[ -z $group ]] || rmdir "$group" 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT
"$build/music_attributes" --out "$work/data" --train 4000 --test 10 --label colour > /dev/null

# Images a second, median over the steps but the first, of a run cut short.
# once BUILD [COMMAND...]: COMMAND starts it
once() {
  local programs=$1
  shift
  rm -rf "$work/run"
  timeout -s KILL "$seconds" "$@" "$programs/music_train" --preset demo \
    --data "$work/data" --out "$work/run" --progress none --train.log_level warn \
    > /dev/null 2>&1 || true
  sed 1,4d "$work/run/metrics.jsonl" | sed -n 's/.*"images_per_s":\([0-9.]*\).*/\1/p' |
    sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] + 0 }'
}
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# turns NAME A B: two sets of words for once(), in turns; prints their medians.
turns() {
  local name=$1 a=() b=() i
  read -ra first <<< "$2"
  read -ra second <<< "$3"
  for ((i = 0; i < rounds; ++i)); do
    a+=("$(once "${first[@]}")")
    b+=("$(once "${second[@]}")")
  done
  local x y
  x=$(median "${a[@]}") y=$(median "${b[@]}")
  awk -v n="$name" -v x="$x" -v y="$y" \
    'BEGIN { printf "%-44s %6.0f  against %6.0f  ratio %.2f\n", n, x, y, x / y }'
}
# beside NAME NICE COUNT BUILD: with busy processes, against IDLE
beside() {
  local i a=()
  for ((i = 0; i < $3; ++i)); do
    nice -n "$2" sh -c 'while :; do :; done' &
    busy+=($!)
  done
  for ((i = 0; i < rounds; ++i)); do a+=("$(once "$4")"); done
  kill "${busy[@]}"
  wait "${busy[@]}" 2> /dev/null || true
  busy=()
  awk -v n="$1" -v x="$(median "${a[@]}")" -v y="$idle" \
    'BEGIN { printf "%-44s %6.0f  against %6.0f  ratio %.2f\n", n, x, y, x / y }'
}

[[ -z $other ]] || turns "idle, against the other build" "$build" "$other"
readings=()
for ((i = 0; i < rounds; ++i)); do readings+=("$(once "$build")"); done
idle=$(median "${readings[@]}")
echo "idle: $idle images/s"
hand="env OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive"
turns "taskset -c 0, against the best by hand" "$build taskset -c 0" \
  "$build taskset -c 0 $hand"
group=/sys/fs/cgroup/cpu/music_bench
files=(cpu.cfs_quota_us 100000 tasks)
if [[ -f /sys/fs/cgroup/cgroup.subtree_control ]]; then
  group=/sys/fs/cgroup/music_bench files=(cpu.max "100000 100000" cgroup.procs)
fi
if mkdir "$group" 2> /dev/null && echo "${files[1]}" > "$group/${files[0]}" 2> /dev/null; then
  # shellcheck disable=SC2016
  printf '#!/bin/sh\necho $$ > %s\nexec "$@"\n' "$group/${files[2]}" > "$work/within"
  chmod +x "$work/within"
  turns "a quota of one core, against the best by hand" "$build $work/within" \
    "$build $work/within $hand"
else
  rmdir "$group" 2> /dev/null || true
  group=''
  echo "a quota of one core: skipped, control groups are not ours to make here"
fi
beside "beside one busy process, against idle" 0 1 "$build"
beside "beside two of low priority, against idle" 19 2 "$build"
[[ -z $other ]] || beside "the other build beside one busy process" 0 1 "$other"
