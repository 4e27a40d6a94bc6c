#include "music/config/config.h"

#include <fmt/ranges.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

#include "data/label_subset.h"
#include "data/written_name.h"
#include "engine/core/counted.h"
#include "engine/core/text.h"
#include "layers/projector.h"
#include "music/config/config_keys.h"
#include "music/config/inert_keys.h"

namespace music {
namespace {

struct Entry {
  const ConfigKey* key;
  ConfigValue value;
  std::string origin;  // stays with the value
  std::string where;   // stands in a message
};

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const ConfigKey& key : config_keys()) names.push_back(key.name);
  return names;
}

const ConfigKey& known_key(const std::string& name, const std::string& where) {
  if (const ConfigKey* key = find_config_key(name)) return *key;
  throw error(ExitCode::kUsage, "[config] {}: unknown key {}{}", where, name,
              suggestion(name, key_names()));
}

ConfigValue value_of(const toml::node& node) {
  if (const auto* v = node.as_boolean())
    return {v->get(), v->get() ? "true" : "false"};
  if (const auto* v = node.as_integer())
    return {v->get(), fmt::format("{}", v->get())};
  if (const auto* v = node.as_floating_point())
    return {v->get(), fmt::format("{}", v->get())};
  if (const auto* v = node.as_string())
    return {v->get(), fmt::format("\"{}\"", v->get())};
  const toml::array* array = node.as_array();
  if (!array) return {std::monostate{}, "a date or time"};
  ConfigValue out;
  std::vector<double> list;
  std::vector<std::string> texts;
  bool numbers = true;
  out.integers = true;
  for (const toml::node& item : *array) {
    if (item.is_table() || item.is_array()) return {{}, "a nested array"};
    numbers &= item.is_number();
    out.integers &= item.is_integer();
    list.push_back(item.value<double>().value_or(0));
    texts.push_back(value_of(item).text);
  }
  out.text = fmt::format("[{}]", fmt::join(texts, ", "));
  if (numbers) out.value = std::move(list);
  return out;
}

void flatten(const toml::table& table, const std::string& prefix,
             const std::string& label, const std::string& origin,
             std::vector<Entry>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      const bool section = prefix.empty() &&
          std::any_of(config_keys().begin(), config_keys().end(),
                      [&](const ConfigKey& k) { return k.section() == name; });
      if (section || !inner->empty()) {
        flatten(*inner, name + ".", label, origin, out);
        continue;
      }
    }
    const auto at = key.source().begin;
    const ConfigKey& known =
        known_key(name, fmt::format("{}:{}:{}", label, at.line, at.column));
    const auto begin = node.source().begin;
    out.push_back({&known, value_of(node),
                   origin.empty() ? fmt::format("{}:{}", label, begin.line)
                                  : origin,
                   fmt::format("{}:{}:{}", label, begin.line, begin.column)});
  }
}

// origin: of every entry; "" = label:line.
std::vector<Entry> parse_toml(const std::string& text, const std::string& label,
                              const std::string& origin = "") {
  std::vector<Entry> entries;
  try {
    flatten(toml::parse(text), "", label, origin, entries);
  } catch (const toml::parse_error& e) {
    throw error(ExitCode::kUsage, "[config] {}:{}:{}: {}", label,
                e.source().begin.line, e.source().begin.column,
                e.description());
  }
  return entries;
}

std::string read_file(const std::string& path) {
  constexpr std::int64_t kLimit = 1 << 20;
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    throw error(ExitCode::kUsage, "[config] cannot read {}: {}", path,
                std::strerror(errno));
  if (const std::string inner = path + "/config.toml";
      S_ISDIR(info.st_mode) && stat(inner.c_str(), &info) == 0)
    throw error(ExitCode::kUsage, "[config] {} is a folder, expected a file, as {}",
                path, inner);
  if (!S_ISREG(info.st_mode) || info.st_size > kLimit)
    throw error(ExitCode::kUsage,
                "[config] {} is not a configuration file: expected a regular "
                "file of at most {} bytes", path, kLimit);
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof())
    throw error(ExitCode::kUsage, "[config] cannot read {}: {}", path,
                std::strerror(errno));
  return text;
}

std::vector<Entry> from_environment(
    const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<Entry> entries;
  std::vector<std::string> names;
  for (const ConfigKey& key : config_keys()) names.push_back(key.variable());
  for (const auto& [name, text] : environment) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) {
      const ConfigKey& key =
          config_keys()[static_cast<std::size_t>(it - names.begin())];
      entries.push_back({&key, parse_value(key, text), "env " + name, name});
      continue;
    }
    if (name.rfind("MUSIC_", 0) != 0) continue;
    // Other programs own MUSIC_ names too; ours are those of a section.
    const std::string near = suggestion(name, names);
    const bool ours = std::any_of(
        config_keys().begin(), config_keys().end(),
        [&name = name](const ConfigKey& k) {  // Clang 14 captures no binding
          const std::string v = k.variable();
          return name.rfind(v.substr(0, k.section().size() + 7), 0) == 0;
        });
    if (ours || !near.empty())
      throw error(ExitCode::kUsage,
                  "[config] unknown environment variable {}{}", name, near);
  }
  return entries;
}

bool too_large(const ConfigValue& value) {
  const double* v = std::get_if<double>(&value.value);
  return v && std::isfinite(*v) && std::abs(*v) > ConfigKey::kLargest;
}

// " (did you mean moco_v2?)" of a key that takes one of some words.
std::string nearest_word(const ConfigKey& key, const ConfigValue& value) {
  Config config;
  const Field field = key.field(config);
  const auto* choice = std::get_if<EnumField>(&field);
  const auto* word = std::get_if<std::string>(&value.value);
  return choice && word ? suggestion(in_lower_case(*word), choice->names) : "";
}

void merge_into(const std::vector<Entry>& entries, ResolvedConfig& config) {
  for (const Entry& e : entries) {
    if (!assign(*e.key, config.value, e.value))
      throw error(ExitCode::kUsage, "[config] {}: {} expects {}{}, found {}{}",
                  e.where, e.key->name, e.key->expected(),
                  too_large(e.value) ? fmt::format(" of at most {:.0e}",
                                                   ConfigKey::kLargest)
                                     : "",
                  e.value.text, nearest_word(*e.key, e.value));
    config.origins[e.key->name] = e.origin;
  }
}

std::string origin_of(const ResolvedConfig& config, const std::string& key) {
  return fmt::format("{} ({})", key, config.origins.at(key));
}

void check_ordered(const ResolvedConfig& config, const std::string& key,
                   const std::array<double, 2>& range) {
  if (range[0] > range[1])
    throw error(ExitCode::kUsage,
                "[config] {} expects the least value first, found [{}, {}]",
                origin_of(config, key), range[0], range[1]);
}

// A message in which every key is followed by where its value came from.
std::string with_origins(const ResolvedConfig& config,
                         const std::string& message) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  };
  std::string out;
  for (std::size_t i = 0; i < message.size();) {
    std::size_t end = i;
    while (end < message.size() && is_word(message[end])) ++end;
    std::string word = message.substr(i, end - i);
    out += find_config_key(word) ? origin_of(config, word) : word;
    if (end < message.size()) out += message[end++];
    i = end;
  }
  return out;
}

bool is_given(const ResolvedConfig& config, const std::string& key) {
  const std::string& origin = config.origins.at(key);
  return origin != "default" && !origin.starts_with("preset:");
}

// A preset may have settings of several methods: the choice can be another's.
void check_keys_of_method(ResolvedConfig& config) {
  const MethodSpec& chosen = config.value.method;
  for (const ConfigKey& key : config_keys()) {
    if (key.of(chosen) || !is_given(config, key.name)) continue;
    throw error(ExitCode::kUsage,
                "[config] {} is a setting of method \"{}\", and method.name is "
                "\"{}\" ({}): expected settings of that", origin_of(config, key.name),
                key.method, chosen.name, config.origins.at("method.name"));
  }
  if (needs_of(chosen).projector) return;
  const std::string none = ModelConfig().projector;
  if (is_given(config, "model.projector") &&
      config.value.model.projector != none)
    throw error(ExitCode::kUsage,
                "[config] {} is given, and the method \"{}\" has no projector: "
                "expected none", origin_of(config, "model.projector"), chosen.name);
  // A preset's: the run's file, read again, would give it.
  config.value.model.projector = none;
}

// The keys of optim.schedule "steps" go together.
void check_schedule(ResolvedConfig& config) {
  ScheduleSpec& s = config.value.optim.schedule;
  if (s.kind == ScheduleKind::kSteps && s.milestones.empty())
    throw error(ExitCode::kUsage,
                "[config] {} = \"steps\" without optim.milestones: expected "
                "epochs, as 60,80", origin_of(config, "optim.schedule"));
  // A preset's end with its schedule.
  if (s.kind != ScheduleKind::kSteps && !is_given(config, "optim.milestones"))
    s.milestones.clear();
  if (s.kind != ScheduleKind::kSteps && !s.milestones.empty())
    throw error(ExitCode::kUsage,
                "[config] {} is for optim.schedule \"steps\", found {}",
                origin_of(config, "optim.milestones"),
                field_text(*find_config_key("optim.schedule"), config.value));
  if (std::ranges::adjacent_find(s.milestones, std::greater_equal()) !=
      s.milestones.end())
    throw error(ExitCode::kUsage,
                "[config] {} expects epochs in rising order, found [{}]",
                origin_of(config, "optim.milestones"),
                fmt::join(s.milestones, ", "));
  if (const auto epochs = static_cast<double>(config.value.train.epochs);
      s.warmup_epochs > epochs) {
    const double peak = s.base_lr * static_cast<double>(s.batch) / 256;
    config.warnings.push_back(fmt::format(
        "the warm-up of {} epoch{} ({}) is longer than the run, train.epochs {}: "
        "the learning rate rises to {:.4g} and never reaches its peak, {:.4g}",
        s.warmup_epochs, s.warmup_epochs == 1 ? "" : "s",
        config.origins.at("optim.warmup_epochs"), epochs,
        peak * epochs / s.warmup_epochs, peak));
  }
  if (s.kind == ScheduleKind::kSteps &&
      s.milestones.back() >= config.value.train.epochs)
    config.warnings.push_back(fmt::format(
        "the milestone at epoch {} is not reached in {}", s.milestones.back(),
        counted(config.value.train.epochs, "epoch")));
}

// What no single key can say.
void validate(ResolvedConfig& config) {
  const Config& c = config.value;
  data::require_extension("train.trace", c.train.trace, "JSON", {"json", "txt"});
  check_ordered(config, "augment.scale", c.augment.scale);
  check_ordered(config, "augment.ratio", c.augment.ratio);
  check_ordered(config, "augment.blur_sigma", c.augment.blur_sigma);
  const bool labels = needs_of(c.method).labels;
  if (c.data.eval_train.empty() != c.data.eval_test.empty() &&
      !(labels && c.data.eval_train.empty()))
    throw error(ExitCode::kUsage,
                "[config] kNN needs both data.eval_train and data.eval_test, "
                "found {} only",
                c.data.eval_test.empty() ? "data.eval_train"
                                         : "data.eval_test");
  if (c.data.eval_resize > 0 && c.data.eval_resize < c.augment.size)
    throw error(ExitCode::kUsage,
                "[config] {} = {} leaves no centre of augment.size {}: expected "
                "at least that, or 0", origin_of(config, "data.eval_resize"),
                c.data.eval_resize, c.augment.size);
  if (c.train.score_every > 0 && !labels)
    throw error(ExitCode::kUsage,
                "[config] {} = {} scores a classifier, and the method {} has "
                "none: expected train.knn_every",
                origin_of(config, "train.score_every"), c.train.score_every,
                c.method.name);
  if (c.data.holdout > 0 && c.train.score_every == 0)
    throw error(ExitCode::kUsage,
                "[config] {} = {} is for scores, and train.score_every is 0: "
                "expected at least 1", origin_of(config, "data.holdout"),
                c.data.holdout);
  if (c.optim.optimizer.nesterov &&
      c.optim.optimizer.kind != OptimizerKind::kSgd)
    throw error(ExitCode::kUsage,
                "[config] {} = true expects optim.kind \"sgd\", found \"lars\"",
                origin_of(config, "optim.nesterov"));
  // That is the step in one pass, which has one name.
  if (c.train.micro_batch >= c.train.batch) {
    config.value.train.micro_batch = 0;
    config.origins.at("train.micro_batch") += ": all of the batch";
  }
  if (c.train.micro_batch == 1)
    throw error(ExitCode::kUsage,
                "[config] {} = 1 leaves batch norm one sample: expected at least "
                "2, or 0", origin_of(config, "train.micro_batch"));
  if (!c.data.labels.empty()) data::parse_label_choice(c.data.labels);
  check_keys_of_method(config);
  try {
    check_method(c.method,
                 {.features = 0,
                  .projector = parse_projector(c.model.projector),
                  .samples = c.train.batch},
                 config.warnings);
  } catch (const Error& e) {
    throw error(e.code(), "{}", with_origins(config, e.what()));
  }
  check_schedule(config);
}

// Of variables that are nearly one which the programs read, and are not.
void warn_of_variables(
    const std::vector<std::pair<std::string, std::string>>& environment,
    std::vector<std::string>& warnings) {
  constexpr std::string_view kPrefix = "MUSIC_";
  // Beside those of the keys.
  std::vector<std::string> known = {"CHECK_COLLECTIVES", "CHECK_NAN", "CONV_1X1",
                                    "CUDA_GRAPH", "INDEX_CACHE", "NVTX", "PLANNER",
                                    "STARTED_ANEW", "TUNE", "WINOGRAD"};
  std::vector<std::string> keys;
  for (const ConfigKey& key : config_keys())
    keys.push_back(key.variable().substr(kPrefix.size()));
  for (const auto& [name, text] : environment) {
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) {
      return static_cast<char>(std::toupper(c));
    });
    if (!upper.starts_with(kPrefix)) continue;
    const std::string word = upper.substr(kPrefix.size());
    const bool is_key = std::ranges::count(keys, word) > 0;
    const bool spelt = name == upper;
    if (spelt && (is_key || std::ranges::count(known, word) > 0)) continue;
    std::string near = suggestion(word, known, std::string(kPrefix));
    if (is_key) near = fmt::format(" (did you mean {}?)", upper);
    for (const ConfigKey& key : config_keys())  // MUSIC_EPOCHS, as --epochs
      for (std::string flag : key.aliases) {
        std::ranges::replace(flag, '-', '_');
        if (in_lower_case(word) == flag)
          near = fmt::format(" (did you mean {}?)", key.variable());
      }
    if (!near.empty())
      warnings.push_back(fmt::format("the environment variable {} is not read{}",
                                     name, near));
  }
}

ResolvedConfig resolve_sources(const ConfigSources& sources) {
  std::vector<Entry> entries;
  for (const auto& [name, text, origin] : sources.known) {
    const ConfigKey& key = known_key(name, origin);
    entries.push_back({&key, parse_value(key, text), origin, origin});
  }
  WrittenKeys written;
  int source = 0;
  const auto note = [&](const std::vector<Entry>& by_hand) {
    ++source;
    for (const Entry& e : by_hand) written[e.key->name] = source;
  };
  for (const std::string& path : sources.files) {
    const std::string text = read_file(path);
    std::vector<Entry> file = parse_toml(text, path);
    if (!text.starts_with(kWrittenByRun)) note(file);
    std::move(file.begin(), file.end(), std::back_inserter(entries));
  }
  std::vector<Entry> environment = from_environment(sources.environment);
  note(environment);
  std::move(environment.begin(), environment.end(),
            std::back_inserter(entries));
  std::vector<Entry> flags;
  for (const auto& [name, text] : sources.flags) {
    const ConfigKey& key = known_key(name, "flag");
    flags.push_back({&key, parse_value(key, text), "flag", "--" + name});
  }
  note(flags);
  std::move(flags.begin(), flags.end(), std::back_inserter(entries));

  ResolvedConfig config;
  for (const ConfigKey& key : config_keys())
    config.origins[key.name] = "default";
  // A first pass finds the preset, which then comes before everything.
  ResolvedConfig named = config;
  merge_into(entries, named);
  const std::string& preset = named.value.train.preset;
  if (!preset.empty()) {
    const std::string label = "preset:" + preset;
    merge_into(parse_toml(preset_text(preset), label, label), config);
  }
  merge_into(entries, config);
  config.value.optim.schedule.batch = config.value.train.batch;
  validate(config);
  refuse_inert_keys(config, written);
  warn_of_variables(sources.environment, config.warnings);
  return config;
}

}  // namespace

ResolvedConfig resolve(const ConfigSources& sources) {
  try {
    return resolve_sources(sources);
  } catch (const Error& e) {  // may quote a file
    throw error(e.code(), "{}", one_line(e.what()));
  }
}

std::vector<std::pair<std::string, std::string>> music_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** e = environ; e && *e; ++e) {
    const std::string s = *e;
    const std::size_t equals = s.find('=');
    if (equals != std::string::npos && strncasecmp(s.c_str(), "MUSIC_", 6) == 0)
      out.emplace_back(s.substr(0, equals), s.substr(equals + 1));
  }
  return out;
}

void require(const Config& config, const std::vector<std::string>& keys) {
  for (const std::string& name : keys) {
    const ConfigKey* key = find_config_key(name);
    MUSIC_CHECK(key, "[config] no key {}", name);
    if (field_text(*key, config) != "\"\"") continue;
    const std::string& flag =
        key->aliases.empty() ? key->name : key->aliases.front();
    throw error(ExitCode::kUsage, "[config] {} is not set; expected --{}: {}",
                name, flag, key->help);
  }
}

}  // namespace music
