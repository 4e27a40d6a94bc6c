#pragma once
// A TOML table that is read key by key; what nobody asked for is an error.
// Included by sources only.

#include <fmt/format.h>
#include <toml++/toml.h>

#include <set>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "music/paper/declaration.h"

namespace music {

// As a flag would have it: arrays with commas.
std::string text_of(const toml::node& node, const std::string& where);

class TomlReader {
 public:
  TomlReader(const toml::table& table, std::string file)
      : table_(table), file_(std::move(file)) {}

  std::string text(const char* key, bool required = true);
  double number(const char* key, double otherwise);
  std::int64_t integer(const char* key);
  std::vector<std::string> texts(const char* key);
  PaperSettings settings(const char* key);  // in the order of the file's keys
  std::map<std::string, double> numbers(const char* key);
  std::map<std::string, std::string> map(const char* key);
  std::vector<std::string> names(const char* key);  // of a table's keys
  TomlReader within(const std::string& key);  // a table that has to be there
  std::vector<TomlReader> list(const char* key);  // each of [[key]]

  // Throws for a key that was not read.
  void done() const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const toml::node* find(const char* key);
  const toml::table* table(const char* key);
  const toml::table& table_;
  std::string file_;
  std::set<std::string> read_;
};

}  // namespace music
