#pragma once
// What music_knn does: features of an encoder, or from files, to a score record.

#include <cstdint>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "tools/encoder_cli.h"
#include "tools/score_record.h"

namespace music {

struct KnnOptions {
  EncoderOptions encoder;
  std::string train, test, data;  // images
  // Instead of all these: features in files.
  std::string features, train_features, test_features;
  std::vector<int> k{20, 200};
  bool k_given = false;  // else those of k that the bank has images for
  std::vector<double> temperatures{0.07};
  // Training images for random initialisations; 0: none of these, < 0: a tenth,
  // at least 5,000.
  std::int64_t random_bank = -1;
  std::uint64_t seed = 0;
  int seeds = 1;
  std::string progress = "auto";

  bool stored() const { return !features.empty() || !train_features.empty(); }
};

// Collective over the communicator; the same record on all ranks. Throws what
// open_encoder(), open_eval_data() and knn() do.
ScoreRecord score_knn(const KnnOptions& options,
                      dist::Communicator& communicator);

}  // namespace music
