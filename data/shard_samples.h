#pragma once
// The samples of one WebDataset shard: which files are one sample, which of them
// is its image, what its label is. docs/data-formats.md states the rule.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample_table.h"
#include "data/tally.h"

namespace music::data {

// Chooses the image among the files of a sample, by what follows the key in their
// names.
class ImageKey {
 public:
  // "": .jpg, .jpeg, .png or .webp, as the rule says. "all": every image is a
  // sample of its own. Otherwise suffixes, the first that is there:
  // "rgb.jpg;rgb.png".
  explicit ImageKey(std::string_view text = "");

  bool all() const { return all_; }
  bool by_rule() const { return suffixes_.empty() && !all_; }
  // The files that may be it, best first from 0; kNone for others. kUnread and
  // after it, before kOthers: an image of a format that is not read.
  int rank(std::string_view suffix) const;
  static constexpr int kNone = -1, kUnread = 100, kOthers = 200;

 private:
  bool all_ = false;
  std::vector<std::string> suffixes_;
};

struct ShardSamples {
  // Of labels: a class number, -1: none, -2 - i: the name named[i].
  SampleTable table;
  std::vector<std::string> named;
  std::int64_t numbered = 0;  // images whose label is a number

  Tally no_image;   // samples without one
  Tally unread;     // samples whose image is of a format that is not read
  Tally others;     // images that are not used, as their sample has another
  Tally nameless;   // images whose names have no extension
  Tally repeated;   // files whose sample has one of that name already
  Tally apart;      // samples whose key the shard has before, but not adjacent
  Tally links, sparse;
  Tally meta;       // images in the format's own folders, "__x__"
  Tally system;     // images in folders of operating systems: @eaDir, __MACOSX
  Tally bad_label;  // .cls that hold neither a number nor a name
  bool marked = true;      // the archive has its end mark
  std::uint64_t rest = 0;  // bytes after it
};

// Throws Error kData as scan_tar.
ShardSamples scan_shard(const std::string& path, const ImageKey& key);

}  // namespace music::data
