#!/usr/bin/env bash
# Registers, shared memory and spills of the CUDA kernels:
#   tools/kernel_report.sh [BUILD_DIR]      default build/cuda, configured
# Compiles every .cu of the build once more with ptxas -v, all architectures.
# Fails when a kernel spills registers or has a stack frame, or there is none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
build=${1-build/cuda}
database=$build/compile_commands.json
if [[ ! -f $database ]]; then
  echo "kernel_report: no $database: expected a configured CUDA build (cmake --preset cuda)" >&2
  exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "directory<tab>command" of every CUDA source.
awk -F'": "' '
  /"directory": / { directory = $2; sub(/",?$/, "", directory) }
  /"command": / { command = $2; sub(/",?$/, "", command); gsub(/\\"/, "\"", command) }
  /"file": / && /\.cu",?$/ { if (command ~ / -x cu /) print directory "\t" command }
' "$database" > "$scratch/commands"

while IFS=$'\t' read -r directory command; do
  source=${command##* -c }
  source=${source%% *}
  echo "source $source"
  (cd "$directory" && eval "${command%% -o *} -Xptxas=-v -o $scratch/object.o" 2>&1) || {
    echo "kernel_report: cannot compile $source" >&2
    exit 1
  }
done < "$scratch/commands" > "$scratch/log" || { cat "$scratch/log" >&2; exit 1; }

names="cat"
command -v c++filt > /dev/null && names="c++filt"
awk '
  /^source / { source = $2; sub(/.*\//, "", source) }
  /Compiling entry function/ {
    match($0, /\047[^\047]+\047/); name = substr($0, RSTART + 1, RLENGTH - 2)
    match($0, /sm_[0-9a-z]+/); arch = substr($0, RSTART, RLENGTH)
  }
  /bytes stack frame/ { stack = $1; spill = $5 + $9 }
  /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
    shared = 0
    if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH) + 0
    printf "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", source, arch, registers, shared, stack, spill, name
  }
' "$scratch/log" | sort -t$'\t' -k1,1 -k7,7 -k2,2V > "$scratch/rows"

printf '%-22s %-7s %9s %7s %6s %6s  %s\n' source arch registers shared stack spills kernel
while IFS=$'\t' read -r source arch registers shared stack spills name; do
  printf '%-22s %-7s %9s %7s %6s %6s  %s\n' \
    "$source" "$arch" "$registers" "$shared" "$stack" "$spills" "$name"
done < "$scratch/rows" | $names | sed -E 's/music::cuda::\(anonymous namespace\):://; s/\(anonymous namespace\):://g'

awk -F'\t' '
  { ++n; if ($5 > 0 || $6 > 0) { ++bad } if ($3 > most) most = $3 }
  END {
    if (n == 0) { print "kernel_report: no kernels found"; exit 1 }
    printf "%d kernels, at most %d registers, %d with a stack frame or spills\n", n, most, bad
    exit bad > 0
  }
' "$scratch/rows"
