#include "tools/cli.h"

#include <doctest/doctest.h>

#include <string>
#include <system_error>
#include <vector>

#include "engine/core/error.h"

namespace {

using namespace music;

std::optional<ResolvedConfig> configured(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "music_train");
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  CLI::App app("A test.");
  return configure(app, static_cast<int>(arguments.size()), argv.data());
}

std::string failure(const std::vector<std::string>& arguments) {
  try {
    configured(arguments);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    return e.what();
  }
  return "";
}

int code_of(const std::function<int(int, char**)>& body) {
  char name[] = "test_tools";
  char* argv[] = {name, nullptr};
  return run_main(1, argv, body);
}

}  // namespace

TEST_SUITE("cli") {
  TEST_CASE("keys and VICReg's flags set the configuration") {
    const Config c =
        configured({"--data-dir", "/images", "--exp-dir=run", "--epochs", "20",
                    "--batch-size", "512", "--base-lr", "0.4", "--wd", "1e-5",
                    "--mlp", "1024-1024", "--arch", "resnet18", "--seed", "7",
                    "--workers", "2", "--threads", "3", "--loss.segment", "32",
                    "--augment.scale=0.2,1", "--optim.final_absolute", "-1",
                    "--epochs", "30", "--bad-max", "0.1"})
            ->value;
    CHECK(c.data.path == "/images");
    CHECK(c.train.out == "run");
    CHECK(c.train.epochs == 30);
    CHECK(c.train.batch == 512);
    CHECK(c.optim.schedule.base_lr == 0.4);
    CHECK(c.optim.optimizer.weight_decay == 1e-5);
    CHECK(c.model.projector == "1024-1024");
    CHECK(c.model.encoder.depth == 18);
    CHECK(c.train.seed == 7);
    CHECK(c.data.workers == 2);
    CHECK(c.train.threads == 3);
    CHECK(c.augment.scale[0] == 0.2);
    CHECK(c.optim.schedule.final_absolute == -1);
    CHECK(c.data.bad_max == 0.1);
    CHECK(configured({"--preset", "demo"})->origins.at("train.epochs") ==
          "preset:demo");
  }

  TEST_CASE("what does not belong is refused with a suggestion") {
    CHECK(failure({"--epoch", "3"}) ==
          "[cli] unknown flag --epoch (did you mean --epochs?)");
    CHECK(failure({"--base_lr=3"}) ==
          "[cli] unknown flag --base_lr=3 (did you mean --base-lr?)");
    CHECK(failure({"--optim.base-lr", "3"}) ==
          "[cli] unknown flag --optim.base-lr (did you mean "
          "--optim.base_lr?)");
    CHECK(failure({"--lr", "3"}).find("did you mean --optim.base_lr?") !=
          std::string::npos);
    CHECK(failure({"--zzzzzz"}) == "[cli] unknown flag --zzzzzz");
    CHECK(failure({"images"}).find("unexpected argument \"images\"") !=
          std::string::npos);
    CHECK(failure({"a-1.tar"}).find("a pattern of shards stands in quotes") !=
          std::string::npos);
    CHECK(failure({"--epochs"}).find("--train.epochs") != std::string::npos);
    CHECK(failure({"--epochs", "many"}) ==
          "[config] --train.epochs: train.epochs expects an integer >= 1 and "
          "<= 1000000, found \"many\"");
    CHECK(failure({"-c", "/no/such.toml"}).find("cannot read") !=
          std::string::npos);
    CHECK(failure({"--preset", "papre"}).find("did you mean paper?") !=
          std::string::npos);
    CHECK(failure({"--optim.lr", "3"}).find("did you mean --optim.base_lr?") !=
          std::string::npos);
    CHECK(failure({"--loss.segmets", "3"}).find("did you mean --loss.segments?") !=
          std::string::npos);
    CHECK(failure({"--method", "MoCo"}).ends_with(
        "found \"MoCo\" (did you mean moco_v2?)"));
    CHECK(failure({"--loss.segments", "8"}).find("or loss.segment") !=
          std::string::npos);
    CHECK(failure({"-x"}).find("unknown flag -x") != std::string::npos);
  }

  TEST_CASE("ranges are said in few digits") {
    const auto refused = [](std::vector<std::string> words) -> std::string {
      CLI::App app;
      double any = 0, positive = 0, more = 0, ratio = 0;
      app.add_option("--any", any)->check(CLI::NonNegativeNumber);
      app.add_option("--positive", positive)->check(CLI::PositiveNumber);
      app.add_option("--ratio", ratio)->check(CLI::Range(1e-6, 0.5));
      app.add_option("--more", more)->check(CLI::Range(2.5, 1.7e308));
      words.insert(words.begin(), "program");
      std::vector<char*> argv;
      for (auto& w : words) argv.push_back(w.data());
      try {
        parse(app, static_cast<int>(argv.size()), argv.data());
      } catch (const Error& e) {
        return e.what();
      }
      return "";
    };
    CHECK(refused({"--any", "-1"}) == "[cli] --any: found -1, expected at least 0");
    CHECK(refused({"--positive", "0"}) ==
          "[cli] --positive: found 0, expected a number above 0");
    CHECK(refused({"--ratio=7"}) ==
          "[cli] --ratio: found 7, expected one in range 1e-06 to 0.5");
    CHECK(refused({"--more", "2"}) ==
          "[cli] --more: found 2, expected at least 2.5");
    CHECK(refused({"--any", "0", "--positive", "1"}).empty());
  }

  TEST_CASE("exit codes") {
    CHECK(code_of([](int, char**) { return 16; }) == 16);
    CHECK(code_of([](int, char**) -> int {
            throw error(ExitCode::kData, "[test] no images");
          }) == 3);
    CHECK(code_of([](int, char**) -> int {
            throw std::runtime_error("two\nlines");
          }) == 1);
    // Of memory, and of threads that cannot be started.
    CHECK(code_of([](int, char**) -> int { throw std::bad_alloc(); }) == 23);
    const auto system = [](std::errc what) {
      return code_of([&](int, char**) -> int {
        throw std::system_error(std::make_error_code(what));
      });
    };
    CHECK(system(std::errc::resource_unavailable_try_again) == 23);
    CHECK(system(std::errc::permission_denied) == 1);
  }
}
