#include "data/shard_samples.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "data/dataset_files.h"
#include "data/folder_names.h"
#include "data/picture_format.h"
#include "data/tar.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

// In the order in which they are preferred.
constexpr std::array<std::string_view, 6> kRead{"jpg",  "jpeg", "png",
                                                "webp", "jpe",  "jfif"};
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

int position(const auto& list, std::string_view word) {
  const auto at = std::ranges::find(list, word);
  return at == list.end() ? -1 : static_cast<int>(at - list.begin());
}

// "a/b.seg.jpg" is the file "seg.jpg" of sample "a/b"; by the last dot, "jpg" of
// "a/b.seg".
struct MemberName {
  std::string_view key, suffix;
};
std::optional<MemberName> split_name(std::string_view name, bool last_dot) {
  const std::size_t base = name.rfind('/') + 1;  // npos + 1 is 0
  const std::size_t dot = last_dot ? name.rfind('.') : name.find('.', base);
  if (dot == name.npos || dot <= base || name[base] == '.') return std::nullopt;
  return MemberName{name.substr(0, dot), name.substr(dot + 1)};
}

// "__meta__" and what is in such a folder: the format's own.
bool is_meta(std::string_view name) {
  const std::string_view top = name.substr(0, name.find('/'));
  return top.size() >= 4 && top.starts_with("__") && top.ends_with("__");
}

// A folder above the name is one that an operating system or a storage device
// makes; those that are only hidden are not meant.
bool in_system_folder(std::string_view folder) {
  for (std::size_t begin = 0, end; begin < folder.size(); begin = end + 1) {
    end = std::min(folder.find('/', begin), folder.size());
    const std::string_view step = folder.substr(begin, end - begin);
    if (!step.empty() && step.front() != '.' && is_system_folder(step)) return true;
  }
  return false;
}

// A count of 10xxxxxx bytes follows 110xxxxx, 1110xxxx and 11110xxx.
bool is_utf8(std::string_view text) {
  int follow = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((follow > 0) != (byte >> 6 == 2)) return false;
    if (follow > 0) --follow;
    else if (byte >= 0xf8 || byte == 0xc0 || byte == 0xc1) return false;
    else if (byte >= 0xc0) follow = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  }
  return follow == 0;
}

struct Label {
  int number = -1;   // -1: none
  std::string name{};  // of a class, in place of a number
  bool bad = false;
};

// " 3\n", "+3", "3.0": a number; "-1" and nothing: no label; a line with a letter
// in it: a class name.
Label parse_label(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  text = text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int number = -1;
  const char* end = digits.data() + digits.size();
  auto [rest, failure] = std::from_chars(digits.data(), end, number);
  if (rest != end && *rest == '.' && failure == std::errc())
    rest = std::find_if(rest + 1, end, [](char c) { return c != '0'; });
  if (failure == std::errc() && rest == end && !digits.starts_with("-0")) {
    if (number == -1 && digits == text) return {};
    if (number >= 0 && number < kMostClasses) return {.number = number};
    return {.bad = true};
  }
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
  };
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  const bool name = std::ranges::any_of(text, is_letter) &&
                    std::ranges::none_of(text, is_control) &&
                    is_utf8(text) && text.find_first_of("{[\"") != 0;
  return name ? Label{.name = std::string(text)} : Label{.bad = true};
}

// Builds the table from members in their order.
class Builder {
 public:
  Builder(const FileReader& file, const ImageKey& key, ShardSamples& out)
      : file_(file), key_(key), out_(out) {}

  void add(const TarMember& member) {
    const auto name = split_name(member.name, key_.all());
    if (is_meta(member.name)) {
      if (name && key_.rank(lower(name->suffix)) != ImageKey::kNone)
        out_.meta.add(one_line(member.name));
      return;
    }
    const std::string_view folder =
        std::string_view(member.name).substr(0, member.name.rfind('/') + 1);
    if (folder != folder_) {
      folder_ = folder;
      system_ = in_system_folder(folder);
    }
    if (system_) {
      if (name && key_.rank(lower(name->suffix)) != ImageKey::kNone)
        out_.system.add(one_line(member.name));
      return;
    }
    if (!name) return add_nameless(member);
    if (member.kind == TarMember::Kind::kLink)
      return out_.links.add(one_line(member.name));
    if (name->key != sample_) {
      finish();
      sample_ = name->key;
      first_ = member.name;
    }
    std::string suffix = lower(name->suffix);
    const int rank = key_.rank(suffix);
    const bool label = suffix == "cls";
    if (!suffixes_.insert(std::move(suffix)).second)
      return out_.repeated.add(one_line(member.name));
    if (member.kind == TarMember::Kind::kSparse)
      return out_.sparse.add(one_line(member.name));
    if (label) label_ = read_label(member);
    if (rank != ImageKey::kNone) add_image(member, rank);
  }

  void finish() {
    if (suffixes_.empty()) return;
    keys_.push_back(hash(sample_));
    if (best_ && is_unread(rank_)) {
      out_.unread.add(one_line(best_->name));
    } else if (best_) {
      add_row(*best_);
      if (images_ > 1)
        out_.others.add(fmt::format("{} before {}", one_line(best_->name),
                                    one_line(other_)), images_ - 1);
    } else if (out_.table.labels.size() == row_) {
      out_.no_image.add(one_line(first_));
    }
    set_labels();
    suffixes_.clear();
    other_.clear();
    best_.reset();
    label_ = {};
    images_ = 0;
    row_ = out_.table.labels.size();
  }

  // Names the samples whose key was there before.
  void find_apart() {
    std::ranges::sort(keys_);
    std::vector<std::size_t> twice;
    for (std::size_t i = 1; i < keys_.size(); ++i)
      if (keys_[i] == keys_[i - 1]) twice.push_back(keys_[i]);
    for (std::size_t i = 0; !twice.empty() && i < out_.table.names.size(); ++i) {
      if (out_.apart.names.size() == Tally::kNames) break;
      const std::string_view name = out_.table.names[i];
      const auto at = std::ranges::lower_bound(
          twice, hash(split_name(name, key_.all())->key));
      if (at == twice.end() || *at != hash(split_name(name, key_.all())->key))
        continue;
      out_.apart.add(one_line(name));
      twice.erase(at);
      ++found_;
    }
    out_.apart.count = static_cast<std::int64_t>(twice.size()) + found_;
  }

 private:
  static std::size_t hash(std::string_view key) {
    return std::hash<std::string_view>()(key);
  }

  // Hidden files, as macOS's "._1.jpg", are no images, whatever they hold.
  void add_nameless(const TarMember& member) {
    const std::string_view name = member.name;
    if (name.substr(name.rfind('/') + 1).starts_with('.') ||
        member.kind != TarMember::Kind::kFile)
      return;
    std::array<std::uint8_t, kSniffBytes> front;
    const auto n = std::min<std::uint64_t>(member.bytes, front.size());
    file_.read(member.offset, std::as_writable_bytes(std::span(front)).first(n));
    if (is_read(picture_format(std::span(front).first(n))))
      out_.nameless.add(one_line(name));
  }

  void add_image(const TarMember& member, int rank) {
    const bool unread = is_unread(rank);
    if (key_.all()) {
      if (unread) out_.unread.add(one_line(member.name));
      else add_row(member);
      return;
    }
    const bool better = !best_ || rank < rank_;
    images_ += key_.by_rule() && !unread;
    const bool loses = better ? best_ && !is_unread(rank_) : !unread;
    if (loses && other_.empty()) other_ = better ? best_->name : member.name;
    if (better) {
      best_ = member;
      rank_ = rank;
    }
  }
  static bool is_unread(int rank) {
    return rank >= ImageKey::kUnread && rank < ImageKey::kOthers;
  }

  void add_row(const TarMember& member) {
    out_.table.names.add(member.name);
    out_.table.labels.push_back(-1);
    out_.table.offset.push_back(member.offset);
    out_.table.bytes.push_back(member.bytes);
  }

  void set_labels() {
    const auto rows = out_.table.labels.size() - row_;
    int label = label_.number;
    if (!label_.name.empty() && rows > 0) {
      const auto [at, is_new] = ids_.try_emplace(
          label_.name, static_cast<int>(out_.named.size()));
      if (is_new) out_.named.push_back(label_.name);
      label = -2 - at->second;
    }
    if (label >= 0) out_.numbered += static_cast<std::int64_t>(rows);
    for (std::size_t i = row_; i < out_.table.labels.size(); ++i)
      out_.table.labels[i] = label;
  }

  Label read_label(const TarMember& member) {
    std::array<char, 128> text{};
    const auto n = std::min<std::uint64_t>(member.bytes, text.size());
    file_.read(member.offset, std::as_writable_bytes(std::span(text)).first(n));
    Label label = parse_label({text.data(), n});
    label.bad |= n < member.bytes;
    if (!label.bad) return label;
    out_.bad_label.add(fmt::format("{} holds {}", one_line(member.name),
                                   in_quotes({text.data(), n})));
    return {};
  }

  const FileReader& file_;
  std::string folder_;   // of the last member
  bool system_ = false;  // and whether an operating system made it
  const ImageKey& key_;
  ShardSamples& out_;
  // Of the sample that the last member belongs to.
  std::string sample_, first_, other_;
  std::set<std::string> suffixes_;
  std::optional<TarMember> best_;
  int rank_ = 0;
  std::int64_t images_ = 0;
  Label label_;
  std::size_t row_ = 0;  // its first
  // Of the shard.
  std::vector<std::size_t> keys_;
  std::map<std::string, int, std::less<>> ids_;
  std::int64_t found_ = 0;
};

}  // namespace

ImageKey::ImageKey(std::string_view text) : all_(text == "all") {
  while (!all_ && !text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    std::string_view suffix = text.substr(0, end);
    if (suffix.starts_with('.')) suffix.remove_prefix(1);
    if (!suffix.empty()) suffixes_.push_back(lower(suffix));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

int ImageKey::rank(std::string_view suffix) const {
  if (!suffixes_.empty()) return position(suffixes_, suffix);
  if (const int at = position(kRead, suffix); at >= 0) return at;
  const PictureFormat format = format_of_extension(suffix);
  if (format != PictureFormat::kUnknown && !is_read(format)) return kUnread;
  const int at = position(kRead, suffix.substr(suffix.rfind('.') + 1));
  return at >= 0 ? kOthers + at : kNone;
}

ShardSamples scan_shard(const std::string& path, const ImageKey& key) {
  const FileReader file(path);
  ShardSamples out;
  Builder builder(file, key, out);
  const TarEnd end =
      scan_tar(file, [&](const TarMember& member) { builder.add(member); });
  builder.finish();
  builder.find_apart();
  out.marked = end.marked;
  out.rest = end.rest;
  return out;
}

}  // namespace music::data
