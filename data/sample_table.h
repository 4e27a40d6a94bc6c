#pragma once
// What a data set of files or of shards knows about its images without opening
// them: a few dozen bytes an image, so that ImageNet's table is small.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace music::data {

// Strings end to end in one block.
class StringList {
 public:
  StringList() = default;
  // Throws Error kData unless ends ascend and the last is text's length.
  StringList(std::string text, std::vector<std::uint64_t> ends);

  void add(std::string_view text) {
    text_.append(text);
    ends_.push_back(text_.size());
  }
  void add(const StringList& other);
  void resize(std::size_t n);  // keeps the first n
  std::size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  const std::string& text() const { return text_; }
  const std::vector<std::uint64_t>& ends() const { return ends_; }

 private:
  std::string text_;
  std::vector<std::uint64_t> ends_;
};

struct SampleTable {
  StringList names;         // paths below a root, or names within a shard
  std::vector<int> labels;  // -1: none
  std::vector<std::string> classes;
  // What was left out of the table and why, a line each, for its reader to be told;
  // the second for one who uses the labels.
  std::vector<std::string> notes, label_notes;

  // Of shards only; otherwise empty.
  std::vector<std::string> shards;    // paths
  std::vector<std::uint32_t> shard;   // of each image
  std::vector<std::uint64_t> offset, bytes;

  std::int64_t size() const { return static_cast<std::int64_t>(names.size()); }
};

// Every image has a label, -1 or of a class that is there, and of shards, whose
// classes are named later, a place in one of them.
bool consistent(const SampleTable& table);

// Throws Error kData when the table has more than 2^32 - 1 images; path is
// what they came from.
void check_size(const SampleTable& table, const std::string& path);

}  // namespace music::data
