#include "data/image_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <system_error>

#include "data/dataset_files.h"
#include "data/folder_names.h"
#include "data/foreign_data.h"
#include "data/picture_format.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

constexpr std::string_view kBlank = " \t";
constexpr std::string_view kSeparators = " \t,;";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view trimmed(std::string_view text, std::string_view what = kBlank) {
  const std::size_t begin = text.find_first_not_of(what);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(what) + 1 - begin);
}

bool is_separator(char c) { return kSeparators.find(c) != kSeparators.npos; }

std::vector<std::string_view> fields_of(std::string_view text) {
  std::vector<std::string_view> fields;
  while (!(text = trimmed(text, kSeparators)).empty()) {
    const std::size_t end = std::min(text.find_first_of(kSeparators), text.size());
    fields.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return fields;
}

// A number from 0; -1: none.
int number_of(std::string_view word) {
  int value = -1;
  const auto [end, failure] =
      std::from_chars(word.data(), word.data() + word.size(), value);
  return failure == std::errc() && end == word.data() + word.size() ? value : -1;
}

bool is_picture(std::string_view path) {
  constexpr std::size_t kLongest = 6;  // with its dot
  const std::string_view end = path.substr(path.size() - std::min(path.size(), kLongest));
  const std::size_t dot = end.rfind('.');
  return dot != end.npos &&
         format_of_extension(end.substr(dot)) != PictureFormat::kUnknown;
}

struct ListLine {
  std::string path;
  std::string_view rest;  // behind the path
};

// "path" 3, with "" for a quote in it.
bool split_quoted(std::string_view line, ListLine& split) {
  const char quote = line.front();
  if (quote != '"' && quote != '\'') return false;
  std::string path;
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] != quote) {
      path += line[i];
    } else if (i + 1 < line.size() && line[i + 1] == quote) {
      path += line[i++];
    } else {
      if (i + 1 < line.size() && !is_separator(line[i + 1])) return false;
      if (trimmed(path).empty()) return false;
      split = {std::string(trimmed(path)), line.substr(i + 1)};
      return true;
    }
  }
  return false;
}

ListLine split_line(std::string_view line) {
  ListLine split;
  if (split_quoted(line, split)) return split;
  const auto cut = [line](std::size_t at) {
    return ListLine{std::string(trimmed(line.substr(0, at))), line.substr(at)};
  };
  // The last extension that something follows.
  if (!is_picture(line))
    for (std::size_t at = line.size(); at-- > 1;)
      if (is_separator(line[at]) && is_picture(line.substr(0, at))) {
        if (line.find('/', at) != line.npos) break;  // of the name of a folder
        return cut(at);
      }
  const std::size_t tab = line.rfind('\t');
  if (tab != line.npos) return cut(tab);
  const std::size_t word = line.find_last_of(" ,");
  if (word != line.npos && number_of(line.substr(word + 1)) >= 0) return cut(word);
  return {std::string(line), {}};
}

// The names of columns in place of an image.
bool is_header(std::string_view line) {
  constexpr std::array<std::string_view, 21> kNames{
      "path", "paths", "file", "files", "filename", "file_name", "filepath",
      "file_path", "image", "images", "image_id", "image_path", "imageid",
      "image_name", "img", "img_path", "name", "id", "url", "fname", "label"};
  for (std::string_view field : fields_of(line)) {
    std::string word;
    for (const char c : trimmed(field, "\"'"))
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::find(kNames.begin(), kNames.end(), word) != kNames.end()) return true;
  }
  return false;
}

std::string with_home(std::string path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home && *home ? home + path.substr(1) : path;
}

void require_text(std::string_view text, const std::string& name) {
  const std::string file = name.substr(name.rfind('/') + 1);
  if (is_record_file(file) && text.find('\0') != text.npos)
    throw error(ExitCode::kData,
                "[dataset] {} is a file of CIFAR or STL-10, expected its folder", name);
  const ForeignData data = foreign_data(
      file,
      std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  if (data)
    throw error(ExitCode::kData,
                "[dataset] {} is {}, expected a folder, a list of image paths or tar "
                "shards: {}", name, data.what, data.remedy);
  if (text.find('\0') != text.npos)
    throw error(ExitCode::kData,
                "[dataset] {} is not text, expected a list of image paths or a folder",
                name);
}

// Why what follows a path is no class number; -1 and no reason: nothing follows.
int label_of(std::string_view rest, std::string& why) {
  const std::vector<std::string_view> fields = fields_of(rest);
  if (fields.empty()) return -1;
  const int label = number_of(fields[0]);
  if (fields.size() > 1)
    why = fmt::format("{} words after the path, expected one class number",
                      fields.size());
  else if (label < 0)
    why = fmt::format("expected a class number from 0 after the path, found {}",
                      in_quotes(fields[0]));
  else if (label >= kMostClasses)
    why = fmt::format("class number {}, limit {}", label, kMostClasses - 1);
  return why.empty() ? label : -1;
}

// The length of the character that text begins with; 0: it is no UTF-8.
std::size_t decode_utf8(std::string_view text, std::uint32_t& code) {
  const auto byte = [text](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) {
    code = lead;
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  code = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  return length;
}

}  // namespace

ImageList parse_image_list(std::string_view text, const std::string& name,
                           const std::function<bool(const std::string&)>& exists) {
  require_text(text, name);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  ImageList list;
  std::string why;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(text.starts_with("\r\n") ? 2 : text.empty() ? 0 : 1);
    if (line.empty()) continue;
    ListLine split = split_line(line);
    std::string path = with_home(std::move(split.path));
    if (line.front() == '#' && !exists(path)) continue;
    if (list.paths.empty() && !is_picture(path) && is_header(line) && !exists(path))
      throw error(ExitCode::kData,
                  "[dataset] {}:{}: {} is the header of a table: expected a path a line, "
                  "then a class number after a tab, a blank or a comma, and no header",
                  name, number, in_quotes(line));
    if (path.find('\\') != path.npos && path.find('/') == path.npos && !exists(path))
      std::replace(path.begin(), path.end(), '\\', '/');
    list.paths.add(path);
    list.lines.push_back(number);
    list.labels.push_back(label_of(split.rest, why));
    const bool labelled = list.labels.back() >= 0;
    if (why.empty() && labelled != (list.labels.front() >= 0))
      why = fmt::format("{} label, unlike the lines before", labelled ? "a" : "no");
    if (!why.empty() && list.fault.empty())
      list.fault = fmt::format("{}:{}: {}", name, number, why);
    list.classes = std::max(list.classes, list.labels.back() + 1);
  }
  if (list.paths.empty())
    throw error(ExitCode::kData,
                "[dataset] {} lists no image, expected one path a line", name);
  if (!list.fault.empty()) {
    std::fill(list.labels.begin(), list.labels.end(), -1);
    list.classes = 0;
  }
  return list;
}

std::string visible(std::string_view text) {
  constexpr std::size_t kMost = 160;
  std::string out;
  for (std::size_t i = 0, length; i < text.size(); i += length) {
    if (out.size() > kMost) return out + "...";
    std::uint32_t code = 0;
    length = decode_utf8(text.substr(i), code);
    // Blanks of other widths, soft hyphen; zero widths, directions; the mark.
    const bool unseen = code == 0xA0 || code == 0xAD || (code >= 0x2000 && code <= 0x200F) ||
                        (code >= 0x2028 && code <= 0x202F) ||
                        (code >= 0x2060 && code <= 0x2069) || code == 0x3000 ||
                        code == 0xFEFF;
    if (length == 0) {
      length = 1;
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else {
      out += unseen ? fmt::format("\\u{{{:04x}}}", code) : one_line(text.substr(i, length));
    }
  }
  return out;
}

}  // namespace music::data
