#include "music/codes/csv.h"

#include <algorithm>
#include <vector>

#include "engine/core/counted.h"
#include "engine/core/error.h"

namespace music {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

char separator_of(std::string_view text) {
  std::int64_t commas = 0, semicolons = 0, tabs = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n' || c == '\r') break;
    commas += c == ',', semicolons += c == ';', tabs += c == '\t';
  }
  if (semicolons > std::max(commas, tabs)) return ';';
  return tabs > commas ? '\t' : ',';
}

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name)
      : text_(text), name_(name), separator_(separator_of(text)) {}

  // The next row, or false at the end. Empty lines are passed over.
  bool next(std::vector<std::string>& fields) {
    std::size_t count = 0;
    while (at_ < text_.size() && ends_line(text_[at_])) end_line();
    if (at_ == text_.size()) return false;
    line_ = lines_;
    for (bool more = true; more; ++count) {
      if (count == fields.size()) fields.emplace_back();
      more = field(fields[count]);
    }
    fields.resize(count);
    return true;
  }
  std::int64_t line() const { return line_; }

 private:
  static bool ends_line(char c) { return c == '\n' || c == '\r'; }
  bool is_blank(char c) const {
    return (c == ' ' || c == '\t') && c != separator_;
  }
  void end_line() {
    at_ += text_.substr(at_, 2) == "\r\n" ? 2 : 1;
    ++lines_;
  }

  // Whether another field of the row follows.
  bool field(std::string& out) {
    out.clear();
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      quoted(out);
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != separator_ &&
             !ends_line(text_[at_]))
        ++at_;
      std::size_t end = at_;
      while (end > begin && is_blank(text_[end - 1])) --end;
      out = text_.substr(begin, end - begin);
    }
    if (at_ == text_.size()) return false;
    if (text_[at_] == separator_) return ++at_, true;
    end_line();
    return false;
  }

  void quoted(std::string& out) {
    const std::int64_t opened = lines_;
    for (++at_;; ++at_) {
      if (at_ == text_.size())
        throw error(ExitCode::kData,
                    "[csv] {}: the quote of line {} is not closed", name_, opened);
      if (text_[at_] == '"' && text_.substr(++at_, 1) != "\"") break;
      if (text_[at_] == '\n' || (text_[at_] == '\r' &&
                                 text_.substr(at_ + 1, 1) != "\n"))
        ++lines_;
      out += text_[at_];
    }
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    if (at_ < text_.size() && text_[at_] != separator_ && !ends_line(text_[at_]))
      throw error(ExitCode::kData, "[csv] {}: line {} has text behind a quote",
                  name_, lines_);
  }

  std::string_view text_;
  const std::string& name_;
  char separator_;
  std::size_t at_ = 0;
  std::int64_t lines_ = 1, line_ = 1;
};

}  // namespace

void read_csv(std::string_view text, const std::string& name, const CsvRow& row) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.find('\0') != text.npos)
    throw error(ExitCode::kData,
                "[csv] {} has bytes that are no text, expected UTF-8", name);
  CsvReader reader(text, name);
  std::vector<std::string> fields;
  std::size_t expected = 0;
  while (reader.next(fields)) {
    if (expected == 0) expected = fields.size();
    if (fields.size() != expected)
      throw error(ExitCode::kData, "[csv] {}: line {} has {}, expected {}", name,
                  reader.line(), counted(std::ssize(fields), "field"), expected);
    row(reader.line(), fields);
  }
  if (expected == 0)
    throw error(ExitCode::kData, "[csv] {} is empty, expected a header and rows",
                name);
}

}  // namespace music
