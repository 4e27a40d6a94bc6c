#!/usr/bin/env bash
# Sets up, builds and runs the tests: tools/test.sh [--asan]
#   --asan   the unit tests under the address and undefined-behaviour sanitizers
# The last line is "N passed, N failed, N skipped"; the exit status is 0 when
# none failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=cpu
select=()
for argument in "$@"; do
  case $argument in
    --asan)
      preset=cpu-asan
      select=(-LE slow)
      ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "test: unknown argument '$argument', expected --asan or --help" >&2
      exit 2
      ;;
  esac
done

tools/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"

log=build/$preset/ctest.log
status=0
ctest --test-dir "build/$preset" --no-tests=error --output-on-failure \
  --parallel "$(nproc)" "${select[@]}" | tee "$log" || status=$?

# Result lines: " 3/17 Test #5: name ......   Passed    0.10 sec".
awk '
  /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    if ($0 ~ /\*\*\*(Skipped|Not Run \(Disabled\))/) ++skipped
    else if ($0 ~ / Passed +[0-9.]+ sec$/) ++passed
    else ++failed
  }
  END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
' "$log"
exit "$status"
