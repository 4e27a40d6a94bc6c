#pragma once
// Weighted k-nearest-neighbour classification of frozen features: cosine
// similarity, vote exp(sim / T) for the neighbour's class (DINO's protocol, as
// the paper's k = 20 and 200; T = 0.07).
//
// Ties: of equally similar images the earlier is the nearer; of classes with
// equal votes the lower label wins. A class that none of the k neighbours is of
// has no vote, and is never among the first five.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "music/eval/features.h"
#include "music/eval/neighbours.h"

namespace music {

struct LabelledRows {
  Rows rows;
  std::span<const int> labels;

  LabelledRows(const Rows& r, std::span<const int> l) : rows(r), labels(l) {}
  LabelledRows(const Features& f)
      : rows{f.values.data(), f.count, f.width}, labels(f.labels) {}
};

struct KnnSpec {
  std::vector<int> k{20, 200};
  std::vector<double> temperatures{0.07};
  // Rows of the bank that may be neighbours, ascending; nothing: all.
  std::optional<std::span<const std::int64_t>> chosen = {};
  bool predictions = false;
  NeighbourBlocks blocks = {};
  std::function<void(double)> done = nullptr;  // share of the work
};

struct KnnScore {
  int k = 0;
  double temperature = 0;
  double top1 = 0, top5 = 0;   // per cent of the test images
  std::vector<int> predicted;  // label of each test image, where asked for
};

// Scores every k with every temperature, k by k, in one pass over the
// similarities. The bank is shared out over the communicator's processes, in
// rank order (null: this one has all); every process has the same test rows and
// gets the same scores, to the bit those of one process. Memory: see
// NeighbourSearch. Throws kData for labels beyond 0 to classes - 1, and what
// NeighbourSearch throws; kUsage for a k beyond the bank.
std::vector<KnnScore> knn(const LabelledRows& bank, const LabelledRows& test,
                          int classes, const KnnSpec& spec = {},
                          dist::Communicator* communicator = nullptr);

}  // namespace music
