#include "engine/graph/parameters.h"

#include <algorithm>
#include <cmath>

#include "engine/core/half.h"
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
    case Init::Kind::kUnitRows: {
      const auto length = static_cast<std::size_t>(t.shape[1]);
      for (float& v : values) v = static_cast<float>(rng.normal());
      for (std::size_t row = 0; row < values.size(); row += length) {
        double square = 0;
        for (std::size_t i = row; i < row + length; ++i)
          square += static_cast<double>(values[i]) * values[i];
        const double scale = 1 / std::sqrt(square);
        for (std::size_t i = row; i < row + length; ++i)
          values[i] = static_cast<float>(values[i] * scale);
      }
      break;
    }
  }
}

}  // namespace

int Parameters::add(const std::string& name, const Shape& shape, Init init) {
  MUSIC_CHECK(!allocated_, "[parameters] {} added after allocate()", name);
  flat_ = append(table_, name, shape, init, flat_);
  return static_cast<int>(table_.size()) - 1;
}

int Parameters::add_buffer(const std::string& name, const Shape& shape,
                           Init init) {
  MUSIC_CHECK(!allocated_, "[parameters] {} added after allocate()", name);
  buffer_flat_ = append(buffer_table_, name, shape, init, buffer_flat_);
  return static_cast<int>(buffer_table_.size()) - 1;
}

void Parameters::set_group(int i, int group) {
  MUSIC_CHECK(group >= 0 && group < kMostGroups,
              "[parameters] group {}, expected 0 to {}", group,
              kMostGroups - 1);
  table_.at(static_cast<std::size_t>(i)).group = group;
}

void Parameters::with_target() {
  MUSIC_CHECK(!allocated_, "[parameters] with_target() after allocate()");
  target_wanted_ = true;
}

void Parameters::set_storage(const ParameterStorage& storage) {
  MUSIC_CHECK(!allocated_, "[parameters] set_storage() after allocate()");
  storage_ = storage;
}

void Parameters::allocate() {
  const auto block = [&](std::int64_t n, std::size_t size) {
    return Buffer(static_cast<std::size_t>(n) * size,
                  memory_of(storage_.device));
  };
  values_ = block(flat_, sizeof(float));
  buffer_block_ = block(buffer_flat_, sizeof(float));
  if (storage_.training) {
    gradients_ = block(flat_, sizeof(float));
    momentum_ = block(flat_, sizeof(float));
  }
  if (has_target()) target_ = block(flat_, sizeof(float));
  if (storage_.compute != DType::kF32) {
    compute_ = block(flat_, size_of(storage_.compute));
    if (has_target()) compute_target_ = block(flat_, size_of(storage_.compute));
  }
  allocated_ = true;
}

void Parameters::initialise(std::uint64_t seed) {
  MUSIC_CHECK(allocated_, "[parameters] initialise() before allocate()");
  HostParameters host(*this);
  const int n = static_cast<int>(table_.size());
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < n; ++i)
  {
    const Init& init = table_[static_cast<std::size_t>(i)].init;
    fill(host->value(i), init, seed, init.as < 0 ? i : init.as);
  }
  for (int i = 0; i < static_cast<int>(buffer_table_.size()); ++i)
    fill(host->buffer(i), buffer_table_[static_cast<std::size_t>(i)].init, seed,
         n + i);
  for (Buffer* block : {&gradients_, &host->momentum_}) block->fill(0);
  if (has_target())
    std::copy_n(host->flat_values(), flat_, host->flat_target());
  host.write_back();
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

Tensor Parameters::rounded(const Buffer& block, int i) const {
  MUSIC_CHECK(block.data(), "[parameters] this block was not allocated");
  const auto& p = table_.at(static_cast<std::size_t>(i));
  return {block.as<std::uint16_t>() + p.offset, p.shape, storage_.compute};
}

Tensor Parameters::compute_value(int i) const {
  return storage_.compute == DType::kF32 ? value(i) : rounded(compute_, i);
}

Tensor Parameters::compute_target(int i) const {
  return storage_.compute == DType::kF32 ? target(i)
                                         : rounded(compute_target_, i);
}

HostParameters::HostParameters(Parameters& parameters, bool gradients)
    : original_(parameters) {
  if (parameters.device() == Device::kCpu) return;
  copy_.emplace();
  copy_->table_ = parameters.table_;
  copy_->buffer_table_ = parameters.buffer_table_;
  copy_->flat_ = parameters.flat_;
  copy_->buffer_flat_ = parameters.buffer_flat_;
  copy_->storage_.training = parameters.storage_.training;
  copy_->target_wanted_ = parameters.target_wanted_;
  copy_->allocated_ = true;
  const auto fetch = [&](Buffer& to, const Buffer& from) {
    to = Buffer(from.bytes());
    download(to.data(), from.data(), from.bytes(), parameters.device());
  };
  fetch(copy_->values_, parameters.values_);
  fetch(copy_->momentum_, parameters.momentum_);
  fetch(copy_->target_, parameters.target_);
  fetch(copy_->buffer_block_, parameters.buffer_block_);
  if (gradients) fetch(copy_->gradients_, parameters.gradients_);
}

void HostParameters::write_back() {
  const DType compute = original_.storage_.compute;
  const auto store_rounded = [&](const Buffer& to, const float* v) {
    if (!to.data()) return;
    std::vector<std::uint16_t> rounded(
        static_cast<std::size_t>(original_.flat_));
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < rounded.size(); ++i)
      rounded[i] = compute == DType::kF16 ? to_half(v[i]).bits
                                          : to_bfloat16(v[i]).bits;
    upload(to.data(), rounded.data(), to.bytes(), original_.device());
  };
  store_rounded(original_.compute_, (*this)->flat_values());
  store_rounded(original_.compute_target_, (*this)->flat_target());
  if (!copy_) return;
  const auto store = [&](const Buffer& to, const Buffer& from) {
    upload(to.data(), from.data(), from.bytes(), original_.device());
  };
  store(original_.values_, copy_->values_);
  store(original_.momentum_, copy_->momentum_);
  store(original_.target_, copy_->target_);
  store(original_.buffer_block_, copy_->buffer_block_);
}

}  // namespace music
