#pragma once
// quarantine.jsonl: every image that could not be read, once, also over resumes
// and over processes.

#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "data/loader.h"
#include "music/files/append_file.h"

namespace music {

class Quarantine {
 public:
  // Goes on with the file that is there. policy: what warnings say.
  Quarantine(const std::filesystem::path& path, data::BadImage policy);

  // Warns of and appends the lines about images not yet in it.
  void add(const std::string& lines);
  std::int64_t count() const { return static_cast<std::int64_t>(known_.size()); }
  std::vector<std::int64_t> samples() const {
    return {known_.begin(), known_.end()};
  }

 private:
  const data::BadImage policy_;
  AppendFile file_;
  std::set<std::int64_t> known_;
};

// The images of a run's file, in its order; none where there is no file.
std::vector<data::BadSample> read_quarantine(const std::filesystem::path& run);

// What a loader found since `seen` of its quarantine: news for one step.
std::string quarantine_news(const data::Loader& loader, std::size_t& seen);
// The news of all ranks as lines for add(), in the order in which one process
// finds them.
std::string quarantine_lines(std::span<const std::string> of_ranks);

}  // namespace music
