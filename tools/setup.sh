#!/usr/bin/env bash
# Installs the packages of third_party/packages-debian.txt that this machine
# lacks, as root or through sudo. Does nothing when all are there.
#   tools/setup.sh [--cuda]
#   --cuda   also fetches the headers of cuDNN's graph API, by pip, for bench_conv
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
list=third_party/packages-debian.txt

fail() {
  echo "setup: $*" >&2
  exit 1
}

# The wheel of one Python, whichever this is: only its headers are wanted.
frontend=1.32.0
frontend_hash=c6006556017a4d1c914c52a556c71b1267f2d6a0500f742e7b4edef539878df0
frontend_to=build/cudnn-frontend
fetch_frontend() {
  [[ $(cat "$frontend_to/version" 2>/dev/null) != "$frontend" ]] || return 0
  local wheel
  wheel=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$wheel'" EXIT
  python3 -m pip --quiet download --no-deps --only-binary=:all: --dest "$wheel" \
    --python-version 3.11 --implementation cp --abi cp311 \
    --platform manylinux_2_28_x86_64 "nvidia-cudnn-frontend==$frontend" ||
    fail "pip could not fetch nvidia-cudnn-frontend $frontend"
  sha256sum --quiet --check <<<"$frontend_hash  $(echo "$wheel"/*.whl)" ||
    fail "nvidia-cudnn-frontend $frontend is not the file it was"
  rm -rf "$frontend_to"
  mkdir -p "$frontend_to"
  python3 -m zipfile -e "$wheel"/*.whl "$wheel/all"
  mv "$wheel/all/include" "$frontend_to/include"
  echo "$frontend" >"$frontend_to/version"
}
case ${1:-} in
  '') ;;
  --cuda) fetch_frontend ;;
  *) fail "unknown argument '$1', expected --cuda" ;;
esac

mapfile -t wanted < <(sed 's/#.*//' "$list" | tr -s ' \t' '\n' | grep .)
command -v dpkg-query >/dev/null ||
  fail "this is not Debian (no dpkg); needed by other means: ${wanted[*]}"
missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) ||
    status=unknown
  [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID == 0)); then
  as_root=(env)
elif command -v sudo >/dev/null; then
  # Without a terminal nobody can type a password.
  if ! sudo -n true 2>/dev/null && ! { [[ -t 0 ]] && sudo -v; }; then
    fail "sudo refuses; have an administrator install: ${missing[*]}"
  fi
  as_root=(sudo env)
else
  fail "neither root nor sudo; have an administrator install: ${missing[*]}"
fi

install() {
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" \
    >/dev/null
}
echo "setup: installing ${missing[*]}"
# Package lists are fetched only when they are absent or out of date.
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1 || ! install; then
  "${as_root[@]}" apt-get -qq update || fail "apt-get update failed"
  install || fail "apt-get could not install: ${missing[*]}"
fi
