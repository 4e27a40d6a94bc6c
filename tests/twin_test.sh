#!/usr/bin/env bash
# tools/peers/twin.py against music_train, step by step; $1: the build folder. Skipped
# unless MUSIC_PEER_PYTHON has PyTorch.
set -u
if [[ -z ${MUSIC_PEER_PYTHON:-} ]] ||
  ! "$MUSIC_PEER_PYTHON" -c 'import tomllib, torch, torchvision, safetensors' 2>/dev/null; then
  echo "[skipped] MUSIC_PEER_PYTHON names no Python with torch, torchvision, safetensors"
  exit 77
fi
export OMP_NUM_THREADS=1
exec "$MUSIC_PEER_PYTHON" "$(dirname "${BASH_SOURCE[0]}")/../tools/peers/check_twin.py" "$1"
