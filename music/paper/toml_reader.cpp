#include "music/paper/toml_reader.h"

#include "music/config/config_keys.h"

namespace music {
namespace {

std::string place(const std::string& file, const toml::node& node) {
  return fmt::format("{}:{}", file, node.source().begin.line);
}

}  // namespace

std::string text_of(const toml::node& node, const std::string& where) {
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_integer()) return fmt::to_string(v->get());
  if (const auto* v = node.as_floating_point()) return fmt::to_string(v->get());
  if (const auto* v = node.as_boolean()) return v->get() ? "true" : "false";
  std::string all;
  const auto* array = node.as_array();
  if (array)
    for (const toml::node& item : *array) {
      if (!all.empty()) all += ',';
      all += text_of(item, where);
    }
  if (!array)
    throw error(ExitCode::kUsage, "[paper] {}: expected a value", where);
  return all;
}

void TomlReader::fail(const std::string& message) const {
  throw error(ExitCode::kUsage, "[paper] {}: {}", place(file_, table_), message);
}

const toml::node* TomlReader::find(const char* key) {
  read_.insert(key);
  return table_.get(key);
}

const toml::table* TomlReader::table(const char* key) {
  const toml::node* node = find(key);
  if (node && !node->as_table())
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a table",
                place(file_, *node), key);
  return node ? node->as_table() : nullptr;
}

std::string TomlReader::text(const char* key, bool required) {
  const toml::node* node = find(key);
  if (!node && !required) return "";
  if (!node) fail(fmt::format("{} is missing", key));
  const auto* value = node->as_string();
  if (!value || (required && value->get().empty()))
    throw error(ExitCode::kUsage, "[paper] {}: {} expects text",
                place(file_, *node), key);
  return value->get();
}

double TomlReader::number(const char* key, double otherwise) {
  const toml::node* node = find(key);
  if (!node) return otherwise;
  const auto value = node->value<double>();
  if (!value)
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a number",
                place(file_, *node), key);
  return *value;
}

std::int64_t TomlReader::integer(const char* key) {
  const toml::node* node = find(key);
  if (!node || !node->as_integer())
    fail(fmt::format("{} expects an integer", key));
  return node->as_integer()->get();
}

std::vector<std::string> TomlReader::texts(const char* key) {
  const toml::node* node = find(key);
  std::vector<std::string> all;
  if (!node) return all;
  const auto* array = node->as_array();
  if (!array)
    throw error(ExitCode::kUsage, "[paper] {}: {} expects a list of texts",
                place(file_, *node), key);
  for (const toml::node& item : *array)
    all.push_back(text_of(item, place(file_, item)));
  return all;
}

PaperSettings TomlReader::settings(const char* key) {
  PaperSettings all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) {
      const std::string k(name.str());
      const std::string where = place(file_, node);
      if (!find_config_key(k))
        throw error(ExitCode::kUsage, "[paper] {}: unknown key {}", where, k);
      all.emplace_back(k, text_of(node, where));
    }
  return all;
}

std::map<std::string, double> TomlReader::numbers(const char* key) {
  std::map<std::string, double> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) {
      const auto value = node.value<double>();
      if (!value)
        throw error(ExitCode::kUsage, "[paper] {}: {} expects a number",
                    place(file_, node), name.str());
      all[std::string(name.str())] = *value;
    }
  return all;
}

std::map<std::string, std::string> TomlReader::map(const char* key) {
  std::map<std::string, std::string> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from)
      all[std::string(name.str())] = text_of(node, place(file_, node));
  return all;
}

std::vector<std::string> TomlReader::names(const char* key) {
  std::vector<std::string> all;
  if (const toml::table* from = table(key))
    for (const auto& [name, node] : *from) all.emplace_back(name.str());
  return all;
}

TomlReader TomlReader::within(const std::string& key) {
  const toml::table* from = table(key.c_str());
  if (!from) fail(key + " is missing");
  return TomlReader(*from, file_);
}

std::vector<TomlReader> TomlReader::list(const char* key) {
  std::vector<TomlReader> all;
  const toml::node* node = find(key);
  if (!node) return all;
  const auto* array = node->as_array();
  if (!array) fail(fmt::format("{} expects [[{}]]", key, key));
  for (const toml::node& item : *array) {
    if (!item.as_table()) fail(fmt::format("{} expects [[{}]]", key, key));
    all.emplace_back(*item.as_table(), file_);
  }
  return all;
}

void TomlReader::done() const {
  for (const auto& [name, node] : table_)
    if (!read_.contains(std::string(name.str())))
      throw error(ExitCode::kUsage, "[paper] {}: unknown key {}",
                  place(file_, node), name.str());
}

}  // namespace music
