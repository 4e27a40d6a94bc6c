#!/usr/bin/env bash
# Installs the packages of third_party/packages-debian.txt that this machine
# lacks, as root or through sudo. Does nothing when all are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
list=third_party/packages-debian.txt

fail() {
  echo "setup: $*" >&2
  exit 1
}

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
