// bench_codes: search among segment codes on one core, every kind of question,
// beside the same with NumPy on the same codes with one thread, in turns.
//
// Codes are drawn uniformly, which is the hardest case: nothing ends early. Time is
// wall time; the processor's, which other programs on the machine do not lengthen,
// stands beside it. Found images are compared, ties and all.

#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/codes/code_index.h"
#include "music/codes/soft_index.h"
#include "tests/support/reference_search.h"
#include "tools/bench_peer.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  std::int64_t images = 1'000'000, segments = 102, units = 80, top = 20;
  int reps = 15;
  bool soft = true;
  std::vector<std::string> peers{"python3"};
  std::string peer_script = MUSIC_PEER_SCRIPT;
};

struct Question {
  std::string name, what;
  std::function<std::vector<CodeMatch>()> ask;
};

void check_small_case(const Segments& segments) {
  const test::Codes codes = test::made_codes(segments, 5000, 1);
  CodeIndex index(segments);
  for (const auto& code : codes) index.add(code);
  CodeQuery query{{}, {}, codes[7], {}, 7};
  for (int s = 0; s < segments.count(); ++s) query.ranked.push_back(s);
  MUSIC_CHECK(index.find(query, 50) == test::reference_find(codes, query, 50),
              "[bench_codes] differs from the search one by one");
  query.same = {{3, codes[7][3]}};
  query.different = {{5, codes[7][5]}};
  MUSIC_CHECK(index.find(query, 50) == test::reference_find(codes, query, 50),
              "[bench_codes] differs from the search one by one");
  fmt::print("check against the search one by one: the same\n");
}

Turn measure(const Question& question, std::vector<CodeMatch>& found) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  found = question.ask();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
              .count(),
          cpu_seconds() - cpu};
}

void write_rows(const fs::path& file, const CodeIndex& index) {
  std::ofstream out(file, std::ios::binary);
  for (std::int64_t i = 0; i < index.size(); ++i) {
    const std::vector<std::uint16_t> code = index.code(i);
    const std::vector<char> bytes(code.begin(), code.end());
    out.write(bytes.data(), std::ssize(bytes));
  }
  if (!out.flush())
    throw error(ExitCode::kDiskFull, "[bench_codes] cannot write {}", file.string());
}

void compare(const nlohmann::json& theirs, const std::vector<CodeMatch>& ours) {
  std::vector<CodeMatch> found;
  for (const auto& m : theirs.at("found")) found.push_back({m[0], m[1]});
  MUSIC_CHECK(found == ours, "[bench_codes] the peer finds other images");
}

int run(int argc, char** argv) {
  CLI::App app("Search among segment codes beside NumPy");
  Options o;
  app.add_option("--images", o.images, "whose codes are searched")->check(CLI::Range(20, 100'000'000));
  app.add_option("--segments", o.segments, "of a code")->check(CLI::Range(18, 65535));
  app.add_option("--units", o.units, "of a segment")->check(CLI::Range(2, 256));
  app.add_option("--top", o.top, "images to find")->check(CLI::PositiveNumber);
  app.add_option("--reps", o.reps, "turns of each; the median counts")->check(CLI::PositiveNumber);
  app.add_flag("!--no-soft", o.soft, "without soft codes, which take six times the memory");
  app.add_option("--peer", o.peers, "Pythons with numpy to compare with");
  app.add_option("--peer-script", o.peer_script, "the same search in NumPy");
  if (!parse(app, argc, argv)) return 0;
  omp_set_num_threads(1);
  const Segments segments = Segments::equal(o.segments * o.units, o.units);
  fmt::print("{} images of {} segments of {} units, top {}, one thread, medians of {}\n",
             o.images, o.segments, o.units, o.top, o.reps);
  check_small_case(segments);

  CodeIndex index(segments, o.images);
  SoftIndex soft(segments, o.soft ? o.images : 0);
  SoftCode kept;
  std::vector<std::uint16_t> code(static_cast<std::size_t>(o.segments));
  for (std::int64_t i = 0; i < o.images; ++i) {
    Rng rng(0, RngPurpose::kTest, 0, static_cast<std::uint32_t>(i));
    for (auto& unit : code)
      unit = static_cast<std::uint16_t>(rng.uniform() * static_cast<float>(o.units));
    index.add(code);
    if (!o.soft) continue;
    kept.units.clear();
    kept.weights.clear();
    for (const std::uint16_t unit : code) {
      const auto sure = static_cast<std::uint8_t>(128 + 127 * rng.uniform());
      for (int j = 0; j < SoftIndex::kKept; ++j)
        kept.units.push_back(static_cast<std::uint16_t>((unit + 7 * j) % o.units));
      kept.weights.insert(kept.weights.end(), {sure, static_cast<std::uint8_t>((255 - sure) / 2),
                                               static_cast<std::uint8_t>((255 - sure) / 4)});
    }
    soft.add(kept);
  }
  const std::int64_t like = o.images / 3;
  const std::vector<std::uint16_t> of = index.code(like);
  std::vector<int> all(of.size());
  std::iota(all.begin(), all.end(), 0);
  const auto asks = [&](std::vector<int> same, std::vector<int> different,
                        std::vector<int> ranked) {
    CodeQuery q{{}, {}, of, std::move(ranked), like};
    for (const int s : same) q.same.push_back({s, of[static_cast<std::size_t>(s)]});
    for (const int s : different) q.different.push_back({s, of[static_cast<std::size_t>(s)]});
    return [&index, q, top = o.top] { return index.find(q, top); };
  };
  const std::vector<Question> questions{
      {"nearest", "Hamming, all segments", asks({}, {}, all)},
      {"some", "Hamming, 8 segments", asks({}, {}, {1, 2, 4, 6, 8, 10, 12, 14})},
      {"same", "same in 3 and 17, different in 5", asks({3, 17}, {5}, all)},
      {"one", "same in 3", asks({3}, {}, all)}};

  std::string folder = (fs::temp_directory_path() / "bench_codes_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr)
    throw error(ExitCode::kDiskFull, "[bench_codes] cannot create {}", folder);
  const struct Clean {
    const std::string& folder;
    ~Clean() { fs::remove_all(folder); }
  } clean{folder};
  std::erase_if(o.peers, [](const std::string& python) {
    const bool missing =
        std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) != 0;
    if (missing) fmt::print("peer {}: no numpy, skipped\n", python);
    return missing;
  });
  if (!o.peers.empty()) write_rows(folder + "/codes.u8", index);

  for (const Question& question : questions) {
    std::vector<CodeMatch> found;
    std::vector<Turn> ours, theirs;
    if (o.peers.empty()) {
      for (int r = 0; r < o.reps; ++r) ours.push_back(measure(question, found));
    } else {
      Peer peer({o.peers[0], o.peer_script, "--codes", folder + "/codes.u8", "--segments",
                 std::to_string(o.segments), "--like", std::to_string(like), "--top",
                 std::to_string(o.top), "--question", question.name}, 1);
      peer.read();
      for (int r = 0; r < o.reps; ++r) {
        ours.push_back(measure(question, found));
        theirs.push_back(peer.measure());
      }
      peer.close_input();
      compare(peer.read(), found);
    }
    const Turn mine = medians(ours);
    fmt::print("{:34} {:8.2f} ms, {:7.2f} of the processor", question.what + ":",
               1e3 * mine.seconds, 1e3 * mine.cpu);
    if (!theirs.empty()) {
      const Turn t = medians(theirs);
      fmt::print("; NumPy {:8.1f} ms, {:8.1f}; ratio {:.1f}x, processor {:.1f}x",
                 1e3 * t.seconds, 1e3 * t.cpu, t.seconds / mine.seconds,
                 t.cpu / mine.cpu);
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
  if (o.soft) {
    const SoftCode mine = soft.code(like);
    std::vector<Turn> ours;
    std::vector<CodeMatch> found;
    const Question question{"", "", [&] { return soft.find(mine, o.top, like); }};
    for (int r = 0; r < o.reps; ++r) ours.push_back(measure(question, found));
    const Turn t = medians(ours);
    fmt::print("{:34} {:8.2f} ms, {:7.2f} of the processor\n", "soft codes:",
               1e3 * t.seconds, 1e3 * t.cpu);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
