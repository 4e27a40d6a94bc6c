#include "music/config/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/core/error.h"
#include "music/config/config_keys.h"
#include "music/method/music.h"

namespace {

using namespace music;

struct TempFile {
  explicit TempFile(const std::string& text) {
    static int count = 0;
    path = (std::filesystem::temp_directory_path() /
            fmt::format("music_config_{}_{}.toml", getpid(), count++))
               .string();
    std::ofstream(path) << text;
  }
  ~TempFile() { std::remove(path.c_str()); }
  std::string path;
};

// The message of the error that resolving raises; "" when there is none.
std::string failure(const ConfigSources& sources) {
  try {
    resolve(sources);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    CHECK(std::string(e.what()).find('\n') == std::string::npos);
    return e.what();
  }
  return "";
}

std::string file_failure(const std::string& text, std::string* path = nullptr) {
  const TempFile file(text);
  if (path) *path = file.path;
  return failure({{file.path}, {}, {}});
}

std::string key_table() {
  std::string out =
      "| Key | Default | Accepts | Meaning | Flags |\n|---|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    std::string flags;
    for (const std::string& alias : key.aliases)
      flags += fmt::format("{}`--{}`", flags.empty() ? "" : " ", alias);
    out += fmt::format("| {}`{}` | `{}` | {} | {} | {} |\n",
                       key.decides ? "● " : "", key.name,
                       field_text(key, Config()), key.expected(), key.help,
                       flags);
  }
  return out;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("config") {
  TEST_CASE("each source overrides the weaker one and leaves its origin") {
    const TempFile first("[optim]\nbase_lr = 0.3\nmomentum = 0.8\n"
                         "weight_decay = 1e-5\n");
    const TempFile second("[optim]\nmomentum = 0.7\nweight_decay = 1e-4\n");
    const ResolvedConfig c =
        resolve({{first.path, second.path},
                 {{"MUSIC_OPTIM_WEIGHT_DECAY", "1e-3"},
                  {"MUSIC_TRAIN_EPOCHS", "7"}, {"HOME", "/home/user"}},
                 {{"train.preset", "cifar10-authors"}, {"train.epochs", "3"}}});
    CHECK(c.value.optim.schedule.base_lr == 0.3);
    CHECK(c.value.optim.optimizer.momentum == 0.7);
    CHECK(c.value.optim.optimizer.weight_decay == 1e-3);
    CHECK(c.value.train.epochs == 3);
    CHECK(c.value.train.batch == 512);
    CHECK(c.value.optim.schedule.batch == 512);
    CHECK(c.origins.at("optim.base_lr") == fmt::format("{}:2", first.path));
    CHECK(c.origins.at("optim.momentum") == fmt::format("{}:2", second.path));
    CHECK(c.origins.at("optim.weight_decay") == "env MUSIC_OPTIM_WEIGHT_DECAY");
    CHECK(c.origins.at("train.epochs") == "flag");
    CHECK(c.origins.at("train.batch") == "preset:cifar10-authors");
    CHECK(c.origins.at("train.seed") == "default");
  }

  TEST_CASE("the built-in defaults are the paper's preset") {
    const ResolvedConfig defaults = resolve({});
    const ResolvedConfig paper = resolve({{}, {}, {{"train.preset", "paper"}}});
    CHECK(differences(deciding_settings(defaults.value), paper.value).empty());
    const ResolvedConfig authors =
        resolve({{}, {}, {{"train.preset", "authors"}}});
    CHECK(differences(deciding_settings(paper.value), authors.value) ==
          std::vector<std::string>{
              "augment.interpolation \"bicubic\" -> \"bilinear\""});
  }

  TEST_CASE("every preset resolves without a warning") {
    CHECK(preset_names() ==
          std::vector<std::string>{
              "authors", "barlow_twins", "byol", "cifar10-authors",
              "cifar10-cpu", "cifar10-paper", "demo", "finetune-10pct",
              "finetune-1pct", "linear-cifar10", "linear-imagenet",
              "linear-places205", "moco_v2", "paper", "simclr", "simsiam", "supervised", "swav", "vicreg"});
    for (const std::string& name : preset_names())
      CHECK(resolve({{}, {}, {{"train.preset", name}}}).warnings.empty());
  }

  TEST_CASE("a file can name the preset, and a flag outranks it") {
    const TempFile file("[train]\npreset = \"cifar10-cpu\"\n");
    CHECK(resolve({{file.path}, {}, {}}).value.model.encoder.width == 16);
    CHECK(resolve({{file.path}, {}, {{"train.preset", "cifar10-authors"}}})
              .value.train.epochs == 800);
  }

  TEST_CASE("the resolved file loads to the same configuration") {
    const ResolvedConfig c = resolve(
        {{}, {{"MUSIC_DATA_PATH", "a \"b\"\\c\n\t\x7f\xc3\xa9"}},
         {{"train.preset", "demo"}, {"loss.segments", "100,80,76"},
          {"optim.base_lr", "0.1234567890123456"}, {"train.out", "run"},
          {"train.seed", "9007199254740993"}}});
    CHECK(c.value.train.seed == 9007199254740993u);
    const TempFile file(to_toml(c));
    const ResolvedConfig again = resolve({{file.path}, {}, {}});
    for (const ConfigKey& key : config_keys())
      CHECK_MESSAGE(field_text(key, again.value) == field_text(key, c.value),
                    key.name);
    CHECK(config_hash(again.value) == config_hash(c.value));
    CHECK(contains(to_toml(c), "segments = [100, 80, 76]  # flag"));
    CHECK(contains(to_toml(c), "epochs = 40  # preset:demo"));
  }

  TEST_CASE("differences to settings of another version") {
    const Config now = resolve({}).value;
    std::string before = deciding_settings(now) + "loss.gone=3\n";
    const std::string seed = "train.seed=0\n";
    before.erase(before.find(seed), seed.size());
    CHECK(differences(before, now) ==
          std::vector<std::string>{"train.seed not known -> 0",
                                   "loss.gone 3 -> not known"});
  }

  TEST_CASE("differences in keys that came later and between methods") {
    const auto config = [](std::vector<std::pair<std::string, std::string>> f) {
      return resolve({{}, {}, std::move(f)}).value;
    };
    const Config music = config({});
    using Texts = std::vector<std::string>;
    CHECK(differences(deciding_settings(music),
                      config({{"method.name", "byol"}})) ==
          Texts{"method.name \"music\" -> \"byol\""});
    CHECK(differences(deciding_settings(config({{"train.micro_batch", "64"}})),
                      music) == Texts{"train.micro_batch 64 -> 0"});
    const Config blocks = config({{"model.projector", "32-4"},
                                  {"loss.segment", "2"},
                                  {"loss.blocks", "1,0,0,1"}});
    Config without = blocks;
    without.method.of<Music>().entropy.blocks.clear();
    CHECK(differences(deciding_settings(without), blocks) ==
          Texts{"loss.blocks [] -> [1, 0, 0, 1]"});
  }

  TEST_CASE("the hash covers what decides the weights and nothing else") {
    CHECK(config_hash(resolve({}).value).size() == 32);
    for (const ConfigKey& key : config_keys()) {
      if (key.name == "method.name") continue;  // below
      Config base = resolve({}).value;
      if (!key.method.empty()) base.method.name = key.method;
      if (key.name == "augment.pillow") base.augment.mode = data::AugmentMode::kExact;
      Config changed = base;
      const Field field = key.field(changed);
      if (auto* b = std::get_if<bool*>(&field)) **b = !**b;
      else if (auto* i = std::get_if<int*>(&field)) **i += 1;
      else if (auto* l = std::get_if<std::int64_t*>(&field)) **l += 1;
      else if (auto* u = std::get_if<std::uint64_t*>(&field)) **u += 1;
      else if (auto* d = std::get_if<double*>(&field)) **d += 0.125;
      else if (auto* s = std::get_if<std::string*>(&field)) **s += "x";
      else if (auto* p = std::get_if<std::array<double, 2>*>(&field))
        (**p)[1] += 0.125;
      else if (auto* t = std::get_if<std::array<float, 3>*>(&field))
        (**t)[2] += 0.125f;
      else if (auto* v = std::get_if<std::vector<std::int64_t>*>(&field))
        (*v)->push_back(3);
      else if (auto* w = std::get_if<std::vector<double>*>(&field))
        (*w)->push_back(3);
      else {
        const EnumField& e = std::get<EnumField>(field);
        e.set(e.get() == 0 ? 1 : 0);
      }
      CHECK_MESSAGE(field_text(key, changed) != field_text(key, base),
                    key.name);
      CHECK_MESSAGE((config_hash(changed) != config_hash(base)) == key.decides,
                    key.name);
      CHECK_MESSAGE(differences(deciding_settings(base), changed).size() == key.decides,
                    key.name);
    }
    for (const char* name : {"train.out", "train.threads", "data.workers",
                             "train.log_every", "train.checkpoint_every"})
      CHECK_FALSE(find_config_key(name)->decides);
  }

  // Those that the first runs had. A key that came later is `added`: it counts
  // only where it is not the default, so those runs go on.
  TEST_CASE("runs of earlier versions keep their hash") {
    const auto hash = [](const char* preset) {
      return config_hash(resolve({{}, {}, {{"train.preset", preset}}}).value);
    };
    CHECK(hash("demo") == "e8fdda58c53b6ad6bbf94f8f77f3505b");
    CHECK(hash("paper") == "d13678d1d3b86d039bae96b54fcb0684");
    CHECK(hash("cifar10-cpu") == "863aba06aa7669d9d68f2c84cd155261");
  }

  TEST_CASE("Pillow's release counts where exact mode uses it") {
    const auto config = [](std::vector<std::pair<std::string, std::string>> f) {
      return resolve({{}, {}, std::move(f)}).value;
    };
    const Config fast = config({}), fast12 = config({{"augment.pillow", "12"}});
    CHECK(config_hash(fast) == config_hash(fast12));
    CHECK(differences(deciding_settings(fast12), fast).empty());
    const Config exact = config({{"augment.mode", "exact"}});
    const Config exact12 =
        config({{"augment.mode", "exact"}, {"augment.pillow", "12"}});
    // What a checkpoint from before the key says: of 12.
    CHECK_FALSE(contains(deciding_settings(exact12), "pillow"));
    CHECK(differences(deciding_settings(exact12), exact) ==
          std::vector<std::string>{"augment.pillow 12 -> 13"});
    CHECK(differences(deciding_settings(exact), exact12) ==
          std::vector<std::string>{"augment.pillow 13 -> 12"});
    CHECK(differences(deciding_settings(exact), fast) ==
          std::vector<std::string>{"augment.mode \"exact\" -> \"fast\""});
    CHECK(contains(failure({{}, {}, {{"augment.pillow", "11"}}}), "augment.pillow"));
  }

  TEST_CASE("a method has its settings, and is hashed with them alone") {
    const auto hash = [](std::vector<std::pair<std::string, std::string>> f) {
      return config_hash(resolve({{}, {}, std::move(f)}).value);
    };
    const std::string music = hash({}), vicreg = hash({{"method.name", "vicreg"}});
    CHECK(music != vicreg);
    CHECK(hash({{"method.name", "music"}}) == music);
    CHECK(hash({{"method.name", "vicreg"}, {"vicreg.variance", "20"}}) !=
          vicreg);
    CHECK(contains(failure({{}, {}, {{"vicreg.variance", "20"}}}),
                   "vicreg.variance (flag) is a setting of method \"vicreg\", and "
                   "method.name is \"music\" (default)"));
    // A preset is of one method, its other settings serve all.
    CHECK(resolve({{}, {}, {{"train.preset", "demo"}, {"method.name", "byol"}}})
              .value.method.name == "byol");
    CHECK(contains(failure({{}, {}, {{"method.name", "vicgre"}}}),
                   "expects one of music, vicreg, "));
    // The file of a run has the settings of its method and reads back.
    const ResolvedConfig c = resolve({{}, {}, {{"train.preset", "swav"}}});
    CHECK(contains(to_toml(c), "[swav]"));
    CHECK_FALSE(contains(to_toml(c), "[loss]"));
    const TempFile file(to_toml(c));
    CHECK(config_hash(resolve({{file.path}, {}, {}}).value) ==
          config_hash(c.value));
    for (const auto& [key, value] :
         {std::pair{"moco_v2.queue", "1000"}, {"moco_v2.group", "48"}})
      CHECK(contains(failure({{}, {}, {{"method.name", "moco_v2"}, {key, value}}}),
                     fmt::format("{} (flag)", key)));
  }

  TEST_CASE("keys of a rate in steps go together") {
    using Flags = std::vector<std::pair<std::string, std::string>>;
    const auto c = resolve({{}, {}, Flags{{"optim.schedule", "steps"},
                                          {"optim.milestones", "60"}}});
    CHECK(c.value.optim.schedule.milestones == std::vector<std::int64_t>{60});
    CHECK(contains(failure({{}, {}, {{"optim.schedule", "steps"}}}),
                   "optim.schedule (flag) = \"steps\" without optim.milestones"));
    CHECK(contains(failure({{}, {}, {{"optim.milestones", "60,80"}}}),
                   "optim.milestones (flag) is for optim.schedule \"steps\", found "
                   "\"cosine\""));
    CHECK(contains(failure({{}, {}, Flags{{"optim.schedule", "steps"},
                                          {"optim.milestones", "80,60"}}}),
                   "rising order, found [80, 60]"));
    const auto late = resolve({{}, {}, Flags{{"optim.schedule", "steps"},
                                             {"optim.milestones", "60,100"}}});
    REQUIRE(late.warnings.size() == 1);
    CHECK(contains(late.warnings[0],
                   "the milestone at epoch 100 is not reached in 100 epochs"));
  }

  TEST_CASE("an unknown key names its place and the nearest key") {
    std::string path;
    const std::string message =
        file_failure("[optim]\nmomentum = 0.9\nbase_rl = 0.3\n", &path);
    CHECK(message ==
          fmt::format("[config] {}:3:1: unknown key optim.base_rl (did you "
                      "mean optim.base_lr?)", path));
    CHECK(contains(file_failure("[optimizer]\nbase_lr = 0.3\n"),
                   ":2:1: unknown key optimizer.base_lr "
                   "(did you mean optim.base_lr?)"));
    CHECK(contains(file_failure("epochs = 3\n"), "did you mean train.epochs?"));
    CHECK(contains(file_failure("[optm]\n"), ":1:2: unknown key optm"));
    CHECK(contains(file_failure("[train]\nepochs.x = 3\n"),
                   "unknown key train.epochs.x (did you mean train.epochs?)"));
    CHECK(contains(file_failure("[train]\nqqqq = 3\n"), "key train.qqqq"));
    CHECK_FALSE(contains(file_failure("[train]\nqqqq = 3\n"), "did you mean"));
    CHECK(contains(failure({{}, {{"MUSIC_OPTIM_BASELR", "1"}}, {}}),
                   "MUSIC_OPTIM_BASELR (did you mean MUSIC_OPTIM_BASE_LR?)"));
    CHECK(contains(failure({{}, {{"MUSIC_OPTM_BASE_LR", "1"}}, {}}),
                   "did you mean MUSIC_OPTIM_BASE_LR?"));
    CHECK(contains(failure({{}, {{"MUSIC_TRAIN_WIZARD", "1"}}, {}}),
                   "unknown environment variable MUSIC_TRAIN_WIZARD"));
    CHECK(failure({{}, {{"MUSIC_SHARED", "/data"}}, {}}).empty());
    const auto warned = [](const char* name) {
      const auto warnings = resolve({{}, {{name, "1"}}, {}}).warnings;
      return warnings.empty() ? std::string() : warnings.front();
    };
    for (const char* name : {"MUSIC_SHARED", "MUSIC_PLANNER", "MUSIC_CHECK_NAN",
                             "MUSIC_CONV_1X1", "HOME"})
      CHECK(warned(name) == "");
    CHECK(warned("MUSIC_PLANER") == "the environment variable MUSIC_PLANER is not "
                                    "read (did you mean MUSIC_PLANNER?)");
    CHECK(contains(warned("MUSIC_CHECK_NANS"), "did you mean MUSIC_CHECK_NAN?"));
    CHECK(contains(warned("music_optim_base_lr"),
                   "music_optim_base_lr is not read (did you mean "
                   "MUSIC_OPTIM_BASE_LR?)"));
    CHECK(contains(warned("MUSIC_EPOCHS"), "did you mean MUSIC_TRAIN_EPOCHS?"));
    CHECK(contains(warned("Music_Planner"), "did you mean MUSIC_PLANNER?"));
    CHECK(contains(failure({{}, {}, {{"train.preset", "papr"}}}),
                   "unknown preset \"papr\" (did you mean paper?)"));
  }

  TEST_CASE("a wrong value says what was found and what was expected") {
    std::string path;
    const std::string message =
        file_failure("[train]\nepochs = \"ten\"\n", &path);
    CHECK(message ==
          fmt::format("[config] {}:2:10: train.epochs expects an integer >= 1 "
                      "and <= 1000000, found \"ten\"", path));
    CHECK(contains(file_failure("[augment]\ninterpolation = \"nearest\"\n"),
                   "expects one of bilinear, bicubic, found \"nearest\""));
    CHECK(contains(failure({{}, {{"MUSIC_OPTIM_BASE_LR", "fast"}}, {}}),
                   "MUSIC_OPTIM_BASE_LR: optim.base_lr expects a number >= 0, "
                   "found \"fast\""));
    CHECK(contains(failure({{}, {}, {{"optim.weight_decay", "1e40"}}}),
                   " of at most 1e+30, found \"1e40\""));
    CHECK(contains(failure({{}, {}, {{"method.name", "barlow"}}}),
                   "found \"barlow\" (did you mean barlow_twins?)"));
    CHECK(contains(failure({{}, {}, {{"train.micro_batch", "1"}}}),
                   " = 1 leaves batch norm one sample: expected "
                   "at least 2, or 0"));
    CHECK(contains(failure({{}, {}, {{"train.batch", "1"}}}),
                   "--train.batch: train.batch expects an integer >= 2"));
    const std::vector<std::string> broken{
        "[train]\nepochs = 1.5", "[train]\nepochs = 0",
        "[train]\nepochs = true",
        "[train]\nepochs = [3]", "[train]\nbatch = 1", "[train]\nseed = -1",
        "[train]\nepochs = 1979-05-27", "[train]\nthreads = 4294967296",
        "[optim]\nbase_lr = \"0.3\"", "[optim]\nbase_lr = -1",
        "[optim]\nbase_lr = nan", "[optim]\nbase_lr = inf",
        "[optim]\nmomentum = 1.5", "[optim]\nkind = \"adam\"",
        "[optim]\neta = 0", "[optim]\nnesterov = 1",
        "[augment]\nscale = 0.2", "[augment]\nscale = [0.2]",
        "[augment]\nscale = [0, 1]", "[augment]\nscale = [0.1, 0.2, 0.3]",
        "[augment]\nscale = [\"a\", \"b\"]", "[augment]\nscale = [[1],[2]]",
        "[augment]\nmean = [0.5, 0.5]", "[augment]\nstd = [0, 1, 1]",
        "[augment]\nflip = 2", "[augment]\nhue = 0.6", "[augment]\nsize = 4",
        "[model]\narch = \"resnet20\"", "[model]\nwidth = 0",
        "[model]\nzero_init_residual = \"yes\"", "[loss]\nsegment = 1",
        "[loss]\nsegments = [3.5, 4]", "[loss]\nsegments = [1, 8159]",
        "[loss]\ntemperature = 0", "[loss]\nclamp = 0.5",
        "[loss]\nnorm = \"eq4\"", "[data]\npath = 3", "[data]\nbad_max = 2",
        "[data]\nformat = \"tar\"", "[data]\nworkers = -1"};
    for (const std::string& text : broken) {
      const std::string found = file_failure(text);
      CHECK_MESSAGE(contains(found, ".toml:2:"), text);
      CHECK_MESSAGE(contains(found, " expects "), text);
      CHECK_MESSAGE(contains(found, ", found "), text);
    }
  }

  TEST_CASE("text that is not TOML names line and column") {
    for (const char* text :
         {"[train]\nepochs = ", "[train]\nepochs = 3\nepochs = 4",
          "[train\n", "[train]\nepochs 3", "\x01", "[train]\nout = \"a",
          "[train]\nout = \"\xff\"", "[a]\n[a]\n", "x = 1e999999999",
          "x = 99999999999999999999"}) {
      const std::string message = file_failure(text);
      CHECK_MESSAGE(contains(message, ".toml:"), message);
    }
    const std::string deep(5000, '[');
    CHECK(contains(file_failure(fmt::format("x = {}", deep)), ".toml:1:"));
    CHECK(contains(failure({{"/no/such/file.toml"}, {}, {}}),
                   "cannot read /no/such/file.toml: No such file"));
    CHECK(contains(failure({{"/dev/zero"}, {}, {}}), "regular file"));
    CHECK(contains(failure({{"/"}, {}, {}}), "regular file"));
  }

  TEST_CASE("a setting that another one puts out of effect") {
    using Flags = std::vector<std::pair<std::string, std::string>>;
    for (const auto& [flags, key] : {
             std::pair{Flags{{"loss.segment", "40"}, {"loss.segments", "4080,4080"}},
                       "loss.segment (flag) would have no effect"},
             {Flags{{"data.eval_train", "a"}, {"data.eval_test", "b"}},
              "data.eval_train (flag) would have no effect: nothing votes"},
             {Flags{{"optim.kind", "sgd"}, {"optim.eta", "0.1"}}, "optim.eta (flag)"},
             {Flags{{"optim.factor", "0.5"}}, "optim.factor (flag)"},
             {Flags{{"train.preset", "linear-cifar10"}, {"supervised.rates", "1,2"},
                    {"optim.base_lr", "1"}}, "optim.base_lr (flag)"},
             {Flags{{"train.preset", "linear-cifar10"}, {"supervised.decays", "0,1e-5"},
                    {"optim.weight_decay", "1"}}, "optim.weight_decay (flag)"}})
      CHECK_MESSAGE(contains(failure({{}, {}, flags}), key), key);
    // In one file, and what is stronger in another.
    const std::string both =
        "[loss]\nsegment = 40\nsegments = [4080, 4080]\n";
    CHECK(contains(file_failure(both), "loss.segment ("));
    const TempFile base_file("[loss]\nsegment = 40\n");
    const std::string& base = base_file.path;
    const Flags over{{"loss.segments", "4080,4080"}};
    const ResolvedConfig config = resolve({{base}, {}, over});
    CHECK(config.value.method.of<Music>().segments.size() == 2);
    CHECK(contains(failure({{base}, {}, {{"loss.segment", "20"},
                                         {"loss.segments", "4080,4080"}}}),
                   "loss.segment (flag)"));
    // A preset's settings, and the file of a run, which has all there are.
    const TempFile run(to_toml(config));
    CHECK(failure({{run.path}, {}, {}}).empty());
    CHECK(failure({{}, {}, {{"train.preset", "demo"},
                            {"loss.segments", "100,80,76"}}}).empty());
  }

  TEST_CASE("settings that contradict each other") {
    CHECK(contains(failure({{}, {}, {{"loss.segment", "70"}}}),
                   "model.projector (default), loss.segment (flag)"));
    CHECK(contains(failure({{}, {}, {{"loss.segment", "70"}}}), "8190"));
    CHECK(contains(failure({{}, {}, {{"loss.segments", "100,200"}}}),
                   "add up to 300 units, the projector ends in 8160"));
    for (const char* spec : {"", "-", "8192-", "-8160", "8192--8160", "8192,80",
                             "0-80", "1-2-3-4-80", "99999999-80", "80x"})
      CHECK(contains(failure({{}, {}, {{"model.projector", spec}}}),
                     "expected one to four widths"));
    CHECK(contains(failure({{}, {}, {{"augment.scale", "0.9,0.1"}}}),
                   "least value first"));
    CHECK(contains(failure({{}, {}, {{"optim.nesterov", "true"}}}), "sgd"));
    CHECK(contains(failure({{}, {}, {{"data.eval_test", "x"}}}), "needs both"));
    CHECK(contains(failure({{}, {}, {{"loss.de", "0"}, {"loss.oe", "0"},
                                     {"loss.invariance", "none"}}}),
                   "no term"));
    const auto brief = resolve({{}, {}, {{"train.epochs", "5"}}}).warnings;
    REQUIRE(brief.size() == 1);
    CHECK(brief[0] == "the warm-up of 10 epochs (default) is longer than the run, "
                      "train.epochs 5: the learning rate rises to 2.4 and never "
                      "reaches its peak, 4.8");
    CHECK(resolve({{}, {}, {{"loss.segment", "2"}}}).warnings.size() == 1);
  }

  TEST_CASE("require names the flag that is missing") {
    Config c = resolve({}).value;
    std::string message;
    try {
      require(c, {"data.path"});
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(contains(message, "data.path is not set; expected --data"));
    c.data.path = std::string("x");
    CHECK_NOTHROW(require(c, {"data.path"}));
  }

  TEST_CASE("text values of flags") {
    const Config c = resolve({{}, {}, {{"augment.scale", "[0.2, 1]"},
                                       {"augment.blur", "0,0.5"},
                                       {"optim.final_absolute", "-1"},
                                       {"model.zero_init_residual", "false"},
                                       {"model.arch", "resnet18"},
                                       {"optim.base_lr", "3e-1"}}}).value;
    CHECK(c.augment.scale[0] == 0.2);
    CHECK(c.augment.blur[1] == 0.5);
    CHECK_FALSE(c.model.encoder.zero_init_residual);
    CHECK(c.model.encoder.depth == 18);
    CHECK(c.optim.schedule.base_lr == 0.3);
    for (const auto& [key, text] :
         std::vector<std::pair<std::string, std::string>>{
             {"train.epochs", "3x"}, {"train.epochs", ""},
             {"train.epochs", "3.0"},
             {"optim.base_lr", "0.3 0.4"}, {"augment.scale", "0.2,"},
             {"augment.scale", ",1"}, {"optim.nesterov", "1"},
             {"data.path", "\xff"}, {"train.seed", "99999999999999999999"}})
      CHECK_MESSAGE(contains(failure({{}, {}, {{key, text}}}), "found \""),
                    key, "=", text);
  }

  TEST_CASE("docs/configuration.md lists the keys as they are") {
    const std::filesystem::path path =
        std::filesystem::path(MUSIC_TEST_SOURCE_DIR) / ".." / "docs" /
        "configuration.md";
    std::ifstream in(path, std::ios::binary);
    const std::string page{std::istreambuf_iterator<char>(in), {}};
    const std::size_t begin = page.find('\n', page.find("<!-- keys")) + 1;
    const std::size_t end = page.find("<!-- /keys");
    REQUIRE(begin <= end);
    REQUIRE(end < page.size());
    const std::string table = key_table();
    if (std::getenv("UPDATE_DOCS"))
      std::ofstream(path, std::ios::binary)
          << page.substr(0, begin) << table << page.substr(end);
    else
      CHECK_MESSAGE(page.substr(begin, end - begin) == table,
                    "run UPDATE_DOCS=1 test_music --test-suite=config");
  }
}
