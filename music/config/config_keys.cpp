#include "music/config/config_keys.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace music {
namespace {

// torchvision's names stand for the depths.
Field arch(int& depth) {
  static const std::array<int, 4> kDepths{18, 34, 50, 101};
  return EnumField{{"resnet18", "resnet34", "resnet50", "resnet101"},
                   [&depth] {
                     for (int i = 0; i < 4; ++i)
                       if (kDepths[static_cast<std::size_t>(i)] == depth)
                         return i;
                     throw error(ExitCode::kInternal,
                                 "[config] no architecture has depth {}",
                                 depth);
                   },
                   [&depth](int i) {
                     depth = kDepths[static_cast<std::size_t>(i)];
                   }};
}

Field level(std::string& field) {
  static const std::vector<std::string> kLevels{"trace", "debug", "info",
                                                "warn",  "error", "off"};
  return EnumField{kLevels,
                   [&field] {
                     for (std::size_t i = 0; i < kLevels.size(); ++i)
                       if (kLevels[i] == field) return static_cast<int>(i);
                     return 2;
                   },
                   [&field](int i) {
                     field = kLevels[static_cast<std::size_t>(i)];
                   }};
}

#define FIELD(member) [](Config& c) -> Field { return &c.member; }
#define WORDS(member, ...) \
  [](Config& c) -> Field { return words(c.member, {__VA_ARGS__}); }

Field method_choice(std::string& field) {
  std::vector<std::string> names = method_names();
  return EnumField{names,
                   [&field, names] {
                     return static_cast<int>(std::ranges::find(names, field) -
                                             names.begin());
                   },
                   [&field, names](int i) {
                     field = names[static_cast<std::size_t>(i)];
                   }};
}

// Of every method, each in its section.
std::vector<ConfigKey> method_keys() {
  std::vector<ConfigKey> keys;
  Methods::for_each([&]<typename M>(std::type_identity<M>) {
    for (const auto& s : M::settings())
      keys.push_back({.name = fmt::format("{}.{}", M::kSection, s.name),
                      .field = [field = s.field](Config& c) {
                        return field(c.method.of<M>());
                      },
                      .help = s.help, .min = s.min, .max = s.max,
                      .above = s.above, .added = s.added, .method = M::kName});
  });
  return keys;
}

std::vector<ConfigKey> common_keys() {
  return {
      // data
      {.name = "data.path", .field = FIELD(data.path),
       .help = "images to learn from: a folder, a file list, tar shards "
               "(SHARDS#KEY chooses the image of a sample), or CIFAR-10, CIFAR-100 or "
               "STL-10 in their binary versions",
       .decides = false, .aliases = {"data", "data-dir"}},
      {.name = "data.format",
       .field = WORDS(data.format, "auto", "folder", "list", "cifar10",
                      "webdataset", "cifar100", "stl10"),
       .help = "how to read data.path; auto looks at it"},
      {.name = "data.eval_train", .field = FIELD(data.eval_train),
       .help = "labelled images that kNN votes with",
       .decides = false},
      {.name = "data.eval_test", .field = FIELD(data.eval_test),
       .help = "labelled images that kNN or the classifier is scored on",
       .decides = false},
      {.name = "data.eval_resize", .field = FIELD(data.eval_resize),
       .help = "shorter side of a test image before its centre is cut out; 0 = "
               "8/7 of augment.size, up to 64 pixels that itself", .min = 0,
       .max = 8192, .decides = false},
      {.name = "data.eval_interpolation",
       .field = WORDS(data.eval_interpolation, "bilinear", "bicubic"),
       .help = "filter of that resize", .decides = false},
      {.name = "data.labels", .field = FIELD(data.labels),
       .help = "learn from these labelled images only: a share as 1%, a number as "
               "10-per-class, both drawn by seed from every class alike, or a file "
               "with the name of an image a line; \"\" = all",
       .added = true, .aliases = {"labels"}},
      {.name = "data.limit", .field = FIELD(data.limit),
       .help = "learn from so many images only, drawn by seed; 0 = all",
       .min = 0},
      {.name = "data.holdout", .field = FIELD(data.holdout),
       .help = "images, drawn by seed from those to learn from, that are left out "
               "and scored beside the test images: what a classifier is chosen by "
               "without looking at those", .min = 0, .added = true,
       .aliases = {"holdout"}},
      {.name = "data.workers", .field = FIELD(data.workers),
       .help = "loader threads of a process; 0 = its share of the cores", .min = 0,
       .max = 1024,
       .decides = false, .aliases = {"workers"}},
      {.name = "data.bad_image",
       .field = WORDS(data.bad_image, "skip", "abort", "zero"),
       .help = "an image that cannot be read: replace and count it, stop, or "
               "show black and count it",
       .decides = false, .aliases = {"bad-image"}},
      {.name = "data.bad_max", .field = FIELD(data.bad_max),
       .help = "share of an epoch's images that may be bad before the run "
               "stops", .min = 0, .max = 1, .decides = false,
       .aliases = {"bad-max"}},

      // augment
      {.name = "augment.mode", .field = WORDS(augment.mode, "fast", "exact"),
       .help = "how views are made: SIMD kernels, or Pillow's bytes"},
      {.name = "augment.pillow", .field = FIELD(augment.pillow),
       .help = "whose bytes views of augment.mode exact and test images are: "
               "those of Pillow up to 12, or from 13 on, which resizes tall "
               "pictures in another order",
       .min = data::Resampling::kEarlier, .max = data::Resampling::kToday,
       .added = true, .before = "12",
       .only = "augment.mode=\"exact\""},
      {.name = "augment.size", .field = FIELD(augment.size),
       .help = "side of a view in pixels", .min = 8, .max = 4096},
      {.name = "augment.scale", .field = FIELD(augment.scale),
       .help = "area of the crop, least and most, as share of the image",
       .min = 0, .max = 1, .above = true},
      {.name = "augment.ratio", .field = FIELD(augment.ratio),
       .help = "width / height of the crop, least and most", .min = 0,
       .above = true},
      {.name = "augment.interpolation",
       .field = WORDS(augment.interpolation, "bilinear", "bicubic"),
       .help = "filter of the resize"},
      {.name = "augment.flip", .field = FIELD(augment.flip),
       .help = "probability of the horizontal flip", .min = 0, .max = 1},
      {.name = "augment.jitter", .field = FIELD(augment.jitter),
       .help = "probability of the colour jitter", .min = 0, .max = 1},
      {.name = "augment.brightness", .field = FIELD(augment.brightness),
       .help = "strength of the jitter: factor in 1 +- this", .min = 0,
       .max = 1},
      {.name = "augment.contrast", .field = FIELD(augment.contrast),
       .help = "strength of the jitter: factor in 1 +- this", .min = 0,
       .max = 1},
      {.name = "augment.saturation", .field = FIELD(augment.saturation),
       .help = "strength of the jitter: factor in 1 +- this", .min = 0,
       .max = 1},
      {.name = "augment.hue", .field = FIELD(augment.hue),
       .help = "strength of the jitter: turn of the colour circle, +- this",
       .min = 0, .max = 0.5},
      {.name = "augment.grayscale", .field = FIELD(augment.grayscale),
       .help = "probability of grey", .min = 0, .max = 1},
      {.name = "augment.blur", .field = FIELD(augment.blur),
       .help = "probability of the Gaussian blur in view 1 and in view 2",
       .min = 0, .max = 1},
      {.name = "augment.blur_sigma", .field = FIELD(augment.blur_sigma),
       .help = "standard deviation of the blur in pixels, least and most",
       .min = 0, .max = 100, .above = true},
      {.name = "augment.solarize", .field = FIELD(augment.solarize),
       .help = "probability of solarize in view 1 and in view 2", .min = 0,
       .max = 1},
      {.name = "augment.mean", .field = FIELD(pixels.mean),
       .help = "subtracted from the pixels (0..1), per channel", .min = 0,
       .max = 1},
      {.name = "augment.std", .field = FIELD(pixels.std),
       .help = "the pixels are divided by it, per channel", .min = 0,
       .max = 10, .above = true},

      // model
      {.name = "model.arch",
       .field = [](Config& c) { return arch(c.model.encoder.depth); },
       .help = "the encoder", .aliases = {"arch"}},
      {.name = "model.width", .field = FIELD(model.encoder.width),
       .help = "channels of the stem; 64 is the standard network", .min = 1,
       .max = ResNetSpec::kMostWidth},
      {.name = "model.stem",
       .field = WORDS(model.encoder.stem, "imagenet", "cifar"),
       .help = "7x7 stride 2 and max-pool, or 3x3 stride 1"},
      {.name = "model.init",
       .field = WORDS(model.encoder.init, "kaiming", "pytorch"),
       .help = "initial convolutions: He normal over fan-out, or PyTorch's "
               "default"},
      {.name = "model.zero_init_residual",
       .field = FIELD(model.encoder.zero_init_residual),
       .help = "each residual branch starts as zero"},
      {.name = "model.projector", .field = FIELD(model.projector),
       .help = "output widths of the projector's layers; the last is D",
       .aliases = {"projector", "mlp"}},
      {.name = "model.weights", .field = FIELD(model.weights),
       .help = "encoder.safetensors to start from; \"\" = weights drawn by seed. "
               "Its contents, wherever it lies, belong to the run",
       .decides = false, .aliases = {"weights"}},

      {.name = "method.name",
       .field = [](Config& c) { return method_choice(c.method.name); },
       .help = "what is trained", .added = true, .aliases = {"method"}},

      // optim
      {.name = "optim.kind",
       .field = WORDS(optim.optimizer.kind, "lars", "sgd"),
       .help = "the optimiser"},
      {.name = "optim.base_lr", .field = FIELD(optim.schedule.base_lr),
       .help = "learning rate per 256 samples; the peak is base_lr * batch / "
               "256", .min = 0, .aliases = {"base-lr"}},
      {.name = "optim.warmup_epochs",
       .field = FIELD(optim.schedule.warmup_epochs),
       .help = "epochs of linear warm-up from 0", .min = 0},
      {.name = "optim.final_ratio", .field = FIELD(optim.schedule.final_ratio),
       .help = "last learning rate as share of the peak", .min = 0, .max = 1},
      {.name = "optim.final_absolute",
       .field = FIELD(optim.schedule.final_absolute),
       .help = "last learning rate itself; below 0 = use final_ratio",
       .min = -1},
      {.name = "optim.schedule",
       .field = WORDS(optim.schedule.kind, "cosine", "epoch_cosine", "steps"),
       .help = "after the warm-up: half a cosine down to the last rate, step by "
               "step; its values at the beginning of each epoch; or the peak, "
               "times optim.factor from each of optim.milestones on",
       .added = true},
      {.name = "optim.milestones", .field = FIELD(optim.schedule.milestones),
       .help = "epochs at whose beginning the rate is multiplied by optim.factor "
               "(optim.schedule \"steps\")", .min = 1, .added = true},
      {.name = "optim.factor", .field = FIELD(optim.schedule.factor),
       .help = "of optim.milestones", .min = 0, .max = 1, .above = true,
       .added = true},
      {.name = "optim.momentum", .field = FIELD(optim.optimizer.momentum),
       .help = "momentum", .min = 0, .max = 1},
      {.name = "optim.weight_decay",
       .field = FIELD(optim.optimizer.weight_decay),
       .help = "weight decay", .min = 0, .aliases = {"wd"}},
      {.name = "optim.decay_1d", .field = FIELD(optim.optimizer.decay_1d),
       .help = "decay biases and batch-norm parameters too"},
      {.name = "optim.lr_1d", .field = FIELD(optim.optimizer.lr_1d),
       .help = "rate multiplier of biases and batch-norm parameters",
       .min = 0},
      {.name = "optim.eta", .field = FIELD(optim.optimizer.eta),
       .help = "trust coefficient of LARS", .min = 0, .above = true},
      {.name = "optim.nesterov", .field = FIELD(optim.optimizer.nesterov),
       .help = "Nesterov momentum (SGD only)"},

      // train
      {.name = "train.preset", .field = FIELD(train.preset),
       .help = "start from a built-in preset", .decides = false,
       .aliases = {"preset"}},
      {.name = "train.out", .field = FIELD(train.out),
       .help = "the run directory", .decides = false,
       .aliases = {"out", "exp-dir"}},
      {.name = "train.epochs", .field = FIELD(train.epochs),
       .help = "passes over the data", .min = 1, .max = 1e6,
       .aliases = {"epochs"}},
      {.name = "train.batch", .field = FIELD(train.batch),
       .help = "samples a step, over all processes", .min = 2, .max = 1 << 24,
       .aliases = {"batch-size", "batch"}},
      {.name = "train.micro_batch", .field = FIELD(train.micro_batch),
       .help = "samples, over all processes, that pass the network at once, each "
               "twice: memory for their activations only. The loss is over "
               "train.batch; batch norm's statistics are over a micro-batch. 0 = "
               "the batch in one pass", .min = 0, .max = 1 << 24, .added = true,
       .aliases = {"micro-batch"}},
      {.name = "train.seed", .field = FIELD(train.seed),
       .help = "seed of all randomness", .min = 0, .aliases = {"seed"}},
      {.name = "train.device",
       .field = WORDS(train.device, "auto", "cpu", "cuda"),
       .help = "what computes; auto is a GPU where there is one",
       .decides = false, .aliases = {"device"}},
      {.name = "train.precision",
       .field = WORDS(train.precision, "auto", "fp32", "fp16", "bf16"),
       .help = "type of activations; weights, statistics and loss stay fp32. "
               "auto is fp32 on the CPU, fp16 on a GPU",
       .aliases = {"precision"}},
      {.name = "train.exchange",
       .field = WORDS(train.exchange, "auto", "nccl", "host"),
       .help = "how processes on GPUs exchange tensors: nccl, one GPU each, or "
               "host, through host memory, where they may share one; auto is "
               "nccl in a build that has it",
       .decides = false, .aliases = {"exchange"}},
      {.name = "train.threads", .field = FIELD(train.threads),
       .help = "compute threads of a process; 0 = OMP_NUM_THREADS, or else its "
               "share of the cores",
       .min = 0, .max = 4096,
       .decides = false, .aliases = {"threads"}},
      {.name = "train.checkpoint_every", .field = FIELD(train.checkpoint_every),
       .help = "steps between checkpoints; 0 = each epoch", .min = 0,
       .decides = false, .aliases = {"checkpoint-every"}},
      {.name = "train.keep", .field = FIELD(train.keep),
       .help = "checkpoints kept", .min = 1, .max = 1e6, .decides = false,
       .aliases = {"keep"}},
      {.name = "train.knn_every", .field = FIELD(train.knn_every),
       .help = "epochs between kNN scores; 0 = off", .min = 0,
       .decides = false, .aliases = {"knn-every"}},
      {.name = "train.score_every", .field = FIELD(train.score_every),
       .help = "epochs between scores of the classifier on data.eval_test, or the "
               "test split of data.path; the last epoch is always scored. 0 = off",
       .min = 0, .decides = false, .aliases = {"score-every"}},
      {.name = "train.trace", .field = FIELD(train.trace),
       .help = "file for a timeline of three steps, as trace JSON for a "
               "browser's trace viewer", .decides = false,
       .aliases = {"trace"}},
      {.name = "train.resume",
       .field = WORDS(train.resume, "auto", "never", "require", "extend"),
       .help = "go on from the newest checkpoint: if there is one, never, or "
               "fail without; extend goes on to more epochs than the run was "
               "started with", .decides = false, .aliases = {"resume"}},
      {.name = "train.outage", .field = FIELD(train.outage),
       .help = "seconds that images are waited for which storage has stopped to "
               "give; then a checkpoint, and exit code 21", .min = 0,
       .decides = false},
      {.name = "train.unlocked", .field = FIELD(train.unlocked),
       .help = "train also where the file system of train.out has no locks: "
               "nobody else may then write to it", .decides = false},
      {.name = "train.watchdog", .field = FIELD(train.watchdog),
       .help = "seconds without progress until a job of several processes ends "
               "with exit code 18; 0 = never", .min = 0, .decides = false,
       .aliases = {"watchdog"}},
      {.name = "train.log_every", .field = FIELD(train.log_every),
       .help = "seconds between progress lines", .min = 0, .decides = false,
       .aliases = {"log-every"}},
      {.name = "train.progress",
       .field = WORDS(train.progress, "auto", "plain", "bar", "none"),
       .help = "a bar on a terminal and plain lines elsewhere, or a choice",
       .decides = false, .aliases = {"progress"}},
      {.name = "train.log_level",
       .field = [](Config& c) { return level(c.train.log_level); },
       .help = "least severity of the messages", .decides = false,
       .aliases = {"log-level"}},
  };
}

#undef FIELD
#undef WORDS

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  // The methods' stand between model and optimiser.
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> all = common_keys();
    const std::vector<ConfigKey> methods = method_keys();
    const auto behind = std::ranges::find(all, "method.name", &ConfigKey::name);
    all.insert(behind + 1, methods.begin(), methods.end());
    return all;
  }();
  return keys;
}

const ConfigKey* find_config_key(const std::string& name) {
  for (const ConfigKey& key : config_keys())
    if (key.name == name) return &key;
  return nullptr;
}

std::string ConfigKey::variable() const {
  std::string s = "MUSIC_";
  for (char c : name)
    s += c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return s;
}

std::string ConfigKey::expected() const {
  Config config;
  const Field f = field(config);
  if (const auto* e = std::get_if<EnumField>(&f))
    return fmt::format("one of {}", fmt::join(e->names, ", "));
  if (std::holds_alternative<bool*>(f)) return "true or false";
  if (std::holds_alternative<std::string*>(f)) return "text";
  std::string what = "an integer", each;
  if (std::holds_alternative<double*>(f)) what = "a number";
  if (std::holds_alternative<std::array<double, 2>*>(f))
    what = "two numbers", each = " each";
  if (std::holds_alternative<std::array<float, 3>*>(f))
    what = "three numbers", each = " each";
  if (std::holds_alternative<std::vector<std::int64_t>*>(f))
    what = "integers", each = " each";
  if (std::holds_alternative<std::vector<double>*>(f))
    what = "numbers", each = " each";
  const bool low = min > -std::numeric_limits<double>::infinity();
  const bool high = max < std::numeric_limits<double>::infinity();
  if (low)
    what += fmt::format("{} {} {:.12g}", each, above ? ">" : ">=", min);
  if (high)
    what += fmt::format("{}{} <= {:.12g}", low ? " and" : each, "", max);
  return what;
}

}  // namespace music
