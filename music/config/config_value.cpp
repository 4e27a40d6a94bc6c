// Reading, checking and printing one configuration value.

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "music/config/config_keys.h"

namespace music {
namespace {

template <typename T>
bool parse_all(std::string_view s, T& out) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  if (s.size() > 1 && s.front() == '+' && s[1] != '-') s.remove_prefix(1);
  const auto [end, code] = std::from_chars(s.data(), s.data() + s.size(), out);
  return code == std::errc() && end == s.data() + s.size();
}

// "0.1,2" or "[0.1, 2]".
bool parse_list(std::string_view s, std::vector<double>& out, bool& integers) {
  if (s.size() >= 2 && s.front() == '[' && s.back() == ']')
    s = s.substr(1, s.size() - 2);
  integers = true;
  if (s.find_first_not_of(' ') == std::string_view::npos) return true;
  for (;;) {
    const std::size_t comma = s.find(',');
    const std::string_view item = s.substr(0, comma);
    std::int64_t i = 0;
    double d = 0;
    if (parse_all(item, i)) {
      out.push_back(static_cast<double>(i));
    } else if (parse_all(item, d)) {
      out.push_back(d);
      integers = false;
    } else {
      return false;
    }
    if (comma == std::string_view::npos) return true;
    s.remove_prefix(comma + 1);
  }
}

bool in_range(const ConfigKey& key, double v) {
  return std::abs(v) <= ConfigKey::kLargest && v <= key.max &&
         (key.above ? v > key.min : v >= key.min);
}

// A TOML file is UTF-8, and the resolved file must load again.
bool is_utf8(const std::string& s) {
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const std::size_t more = c < 0x80                ? 0
                             : c >= 0xC2 && c < 0xE0 ? 1
                             : c >= 0xE0 && c < 0xF0 ? 2
                             : c >= 0xF0 && c < 0xF5 ? 3
                                                     : 4;
    if (more == 4 || i + more >= s.size()) return false;
    for (std::size_t k = 1; k <= more; ++k)
      if ((static_cast<unsigned char>(s[i + k]) & 0xC0) != 0x80) return false;
    if (more >= 2) {  // over-long forms, surrogates, beyond U+10FFFF
      const auto d = static_cast<unsigned char>(s[i + 1]);
      if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) ||
          (c == 0xF0 && d < 0x90) || (c == 0xF4 && d > 0x8F))
        return false;
    }
    i += more + 1;
  }
  return true;
}

std::string toml_string(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + "\"";
}

// Writes one value into the field it is for; false when it does not fit.
struct Assign {
  const ConfigKey& key;
  const ConfigValue& value;

  template <typename T>
  const T* get() const { return std::get_if<T>(&value.value); }

  bool operator()(bool* f) const {
    const bool* v = get<bool>();
    if (v) *f = *v;
    return v;
  }
  template <typename T>
    requires std::is_integral_v<T>
  bool operator()(T* f) const {
    const std::int64_t* v = get<std::int64_t>();
    if (!v || !in_range(key, static_cast<double>(*v))) return false;
    if (static_cast<std::int64_t>(static_cast<T>(*v)) != *v) return false;
    *f = static_cast<T>(*v);
    return true;
  }
  bool operator()(double* f) const {
    const std::int64_t* i = get<std::int64_t>();
    const double* d = get<double>();
    if (!i && !d) return false;
    const double v = i ? static_cast<double>(*i) : *d;
    if (!in_range(key, v)) return false;
    *f = v;
    return true;
  }
  bool operator()(std::string* f) const {
    const std::string* v = get<std::string>();
    if (!v || !is_utf8(*v)) return false;
    *f = *v;
    return true;
  }
  template <typename T, std::size_t N>
  bool operator()(std::array<T, N>* f) const {
    const std::vector<double>* v = get<std::vector<double>>();
    if (!v || v->size() != N) return false;
    for (double x : *v)
      if (!in_range(key, x)) return false;
    std::transform(v->begin(), v->end(), f->begin(),
                   [](double x) { return static_cast<T>(x); });
    return true;
  }
  bool operator()(std::vector<std::int64_t>* f) const {
    const std::vector<double>* v = get<std::vector<double>>();
    if (!v || !value.integers) return false;
    for (double x : *v)
      if (!in_range(key, x)) return false;
    f->clear();
    for (double x : *v) f->push_back(static_cast<std::int64_t>(x));
    return true;
  }
  bool operator()(std::vector<double>* f) const {
    const std::vector<double>* v = get<std::vector<double>>();
    if (!v) return false;
    for (double x : *v)
      if (!in_range(key, x)) return false;
    *f = *v;
    return true;
  }
  bool operator()(const EnumField& f) const {
    const std::string* v = get<std::string>();
    if (!v) return false;
    const auto it = std::find(f.names.begin(), f.names.end(), *v);
    if (it == f.names.end()) return false;
    f.set(static_cast<int>(it - f.names.begin()));
    return true;
  }
};

struct Print {
  std::string operator()(bool* f) const { return *f ? "true" : "false"; }
  std::string operator()(std::string* f) const { return toml_string(*f); }
  std::string operator()(const EnumField& f) const {
    return toml_string(f.names[static_cast<std::size_t>(f.get())]);
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  std::string operator()(T* f) const { return fmt::format("{}", *f); }
  template <typename Range>
  std::string operator()(Range* f) const {
    return fmt::format("[{}]", fmt::join(*f, ", "));
  }
};

std::size_t length_apart(const std::string& a, const std::string& b) {
  return a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

std::string last_part(const std::string& s) {
  return s.substr(s.rfind('.') + 1);
}

}  // namespace

ConfigValue parse_value(const ConfigKey& key, const std::string& text) {
  Config config;
  const Field field = key.field(config);
  ConfigValue v{text, fmt::format("\"{}\"", text)};
  if (std::holds_alternative<EnumField>(field) ||
      std::holds_alternative<std::string*>(field))
    return v;
  if (std::holds_alternative<bool*>(field)) {
    if (text == "true" || text == "false") v.value = text == "true";
    return v;
  }
  std::int64_t i = 0;
  double d = 0;
  std::vector<double> list;
  const bool scalar = std::holds_alternative<double*>(field) ||
                      std::holds_alternative<int*>(field) ||
                      std::holds_alternative<std::int64_t*>(field) ||
                      std::holds_alternative<std::uint64_t*>(field);
  if (scalar && parse_all(text, i))
    v.value = i;
  else if (scalar && parse_all(text, d))
    v.value = d;
  else if (!scalar && parse_list(text, list, v.integers))
    v.value = list;
  return v;
}

bool assign(const ConfigKey& key, Config& config, const ConfigValue& value) {
  return std::visit(Assign{key, value}, key.field(config));
}

std::string field_text(const ConfigKey& key, const Config& config) {
  Config copy = config;  // a Field points into a writable Config
  return std::visit(Print{}, key.field(copy));
}

std::string suggestion(const std::string& word,
                       const std::vector<std::string>& known,
                       const std::string& prefix) {
  std::string best;
  std::size_t least = word.size() < 4 ? 2 : word.size() < 9 ? 3 : 4;
  for (const std::string& k : known) {
    if (length_apart(word, k) >= least) continue;  // no nearer than that
    const std::size_t d = edit_distance(word, k);
    if (d < least) least = d, best = k;
  }
  if (word.size() > 2)  // a flag cut short: --batch for --batch-size
    for (const std::string& k : known)
      if (k.starts_with(word)) {
        best = k;
        break;
      }
  const std::string end = last_part(word);
  // optim.lr is rather optim.base_lr than optim.lr_1d.
  if (least > 1 && end.size() < word.size())
    for (const std::string& k : known)
      if (k.starts_with(word.substr(0, word.size() - end.size())) &&
          k.ends_with("_" + end)) {
        best = k;
        break;
      }
  const auto find = [&](auto&& alike) {
    for (const std::string& k : known)
      if (best.empty() && alike(last_part(k))) best = k;
  };
  find([&](const std::string& k) { return k == end; });
  find([&](const std::string& k) {
    return end.size() > 3 && length_apart(k, end) < 2 &&
           edit_distance(k, end) < 2;
  });
  find([&](const std::string& k) { return k.ends_with("_" + end); });
  return best.empty() ? "" : fmt::format(" (did you mean {}{}?)", prefix, best);
}

}  // namespace music
