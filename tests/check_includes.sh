#!/usr/bin/env bash
# Enforces docs/architecture.md by grep: who may include whom, and where the
# headers of other projects may appear. Prints one line a violation.
#   tests/check_includes.sh [ROOT]
# First it proves on a made-up tree that each rule can fail.
set -euo pipefail
root=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" && pwd)

# Reads "file:line:#include ..." and applies the rules.
check() {
  cd "$1"
  find engine data dist layers music tools tests -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) \
    -exec grep -HnE '^[[:space:]]*#[[:space:]]*include' {} + 2>/dev/null |
    awk '
    # The folder that speaks for a file in the ladder.
    function part(path) {
      if (match(path, /^engine\/[a-z]+\//)) return substr(path, 1, RLENGTH - 1)
      if (path ~ /^tools\/bench_/) return "tools/bench_*"
      # music/<room>, and the vendors side of one: music/<room>/cpu
      if (match(path, /^music\/[a-z]+\/((cpu|cuda)\/)?/))
        return substr(path, 1, RLENGTH - 1)
      sub(/\/.*/, "", path)
      return path
    }
    # may("a", "b c"): a includes b and c, and all that those may.
    function may(a, list,   i, n, parts, pair) {
      n = split(list, parts, " ")
      known[a] = ok[a, a] = 1
      for (i = 1; i <= n; ++i) {
        ok[a, parts[i]] = 1
        for (pair in known) if (ok[parts[i], pair]) ok[a, pair] = 1
      }
    }
    # Headers matching a pattern appear only in files matching another.
    function only(pattern, where) {
      header[++rules] = pattern
      place[rules] = where
    }
    function violation(text) {
      print file ":" line ": " text
      bad = 1
    }
    BEGIN {
      may("engine/core", "")
      may("engine/graph", "engine/core")
      may("engine/ops", "engine/graph")
      may("engine/io", "engine/graph")
      may("engine/optim", "engine/ops")
      may("engine/cpu", "engine/ops")
      may("engine/cuda", "engine/ops engine/optim")
      may("data", "engine/core")
      ok["data", "engine/io"] = 1  # its files, not the graph behind them
      may("dist", "engine/ops engine/io engine/optim")
      may("layers", "dist")
      may("music/loss", "layers data")
      may("music/detect", "layers data")
      may("music/method", "music/loss")
      may("music/config", "music/method")
      may("music/model", "music/method")
      may("music/files", "music/config music/model")
      may("music/plan", "music/config music/model")
      may("music/eval", "music/config music/model music/detect")
      may("music/codes", "music/eval music/files")
      may("music/report", "music/codes music/files music/plan")
      may("music/formats", "music/files")
      may("music/train", "music/files music/plan music/eval")
      may("music/paper", "music/report")
      may("tools", "music/train music/paper music/formats engine/cpu engine/cuda")
      may("tests", "tools")
      # Bodies for a device, known to what stands to the right of their room.
      n = split("loss/cpu loss/cuda files/cpu eval/cpu", bodies, " ")
      for (i = 1; i <= n; ++i) {
        body = "music/" bodies[i]
        room = body
        sub(/\/(cpu|cuda)$/, "", room)
        split("music/loss music/files music/plan music/eval music/train tests",
              above, " ")
        for (a in above) if (ok[above[a], room]) ok[above[a], body] = 1
        may(body, room " engine/" substr(body, length(room) + 2))
      }
      may("tools/bench_*", "tests")  # a bench checks before it times

      cpu = "^(engine|music/[a-z]+)/cpu/"
      only("^(oneapi/|dnnl)", cpu)
      only("^omp\\.h", "^(engine/cpu|music|tools|tests)/")
      only("^(cuda|cudnn[^_]|cublas|curand|nvtx|cub/|cooperative_groups)",
           "^(((engine|music/[a-z]+)/cuda|tests/libraries)/|dist/nccl\\.)")
      only("^cudnn_", "^tools/bench_conv_graph\\.")
      only("^mpi\\.h", "^(dist/mpi\\.|tests/emulator/nccl\\.)")
      only("^nccl\\.h", "^dist/nccl\\.")
      only("^(jpeglib|jerror|turbojpeg)\\.h", "^data/jpeg\\.")
      only("^webp/", "^data/webp\\.")
      only("^archive", "^data/tar[._]")
      only("^(stb/|png\\.h)", "^data/png\\.")
      only("^hwy/", "^((data/fast|engine/cpu)/.*_simd\\.cpp|tests/(data/fast_|support/instruction_sets))")
      only("^utf8proc\\.h", "^music/eval/class_names\\.")
      only("^linear\\.h", "^tests/music/eval/liblinear_test\\.")
      only("^(doctest/|.*/doctest\\.h)", "^tests/")
      only("^(onnx/|google/protobuf/)", "^music/formats/onnx_")
      only("^(CLI/|benchmark/)", "^tools/")
      # Not in installed headers: those need fmt and spdlog alone.
      only("^(nlohmann/|toml\\+\\+|xxhash|linear\\.h)",
           "(^(tools|tests)/.*|\\.cpp)$")
    }
    {
      split($0, field, ":")
      file = field[1]; line = field[2]
      from = part(file)
      if (!(from in known)) { violation("folder unknown to the ladder"); next }
      if (match($0, /"[^"]*"/)) {
        name = substr($0, RSTART + 1, RLENGTH - 2)
        if (name !~ /\//) {
          violation("\"" name "\" is not a path from the root")
        } else if (!ok[from, part(name)]) {
          violation(from " may not include " part(name) " (" name ")")
        }
      } else if (match($0, /<[^>]*>/)) {
        name = substr($0, RSTART + 1, RLENGTH - 2)
        for (r = 1; r <= rules; ++r)
          if (name ~ header[r] && file !~ place[r])
            violation("<" name "> does not belong here")
      }
    }
    END { exit bad }'
}

# One file each that breaks one rule.
prove() {
  local tree status=0 expected found
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' RETURN
  while read -r path include; do
    mkdir -p "$tree/$(dirname "$path")"
    echo "#include $include" >"$tree/$path"
  done <<'END'
engine/core/a.h "engine/graph/graph.h"
engine/graph/a.h "engine/ops/kernel.h"
engine/ops/a.h "engine/cpu/onednn.h"
engine/cpu/a.cpp "engine/cuda/context.h"
engine/io/a.h "engine/ops/kernel.h"
dist/a.h "layers/module.h"
layers/a.h "music/loss/segments.h"
music/train/a.h "tools/cli.h"
music/loss/b.h "engine/cpu/onednn.h"
music/a.h "engine/core/error.h"
music/loss/a.h "music/config/config.h"
music/loss/cpu/a.h "engine/cuda/check.h"
music/plan/a.h "music/train/trainer.h"
music/files/a.h "music/plan/memory_plan.h"
music/model/a.h "music/config/config.h"
music/config/a.h "music/files/cpu/cpu_info.h"
music/method/a.h "music/train/trainer.h"
music/detect/a.h "music/method/method.h"
music/model/b.h "music/detect/rle.h"
data/a.h "engine/graph/graph.h"
data/b.h "music/loss/segments.h"
tools/a.h "tests/support/reference.h"
engine/new/a.h "engine/core/error.h"
data/c.h "image.h"
engine/ops/b.cpp <oneapi/dnnl/dnnl.hpp>
layers/c.cpp <omp.h>
engine/cpu/b.cpp <cuda_runtime.h>
engine/cuda/b.cpp <cudnn_frontend.h>
music/train/d.cpp <mpi.h>
dist/mpi.cpp <nccl.h>
data/decode.cpp <jpeglib.h>
data/jpeg.cpp <stb/stb_image.h>
data/loader.cpp <hwy/highway.h>
data/dataset.cpp <archive.h>
data/png.cpp <webp/decode.h>
tools/b.cpp <doctest/doctest.h>
music/eval/h.cpp <linear.h>
music/eval/i.cpp <utf8proc.h>
music/config/e.cpp <CLI/CLI.hpp>
music/files/e.cpp <onnx/onnx_pb.h>
music/formats/a.h "music/train/trainer.h"
music/files/f.h <nlohmann/json.hpp>
music/model/g.cpp <oneapi/dnnl/dnnl.hpp>
music/eval/a.h "music/codes/code_statistics.h"
music/codes/a.h "music/report/heat_map.h"
music/report/a.h "music/train/trainer.h"
END
  expected=$(find "$tree" -type f | wc -l)
  found=$( (check "$tree" || true) | wc -l)
  if ((found != expected)); then
    echo "check_includes: found $found of $expected planted violations" >&2
    return 1
  fi
}

prove
(check "$root")
