#include "data/fast/jpeg_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace music::data::fast {
namespace {

// Zigzag position to place in a group, for the first block.
constexpr std::size_t kRow = CoefficientRow::kBlocks * 8;
const std::array<std::uint8_t, 64> kPlace = [] {
  std::array<std::uint8_t, 64> place{};
  for (std::size_t k = 0; k < 64; ++k)
    place[k] =
        static_cast<std::uint8_t>(kZigzag[k] / 8 * kRow + kZigzag[k] % 8);
  return place;
}();

// Decodes a block, to `to` if kKeep. Returns its last zigzag position with a
// coefficient, or -1: damage.
template <bool kKeep>
int decode_block(BitReader& reader, const HuffmanTable& dc,
                 const HuffmanTable& ac, std::int16_t& dc_sum,
                 std::int16_t* to) {
  using Entry = HuffmanTable::Entry;
  reader.fill();
  Entry e = HuffmanTable::look_up(dc.table(), reader.bits());
  if (HuffmanTable::step(e) == HuffmanTable::kLongCode)
    e = dc.find_long(reader.bits());
  if (HuffmanTable::step(e) != 1) return -1;
  dc_sum = static_cast<std::int16_t>(
      dc_sum + HuffmanTable::value(e, reader.bits()));
  reader.drop(e);
  if (kKeep) to[0] = dc_sum;

  const Entry* const table = ac.table();
  unsigned k = 0, last = 0;
  // True: a coefficient other than the last was read.
  const auto symbol = [&] {
    e = HuffmanTable::look_up(table, reader.bits());
    k += HuffmanTable::step(e);
    if (k > 63) [[unlikely]] {
      if (HuffmanTable::step(e) != HuffmanTable::kLongCode) return false;
      e = ac.find_long(reader.bits());
      k += HuffmanTable::step(e) - HuffmanTable::kLongCode;
      if (k > 63) return false;
    }
    if (kKeep)
      to[kPlace[k]] =
          static_cast<std::int16_t>(HuffmanTable::value(e, reader.bits()));
    reader.drop(e);
    last = k;
    return k < 63;
  };
  // A fill is good for two symbols: at most 27 bits each.
  if (symbol()) {
    do {
      reader.fill();
    } while (symbol() && symbol());
  }
  if (k == 63) return 63;
  if (k < HuffmanTable::kEndOfBlock) return -1;
  reader.drop(e);
  return static_cast<int>(last);
}

}  // namespace

bool JpegScan::open(std::span<const std::uint8_t> bytes,
                    const JpegFrame& frame) {
  frame_ = &frame;
  for (const JpegComponent& c : frame.used())
    if (!dc_[c.dc].build(frame.dc[c.dc], true) ||
        !ac_[c.ac].build(frame.ac[c.ac], false))
      return false;
  if (!remove_stuffing(bytes)) return false;
  const std::int64_t mcus =
      std::int64_t{frame.mcus_across} * frame.mcus_down;
  const std::int64_t interval =
      frame.restart_interval > 0 ? frame.restart_interval : mcus;
  if (static_cast<std::int64_t>(parts_.size()) !=
      (mcus + interval - 1) / interval)
    return false;
  part_ = 0;
  mcus_left_ = 0;
  return true;
}

// Copies the scan without the zero bytes after 0xFF and without restart
// markers, whose places become parts_.
bool JpegScan::remove_stuffing(std::span<const std::uint8_t> bytes) {
  if (clean_.size() < bytes.size() + kSlack)
    clean_.resize(bytes.size() + kSlack);
  parts_.clear();
  std::uint8_t* to = clean_.data();
  std::size_t begin = 0;
  const auto position = [&] {
    return static_cast<std::size_t>(to - clean_.data());
  };
  const std::uint8_t* at = bytes.data();
  const std::uint8_t* const end = at + bytes.size();
  while (at < end) {
    const auto* mark = static_cast<const std::uint8_t*>(
        std::memchr(at, 0xFF, static_cast<std::size_t>(end - at)));
    if (!mark || end - mark < 2) return false;
    std::memcpy(to, at, static_cast<std::size_t>(mark - at));
    to += mark - at;
    at = mark + 2;
    if (mark[1] == 0) {
      *to++ = 0xFF;
      continue;
    }
    parts_.push_back({begin, position()});
    begin = position();
    if (mark[1] == 0xD9) {
      std::memset(to, 0, kSlack);
      return true;
    }
    if (mark[1] != 0xD0 + (parts_.size() - 1) % 8) return false;
  }
  return false;
}

void JpegScan::next_part() {
  const Part& part = parts_[part_++];
  reader_ = BitReader(clean_.data() + part.begin);
  end_ = clean_.data() + part.end;
  mcus_left_ = frame_->restart_interval > 0
                   ? frame_->restart_interval
                   : frame_->mcus_across * frame_->mcus_down;
  dc_sum_ = {};
}

// One MCU; rows as in row(), at: its number among the kept.
template <bool kKeep>
[[gnu::noinline]] bool JpegScan::mcu(int at, std::span<const CoefficientRow> rows) {
  BitReader reader = reader_;  // in registers
  std::size_t row = 0;
  for (std::size_t i = 0; i < frame_->used().size(); ++i) {
    const JpegComponent& c = frame_->component[i];
    for (int y = 0; y < c.down; ++y, ++row) {
      for (int x = 0; x < c.across; ++x) {
        const auto block = static_cast<std::size_t>(at * c.across + x);
        const int last = decode_block<kKeep>(
            reader, dc_[c.dc], ac_[c.ac], dc_sum_[i],
            kKeep ? rows[row].block(block) : nullptr);
        if (last < 0) return false;
        if (!kKeep) continue;
        std::uint8_t& group = rows[row].last[block / CoefficientRow::kBlocks];
        group = std::max(group, static_cast<std::uint8_t>(last));
      }
    }
  }
  reader_ = reader;
  return reader.end() <= end_;
}

bool JpegScan::row(int first, int last,
                   std::span<const CoefficientRow> rows) {
  for (int x = 0; x < frame_->mcus_across; ++x) {
    if (mcus_left_ == 0) next_part();
    --mcus_left_;
    const bool keep = x >= first && x < last;
    if (!(keep ? mcu<true>(x - first, rows) : mcu<false>(0, rows)))
      return false;
  }
  return true;
}

}  // namespace music::data::fast
