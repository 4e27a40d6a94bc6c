#pragma once
// What music_svm does: features of an encoder to a score record.

#include <cstdint>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/eval/svm.h"
#include "tools/encoder_cli.h"
#include "tools/score_record.h"

namespace music {

struct SvmOptions {
  EncoderOptions encoder;
  // A VOC folder, or images of one class each with both splits; or two paths of
  // the latter.
  std::string data, train, test;
  std::string train_set = "trainval", test_set = "test";  // of VOC's lists
  std::string features = "res5";  // or pooled
  std::string view = "squash";    // or crop
  SvmProtocol protocol;
  bool low_shot = false;  // instead of all training images
  LowShotSpec low_shot_spec;
  bool random = true;  // initialisations too
  std::uint64_t seed = 0;
  int seeds = 1;
  std::string progress = "auto";
};

// Collective over the communicator; the same record on all ranks. Throws what
// open_encoder(), open_voc(), open_eval_data() and svm_scores() do.
ScoreRecord score_svm(const SvmOptions& options,
                      dist::Communicator& communicator);

}  // namespace music
