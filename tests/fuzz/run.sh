#!/usr/bin/env bash
# Runs libFuzzer on the parsers, one after the other:
#   tests/fuzz/run.sh BUILD_DIR RUNS SECONDS [TARGET...]
# Each target ends after RUNS executions or SECONDS, whichever is first. New inputs
# are kept in BUILD_DIR/fuzz/TARGET, where the next run goes on, findings in
# BUILD_DIR/fuzz. Prints a line a target; exits 1 when there was a finding.
set -u
if (($# < 3)); then
  echo "usage: $0 BUILD_DIR RUNS SECONDS [TARGET...]" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 runs=$2 seconds=$3
shift 3
targets=("$@")
((${#targets[@]})) ||
  targets=(safetensors npy zip png tar jpeg list records index checkpoint encoder
    quarantine profile config events foreign webp table attributes)
# An allocation's stack is deep under a parser and seldom looked at: a finding is
# repeated without this.
export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=8
status=0
for target in "${targets[@]}"; do
  program=$build/fuzz_$target
  if ! [[ -x $program ]]; then
    echo "$target: no $program; build the preset cpu-fuzz" >&2
    exit 2
  fi
  new=$build/fuzz/$target log=$build/fuzz/$target.log
  mkdir -p "$new"
  case $target in
    records) longest=30000 ;;
    jpeg) longest=3000 ;;
    tar) longest=6000 ;;
    *) longest=1000 ;;
  esac
  flags=(-runs="$runs" -max_total_time="$seconds" -max_len="$longest" -timeout=10
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$build/fuzz/$target-")
  words=$here/dictionaries/$target.txt
  [[ -e $words ]] && flags+=(-dict="$words")
  began=$SECONDS
  "$program" "${flags[@]}" "$new" "$here/corpus/$target" >"$log" 2>&1
  code=$?
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  case $code in
    0) found='no finding' ;;
    72) found='no finding, interrupted' ;;  # libFuzzer's code for SIGINT
    *) found="FINDING (exit $code), see $log" status=1 ;;
  esac
  printf '%-12s %10s executions %6d s  %s\n' "$target" "${executed:-?}" \
    $((SECONDS - began)) "$found"
done
exit $status
