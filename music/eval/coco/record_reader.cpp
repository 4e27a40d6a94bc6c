#include "music/eval/coco/record_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <istream>
#include <nlohmann/json.hpp>
#include <streambuf>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::coco {
namespace {

constexpr std::array<std::string_view, 11> kKeys{
    "id", "image_id", "category_id", "width", "height", "iscrowd", "area",
    "score", "bbox", "segmentation", "name"};
constexpr std::array<std::string_view, 3> kLists{"images", "categories",
                                                 "annotations"};

// A file in pieces, hashed as it passes.
class FileBuffer final : public std::streambuf {
 public:
  explicit FileBuffer(const std::filesystem::path& path)
      : file_(path), bytes_(1 << 18) {}
  FileDigest digest() const { return hash_.digest(); }

 private:
  int_type underflow() override {
    const std::size_t n = std::min<std::uint64_t>(bytes_.size(),
                                                  file_.size() - offset_);
    if (n == 0) return traits_type::eof();
    const std::span piece(bytes_.data(), n);
    file_.read(offset_, std::as_writable_bytes(piece));
    hash_.update(std::as_bytes(piece));
    offset_ += n;
    setg(bytes_.data(), bytes_.data(), bytes_.data() + n);
    return traits_type::to_int_type(bytes_[0]);
  }

  FileReader file_;
  std::vector<char> bytes_;
  std::uint64_t offset_ = 0;
  Xxh3 hash_;
};

// What the parser calls, token by token.
class Handler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Callback = std::function<void(List, Record&)>;

  Handler(std::string file, bool results, bool masks, const Callback& callback)
      : file_(std::move(file)), results_(results), masks_(masks),
        callback_(callback) {}

  bool seen(List list) const {
    return seen_[static_cast<std::size_t>(list)];
  }

  bool null() override {
    if (skip_ > 0 || unknown()) return true;
    // As if the key were not there.
    if (at_ == At::kRecord) record_.present &= ~bit(key_);
    else unexpected("null");
    return true;
  }
  bool boolean(bool v) override {
    if (skip_ > 0 || unknown()) return true;
    if (at_ != At::kRecord || key_ != Key::kCrowd) unexpected("true or false");
    return set(v ? 1 : 0, v ? 1 : 0, true);
  }
  bool number_integer(number_integer_t v) override {
    return set(static_cast<double>(v), v, true);
  }
  bool number_unsigned(number_unsigned_t v) override {
    const bool fits = v <= static_cast<number_unsigned_t>(INT64_MAX);
    return set(static_cast<double>(v),
               fits ? static_cast<std::int64_t>(v) : 0, fits);
  }
  bool number_float(number_float_t v, const string_t&) override {
    // 5.0 is an id for Python, too.
    const bool whole = std::abs(v) < 9e15 && v == std::floor(v);
    return set(v, whole ? static_cast<std::int64_t>(v) : 0, whole);
  }
  bool string(string_t& v) override {
    if (skip_ > 0 || unknown()) return true;
    if (at_ == At::kRecord && key_ == Key::kName) {
      record_.name = std::move(v);
      record_.present |= bit(key_);
    } else if (at_ == At::kMask && mask_key_ == MaskKey::kCounts) {
      record_.segmentation.text = std::move(v);
      record_.segmentation.form = Segmentation::Form::kText;
    } else {
      unexpected("a string");
    }
    return true;
  }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override {
    if (skip_ > 0 || unknown()) return ++skip_, true;
    if (at_ == At::kTop && !results_) {
      at_ = At::kRoot;
    } else if (at_ == At::kList) {
      at_ = At::kRecord;
      clear();
    } else if (at_ == At::kRecord && key_ == Key::kSegmentation) {
      at_ = At::kMask;
      record_.segmentation = {};
      record_.present |= bit(key_);
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (skip_ > 0 || unknown()) return ++skip_, true;
    if ((at_ == At::kTop && results_) || at_ == At::kRoot) {
      at_ = At::kList;
      if (results_) list_ = List::kResults;
      if (std::exchange(seen_[static_cast<std::size_t>(list_)], true))
        fail_file("\"{}\" comes twice", kLists[static_cast<std::size_t>(list_)]);
      record_.index = 0;
    } else if (at_ == At::kRecord && key_ == Key::kBox) {
      at_ = At::kBox;
      record_.box.clear();
      record_.present |= bit(key_);
    } else if (at_ == At::kRecord && key_ == Key::kSegmentation) {
      at_ = At::kPolygons;
      record_.segmentation = {};
      record_.present |= bit(key_);
    } else if (at_ == At::kPolygons) {
      at_ = At::kPolygon;
    } else if (at_ == At::kMask) {
      at_ = mask_key_ == MaskKey::kSize ? At::kMaskSize : At::kMaskCounts;
      numbers().clear();
    } else {
      unexpected("a list");
    }
    return true;
  }
  bool key(string_t& k) override {
    if (skip_ > 0) return true;
    const auto find = [&](const auto& names) {
      return static_cast<std::size_t>(
          std::find(names.begin(), names.end(), k) - names.begin());
    };
    if (at_ == At::kRoot) {
      const std::size_t i = find(kLists);
      known_list_ = i < kLists.size();
      if (known_list_) list_ = static_cast<List>(i);
    } else if (at_ == At::kRecord) {
      key_ = static_cast<Key>(find(kKeys));
      if (key_ == Key::kSegmentation && !masks_) key_ = Key::kUnknown;
    } else {
      mask_key_ = k == "size"     ? MaskKey::kSize
                  : k == "counts" ? MaskKey::kCounts
                                  : MaskKey::kUnknown;
    }
    return true;
  }
  bool end_object() override {
    if (skip_ > 0) return --skip_, true;
    if (at_ == At::kMask) {
      end_mask();
      at_ = At::kRecord;
    } else if (at_ == At::kRecord) {
      at_ = At::kList;
      key_ = Key::kUnknown;
      callback_(list_, record_);
      ++record_.index;
    } else {
      at_ = At::kTop;
    }
    return true;
  }
  bool end_array() override {
    if (skip_ > 0) return --skip_, true;
    Segmentation& s = record_.segmentation;
    if (at_ == At::kBox) {
      if (record_.box.size() != 4)
        fail("\"bbox\" has {} numbers, expected 4", record_.box.size());
      at_ = At::kRecord;
    } else if (at_ == At::kPolygon) {
      s.ends.push_back(s.points.size());
      at_ = At::kPolygons;
    } else if (at_ == At::kPolygons) {
      // An empty list is no mask.
      if (s.ends.empty()) record_.present &= ~bit(Key::kSegmentation);
      else s.form = Segmentation::Form::kPolygons;
      at_ = At::kRecord;
    } else if (at_ == At::kMaskSize || at_ == At::kMaskCounts) {
      if (at_ == At::kMaskCounts) s.form = Segmentation::Form::kCounts;
      at_ = At::kMask;
    } else {
      at_ = results_ ? At::kTop : At::kRoot;
    }
    return true;
  }
  bool parse_error(std::size_t byte, const std::string& token,
                   const nlohmann::detail::exception& what) override {
    const bool inside = at_ != At::kTop && at_ != At::kRoot;
    const std::string where =
        inside ? place_of(list_, record_.index) + ": " : "";
    const std::string_view reason = what.what();
    if (reason.find("number overflow") != reason.npos)
      throw error(ExitCode::kData, "[coco] {}: {}{} at byte {} is not finite",
                  file_, where, in_quotes(token), byte);
    const bool number = token.ends_with('N') || token.ends_with('I');
    throw error(ExitCode::kData, "[coco] {}: {}not JSON at byte {}, near {}{}",
                file_, where, byte, in_quotes(token),
                number ? " (NaN and Infinity are no numbers there)" : "");
  }

 private:
  // What the values to come belong to.
  enum class At {
    kTop, kRoot, kList, kRecord, kBox, kPolygons, kPolygon, kMask, kMaskSize,
    kMaskCounts
  };
  enum class MaskKey { kSize, kCounts, kUnknown };

  static std::uint32_t bit(Key key) {
    return std::uint32_t{1} << static_cast<int>(key);
  }
  // Whether the next value belongs to a key nobody reads.
  bool unknown() const {
    return (at_ == At::kRecord && key_ == Key::kUnknown) ||
           (at_ == At::kMask && mask_key_ == MaskKey::kUnknown) ||
           (at_ == At::kRoot && !known_list_);
  }
  void clear() {
    record_.present = 0;
    record_.crowd = 0;
    record_.box.clear();
    record_.segmentation = {};
    record_.name.clear();
  }
  std::vector<double>& numbers() {
    Segmentation& s = record_.segmentation;
    return at_ == At::kBox         ? record_.box
           : at_ == At::kPolygon   ? s.points
           : at_ == At::kMaskSize  ? s.size
                                   : s.counts;
  }
  bool set(double v, std::int64_t whole, bool is_whole) {
    if (skip_ > 0 || unknown()) return true;
    if (at_ == At::kBox || at_ == At::kPolygon || at_ == At::kMaskSize ||
        at_ == At::kMaskCounts) {
      numbers().push_back(v);
      return true;
    }
    if (at_ != At::kRecord || key_ >= Key::kBox) unexpected("a number");
    record_.present |= bit(key_);
    if (key_ == Key::kArea || key_ == Key::kScore) {
      (key_ == Key::kArea ? record_.area : record_.score) = v;
      return true;
    }
    if (!is_whole)
      fail("\"{}\" is {}, expected an integer", name_of(key_), v);
    std::int64_t* const to[] = {&record_.id,     &record_.image_id,
                                &record_.category_id, &record_.width,
                                &record_.height, &record_.crowd};
    *to[static_cast<int>(key_)] = whole;
    return true;
  }
  void end_mask() {
    Segmentation& s = record_.segmentation;
    if (s.form == Segmentation::Form::kNone)
      fail("\"segmentation\" is an object without \"counts\"");
    if (s.size.size() != 2)
      fail("\"size\" of \"segmentation\" has {} numbers, expected 2: height and "
           "width", s.size.size());
  }

  template <typename... Args>
  [[noreturn]] void fail_file(fmt::format_string<Args...> format,
                              Args&&... args) const {
    throw error(ExitCode::kData, "[coco] {}: {}", file_,
                fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format,
                         Args&&... args) const {
    fail_file("{}: {}", place_of(list_, record_.index),
              fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void unexpected(std::string_view found) const {
    switch (at_) {
      case At::kTop:
        fail_file("begins with {}, expected {}", found,
                  results_ ? "a list of results"
                           : "an object with images, categories and "
                             "annotations");
      case At::kRoot:
        fail_file("\"{}\" is {}, expected a list",
                  kLists[static_cast<std::size_t>(list_)], found);
      case At::kList: fail("is {}, expected an object", found);
      case At::kRecord:
        fail("\"{}\" is {}, expected {}", name_of(key_), found,
             key_ == Key::kBox            ? "a list of 4 numbers"
             : key_ == Key::kSegmentation ? "polygons or run lengths"
             : key_ == Key::kName         ? "a string"
                                          : "a number");
      case At::kBox: fail("\"bbox\" holds {}, expected numbers", found);
      default: fail("\"segmentation\" holds {}, expected polygons (lists of "
                    "numbers) or run lengths (size and counts)", found);
    }
  }

  std::string file_;
  bool results_, masks_;
  const Callback& callback_;
  At at_ = At::kTop;
  Key key_ = Key::kUnknown;
  MaskKey mask_key_ = MaskKey::kUnknown;
  List list_ = List::kImages;
  bool known_list_ = false;
  std::array<bool, 4> seen_{};
  int skip_ = 0;  // depth below a value that is passed over
  Record record_;
};

FileDigest parse(const std::filesystem::path& path, Handler& handler) {
  FileBuffer buffer(path);
  std::istream in(&buffer);
  nlohmann::json::sax_parse(in, &handler);
  return buffer.digest();
}

}  // namespace

std::string place_of(List list, std::size_t index) {
  return list == List::kResults
             ? fmt::format("record {}", index)
             : fmt::format("{}[{}]", kLists[static_cast<std::size_t>(list)],
                           index);
}

std::string_view name_of(Key key) {
  return key == Key::kUnknown ? "?" : kKeys[static_cast<std::size_t>(key)];
}

FileDigest read_ground_truth(
    const std::filesystem::path& path, bool masks,
    const std::function<void(List, Record&)>& on_record) {
  Handler handler(path.string(), false, masks, on_record);
  const FileDigest digest = parse(path, handler);
  for (const List list : {List::kImages, List::kCategories, List::kAnnotations})
    if (!handler.seen(list))
      throw error(ExitCode::kData, "[coco] {}: no list \"{}\"", path.string(),
                  kLists[static_cast<std::size_t>(list)]);
  return digest;
}

FileDigest read_results(const std::filesystem::path& path,
                        const std::function<void(Record&)>& on_record) {
  const Handler::Callback callback = [&](List, Record& r) { on_record(r); };
  Handler handler(path.string(), true, true, callback);
  return parse(path, handler);
}

}  // namespace music::coco
