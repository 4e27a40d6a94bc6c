#!/usr/bin/env bash
# Highway 1.0.3 (Debian 12, libhwy-dev 1.0.3-3+deb12u1), g++ 12.
# Seen 2026-11-28: a source that only includes <hwy/highway.h> compiles for
# -march=icelake-server and not for -march=sapphirerapids (so not for
# -march=native on Sapphire Rapids, Zen 5 and later):
#   hwy/detect_targets.h:476:2: error: #error "Logic error: best baseline should
#   be included in dynamic targets"
# AVX3_DL may be a dynamic target where HWY_WANT_AVX3_DL is defined "OR it is in
# the baseline", says the comment; the line below tests HWY_BASELINE, a macro
# that no header defines. Way out: -DHWY_WANT_AVX3_DL.
# Exit status: 0 still so, 1 it changed, 77 not x86-64, or no such package here.
set -euo pipefail
[[ $(uname -m) == x86_64 ]] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download libhwy-dev=1.0.3-3+deb12u1 > /dev/null 2>&1 || {
  echo "libhwy-dev 1.0.3-3+deb12u1 is not to be had here"
  exit 77
}
dpkg-deb -x libhwy-dev_*.deb .
echo '#include <hwy/highway.h>' > source.cpp
compiles() { g++ -std=c++17 -Iusr/include "$@" -c source.cpp -o source.o 2> said; }
compiles -march=icelake-server || { echo "icelake-server does not compile"; exit 1; }
if compiles -march=sapphirerapids; then
  echo "sapphirerapids compiles"
  exit 1
fi
grep -o '.*Logic error.*' said | head -1
compiles -march=sapphirerapids -DHWY_WANT_AVX3_DL ||
  { echo "HWY_WANT_AVX3_DL does not help"; exit 1; }
if grep -rqE '# *define +HWY_BASELINE( |$|\()' usr/include/hwy; then
  echo "HWY_BASELINE is defined"
  exit 1
fi
echo "as described"
