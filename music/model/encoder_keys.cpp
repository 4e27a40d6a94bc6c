#include "music/model/encoder_keys.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return c >= '0' && c <= '9';
  });
}

// Up to the dot; all of it where there is none.
std::string_view first_part(std::string_view name) {
  return name.substr(0, name.find('.'));
}

// "layer1" to "layer4".
bool is_layer(std::string_view part) {
  return part.size() == 6 && part.starts_with("layer") && part[5] >= '1' &&
         part[5] <= '4';
}

// Calls fn(start) for every component of a name.
template <typename F>
void for_each_part(std::string_view name, F&& fn) {
  for (std::size_t at = 0; at != std::string_view::npos;) {
    fn(at);
    at = name.find('.', at);
    if (at != std::string_view::npos) ++at;
  }
}

// What stands before "layer1.0." and the like.
std::set<std::string> named_prefixes(const SafetensorsFile& file) {
  std::set<std::string> found;
  for (const std::string& key : file.names())
    for_each_part(key, [&](std::size_t at) {
      const std::string_view rest = std::string_view(key).substr(at);
      const std::string_view part = first_part(rest);
      if (is_layer(part) && rest.size() > part.size() &&
          all_digits(first_part(rest.substr(part.size() + 1))))
        found.insert(key.substr(0, at));
    });
  return found;
}

// The numbers that stand for the stem's convolution and batch norm and the
// four layers of a network cut into a list; empty: it is none.
std::map<std::string, std::string> list_names(const SafetensorsFile& file,
                                              const std::string& prefix) {
  std::set<int> layers;
  for (const std::string& key : file.names()) {
    if (!key.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(key).substr(prefix.size());
    const std::string_view number = first_part(rest);
    if (all_digits(number) && number.size() < 3 &&
        rest.substr(number.size()) == ".0.conv1.weight")
      layers.insert(std::atoi(std::string(number).c_str()));
  }
  if (layers.size() != 4 || !file.find(prefix + "0.weight") ||
      !file.find(prefix + "1.running_mean"))
    return {};
  std::map<std::string, std::string> names{{"0", "conv1"}, {"1", "bn1"}};
  int layer = 0;
  for (const int number : layers)
    names[std::to_string(number)] = fmt::format("layer{}", ++layer);
  return names;
}

std::set<std::string> list_prefixes(const SafetensorsFile& file) {
  constexpr std::string_view kStem = "0.weight";
  std::set<std::string> found;
  for (const std::string& key : file.names()) {
    if (!key.ends_with(kStem)) continue;
    const std::string prefix = key.substr(0, key.size() - kStem.size());
    if ((prefix.empty() || prefix.back() == '.') &&
        !list_names(file, prefix).empty())
      found.insert(prefix);
  }
  return found;
}

// A moving average that is kept beside the trained network, or an optimiser's
// state of it.
bool is_average(const std::string& prefix) {
  for (const char* word : {"encoder_k", "key_enc", "optim", "exp_avg"})
    if (prefix.find(word) != prefix.npos) return true;
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (std::size_t at = 0; at < prefix.size();) {
    std::string word;
    while (at < prefix.size() && is_letter(prefix[at]))
      word += static_cast<char>(prefix[at++] | 0x20);
    if (word == "ema" || word.starts_with("momentum") ||
        word.starts_with("target") || word.starts_with("averag"))
      return true;
    ++at;
  }
  return false;
}

// Leaves the others in `found`.
std::string choose(std::set<std::string>& found, std::string wanted,
                   const std::string& file_name) {
  if (!wanted.empty() && wanted.back() != '.') wanted += '.';
  std::vector<std::string> shown;
  for (const auto& p : found) shown.push_back(in_quotes(p.empty() ? "." : p));
  if (!wanted.empty()) {
    if (wanted == "." && found.erase("")) return "";
    if (found.erase(wanted)) return wanted;
    throw error(ExitCode::kData,
                "[weights] {}: found no encoder under {}, expected one of {}",
                file_name, in_quotes(wanted), fmt::join(shown, ", "));
  }
  std::set<std::string> trained = found;
  if (found.size() > 1) std::erase_if(trained, is_average);
  if (trained.size() == 1) {
    found.erase(*trained.begin());
    return *trained.begin();
  }
  throw error(ExitCode::kData,
              "[weights] {}: found {} encoders, under {}: expected --prefix to "
              "say which (music_export writes that one as a file)", file_name,
              shown.size(), fmt::join(shown, ", "));
}

[[noreturn]] void throw_no_encoder(const SafetensorsFile& file,
                                   const std::string& file_name) {
  const auto& tensors = file.tensors();
  const bool flat = std::ranges::none_of(
      tensors, [](const TensorEntry& t) { return t.shape.size() > 2; });
  const std::string first = tensors.empty() ? "" : tensors.front().name;
  throw error(ExitCode::kData,
              "[weights] {}: found {} tensors{}{}{}, expected a ResNet's under "
              "torchvision's names (conv1.weight, layer1.0.conv1.weight, ...)",
              file_name, tensors.size(), first.empty() ? "" : ", first ",
              first.empty() ? "" : in_quotes(first),
              flat && !tensors.empty()
                  ? " and no convolution: a projector or a head" : "");
}

}  // namespace

EncoderKeys find_encoder(const SafetensorsFile& file,
                         const std::string& file_name,
                         const std::string& prefix) {
  std::set<std::string> found = named_prefixes(file);
  const bool named = !found.empty();
  if (!named) found = list_prefixes(file);
  if (found.empty()) throw_no_encoder(file, file_name);

  EncoderKeys keys;
  keys.prefix = choose(found, prefix, file_name);
  keys.others.assign(found.begin(), found.end());
  const auto of_another = [&](const std::string& name) {
    return std::ranges::any_of(keys.others, [&](const std::string& other) {
      return other.size() > keys.prefix.size() && name.starts_with(other);
    });
  };
  const auto list = named ? std::map<std::string, std::string>{}
                          : list_names(file, keys.prefix);
  for (const TensorEntry& t : file.tensors()) {
    if (!t.name.starts_with(keys.prefix) || of_another(t.name)) {
      keys.elsewhere.push_back(t.name);
      continue;
    }
    std::string name = t.name.substr(keys.prefix.size());
    if (const auto at = list.find(std::string(first_part(name)));
        at != list.end())
      name = at->second + name.substr(at->first.size());
    keys.tensors[name] = &t;
  }
  return keys;
}

ResNetSpec spec_of(const EncoderKeys& keys, const std::string& file_name) {
  const auto fail = [&](const std::string& found, const std::string& expected) {
    throw error(ExitCode::kData, "[weights] {}: found {}, expected {}",
                file_name, found, expected);
  };
  std::array<int, 4> blocks{};
  bool bottleneck = false;
  for (const auto& [name, tensor] : keys.tensors) {
    const std::string_view layer = first_part(name);
    if (!is_layer(layer) || name.size() <= 7) continue;
    const std::string number(first_part(std::string_view(name).substr(7)));
    if (!all_digits(number) || number.size() > 3) continue;
    int& count = blocks[static_cast<std::size_t>(layer[5] - '1')];
    count = std::max(count, std::atoi(number.c_str()) + 1);
    bottleneck |= name.ends_with(".conv3.weight");
  }
  ResNetSpec spec;
  struct Known { int depth; std::array<int, 4> blocks; bool bottleneck; };
  constexpr Known kKnown[] = {{18, {2, 2, 2, 2}, false},
                              {34, {3, 4, 6, 3}, false},
                              {50, {3, 4, 6, 3}, true},
                              {101, {3, 4, 23, 3}, true}};
  const auto known = std::ranges::find_if(kKnown, [&](const Known& k) {
    return k.blocks == blocks && k.bottleneck == bottleneck;
  });
  if (known == std::end(kKnown))
    fail(fmt::format("{} {} blocks in layer1 to layer4", fmt::join(blocks, ", "),
                     bottleneck ? "bottleneck" : "basic"),
         "2, 2, 2, 2 or 3, 4, 6, 3 basic ones (ResNet-18, 34), or 3, 4, 6, 3 or "
         "3, 4, 23, 3 bottlenecks (ResNet-50, 101)");
  spec.depth = known->depth;

  const TensorEntry* stem = keys.find("conv1.weight");
  if (!stem)
    fail(keys.find("conv1.0.weight") ? "a stem of several convolutions"
                                     : "no stem, conv1.weight",
         "one convolution, 7x7 or 3x3");
  const auto& s = stem->shape;
  if (s.size() != 4 || s[1] != 3 || s[2] != s[3] || (s[2] != 7 && s[2] != 3) ||
      s[0] < 1 || s[0] > ResNetSpec::kMostWidth)
    fail(fmt::format("conv1.weight [{}]", fmt::join(s, ",")),
         fmt::format("[width,3,7,7] or [width,3,3,3], width up to {}",
                     ResNetSpec::kMostWidth));
  spec.width = static_cast<int>(s[0]);
  spec.stem = s[2] == 3 ? Stem::kCifar : Stem::kImageNet;
  return spec;
}

std::string describe(const ResNetSpec& spec) {
  return fmt::format("ResNet-{}, {} stem, width {}", spec.depth,
                     spec.stem == Stem::kCifar ? "CIFAR" : "ImageNet",
                     spec.width);
}

}  // namespace music
