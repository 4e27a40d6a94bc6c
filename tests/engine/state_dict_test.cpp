#include "engine/io/state_dict.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>

namespace {

using namespace music;

// An encoder of one convolution and batch norm, and a head that is another
// model's business.
struct Net {
  Parameters parameters;
  int conv, weight, bias, head, mean, var;

  Net() {
    conv = parameters.add("enc.conv.weight", {2, 3, 3, 4}, {});
    weight = parameters.add("enc.bn.weight", {2}, {});
    bias = parameters.add("enc.bn.bias", {2}, {});
    head = parameters.add("head.0.weight", {5, 2}, {});
    mean = parameters.add_buffer("enc.bn.running_mean", {2}, 0);
    var = parameters.add_buffer("enc.bn.running_var", {2}, 1);
    parameters.allocate(false);
  }
  std::vector<Tensor> tensors() const {
    return {parameters.value(conv), parameters.value(weight),
            parameters.value(bias), parameters.value(head),
            parameters.buffer(mean), parameters.buffer(var)};
  }
  void fill(float start) {
    for (const Tensor& t : tensors())
      for (float& v : t.span<float>()) v = start++;
  }
};

std::filesystem::path file_path() {
  return std::filesystem::path(MUSIC_TEST_BINARY_DIR) /
         "state_dict_test.safetensors";
}

// What import says about the exported state after `change`.
std::string complaint(const std::function<void(StateDict&)>& change) {
  Net net;
  StateDict state = export_state(net.parameters, "enc", 0);
  change(state);
  write_safetensors(file_path(), state.entries);
  const auto file = SafetensorsFile::open(file_path());
  try {
    import_state(net.parameters, "enc", file, "w.safetensors");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
  return "";
}

void erase(StateDict& state, const std::string& name) {
  std::erase_if(state.entries,
                [&](const TensorEntry& e) { return e.name == name; });
}

void append(StateDict& state, const std::string& name,
            std::vector<std::int64_t> shape) {
  std::size_t bytes = sizeof(float);
  for (const std::int64_t d : shape) bytes *= static_cast<std::size_t>(d);
  state.storage.emplace_back(bytes);
  state.entries.push_back(
      {name, DType::kF32, std::move(shape),
       {state.storage.back().as<const std::byte>(), bytes}});
}

TEST_SUITE("state_dict") {
  TEST_CASE("export, write, read, import gives every bit back") {
    Net net, copy;
    net.fill(1);
    copy.fill(1000);
    const auto head = copy.parameters.value(copy.head).span<float>()[0];
    const StateDict state = export_state(net.parameters, "enc", 3);
    write_safetensors(file_path(), state.entries);
    const auto file = SafetensorsFile::open(file_path());
    import_state(copy.parameters, "enc", file, "w");
    const auto a = net.tensors(), b = copy.tensors();
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK((std::memcmp(a[i].data, b[i].data, a[i].bytes()) == 0) ==
            (i != 3));  // the head is under another prefix
    CHECK(copy.parameters.value(copy.head).span<float>()[0] == head);
  }

  TEST_CASE("names lose the prefix; batch norms count their batches") {
    Net net;
    const StateDict state = export_state(net.parameters, "enc", 7);
    std::vector<std::string> names;
    for (const auto& e : state.entries) names.push_back(e.name);
    CHECK(names == std::vector<std::string>{
                       "conv.weight", "bn.weight", "bn.bias", "bn.running_mean",
                       "bn.num_batches_tracked", "bn.running_var"});
    const TensorEntry& tracked = state.entries[4];
    CHECK(tracked.dtype == DType::kI64);
    CHECK(tracked.shape.empty());
    std::int64_t batches = 0;
    REQUIRE(tracked.data.size() == sizeof batches);
    std::memcpy(&batches, tracked.data.data(), sizeof batches);
    CHECK(batches == 7);
  }

  TEST_CASE("convolution weights are OIHW in the file") {
    Net net;
    const auto w = net.parameters.value(net.conv).span<float>();
    const auto ours = [](int k, int r, int s, int c) {
      return static_cast<std::size_t>(((k * 3 + r) * 3 + s) * 4 + c);
    };
    const auto code = [](int k, int r, int s, int c) {
      return static_cast<float>(1000 * k + 100 * c + 10 * r + s);
    };
    for (int k = 0; k < 2; ++k)
      for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s)
          for (int c = 0; c < 4; ++c) w[ours(k, r, s, c)] = code(k, r, s, c);
    const StateDict state = export_state(net.parameters, "enc", 0);
    const TensorEntry& e = state.entries[0];
    CHECK(e.shape == std::vector<std::int64_t>{2, 4, 3, 3});
    std::vector<float> file(w.size());
    REQUIRE(e.data.size() == file.size() * sizeof(float));
    std::memcpy(file.data(), e.data.data(), e.data.size());
    std::size_t at = 0;
    for (int k = 0; k < 2; ++k)
      for (int c = 0; c < 4; ++c)
        for (int r = 0; r < 3; ++r)
          for (int s = 0; s < 3; ++s) CHECK(file[at++] == code(k, r, s, c));
  }

  TEST_CASE("an ignored head and the batch counters may be there or not") {
    CHECK(complaint([](StateDict&) {}) == "");
    CHECK(complaint([](StateDict& s) {
            append(s, "fc.weight", {10, 2});
            append(s, "fc.bias", {10});
          }) == "");
    CHECK(complaint([](StateDict& s) {
            erase(s, "bn.num_batches_tracked");
          }) == "");
  }

  TEST_CASE("errors name the first tensor and count") {
    CHECK(complaint([](StateDict& s) {
            erase(s, "bn.bias");
            erase(s, "bn.running_var");
          }) ==
          "[weights] w.safetensors: 2 of 5 tensors are missing, first bn.bias, "
          "0 are unexpected: expected the weights of this architecture");
    CHECK(complaint([](StateDict& s) {
            append(s, "layer9.weight", {1});
            append(s, "conv.bias", {2});
          }) ==
          "[weights] w.safetensors: 0 of 5 tensors are missing, 2 are "
          "unexpected, first conv.bias: expected the weights of this "
          "architecture");
    CHECK(complaint([](StateDict& s) {
            erase(s, "conv.weight");
            append(s, "conv.weight", {2, 3, 3, 4});  // not transposed
          }) ==
          "[weights] w.safetensors: conv.weight is F32 [2,3,3,4], expected F32 "
          "[2,4,3,3]");
    CHECK(complaint([](StateDict& s) {
            erase(s, "bn.weight");
            append(s, "bn.weight", {3});
          }) ==
          "[weights] w.safetensors: bn.weight is F32 [3], expected F32 [2]");
    CHECK(complaint([](StateDict& s) {
            for (auto& e : s.entries)
              if (e.name == "bn.weight") e.dtype = DType::kI32;
          }) ==
          "[weights] w.safetensors: bn.weight is I32 [2], expected F32 [2]");
    for (const float bad : {NAN, -NAN, INFINITY, -INFINITY})
      CHECK(complaint([&](StateDict& s) {
              for (std::size_t i = 0; i < s.entries.size(); ++i)
                if (s.entries[i].name == "bn.running_mean")
                  s.storage[i].as<float>()[1] = bad;
            }) == "[weights] w.safetensors: bn.running_mean holds a value that "
                  "is not finite, at element 1");
  }
}

}  // namespace
