#include "dist/text.h"

#include <fmt/ranges.h>

namespace music::dist {
namespace {

Tensor bytes(const std::string& text) {
  return {const_cast<char*>(text.data()),
          Shape{static_cast<std::int64_t>(text.size())}, DType::kU8};
}

}  // namespace

std::vector<std::string> all_gather_text(Communicator& communicator,
                                         const std::string& mine) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<std::int64_t> sizes(ranks);
  const std::vector<std::int64_t> one(ranks, 1);
  auto size = static_cast<std::int64_t>(mine.size());
  communicator.run(Collective::all_gather(
      {&size, Shape{1}, DType::kI64},
      {sizes.data(), Shape{communicator.size()}, DType::kI64}, one));
  std::size_t total = 0;
  for (const std::int64_t s : sizes) total += static_cast<std::size_t>(s);
  std::string all(total, '\0');
  communicator.run(Collective::all_gather(bytes(mine), bytes(all), sizes));
  std::vector<std::string> texts;
  std::size_t start = 0;
  for (const std::int64_t s : sizes) {
    texts.push_back(all.substr(start, static_cast<std::size_t>(s)));
    start += static_cast<std::size_t>(s);
  }
  return texts;
}

std::string broadcast_text(Communicator& communicator, const std::string& text,
                           int root) {
  auto size = static_cast<std::int64_t>(text.size());
  communicator.broadcast({&size, Shape{1}, DType::kI64}, root);
  std::string copy = text;
  copy.resize(static_cast<std::size_t>(size));
  communicator.broadcast(bytes(copy), root);
  return copy;
}

void require_agreement(
    Communicator& communicator,
    std::span<const std::pair<std::string, std::string>> values,
    ExitCode code) {
  for (const auto& [what, value] : values) {
    const auto all = all_gather_text(communicator, value);
    std::vector<std::string> others;
    for (std::size_t r = 1; r < all.size(); ++r)
      if (all[r] != all[0])
        others.push_back(fmt::format("rank {} has {}", r, all[r]));
    if (!others.empty())
      throw error(code,
                  "[dist] processes with different {}: rank 0 has {}, {}; "
                  "expected the same on all", what, all[0],
                  fmt::join(others, ", "));
  }
}

}  // namespace music::dist
