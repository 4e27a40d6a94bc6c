#include "engine/graph/parameters.h"

#include <algorithm>

#include "engine/core/rng.h"

namespace music {
namespace {

// Each tensor starts on a cache line, so that threads and vector kernels never
// share one.
constexpr std::int64_t kAlign = Buffer::kAlignment / sizeof(float);

std::int64_t append(std::vector<ParameterInfo>& table, const std::string& name,
                    const Shape& shape, Init init, std::int64_t flat) {
  for (const auto& p : table)
    MUSIC_CHECK(p.name != name, "[parameters] {} is registered twice", name);
  table.push_back({name, shape, flat, init});
  return flat + (shape.elements() + kAlign - 1) / kAlign * kAlign;
}

void fill(Tensor t, const Init& init, std::uint64_t seed, int index) {
  auto values = t.span<float>();
  Rng rng(seed, RngPurpose::kInit, static_cast<std::uint32_t>(index));
  switch (init.kind) {
    case Init::Kind::kConstant:
      std::fill(values.begin(), values.end(), static_cast<float>(init.value));
      break;
    case Init::Kind::kUniform:
      for (float& v : values)
        v = rng.uniform(static_cast<float>(-init.value),
                        static_cast<float>(init.value));
      break;
    case Init::Kind::kNormal:
      for (float& v : values) v = static_cast<float>(init.value * rng.normal());
      break;
  }
}

}  // namespace

int Parameters::add(const std::string& name, const Shape& shape, Init init) {
  MUSIC_CHECK(!allocated_, "[parameters] {} added after allocate()", name);
  flat_ = append(table_, name, shape, init, flat_);
  return static_cast<int>(table_.size()) - 1;
}

int Parameters::add_buffer(const std::string& name, const Shape& shape,
                           double initial) {
  MUSIC_CHECK(!allocated_, "[parameters] {} added after allocate()", name);
  buffer_flat_ = append(buffer_table_, name, shape, Init::constant(initial),
                        buffer_flat_);
  return static_cast<int>(buffer_table_.size()) - 1;
}

void Parameters::allocate(bool with_training) {
  const auto bytes = [](std::int64_t n) {
    return static_cast<std::size_t>(n) * sizeof(float);
  };
  values_ = Buffer(bytes(flat_));
  buffer_block_ = Buffer(bytes(buffer_flat_));
  if (with_training) {
    gradients_ = Buffer(bytes(flat_));
    momentum_ = Buffer(bytes(flat_));
  }
  allocated_ = true;
}

void Parameters::initialise(std::uint64_t seed) {
  MUSIC_CHECK(allocated_, "[parameters] initialise() before allocate()");
  const int n = static_cast<int>(table_.size());
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < n; ++i)
    fill(value(i), table_[static_cast<std::size_t>(i)].init, seed, i);
  for (int i = 0; i < static_cast<int>(buffer_table_.size()); ++i)
    fill(buffer(i), buffer_table_[static_cast<std::size_t>(i)].init, seed, 0);
  for (Buffer* block : {&gradients_, &momentum_})
    std::fill_n(block->as<float>(), block->bytes() / sizeof(float), 0.0f);
}

std::int64_t Parameters::count() const {
  std::int64_t n = 0;
  for (const auto& p : table_) n += p.shape.elements();
  return n;
}

Tensor Parameters::view(const Buffer& block,
                        const std::vector<ParameterInfo>& table, int i) {
  MUSIC_CHECK(block.data() || table.empty(),
              "[parameters] this block was not allocated");
  const auto& p = table.at(static_cast<std::size_t>(i));
  return {block.as<float>() + p.offset, p.shape, DType::kF32};
}

}  // namespace music
