#pragma once
// TensorBoard event files (TFRecord framing of Event messages), scalars only.
//
// A reader cannot tell a torn end from damage and drops the rest of a file, so
// nothing is ever appended to an old one: each start opens a new file. Readers
// differ in what they make of a step that stands in two files (EventAccumulator
// heeds a SessionLog START, the page's fast loader the order of steps, its slow
// one nothing: findings/tensorboard-resumed-run.sh), and all take files by name.
// So no step does: a start that goes on from a checkpoint cuts off what earlier
// ones wrote of later steps, and its file's name sorts behind theirs.

#include <cstdint>
#include <filesystem>
#include <istream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "music/files/append_file.h"

namespace music {

// CRC-32C (Castagnoli); of "123456789" it is 0xE3069283.
std::uint32_t crc32c(std::string_view data);

// One TFRecord: length, masked CRC of it, data, masked CRC of it.
std::string tfrecord(std::string_view data);

// Bytes of an event file that are whole records of steps before first_step, up to
// the first that is not; -1: another program wrote it.
std::int64_t whole_events(std::istream& in, std::int64_t first_step);

class TensorBoardWriter {
 public:
  // Opens a new events.out.tfevents.* in `folder`, which it creates, for the
  // steps from first_step on: files of earlier writers lose what they say of
  // these, and a program that has read it is told. What others wrote there stays.
  // Failures are warnings only.
  explicit TensorBoardWriter(const std::filesystem::path& folder,
                             std::int64_t first_step = 0);

  // The values of one step, with the time of the call.
  void write(std::int64_t step,
             const std::vector<std::pair<std::string, double>>& scalars);

  std::filesystem::path path() const { return file_->path(); }

 private:
  std::unique_ptr<AppendFile> file_;
};

}  // namespace music
