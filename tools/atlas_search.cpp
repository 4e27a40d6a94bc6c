#include "tools/atlas_search.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>

#include "engine/core/counted.h"
#include "engine/core/text.h"
#include "engine/io/npy.h"
#include "music/codes/code_index.h"
#include "music/codes/soft_index.h"
#include "music/config/config_keys.h"
#include "tools/score_record.h"

namespace music {
namespace fs = std::filesystem;
namespace {

struct Atlas {
  fs::path path;
  Json info;
  Segments segments;
  std::vector<std::string> names;

  std::int64_t images() const { return std::ssize(names); }
};

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  throw error(ExitCode::kData, "[atlas] {} {}: expected what music_atlas writes",
              file.string(), what);
}

Atlas open_atlas(const fs::path& path) {
  const fs::path file = path / "info.json";
  if (!fs::exists(file) || !fs::exists(path / "units.json"))
    throw error(ExitCode::kData, "[atlas] {} is no atlas: expected a folder that "
                "music_atlas wrote", path.string());
  Atlas atlas{path, {}, Segments::equal(2, 2), {}};
  std::vector<std::int64_t> sizes;
  std::int64_t images = 0;
  try {
    atlas.info = Json::parse(std::ifstream(file));
    atlas.info.at("segments").get_to(sizes);
    atlas.info.at("images").get_to(images);
    atlas.segments = Segments::uneven(sizes);
  } catch (const std::exception& e) {
    damaged(file, fmt::format("cannot be read ({})", one_line(e.what())));
  }
  std::ifstream names(path / "files.txt");
  for (std::string line; std::getline(names, line);)
    atlas.names.push_back(std::move(line));
  if (atlas.images() != images)
    damaged(path / "files.txt",
            fmt::format("has {} names of {} images", atlas.images(), images));
  return atlas;
}

// Rows of whole numbers, u8 or u16 as the segments are wide.
class WholeRows {
 public:
  WholeRows(const Atlas& atlas, const char* name, std::int64_t width)
      : file_(atlas.path / name), bytes_(code_width(atlas.segments) == CodeWidth::kU8 ? 1 : 2),
        width_(width) {
    // u16, which NpyReader does not take, may stand here: the header's length is
    // enough to know that the file is whole.
    std::uint8_t front[10] = {};
    if (file_.size() >= sizeof front)
      file_.read(0, std::as_writable_bytes(std::span(front)));
    begin_ = sizeof front + front[8] + 256u * front[9];
    if (front[0] != 0x93 || front[1] != 'N' ||
        file_.size() != begin_ + static_cast<std::uint64_t>(atlas.images() * width * bytes_))
      damaged(file_.path(), fmt::format("is not {} rows of {}", atlas.images(), width));
  }
  void read(std::int64_t row, std::vector<std::uint16_t>& out) {
    if (row < first_ || row >= first_ + kRows) load(row / kRows * kRows);
    out.resize(static_cast<std::size_t>(width_));
    for (std::int64_t i = 0; i < width_; ++i) {
      const auto at = static_cast<std::size_t>(((row - first_) * width_ + i) * bytes_);
      unsigned value = buffer_[at];
      if (bytes_ == 2) value |= static_cast<unsigned>(buffer_[at + 1]) << 8;
      out[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(value);
    }
  }

 private:
  static constexpr std::int64_t kRows = 4096;
  void load(std::int64_t first) {
    first_ = first;
    const std::uint64_t row = static_cast<std::uint64_t>(width_ * bytes_);
    const std::uint64_t at = begin_ + static_cast<std::uint64_t>(first) * row;
    buffer_.resize(std::min(kRows * row, file_.size() - at));
    file_.read(at, std::as_writable_bytes(std::span(buffer_)));
  }

  FileReader file_;
  std::int64_t bytes_, width_, first_ = -kRows;
  std::uint64_t begin_ = 0;
  std::vector<std::uint8_t> buffer_;
};

std::int64_t image_of(const Atlas& atlas, const std::string& like) {
  std::int64_t number = -1;
  const auto [end, failure] =
      std::from_chars(like.data(), like.data() + like.size(), number);
  if (failure == std::errc() && end == like.data() + like.size()) {
    if (number < 0 || number >= atlas.images())
      throw error(ExitCode::kUsage, "[atlas] --like {}, expected an image from 0 to {}",
                  like, atlas.images() - 1);
    return number;
  }
  std::vector<std::int64_t> ends;
  for (std::int64_t i = 0; i < atlas.images(); ++i) {
    const std::string& name = atlas.names[static_cast<std::size_t>(i)];
    if (name == like) return i;
    if (name.ends_with("/" + like)) ends.push_back(i);
  }
  if (ends.size() == 1) return ends[0];
  if (ends.size() > 1)
    throw error(ExitCode::kUsage, "[atlas] --like {} is the end of {} names, as {} and "
                "{}: expected one of them", in_quotes(like), ends.size(),
                in_quotes(atlas.names[static_cast<std::size_t>(ends[0])]),
                in_quotes(atlas.names[static_cast<std::size_t>(ends[1])]));
  // Of many names, those that are compared letter by letter are the likely ones.
  std::vector<std::string> near;
  const std::string file = fs::path(like).filename().string();
  for (const std::string& name : atlas.names) {
    const std::string other = fs::path(name).filename().string();
    if (std::abs(std::ssize(other) - std::ssize(file)) <= 2) near.push_back(other);
    if (near.size() == 20000) break;
  }
  throw error(ExitCode::kUsage, "[atlas] --like {}: no such image in {}{}",
              in_quotes(like), atlas.path.string(), one_line(suggestion(file, near, "")));
}

std::vector<SegmentUnit> units_of(const std::vector<std::string>& words) {
  std::vector<SegmentUnit> units;
  for (const std::string& word : words) {
    SegmentUnit u;
    const char *begin = word.data(), *end = begin + word.size();
    const auto segment = std::from_chars(begin, end, u.segment);
    if (segment.ec != std::errc() || segment.ptr == end || *segment.ptr != ':' ||
        std::from_chars(segment.ptr + 1, end, u.unit).ptr != end ||
        segment.ptr + 1 == end)
      throw error(ExitCode::kUsage, "[atlas] unit {}, expected SEGMENT:UNIT as 3:17",
                  in_quotes(word));
    units.push_back(u);
  }
  return units;
}

void check_segments(const Atlas& atlas, const std::vector<int>& segments,
                    const char* flag) {
  for (const int s : segments)
    if (s < 0 || s >= atlas.segments.count())
      throw error(ExitCode::kUsage, "[atlas] {} {}, expected segments from 0 to {}", flag,
                  s, atlas.segments.count() - 1);
}

CodeIndex read_codes(const Atlas& atlas) {
  CodeIndex codes(atlas.segments, atlas.images());
  WholeRows rows(atlas, "codes.npy", atlas.segments.count());
  std::vector<std::uint16_t> code;
  for (std::int64_t i = 0; i < atlas.images(); ++i) {
    rows.read(i, code);
    codes.add(code);
  }
  return codes;
}

SoftIndex read_soft_codes(const Atlas& atlas) {
  SoftIndex soft(atlas.segments, atlas.images());
  const std::int64_t width = atlas.segments.count() * SoftIndex::kKept;
  WholeRows rows(atlas, "soft_units.npy", width);
  const NpyReader weights(atlas.path / "soft_weights.npy");
  SoftCode code;
  for (std::int64_t i = 0; i < atlas.images(); ++i) {
    rows.read(i, code.units);
    code.weights.resize(static_cast<std::size_t>(width));
    weights.read(i * width, std::as_writable_bytes(std::span(code.weights)));
    soft.add(code);
  }
  return soft;
}

}  // namespace

void AtlasQuestion::add_to(CLI::App& app, const std::string& with) {
  const auto need = [&](CLI::Option* option) { option->needs(app.get_option(with)); return option; };
  need(app.add_option("--like", like, "an image: its number or name in files.txt"));
  need(app.add_option("--same", same, "segments whose unit is that of --like"))->delimiter(',');
  need(app.add_option("--different", different, "segments whose unit is another"))->delimiter(',');
  need(app.add_option("--unit", units, "SEGMENT:UNIT that the code has"))->delimiter(',');
  need(app.add_option("--no-unit", other_units, "SEGMENT:UNIT that the code has not"))->delimiter(',');
  need(app.add_option("--among", among,
                      "segments to rank by (default: all without a condition)"))->delimiter(',');
  need(app.add_option("--by", by, "code: segments that agree (default); soft: segments "
                      "expected to agree when units are drawn from q"))
      ->check(CLI::IsMember({"code", "soft"}));
  need(app.add_option("--top", top, "images to list"))
      ->check(CLI::Range(1, 1000000))->capture_default_str();
}

void search_atlas(const fs::path& path, const AtlasQuestion& q, bool json) {
  const Atlas atlas = open_atlas(path);
  if (q.like.empty() && (!q.same.empty() || !q.different.empty() || !q.among.empty() ||
                         q.by == "soft"))
    throw error(ExitCode::kUsage, "[atlas] --same, --different, --among and --by soft "
                "compare with an image: expected --like");
  if (q.like.empty() && q.units.empty() && q.other_units.empty())
    throw error(ExitCode::kUsage,
                "[atlas] --search without a question: expected --like or --unit");
  check_segments(atlas, q.same, "--same");
  check_segments(atlas, q.different, "--different");
  check_segments(atlas, q.among, "--among");
  CodeQuery query{units_of(q.units), units_of(q.other_units), {}, q.among, -1};
  const std::int64_t like = q.like.empty() ? -1 : image_of(atlas, q.like);
  const bool conditions = !q.units.empty() || !q.other_units.empty() ||
                          !q.same.empty() || !q.different.empty();
  if (q.by == "soft" && (conditions || !q.among.empty()))
    throw error(ExitCode::kUsage, "[atlas] --by soft takes all segments and no "
                "condition: expected --by code with those");
  if (const std::string data = atlas.info.value("/data/path"_json_pointer, "");
      !data.empty() && !fs::exists(data))
    spdlog::warn("[atlas] the images were in {}, which is not there any more: names are "
                 "those of then", data);

  std::vector<CodeMatch> found;
  double scale = 1;
  std::int64_t most = atlas.segments.count();
  std::vector<std::uint16_t> code;
  if (q.by == "soft") {
    const SoftIndex soft = read_soft_codes(atlas);
    found = soft.find(soft.code(like), q.top, like);
    scale = SoftIndex::kScale;
  } else {
    const CodeIndex codes = read_codes(atlas);
    query.except = like;
    query.code.assign(static_cast<std::size_t>(atlas.segments.count()), 0);
    if (like >= 0) query.code = code = codes.code(like);
    for (const int s : q.same) query.same.push_back({s, code[static_cast<std::size_t>(s)]});
    for (const int s : q.different)
      query.different.push_back({s, code[static_cast<std::size_t>(s)]});
    if (query.ranked.empty() && like >= 0)
      for (int s = 0; s < atlas.segments.count(); ++s) {
        const auto asked = [s](const SegmentUnit& u) { return u.segment == s; };
        if (std::ranges::none_of(query.same, asked) &&
            std::ranges::none_of(query.different, asked))
          query.ranked.push_back(s);
      }
    found = codes.find(query, q.top);
    most = std::ssize(query.ranked);
  }
  Json matches = Json::array();
  for (const CodeMatch& m : found) {
    const std::string& name = atlas.names[static_cast<std::size_t>(m.image)];
    const double score = static_cast<double>(m.score) / scale;
    if (json) {
      matches.push_back({{"image", m.image}, {"name", name}});
      if (like >= 0 && q.by == "soft") matches.back()["expected_agreement"] = score;
      if (like >= 0 && q.by == "code") matches.back()["distance"] = most - m.score;
    } else if (like < 0) {
      fmt::print("{}\t{}\n", m.image, one_line(name));
    } else if (q.by == "soft") {
      fmt::print("{:.2f}\t{}\t{}\n", score, m.image, one_line(name));
    } else {
      fmt::print("{}\t{}\t{}\n", most - m.score, m.image, one_line(name));
    }
  }
  if (json) {
    Json out = {{"atlas", path.string()}, {"by", q.by}, {"segments_ranked", most},
                {"matches", matches}};
    if (like >= 0)
      out["like"] = {{"image", like}, {"name", atlas.names[static_cast<std::size_t>(like)]}};
    if (!code.empty()) out["like"]["code"] = code;
    fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
  } else if (found.empty()) {
    fmt::print("no image satisfies this\n");
  }
}

}  // namespace music
