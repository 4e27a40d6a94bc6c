#include "tools/cli.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <new>
#include <regex>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "dist/launch.h"
#include "engine/core/error.h"
#include "engine/core/log.h"
#include "engine/core/memory_limit.h"
#include "engine/core/text.h"
#include "engine/core/wait_policy.h"
#include "music/config/config_keys.h"
#include "music/files/build_info.h"

namespace music {
namespace {

std::string program_name(char** argv) {
  return argv[0] ? std::filesystem::path(argv[0]).filename().string() : "music";
}

// Flag and default on one line, the description wrapped below it.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option,
                          bool positional) const override {
    std::string out = "  ";
    for (char c : make_option_name(option, positional))
      out += c == ',' ? ", " : std::string(1, c);
    out += make_option_opts(option) + "\n";
    std::string line;
    std::istringstream words(make_option_desc(option));
    for (std::string word; words >> word;) {
      if (line.size() + word.size() > 70) {
        out += fmt::format("       {}\n", line);
        line.clear();
      }
      line += " " + word;
    }
    return out + fmt::format("       {}\n", line);
  }
};

std::string type_name(const Field& field) {
  if (const auto* e = std::get_if<EnumField>(&field))
    return fmt::format("{}", fmt::join(e->names, "|"));
  if (std::holds_alternative<bool*>(field)) return "true|false";
  if (std::holds_alternative<std::string*>(field)) return "TEXT";
  if (std::holds_alternative<double*>(field)) return "NUMBER";
  if (std::holds_alternative<std::array<double, 2>*>(field)) return "A,B";
  if (std::holds_alternative<std::array<float, 3>*>(field)) return "R,G,B";
  if (std::holds_alternative<std::vector<std::int64_t>*>(field))
    return "N,N,...";
  return "N";
}

// The default as the flag would take it: 0.08,1 and bicubic.
std::string default_text(const ConfigKey& key) {
  std::string out;
  for (char c : field_text(key, Config()))
    if (c != '"' && c != '[' && c != ']' && c != ' ') out += c;
  return out;
}

// "--k: Value 0 not in range 1 to 9.000000" of CLI11, which writes the largest
// double with all of its 309 digits.
std::string plain_range(const CLI::App& app, const std::string& message) {
  static const std::regex kRange(
      R"((--?[\w.-]+): Value (\S+) not in range (\S+) to (\S+))");
  std::smatch m;
  if (!std::regex_match(message, m, kRange)) return message;
  const double low = std::strtod(m[3].str().c_str(), nullptr);
  const double high = std::strtod(m[4].str().c_str(), nullptr);
  const CLI::Option* option = app.get_option_no_throw(m[1].str());
  const bool positive =
      option && option->get_type_name().find("POSITIVE") != std::string::npos;
  const std::string range =
      high < 1e300 ? fmt::format("one in range {:.9g} to {:.9g}", low, high)
      : positive   ? "a number above 0"
                   : fmt::format("at least {:.9g}", low);
  return fmt::format("{}: found {}, expected {}", m[1].str(), m[2].str(), range);
}

void reject_extras(const CLI::App& app) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back(name);
  for (const std::string& word : app.remaining()) {
    if (word.rfind("-", 0) != 0)
      throw error(ExitCode::kUsage,
                  "[cli] unexpected argument \"{}\"; --help lists the flags{}",
                  word,
                  word.ends_with(".tar") ? ", and a pattern of shards stands in quotes" : "");
    std::string name = word.substr(0, word.find('='));
    name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
    throw error(ExitCode::kUsage, "[cli] unknown flag {}{}", word,
                suggestion(name, known, "--"));
  }
}

}  // namespace

void complain(char** argv, std::string message) {
  std::ranges::replace_if(
      message, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  const dist::Launch launch = dist::launch_from_environment();
  if (launch.rank > 0)
    std::this_thread::sleep_for(std::chrono::seconds(3));
  const std::string who =
      launch.size > 1 ? fmt::format("rank {}: ", launch.rank) : "";
  std::fprintf(stderr, "%s: %s%s\n", program_name(argv).c_str(), who.c_str(),
               one_line(message).c_str());
}

namespace {

int out_of_memory(char** argv) {
  char text[160];
  describe_memory_limit(text, sizeof text);
  complain(argv, text);
  return static_cast<int>(ExitCode::kMemory);
}

// OpenMP says in a line of its own that it cannot start a thread, and exits with 1.
void exit_of_a_library(int status, void*) {
  if (status == EXIT_FAILURE && memory_limit().near())
    _exit(static_cast<int>(ExitCode::kMemory));
}

}  // namespace

int run_main(int argc, char** argv,
             const std::function<int(int, char**)>& body) {
  settle_wait_policy(argv);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file of ulimit -f is EFBIG, as a full disk
  on_exit(exit_of_a_library, nullptr);
  try {
    const int code = body(argc, argv);
    if (std::fflush(stdout) == 0 || errno != ENOSPC || code != 0) return code;
    complain(argv, "[io] cannot write standard output: No space left on device");
    return static_cast<int>(ExitCode::kDiskFull);
  } catch (const Error& e) {
    complain(argv, e.what());
    return static_cast<int>(e.code());
  } catch (const std::bad_alloc&) {
    return out_of_memory(argv);
  } catch (const std::system_error& e) {  // of a thread that cannot be started
    if (e.code() == std::errc::resource_unavailable_try_again ||
        e.code() == std::errc::not_enough_memory)
      return out_of_memory(argv);
    complain(argv, fmt::format("internal error: {}", e.what()));
  } catch (const std::exception& e) {
    complain(argv, fmt::format("internal error: {}", e.what()));
  }
  return static_cast<int>(ExitCode::kInternal);
}

bool parse(CLI::App& app, int argc, char** argv) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version",
                       fmt::format("{} {}", program_name(argv),
                                   build_info().describe()),
                       "show the version");
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::CallForVersion& version) {
    std::puts(version.what());
    return false;
  } catch (const CLI::ParseError& e) {
    reject_extras(app);  // a misspelt flag is often the cause
    throw error(ExitCode::kUsage, "[cli] {}", plain_range(app, e.what()));
  }
  reject_extras(app);
  return true;
}

std::optional<ResolvedConfig> configure(
    CLI::App& app, int argc, char** argv,
    const std::function<void(ConfigSources&)>& add) {
  ConfigSources sources;
  bool print = false;
  app.add_option("-c,--config", sources.files,
                 "read settings from this TOML file; may be repeated, later "
                 "files win")
      ->type_name("FILE")->allow_extra_args(false);
  app.add_flag("--print-config", print,
               "print the resolved configuration and exit");
  app.footer(fmt::format(
      "Settings come from, weakest first: the defaults, a preset ({}), files,\n"
      "the environment (MUSIC_OPTIM_BASE_LR for optim.base_lr), flags.",
      fmt::join(preset_names(), ", ")));
  std::vector<std::pair<const ConfigKey*, CLI::Option*>> options;
  for (const ConfigKey& key : config_keys()) {
    std::string names = fmt::format("--{}", key.name);
    for (const std::string& alias : key.aliases)
      names += fmt::format(",--{}", alias);
    Config defaults;
    options.emplace_back(
        &key, app.add_option(names, key.help)
                  ->type_name(type_name(key.field(defaults)))
                  ->default_str(default_text(key))
                  ->group(key.section())
                  ->take_last());
  }
  if (!parse(app, argc, argv)) return std::nullopt;
  for (const auto& [key, option] : options)
    if (option->count() > 0)
      sources.flags.emplace_back(key->name, option->results().back());
  sources.environment = music_environment();
  if (add) add(sources);
  ResolvedConfig config = resolve(sources);
  if (print) {
    std::fputs(to_toml(config).c_str(), stdout);
    return std::nullopt;
  }
  // Each process of a job comes here.
  const dist::Launch launch = dist::launch_from_environment();
  setup_logging(config.value.train.log_level, launch.rank, launch.size);
  for (const std::string& warning : config.warnings)
    spdlog::warn("[config] {}", warning);
  return config;
}

}  // namespace music
