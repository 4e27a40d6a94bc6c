// What a run does around its steps: when it saves, what it says, what it goes on
// from.
#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "music/train/due_save.h"
#include "music/train/goes_on.h"
#include "music/train/health_line.h"

namespace {

using namespace music;
using namespace std::chrono_literals;

Config config_of(std::vector<std::pair<std::string, std::string>> flags) {
  flags.insert(flags.begin(), {{"train.preset", "demo"}, {"train.out", "runs/a"}});
  return resolve({{}, {}, flags}).value;
}

Checkpoint checkpoint_of(const Config& config, std::int64_t step) {
  Checkpoint c;
  c.directory = "runs/a/ckpt/step";
  c.state.step = step;
  c.state.run_id = "first";
  c.state.config_hash = config_hash(config);
  c.state.extra = {{"settings", deciding_settings(config)}, {"data", "images"},
                   {"weights", ""}, {"seconds", "12.5"}};
  return c;
}

std::string complaint(const Checkpoint& c, const Config& config, bool extend,
                      const std::string& data = "images",
                      const std::string& weights = "") {
  try {
    goes_on(c, config, extend, data, weights);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

TEST_SUITE("run_rules") {
  TEST_CASE("a checkpoint that is due waits for the disk") {
    const DueSave::Clock::time_point t{};
    DueSave save;
    CHECK_FALSE(save.now(t));
    save.ask();
    CHECK(save.now(t));
    CHECK(save.failed(t));
    CHECK(save.wait() == 20s);
    save.ask();  // the next step's
    CHECK_FALSE(save.now(t + 19s));
    CHECK(save.now(t + 20s));  // also at a step when none is due
    CHECK(save.failed(t + 25s));
    CHECK(save.wait() == 40s);
    CHECK_FALSE(save.now(t + 64s));
    CHECK(save.now(t + 65s));
    SUBCASE("a third failure in a row is the last") {
      CHECK_FALSE(save.failed(t + 65s));
    }
    SUBCASE("what succeeds is done, and counting begins anew") {
      save.done();
      CHECK_FALSE(save.due());
      CHECK_FALSE(save.now(t + 99s));
      save.ask();
      CHECK(save.now(t));
      CHECK(save.failed(t));
      CHECK(save.wait() == 20s);
    }
  }

  TEST_CASE("a verdict is said when another one has held for two epochs") {
    const auto said = [](const std::vector<std::string>& verdicts) {
      HealthLine line;
      std::string out;
      for (std::size_t i = 0; i < verdicts.size(); ++i)
        out += line.is_due(verdicts[i], i + 1 == verdicts.size()) ? 'x' : '-';
      return out;
    };
    CHECK(said({"a", "b", "a", "b", "a", "b", "a"}) == "x-----x");
    CHECK(said({"a", "a", "b", "b", "b", "c", "b"}) == "x--x--x");
    CHECK(said({"a", "b", "c", "b", "c", "c", "c"}) == "x----xx");
    CHECK(said({"uses 41 %", "uses 42 %", "uses 39 %", "uses 5 %"}) == "x--x");
    CHECK(said({"a", "diverged: the loss is not finite", "a", "a", "a"}) ==
          "xx-xx");
    CHECK(said({"", "", ""}) == "---");
  }

  TEST_CASE("a run goes on under the same configuration") {
    const Config config = config_of({});
    const Checkpoint c = checkpoint_of(config, 40);
    const GoesOn run = goes_on(c, config, false, "images", "");
    CHECK(run.run_id == "first");
    CHECK(run.seconds == 12.5);
    CHECK(run.extended.empty());
    CHECK_FALSE(run.epochs_before);
    CHECK(has(complaint(c, config_of({{"optim.base_lr", "7"}}), true),
              "runs/a/ckpt/step was written under another configuration "
              "(optim.base_lr 0.2 -> 7); expected --extend with more epochs"));
    CHECK(has(complaint(c, config, false, "others"), "is not the data"));
    CHECK(has(complaint(c, config_of({{"model.weights", "w"}}), false, "images",
                        "abc"),
              "was started from drawn weights, found w, abc"));
  }

  TEST_CASE("more epochs are gone on to where asked for") {
    const Config before = config_of({{"train.epochs", "4"}});
    const Config after = config_of({{"train.epochs", "9"}});
    Checkpoint c = checkpoint_of(before, 40);
    const GoesOn run = goes_on(c, after, true, "images", "");
    CHECK(run.run_id == "first");  // its checkpoints stay one run's
    CHECK(run.epochs_before == 4);
    CHECK(run.extended == "4@40");
    c.state.extra["extended"] = "2@20";
    CHECK(goes_on(c, after, true, "images", "").extended == "2@20 4@40");
    const std::string text = complaint(c, after, false);
    CHECK(has(text, "train.epochs 4 -> 9"));
    CHECK(has(text, "--extend to go on to 9 epochs"));
    CHECK(has(text, "--weights runs/a/encoder.safetensors with a new --out"));
    CHECK(has(complaint(c, config_of({{"train.epochs", "3"}}), true),
              "train.epochs 4 -> 3); expected more epochs"));
    CHECK(has(complaint(c, config_of({{"train.epochs", "9"}, {"train.seed", "1"}}),
                        true),
              "expected --extend with more epochs and no other change"));
  }

  TEST_CASE("a micro-batch of all of the batch is none") {
    const Config none = config_of({{"train.batch", "64"}});
    for (const char* size : {"64", "65", "4096"}) {
      const Config all = config_of({{"train.batch", "64"},
                                    {"train.micro_batch", size}});
      CHECK(all.train.micro_batch == 0);
      CHECK(config_hash(all) == config_hash(none));
    }
    CHECK(config_hash(config_of({{"train.batch", "64"},
                                 {"train.micro_batch", "63"}})) !=
          config_hash(none));
    // A run that an older version began.
    Checkpoint c = checkpoint_of(none, 8);
    c.state.config_hash = "of that version";
    c.state.extra["settings"] += "train.micro_batch=64\n";
    CHECK(complaint(c, none, false).empty());
  }
}
