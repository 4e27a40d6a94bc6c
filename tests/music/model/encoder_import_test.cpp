#include "music/model/encoder_import.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <numbers>
#include <sstream>

#include "engine/core/half.h"
#include "engine/io/state_dict.h"
#include "music/model/encoder_keys.h"
#include "music/model/model.h"
#include "tests/support/encoder_state.h"
#include "tests/support/golden.h"
#include "tests/support/network.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
using namespace music::test;

// name -> shape of a list in tests/golden/encoder_names.txt.
std::vector<TensorEntry> names_of(const std::string& wanted,
                                  std::vector<std::byte>& zeros) {
  std::ifstream in(tests_folder() + "/golden/encoder_names.txt");
  std::vector<TensorEntry> out;
  bool inside = false;
  std::size_t most = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('[')) {
      inside = line == "[" + wanted + "]";
      continue;
    }
    if (!inside) continue;
    std::istringstream words(line);
    std::string name, dtype, dims;
    words >> name >> dtype >> dims;
    TensorEntry t{name, dtype == "int64" ? DType::kI64 : DType::kF32, {}, {}};
    std::istringstream numbers(dims);
    for (std::string d; std::getline(numbers, d, ',');)
      t.shape.push_back(std::stoll(d));
    most = std::max(most, size_of(t.dtype) *
                              static_cast<std::size_t>(elements(t.shape)));
    out.push_back(std::move(t));
  }
  REQUIRE(!out.empty());
  zeros.resize(most);
  for (TensorEntry& t : out)
    t.data = std::span(zeros).first(
        size_of(t.dtype) * static_cast<std::size_t>(elements(t.shape)));
  return out;
}

std::vector<float> loaded(const EncoderWeights& weights) {
  Model model({weights.info.encoder}, false);
  Parameters& p = model.parameters();
  weights.load_into(p, Model::kEncoder);
  std::vector<float> out(p.flat_values(), p.flat_values() + p.flat_elements());
  for (std::size_t i = 0; i < p.buffers().size(); ++i)
    for (const float v : p.buffer(static_cast<int>(i)).span<float>())
      out.push_back(v);
  return out;
}

TEST_SUITE("encoder_import") {
  TEST_CASE("names and shapes of torchvision and timm tell which ResNet it is") {
    for (const int depth : {18, 34, 50, 101})
      for (const std::string prefix : {"", "module.backbone."}) {
        CAPTURE(depth);
        std::vector<std::byte> zeros;
        auto entries = names_of(fmt::format("torchvision.resnet{}", depth), zeros);
        for (auto& t : entries) t.name = prefix + t.name;
        if (!prefix.empty())  // VICReg's
          entries.push_back({"module.projector.0.weight", DType::kF32, {1, 1},
                             std::span(zeros).first(4)});
        const Scratch scratch;
        write_safetensors(scratch.path / "f", entries);
        const auto file = SafetensorsFile::open(scratch.path / "f");
        const EncoderKeys keys = find_encoder(file, "f");
        CHECK(keys.prefix == prefix);
        CHECK(describe(spec_of(keys, "f")) ==
              fmt::format("ResNet-{}, ImageNet stem, width 64", depth));
        if (depth != 18 && depth != 50) continue;
        const EncoderWeights w = import_encoder(file, "f");
        const std::int64_t tensors = depth == 18 ? 100 : 265;
        CHECK(w.report.count(KeyReport::State::kMatched) == tensors);
        CHECK(w.report.wanted() == tensors);
        CHECK(w.report.count(KeyReport::State::kIgnored) ==
              (prefix.empty() ? 2 : 3));  // fc, and the projector
        CHECK(w.report.count(KeyReport::State::kUnexpected) == 0);
        CHECK(w.info.image_size == 224);
      }
  }

  TEST_CASE("of a network beside one without a prefix either can be chosen") {
    std::vector<std::byte> zeros;
    auto entries = names_of("torchvision.resnet18", zeros);
    const std::size_t n = entries.size();
    for (std::size_t i = 0; i < n; ++i) {
      entries.push_back(entries[i]);
      entries.back().name = "module." + entries[i].name;
    }
    const Scratch scratch;
    write_safetensors(scratch.path / "f", entries);
    const auto file = SafetensorsFile::open(scratch.path / "f");
    CHECK(find_encoder(file, "f", ".").prefix.empty());
    CHECK(find_encoder(file, "f", "module").prefix == "module.");
    try {
      find_encoder(file, "f");
      FAIL("chose one of two");
    } catch (const Error& e) {
      CAPTURE(e.what());
      CHECK(std::string(e.what()).find("under '.', 'module.'") != std::string::npos);
    }
  }

  TEST_CASE("every bit arrives, whatever stands around the names") {
    State plain = trained();
    const EncoderWeights w = plain.import();
    CHECK(w.doubts.empty());
    CHECK(w.misfits.empty());
    CHECK(w.batches == 500);
    CHECK(w.info.image_size == 32);  // CIFAR stem
    const std::vector<float> expected = loaded(w);
    CHECK(w.report.summary() ==
          "100 of 100 tensors of ResNet-18, CIFAR stem, width 16 matched");

    {  // as the file has them, in PyTorch's layout
      Model model({w.info.encoder}, false);
      const Parameters& p = model.parameters();
      w.load_into(model.parameters(), Model::kEncoder);
      for (int i = 0; i < static_cast<int>(p.table().size()); ++i) {
        const std::string name = p.table()[static_cast<std::size_t>(i)].name.substr(9);
        CAPTURE(name);
        const auto found = in_torch_layout(p.value(i));
        CHECK(std::equal(found.begin(), found.end(), plain.values(name)));
      }
    }

    for (const std::string prefix :
         {"module.", "backbone.", "state_dict.module.encoder_q.", "a.b.c."}) {
      CAPTURE(prefix);
      State other = trained();
      for (auto& t : other.entries) t.name = prefix + t.name;
      std::ranges::reverse(other.entries);
      other.add(prefix + "fc.weight", {10, 128});
      other.add("queue", {5});
      const EncoderWeights o = other.import();
      CHECK(loaded(o) == expected);
      CHECK(o.hash == w.hash);
      CHECK(o.report.prefix == prefix);
      CHECK(o.report.count(KeyReport::State::kIgnored) == 2);
    }
    State list = trained();  // torch.nn.Sequential(*children)
    for (auto& t : list.entries) {
      const std::string part = t.name.substr(0, t.name.find('.'));
      const char* number = part == "conv1" ? "0" : part == "bn1" ? "1"
                           : part == "layer1" ? "4" : part == "layer2" ? "5"
                           : part == "layer3" ? "6" : "7";
      t.name = "backbone." + (number + t.name.substr(part.size()));
    }
    const EncoderWeights l = list.import();
    CHECK(loaded(l) == expected);
    CHECK(l.hash == w.hash);

    State changed = trained();
    changed.values("layer4.1.bn2.running_var")[3] += 1e-6f;
    CHECK(changed.import().hash != w.hash);
  }

  TEST_CASE("16-bit and 64-bit values become fp32") {
    const std::vector<float> exact = loaded(trained().import());
    const auto converted = [](DType dtype, auto&& to) {
      State s = trained();
      for (auto& t : s.entries) {
        if (t.dtype != DType::kF32) continue;
        std::vector<std::byte> bytes;
        for (std::size_t i = 0; i < t.data.size(); i += 4) {
          float v;
          std::memcpy(&v, &t.data[i], 4);
          const auto o = to(v);
          const auto* b = reinterpret_cast<const std::byte*>(&o);
          bytes.insert(bytes.end(), b, b + sizeof o);
        }
        s.storage.push_back(std::move(bytes));
        t.dtype = dtype;
        t.data = s.storage.back();
      }
      return s.import();
    };
    const auto wide =
        converted(DType::kF64, [](float v) { return static_cast<double>(v); });
    CHECK(loaded(wide) == exact);
    CHECK(wide.hash == trained().import().hash);
    CHECK(wide.report.summary().ends_with("matched; 100 of them F64 made fp32"));
    const auto half = loaded(converted(DType::kF16, to_half));
    const auto brain = loaded(converted(DType::kBF16, to_bfloat16));
    REQUIRE(half.size() == exact.size());
    bool equal = true;
    for (std::size_t i = 0; i < exact.size(); ++i)
      equal &= half[i] == to_float(to_half(exact[i])) &&
               brain[i] == to_float(to_bfloat16(exact[i]));
    CHECK(equal);
  }

  TEST_CASE("of two encoders the trained one is taken, or asked for") {
    const auto two = [](const std::string& a, const std::string& b) {
      State s = trained(), other = trained();
      other.values("bn1.bias")[0] = 7;
      for (auto& t : s.entries) t.name = a + t.name;
      for (auto& t : other.entries) {
        t.name = b + t.name;
        s.add(t.name, t.dtype, t.shape, {t.data.begin(), t.data.end()});
      }
      return s;
    };
    State moco = two("encoder_q.", "encoder_k.");
    CHECK(moco.import().hash == trained().import().hash);
    CHECK(moco.import("encoder_k").hash != trained().import().hash);
    CHECK(moco.complaint("encoder") ==
          "[weights] f: found no encoder under 'encoder.', expected one of "
          "'encoder_k.', 'encoder_q.'");
    CHECK(two("student.", "teacher.").complaint() ==
          "[weights] f: found 2 encoders, under 'student.', 'teacher.': expected "
          "--prefix to say which (music_export writes that one as a file)");
    // What is taken, and that another one is not, is said.
    const auto takes = [&](const std::string& a, const std::string& b) {
      State s = two(a, b);
      const EncoderWeights w = s.import();
      CHECK(w.hash == trained().import().hash);
      CHECK(w.report.prefix == a);
      CHECK(w.report.others == std::vector{b});
      CHECK(w.report.count(KeyReport::State::kUnexpected) == 0);
      CHECK(w.report.summary().find("another encoder under '" + b +
                                    "' not taken") != std::string::npos);
    };
    takes("encoder_q.", "encoder_k.");
    takes("online_encoder.", "target_encoder.");
    takes("model.", "model_ema.module.");
    takes("", "ema.");
    takes("module.", "optimizer.state.momentum_buffer.");
    takes("backbone.", "averaged_model.backbone.");
    // Not a moving average, in spite of its letters.
    CHECK(two("semantic.", "depth.").complaint().find("found 2 encoders") !=
          std::string::npos);
  }

  TEST_CASE("any prefix is taken off, and said") {
    for (const char* prefix :
         {"module.", "backbone.", "encoder.", "encoder_q.", "module.encoder_q.",
          "model.", "student.", "teacher.", "online_encoder.net.", "_orig_mod.",
          "_forward_module.module.", "resnet.", "module._orig_mod.backbone.",
          "state_dict.model.encoder._orig_mod."}) {
      CAPTURE(prefix);
      State s = trained();
      for (auto& t : s.entries) t.name = prefix + t.name;
      const EncoderWeights w = s.import();
      CHECK(w.hash == trained().import().hash);
      CHECK(w.report.summary().ends_with(fmt::format("under '{}'", prefix)));
    }
  }

  TEST_CASE("tensors that are not the encoder's are left out and listed") {
    State s = trained();
    for (const char* name : {"fc.weight", "fc.bias", "projector.0.weight"})
      s.add(name, {3, 2});
    for (const char* name : {"queue", "loss.center", "optimizer.state.0"})
      s.add(name, {4});
    const EncoderWeights w = s.import();
    CHECK(w.hash == trained().import().hash);
    CHECK(w.report.summary().ends_with(
        "; 3 unexpected (loss.center: [4], optimizer.state.0: [4], queue: [4]); "
        "3 of other parts ignored (fc.bias: [3,2], fc.weight: [3,2], "
        "projector.0.weight: [3,2])"));
    s.add("zeta", {1});
    CHECK(s.import().report.summary().find("; 4 unexpected (loss.center: [4], "
                                           "optimizer.state.0: [4], queue: [4], "
                                           "...); 3 of") != std::string::npos);
  }

  TEST_CASE("what is not all of one known encoder is refused") {
    const auto refused = [](const std::function<void(State&)>& change,
                            const std::string& part) {
      State s = trained();
      change(s);
      const std::string text = s.complaint();
      CAPTURE(text);
      CHECK(text.find(part) != text.npos);
      CHECK(text.find('\n') == text.npos);
    };
    refused([](State& s) { s.erase("layer3.1.bn2.bias"); },
            "99 of 100 tensors of ResNet-18, CIFAR stem, width 16 matched; 1 "
            "missing (layer3.1.bn2.bias: expected [64])");
    refused([](State& s) { s.erase("layer3.1."); },
            "found 2, 2, 1, 2 basic blocks in layer1 to layer4, expected");
    refused([](State& s) { s.erase("layer4."); }, "found 2, 2, 2, 0 basic");
    refused([](State& s) { s.erase("conv1."); },
            "found no stem, conv1.weight, expected one convolution");
    refused([](State& s) {
              s.erase("conv1.");
              s.add("conv1.0.weight", {8, 3, 3, 3});
            }, "found a stem of several convolutions");
    refused([](State& s) {
              s.erase("conv1.");
              s.add("conv1.weight", {16, 3, 5, 5});
            }, "found conv1.weight [16,3,5,5], expected [width,3,7,7]");
    refused([](State& s) { s.add("layer1.0.se.fc1.weight", {4, 16, 1, 1}); },
            "100 of 100 tensors of ResNet-18, CIFAR stem, width 16 matched; 1 "
            "unexpected (layer1.0.se.fc1.weight: [4,16,1,1])");
    refused([](State& s) { s.add("conv1.bias", {16}); }, "1 unexpected");
    refused([](State& s) {
              std::erase_if(s.entries, [](auto& t) {
                return t.name.find("bn") != t.name.npos ||
                       t.name.find("downsample.1") != t.name.npos;
              });
              s.add("conv1.bias", {16});
            }, "its batch norms were folded into the convolutions, for inference");
    refused([](State& s) {
              std::erase_if(s.entries, [](auto& t) {
                return t.name.find("running") != t.name.npos;
              });
            }, "it was saved without running statistics");
    refused([](State& s) {
              s.erase("layer2.0.conv1.weight");
              s.add("layer2.0.conv1.weight", {32, 8, 3, 3});
            }, "1 of another shape (layer2.0.conv1.weight: [32,8,3,3], expected "
               "[32,16,3,3])");
    refused([](State& s) { s.at("bn1.bias").dtype = DType::kI32; },
            "bn1.bias is I32, expected F64, F32, F16 or BF16");
    refused([](State& s) { s.values("bn1.bias")[2] = NAN; },
            "bn1.bias holds nan at element 2, expected finite numbers");
    refused([](State& s) { s.values("layer1.0.bn1.running_var")[2] = -1; },
            "layer1.0.bn1.running_var holds -1, expected a variance");
    refused([](State& s) {
              s.exchange("layer1.0.bn2.running_mean", "layer1.0.bn2.running_var");
            }, "layer1.0.bn2.running_var holds -");

    State projector;
    projector.add("0.weight", {8, 4});
    projector.add("1.running_mean", {8});
    CHECK(projector.complaint() ==
          "[weights] f: found 2 tensors, first '0.weight' and no convolution: a "
          "projector or a head, expected a ResNet's under torchvision's names "
          "(conv1.weight, layer1.0.conv1.weight, ...)");
    CHECK(State().complaint().find("found 0 tensors, expected") != std::string::npos);
    State other;
    other.add("blocks.0.attn.weight", {8, 4, 1, 1});
    CHECK(other.complaint().find("found 1 tensors, first 'blocks.0.attn.weight', "
                                 "expected a ResNet's") != std::string::npos);
  }

  TEST_CASE("metadata that contradicts the tensors is refused") {
    State s = trained();
    try {
      import_encoder(s.file({{"resnet_depth", "34"}}), "f");
      FAIL("taken");
    } catch (const Error& e) {
      CHECK(std::string(e.what()) ==
            "[weights] f: tensors of ResNet-18, CIFAR stem, width 16, expected "
            "ResNet-34, CIFAR stem, width 16 by its metadata");
    }
    const auto w = import_encoder(s.file({{"image_size", "28"}}), "f");
    CHECK(w.info.image_size == 28);
    CHECK(w.metadata.at("image_size") == "28");
  }

  TEST_CASE("another network's parameters are not filled") {
    const EncoderWeights w = trained().import();
    Model model({{.depth = 18, .width = 8, .stem = Stem::kCifar}}, false);
    CHECK_THROWS_WITH_AS(
        w.load_into(model.parameters(), Model::kEncoder),
        "[weights] f: found a ResNet-18, CIFAR stem, width 16, expected the "
        "encoder of this configuration, with conv1.weight [8,3,3,3]", Error);
  }

  TEST_CASE("weights that nobody trained are known") {
    for (const auto init : {InitScheme::kKaimingFanOut, InitScheme::kPyTorch}) {
      Model model({{.depth = 18, .width = 16, .stem = Stem::kCifar, .init = init}},
                  false);
      model.parameters().initialise(3);
      const StateDict dict = export_state(model.parameters(), Model::kEncoder, 0);
      State s;
      for (const auto& e : dict.entries)
        s.add(e.name, e.dtype, e.shape, {e.data.begin(), e.data.end()});
      CHECK(s.import().doubts.size() == 4);
    }
    // One sign each.
    State counters = trained();
    for (auto& t : counters.entries)
      if (t.name.ends_with("num_batches_tracked")) {
        counters.storage.emplace_back(8);
        t.data = counters.storage.back();
      }
    CHECK(counters.import().doubts ==
          std::vector<std::string>{"num_batches_tracked is 0: batch norms have "
                                   "seen no batch"});
    // Scales hardly move in a short run: those of the convolutions say nothing
    // alone, and are said beside another sign.
    State drawn = trained();
    for (auto& t : drawn.entries)
      if (t.shape.size() == 4) {
        float* v = drawn.values(t.name);
        for (std::int64_t i = 0; i < elements(t.shape); ++i) v[i] /= 1.3f;
      }
    CHECK(drawn.import().doubts.empty());
    for (auto& t : drawn.entries)
      if (t.name.ends_with("num_batches_tracked")) {
        drawn.storage.emplace_back(8);
        t.data = drawn.storage.back();
      }
    REQUIRE(drawn.import().doubts.size() == 2);
    CHECK(drawn.import().doubts[1].find("initialisation") != std::string::npos);
  }

  TEST_CASE("exchanged tensors of equal shape are found by the batch norms") {
    State two = trained();
    two.exchange("layer3.0.conv2.weight", "layer3.1.conv2.weight");
    const EncoderWeights w = two.import();
    REQUIRE(w.misfits.size() == 2);
    CHECK(w.misfits[0].starts_with("layer3.0.conv2.weight ("));
    CHECK(w.misfits[1].starts_with("layer3.1.conv2.weight ("));

    State all = trained();  // each layer's two
    for (const char* layer : {"layer1", "layer2", "layer3", "layer4"})
      all.exchange(fmt::format("{}.0.conv2.weight", layer),
                   fmt::format("{}.1.conv2.weight", layer));
    CHECK(all.complaint().find("8 of 8 convolutions do not fit the batch norms "
                               "around them, first layer1.0.conv2.weight (") !=
          std::string::npos);

    for (const NormFit& f : norm_fits(trained().import().tensors))
      CHECK(f.correlation > 0.9);
  }

  TEST_CASE("a file cut short anywhere is refused") {
    const Scratch scratch;
    State s = trained();
    write_safetensors(scratch.path / "f", s.entries);
    const auto size = std::filesystem::file_size(scratch.path / "f");
    for (const std::uintmax_t keep : {std::uintmax_t{0}, std::uintmax_t{7},
                                      std::uintmax_t{100}, size / 2, size - 1}) {
      std::filesystem::copy_file(scratch.path / "f", scratch.path / "g",
                                 std::filesystem::copy_options::overwrite_existing);
      std::filesystem::resize_file(scratch.path / "g", keep);
      CHECK_THROWS_AS(open_encoder_file(scratch.path / "g"), Error);
    }
  }
}

}  // namespace
