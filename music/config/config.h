#pragma once
// What a pre-training run is: every setting, with its default.
//
// Sources, weakest first: these defaults, a preset, what a program knows (of an
// encoder), files, MUSIC_* environment, flags. music/config/config_keys.cpp is the one table of all keys; the file format,
// the environment, the flags and the help follow from it. docs/configuration.md
// is the user's page.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/augment_spec.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "engine/optim/optimizer_spec.h"
#include "engine/optim/schedule.h"
#include "layers/resnet_spec.h"
#include "music/config/compute.h"
#include "music/method/methods.h"

namespace music {

enum class Resume { kAuto, kNever, kRequire, kExtend };
enum class ProgressStyle { kAuto, kPlain, kBar, kNone };

struct DataConfig {
  std::string path;
  data::DatasetFormat format = data::DatasetFormat::kAuto;
  std::string eval_train, eval_test;  // labelled, for kNN; "" = none. A
                                      // classifier is scored on eval_test
  int eval_resize = 0;  // shorter side of a test image; 0 = by augment.size
  data::Interpolation eval_interpolation = data::Interpolation::kBilinear;
  std::string labels;                 // data/label_subset.h; "" = all
  std::int64_t limit = 0;             // images, drawn by seed; 0 = all
  std::int64_t holdout = 0;           // of them, not learnt from, but scored
  int workers = 0;                    // loader threads; 0 = share of the cores
  data::BadImage bad_image = data::BadImage::kSkip;
  double bad_max = 0.001;  // share of an epoch's images that may be bad
};

struct ModelConfig {
  ResNetSpec encoder;
  std::string projector = "8192-8160";  // output widths of its linear layers
  std::string weights;  // encoder file to start from; "" = drawn by seed
};

struct OptimConfig {
  OptimizerSpec optimizer;
  ScheduleSpec schedule;  // .batch always equals train.batch once resolved
};

struct TrainConfig {
  std::string preset;  // "" = none
  std::string out;     // the run directory
  std::int64_t epochs = 100;
  std::int64_t batch = 2048;  // samples a step, over all processes
  std::int64_t micro_batch = 0;  // samples that pass the network at once; 0 = all
  std::uint64_t seed = 0;
  DeviceChoice device = DeviceChoice::kAuto;
  Precision precision = Precision::kAuto;
  Exchange exchange = Exchange::kAuto;
  int threads = 0;                     // compute threads; 0 = share of cores
  std::int64_t checkpoint_every = 0;   // steps; 0 = each epoch
  int keep = 3;                        // checkpoints kept
  double outage = 60;      // seconds that storage which is away is waited for
  bool unlocked = false;   // go on where the file system has no locks
  double watchdog = 600;   // seconds without progress; 0 = off
  double log_every = 30;               // seconds between progress lines
  std::int64_t knn_every = 0;          // epochs; 0 = off
  std::int64_t score_every = 0;        // epochs; 0 = off
  std::string trace;                   // file for the timeline; "" = none
  Resume resume = Resume::kAuto;
  ProgressStyle progress = ProgressStyle::kAuto;
  std::string log_level = "info";
};

struct Config {
  DataConfig data;
  data::AugmentSpec augment;
  data::PixelStats pixels;
  ModelConfig model;
  MethodSpec method;
  OptimConfig optim;
  TrainConfig train;
};

// Where settings come from, before they are merged.
struct ConfigSources {
  std::vector<std::string> files;  // TOML, later files win
  // NAME=value pairs; MUSIC_<SECTION>_<KEY> are read, the rest is ignored.
  std::vector<std::pair<std::string, std::string>> environment;
  // (key, text), e.g. ("optim.base_lr", "0.3"); later entries win.
  std::vector<std::pair<std::string, std::string>> flags;
  // What a program knows by itself, as the shape of the encoder that it was
  // given; stronger than a preset only.
  struct Known {
    std::string key, text, origin;
  };
  std::vector<Known> known = {};
};

struct ResolvedConfig {
  Config value;
  // key -> "default", "preset:paper", "base.toml:12", "env MUSIC_...", "flag".
  std::map<std::string, std::string> origins;
  std::vector<std::string> warnings;  // allowed, but probably not meant
};

// Merges and validates. Throws ExitCode::kUsage: an unknown key (with a
// suggestion), a key of another method unless a preset has it, a wrong type, a
// value out of range, settings that contradict.
ResolvedConfig resolve(const ConfigSources& sources);

// The MUSIC_* variables of this process, for ConfigSources::environment.
std::vector<std::pair<std::string, std::string>> music_environment();

// Throws ExitCode::kUsage when one of the text keys is empty.
void require(const Config& config, const std::vector<std::string>& keys);

// TOML of every key, but for those of other methods, with its origin as a
// comment; resolve() reads it back.
std::string to_toml(const ResolvedConfig& config);

// 32 hexadecimal digits of XXH3-128 over the keys that decide the weights (not
// paths of results, thread counts, intervals of logging and saving): the common
// ones and the chosen method's.
std::string config_hash(const Config& config);

// Those keys, "optim.base_lr=0.6" and a line feed each: what is hashed, and
// what a checkpoint keeps to say later what differs.
std::string deciding_settings(const Config& config);

// "optim.base_lr 0.6 -> 0.3" for each of them that differs. `from` is a
// deciding_settings(), possibly of another version with other keys.
std::vector<std::string> differences(const std::string& from,
                                     const Config& to);

// The epochs of `from` where `to` differs from it in them alone.
std::optional<std::int64_t> other_epochs(const std::string& from,
                                         const Config& to);

// Names of the built-in presets, and the TOML text of one. Throws
// ExitCode::kUsage for an unknown name.
std::vector<std::string> preset_names();
const std::string& preset_text(const std::string& name);

}  // namespace music
