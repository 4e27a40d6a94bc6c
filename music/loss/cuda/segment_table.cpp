#include "music/loss/cuda/segment_table.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/error.h"

namespace music::cuda {
namespace {

template <typename T>
const T* to_device(const std::vector<T>& host, Buffer& device) {
  device = Buffer(host.size() * sizeof(T), Memory::kDevice);
  upload(device.data(), host.data(), device.bytes(), Device::kCuda);
  return device.as<T>();
}

}  // namespace

DeviceSegments::DeviceSegments(const Segments& segments,
                               const std::vector<double>& blocks) {
  MUSIC_CHECK(segments.units() <= std::int64_t{1} << 30,
              "[joint_entropy] {} units", segments.units());
  table_.units = segments.units();
  table_.count = static_cast<int>(segments.count());
  std::vector<std::int32_t> begin, segment;
  std::vector<double> log_size;
  std::vector<float> size;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const auto units = static_cast<std::size_t>(segments.size(s));
    begin.push_back(static_cast<std::int32_t>(segments.begin(s)));
    log_size.push_back(std::log(static_cast<double>(units)));
    segment.insert(segment.end(), units, static_cast<std::int32_t>(s));
    size.insert(size.end(), units, static_cast<float>(units));
    table_.largest = std::max(table_.largest, static_cast<int>(units));
  }
  begin.push_back(static_cast<std::int32_t>(segments.units()));
  table_.begin = to_device(begin, begin_);
  table_.log_size = to_device(log_size, log_size_);
  table_.segment = to_device(segment, segment_);
  table_.size = to_device(size, size_);
  if (!blocks.empty())
    table_.blocks = to_device(std::vector<float>(blocks.begin(), blocks.end()),
                              blocks_);
}

}  // namespace music::cuda
