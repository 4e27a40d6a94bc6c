#pragma once
// What became of every tensor of a model and every key of the file its weights
// came from.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace music {

struct KeyReport {
  enum class State {
    kMatched,     // a tensor of the model, found
    kMissing,     // one that the file has not
    kShape,       // one that has another shape there
    kUnexpected,  // a key of the file that the model has no place for
    kIgnored,     // a key of another part of the file's model: heads, queues
  };
  struct Row {
    State state;
    std::string key;   // in the file; of a missing tensor, the model's name
    std::string note;  // the model's name or the shapes, where they differ
  };

  std::string file, model;  // "ResNet-50, ImageNet stem, width 64"
  std::string prefix;       // that was taken off the file's keys
  std::vector<Row> rows;
  std::map<std::string, std::int64_t> converted;  // to fp32, by type
  std::vector<std::string> others;  // prefixes of encoders that were not taken

  std::int64_t count(State state) const;
  std::int64_t wanted() const {  // tensors of the model
    return count(State::kMatched) + count(State::kMissing) +
           count(State::kShape);
  }
  // One line: the counts, the prefix, and the first keys of what is wrong or not
  // used.
  std::string summary() const;
  // A line a row.
  std::vector<std::string> lines() const;
};

}  // namespace music
