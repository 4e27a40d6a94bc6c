#include "tools/feature_files.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

namespace fs = std::filesystem;

constexpr std::array kNames{"features.npy", "codes.npy",    "codes_packed.npy",
                            "labels.npy",   "files.txt",    "images.npy",
                            "left_out.txt", "info.json"};

const fs::path& made(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw error(ExitCode::kUsage, "[features] cannot make {}: {}",
                folder.string(), failure.message());
  return folder;
}

void write_text(const fs::path& path, const std::string& text) {
  FileWriter file(path);
  file.write(text);
  file.commit();
}

// Copies a text file, piece by piece.
void append_text(const fs::path& path, FileWriter& to) {
  const FileReader from(path);
  std::vector<std::byte> piece(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < from.size();) {
    const std::span<std::byte> bytes(
        piece.data(), std::min<std::uint64_t>(piece.size(), from.size() - at));
    from.read(at, bytes);
    to.write(bytes);
    at += bytes.size();
  }
}

}  // namespace

FeatureFiles::FeatureFiles(const fs::path& folder, const FeatureFilesSpec& spec)
    : folder_(made(folder)), spec_(spec), names_(folder_ / "files.txt") {
  if (spec_.segments) {
    packing_.emplace(*spec_.segments);
    const std::int64_t count = spec_.segments->count();
    codes_ = code_width(*spec_.segments) == CodeWidth::kU8
                 ? &open<std::uint8_t>("codes.npy", {count})
                 : &open<std::uint16_t>("codes.npy", {count});
    // No bits, no packed file: every segment has one unit.
    if (packing_->bytes() > 0)
      packed_ = &open<std::uint8_t>("codes_packed.npy", {packing_->bytes()});
  } else {
    features_ = &open<float>("features.npy", {spec_.width});
  }
  labels_ = &open<std::int64_t>("labels.npy", {});
  if (spec_.pixels > 0)
    images_ = &open<std::uint8_t>("images.npy", {spec_.pixels, spec_.pixels, 3});
}

template <typename T>
NpyWriter& FeatureFiles::open(const char* name, std::vector<std::int64_t> row) {
  arrays_.push_back({name, std::make_unique<NpyWriter>(
                               folder_ / name, NpyWriter::type_of<T>(),
                               std::move(row))});
  return *arrays_.back().writer;
}

void FeatureFiles::add(const FeatureRows& rows, const data::Dataset& dataset) {
  const auto n = static_cast<std::size_t>(rows.n);
  std::string names;
  for (const std::int64_t s : rows.samples) {
    const std::string name = dataset.name(s);
    if (name.find('\n') != name.npos)
      throw error(ExitCode::kData,
                  "[features] the image {} has a line break in its name, which "
                  "files.txt cannot hold", in_quotes(name));
    names += name + '\n';
  }
  names_.write(names);
  const std::vector<std::int64_t> labels(rows.labels.begin(), rows.labels.end());
  labels_->write<std::int64_t>(labels);
  if (features_)
    features_->write<float>({rows.values, n * static_cast<std::size_t>(rows.width)});
  if (codes_) {
    const auto count = static_cast<std::size_t>(spec_.segments->count());
    std::vector<std::uint16_t> codes(count);
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(packing_->bytes()));
    const bool narrow = code_width(*spec_.segments) == CodeWidth::kU8;
    for (std::int64_t i = 0; i < rows.n; ++i) {
      segment_codes(rows.values + i * rows.width, *spec_.segments, codes.data());
      if (narrow)
        codes_->write<std::uint8_t>(
            std::vector<std::uint8_t>(codes.begin(), codes.end()));
      else
        codes_->write<std::uint16_t>(codes);
      if (packed_) {
        packing_->pack(codes, packed.data());
        packed_->write<std::uint8_t>(packed);
      }
    }
  }
  if (images_)
    images_->write<std::uint8_t>(
        {rows.pixels, n * static_cast<std::size_t>(spec_.pixels * spec_.pixels * 3)});
  rows_ += rows.n;
}

void FeatureFiles::leave_out(const data::BadSample& image) {
  std::string line = image.name + "\t" + image.reason;
  std::ranges::replace(line, '\n', ' ');
  left_out_ += line + '\n';
}

void FeatureFiles::append(const fs::path& part) {
  for (const Array& a : arrays_) a.writer->append(part / a.name);
  append_text(part / "files.txt", names_);
  if (fs::exists(part / "left_out.txt")) {
    std::ifstream file(part / "left_out.txt");
    left_out_.append(std::istreambuf_iterator<char>(file), {});
  }
  rows_ = -1;  // known when the arrays are
  fs::remove_all(part);
}

std::int64_t FeatureFiles::commit(const std::string& info) {
  std::vector<std::string> written{"files.txt", "info.json"};
  std::int64_t rows = rows_;
  for (const Array& a : arrays_) {
    const std::int64_t n = a.writer->commit();
    if (rows < 0) rows = n;
    MUSIC_CHECK(n == rows, "[features] {} has {} rows of {}", a.name, n, rows);
    written.push_back(a.name);
  }
  names_.commit();
  if (!left_out_.empty()) {
    write_text(folder_ / "left_out.txt", left_out_);
    written.push_back("left_out.txt");
  }
  write_text(folder_ / "info.json", info);
  for (const char* name : kNames)
    if (std::ranges::find(written, name) == written.end())
      fs::remove(folder_ / name);
  return rows;
}

}  // namespace music
