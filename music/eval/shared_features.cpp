#include "music/eval/shared_features.h"

#include <numeric>

namespace music {
namespace {

template <typename T>
std::vector<T> gather_values(const std::vector<T>& mine,
                             const std::vector<std::int64_t>& counts,
                             dist::Communicator& communicator) {
  const auto tensor = [](const std::vector<T>& v) {
    return Tensor{const_cast<T*>(v.data()),
                  {static_cast<std::int64_t>(v.size())},
                  DTypeOf<T>::value};
  };
  std::vector<T> all(static_cast<std::size_t>(
      std::accumulate(counts.begin(), counts.end(), std::int64_t{0})));
  communicator.run(
      dist::Collective::all_gather(tensor(mine), tensor(all), counts));
  return all;
}

}  // namespace

Features gather(const Features& mine, dist::Communicator& communicator) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<std::int64_t> rows(ranks), numbers(ranks);
  communicator.exchange(std::span(&mine.count, 1), rows);
  Features f;
  f.width = mine.width;
  for (std::size_t r = 0; r < ranks; ++r) {
    numbers[r] = rows[r] * f.width;
    f.count += rows[r];
  }
  f.left_out = gather(mine.left_out, communicator);
  data::check_bad(f.left_out.count, f.count + f.left_out.count,
                  data::EvalLoaderSpec{}.bad_share);
  f.values = gather_values(mine.values, numbers, communicator);
  f.labels = gather_values(mine.labels, rows, communicator);
  return f;
}

}  // namespace music
