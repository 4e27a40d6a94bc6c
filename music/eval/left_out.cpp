#include "music/eval/left_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <utility>

#include "dist/text.h"
#include "engine/core/text.h"

namespace music {
namespace {

// A sample is three lines: number, name, reason.
std::string to_lines(const std::vector<data::BadSample>& samples) {
  std::string lines;
  for (const data::BadSample& bad : samples)
    lines += fmt::format("{}\n{}\n{}\n", bad.sample, one_line(bad.name),
                         one_line(bad.reason));
  return lines;
}

void append(std::vector<data::BadSample>& samples, const std::string& lines) {
  std::istringstream in(lines);
  std::string number, name, reason;
  while (std::getline(in, number) && std::getline(in, name) &&
         std::getline(in, reason))
    samples.push_back({0, std::stoll(number), name, reason});
}

}  // namespace

LeftOut::LeftOut(std::vector<data::BadSample> all)
    : count(std::ssize(all)), first(std::move(all)) {
  std::ranges::sort(first, {}, &data::BadSample::sample);
  first.resize(std::min(first.size(), kNamed));
}

LeftOut gather(const LeftOut& mine, dist::Communicator& communicator) {
  if (communicator.size() == 1) return mine;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(communicator.size()));
  communicator.exchange(std::span(&mine.count, 1), counts);
  std::vector<data::BadSample> first;
  for (const auto& lines :
       dist::all_gather_text(communicator, to_lines(mine.first)))
    append(first, lines);
  LeftOut all(std::move(first));
  all.count = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  return all;
}

std::string describe(const LeftOut& left_out, std::int64_t images,
                     const std::string& which) {
  if (left_out.count == 0) return "";
  std::string names;
  for (const data::BadSample& bad : left_out.first)
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", bad.name, bad.reason);
  return fmt::format("{} of {} {} images cannot be read and {} left out: {}{}",
                     left_out.count, images, which,
                     left_out.count == 1 ? "is" : "are", names,
                     left_out.count > std::ssize(left_out.first) ? ", ..." : "");
}

}  // namespace music
