#include "music/eval/knn.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "engine/core/error.h"

namespace music {
namespace {

void check_labels(const LabelledRows& l, int classes, const char* which) {
  MUSIC_CHECK(static_cast<std::int64_t>(l.labels.size()) == l.rows.count,
              "[knn] {} labels of {} {} rows", l.labels.size(), l.rows.count,
              which);
  for (const int label : l.labels)
    if (label < 0 || label >= classes)
      throw error(ExitCode::kData,
                  "[knn] the {} images have a label {}, expected 0 to {}: "
                  "class sub-folders or a labelled list", which, label,
                  classes - 1);
}

// What a query's neighbours say for one k and T.
struct Verdict {
  int predicted = 0;
  bool first = false, among_five = false;
};

// Votes of one query's neighbours, nearest first; k ascending. A class's vote is
// kept as its logarithm, so that no temperature over- or underflows: beside the
// class's own nearest, whose similarity is kept too.
class Ballot {
 public:
  explicit Ballot(int classes)
      : classes_(static_cast<std::size_t>(classes)) {}

  // out[i] for ks[i].
  void count(std::span<const Neighbour> nearest, const std::vector<int>& labels,
             const std::vector<int>& ks, double temperature, int truth,
             Verdict* out) {
    for (const int c : candidates_) of(c) = {};
    candidates_.clear();
    std::size_t n = 0;
    for (std::size_t i = 0; i < ks.size(); ++i) {
      for (; n < static_cast<std::size_t>(ks[i]); ++n) {
        const int c = labels[static_cast<std::size_t>(nearest[n].row)];
        Votes& votes = of(c);
        if (votes.sum == 0) {
          candidates_.push_back(c);
          votes.nearest = nearest[n].similarity;
        }
        votes.sum += std::exp((nearest[n].similarity - votes.nearest) / temperature);
      }
      for (const int c : candidates_)
        of(c).log = (of(c).nearest - nearest[0].similarity) / temperature +
                    std::log(of(c).sum);
      out[i] = verdict(truth);
    }
  }

 private:
  struct Votes {
    double nearest = 0;  // similarity
    double sum = 0;      // of exp((similarity - nearest) / T); 0: no vote
    double log = 0;      // of the votes, but for what all classes have
  };

  Votes& of(int c) { return classes_[static_cast<std::size_t>(c)]; }
  const Votes& of(int c) const { return classes_[static_cast<std::size_t>(c)]; }
  bool before(int a, int b) const {
    const double x = of(a).log, y = of(b).log;
    return x != y ? x > y : a < b;
  }
  Verdict verdict(int truth) const {
    Verdict v{.predicted = candidates_.front()};
    int ahead = 0;
    for (const int c : candidates_) {
      if (before(c, v.predicted)) v.predicted = c;
      ahead += before(c, truth);
    }
    v.first = v.predicted == truth;
    v.among_five = of(truth).sum > 0 && ahead < 5;
    return v;
  }

  std::vector<Votes> classes_;
  std::vector<int> candidates_;  // classes with a vote
};

// The bank, shared out over processes.
struct Sharing {
  dist::Communicator& world;
  std::int64_t first = 0, count = 0;     // my rows, of all that may be neighbours
  std::vector<int> labels;               // of all ranks' rows
  std::vector<std::int64_t> row_counts;  // of each rank

  Sharing(dist::Communicator& w, const LabelledRows& bank, std::int64_t voters)
      : world(w), row_counts(static_cast<std::size_t>(w.size())) {
    const std::int64_t mine[] = {bank.rows.count, voters};
    std::vector<std::int64_t> all(2 * row_counts.size());
    world.exchange(mine, all);
    for (std::size_t r = 0; r < row_counts.size(); ++r) {
      row_counts[r] = all[2 * r];
      count += all[2 * r + 1];
      if (r < static_cast<std::size_t>(world.rank())) first += all[2 * r];
    }
    labels.resize(static_cast<std::size_t>(
        std::accumulate(row_counts.begin(), row_counts.end(), std::int64_t{0})));
    const auto tensor = [](const int* p, std::size_t n) {
      return Tensor{const_cast<int*>(p), {static_cast<std::int64_t>(n)},
                    DTypeOf<int>::value};
    };
    world.run(dist::Collective::all_gather(
        tensor(bank.labels.data(), bank.labels.size()),
        tensor(labels.data(), labels.size()), row_counts));
  }

  // Queries [begin(r), begin(r + 1)) of n are rank r's to judge.
  std::int64_t begin(int r, std::int64_t n) const { return n * r / world.size(); }
  std::int64_t mine(std::int64_t n) const {
    return begin(world.rank() + 1, n) - begin(world.rank(), n);
  }

  // nearest[n, k] of my rows become, for the queries that are mine to judge,
  // the k nearest of all rows.
  std::vector<Neighbour> merge(std::vector<Neighbour> nearest, std::int64_t n,
                               std::int64_t k) const {
    if (world.size() == 1) return nearest;
    constexpr std::int64_t kBytes = sizeof(Neighbour);
    std::vector<std::int64_t> send, receive;
    for (int r = 0; r < world.size(); ++r) {
      send.push_back((begin(r + 1, n) - begin(r, n)) * k * kBytes);
      receive.push_back(mine(n) * k * kBytes);
    }
    std::vector<Neighbour> lists(
        static_cast<std::size_t>(mine(n) * k * world.size()));
    const auto bytes = [](std::vector<Neighbour>& v) {
      return Tensor{v.data(), {static_cast<std::int64_t>(v.size()) * kBytes},
                    DType::kU8};
    };
    world.run(dist::Collective::all_to_all(bytes(nearest), send, bytes(lists),
                                           receive));
    std::vector<Neighbour> merged(static_cast<std::size_t>(mine(n) * k));
    std::vector<Neighbour> all;
    for (std::int64_t i = 0; i < mine(n); ++i) {
      all.clear();
      for (int r = 0; r < world.size(); ++r)
        for (std::int64_t j = 0; j < k; ++j) {
          const auto at = static_cast<std::size_t>((r * mine(n) + i) * k + j);
          if (lists[at].row >= 0) all.push_back(lists[at]);
        }
      std::partial_sort(all.begin(), all.begin() + k, all.end(),
                        [](const Neighbour& a, const Neighbour& b) {
                          return a.nearer(b);
                        });
      std::copy_n(all.begin(), k, merged.begin() + i * k);
    }
    return merged;
  }
};

// The k nearest of this process's rows under their numbers among all; row -1
// where it has fewer.
std::vector<Neighbour> find_mine(NeighbourSearch& search, const Rows& queries,
                                 std::int64_t k, std::int64_t first,
                                 const std::function<void(double)>& done) {
  const std::int64_t have = std::min(k, search.size());
  std::vector<Neighbour> found(static_cast<std::size_t>(queries.count * have));
  if (have > 0) search.find(queries, have, found, done);
  for (Neighbour& n : found) n.row += first;
  if (have == k) return found;
  std::vector<Neighbour> padded(static_cast<std::size_t>(queries.count * k));
  for (std::int64_t i = 0; i < queries.count; ++i)
    std::copy_n(found.begin() + i * have, have, padded.begin() + i * k);
  return padded;
}

}  // namespace

std::vector<KnnScore> knn(const LabelledRows& bank, const LabelledRows& test,
                          int classes, const KnnSpec& spec,
                          dist::Communicator* communicator) {
  check_labels(bank, classes, "training");
  check_labels(test, classes, "test");
  std::vector<int> ks = spec.k;
  std::sort(ks.begin(), ks.end());
  MUSIC_CHECK(bank.rows.width == test.rows.width && test.rows.count > 0 &&
                  !ks.empty() && ks.front() >= 1 && !spec.temperatures.empty(),
              "[knn] {} training rows of {}, {} test rows of {}, {} values of k",
              bank.rows.count, bank.rows.width, test.rows.count, test.rows.width,
              ks.size());
  std::unique_ptr<dist::Communicator> alone;
  if (!communicator) {
    alone = dist::make_local_communicator();
    communicator = alone.get();
  }
  NeighbourSearch search(bank.rows, "training", spec.chosen, spec.blocks);
  const Sharing shared(*communicator, bank, search.size());
  const std::int64_t k = ks.back();
  if (k > shared.count)
    throw error(ExitCode::kUsage,
                "[knn] k {} and a bank of {} images: expected k from 1 to {}", k,
                shared.count, shared.count);

  // [query][temperature][k]: the label, and which of the two were right.
  const std::size_t grid = ks.size() * spec.temperatures.size();
  const auto queries = static_cast<std::size_t>(test.rows.count);
  std::vector<std::int64_t> hits(2 * grid);
  std::vector<std::int64_t> labels(spec.predictions ? queries * grid : 0);
  for (std::int64_t from = 0; from < test.rows.count;
       from += spec.blocks.queries) {
    const std::int64_t n =
        std::min(spec.blocks.queries, test.rows.count - from);
    const Rows block{test.rows.row(from), n, test.rows.width};
    const auto done = [&](double share) {
      if (spec.done)
        spec.done((static_cast<double>(from) + static_cast<double>(n) * share) /
                  static_cast<double>(test.rows.count));
    };
    const std::vector<Neighbour> nearest =
        shared.merge(find_mine(search, block, k, shared.first, done), n, k);
    const std::int64_t judged = from + shared.begin(communicator->rank(), n);
    std::int64_t* const hit = hits.data();
#pragma omp parallel
    {
      Ballot ballot(classes);
      std::vector<Verdict> verdicts(ks.size());
#pragma omp for schedule(static) reduction(+ : hit[:2 * grid])
      for (std::int64_t i = 0; i < shared.mine(n); ++i)
        for (std::size_t t = 0; t < spec.temperatures.size(); ++t) {
          const auto query = static_cast<std::size_t>(judged + i);
          ballot.count({nearest.data() + i * k, static_cast<std::size_t>(k)},
                       shared.labels, ks, spec.temperatures[t],
                       test.labels[query], verdicts.data());
          for (std::size_t j = 0; j < ks.size(); ++j) {
            const std::size_t cell = t * ks.size() + j;
            hit[2 * cell] += verdicts[j].first;
            hit[2 * cell + 1] += verdicts[j].among_five;
            if (spec.predictions)
              labels[query * grid + cell] = verdicts[j].predicted;
          }
        }
    }
  }
  const auto sum = [&](std::vector<std::int64_t>& v) {
    communicator->all_reduce({v.data(), {static_cast<std::int64_t>(v.size())},
                              DType::kI64});
  };
  sum(hits);
  if (spec.predictions) sum(labels);

  std::vector<KnnScore> scores;
  for (const int asked : spec.k)
    for (std::size_t t = 0; t < spec.temperatures.size(); ++t) {
      const std::size_t cell =
          t * ks.size() +
          static_cast<std::size_t>(
              std::find(ks.begin(), ks.end(), asked) - ks.begin());
      const auto share = [&](std::int64_t right) {
        return 100 * static_cast<double>(right) /
               static_cast<double>(test.rows.count);
      };
      KnnScore score{asked, spec.temperatures[t], share(hits[2 * cell]),
                     share(hits[2 * cell + 1]), {}};
      for (std::size_t q = 0; q < labels.size() / grid; ++q)
        score.predicted.push_back(static_cast<int>(labels[q * grid + cell]));
      scores.push_back(std::move(score));
    }
  return scores;
}

}  // namespace music
