#pragma once
// MUSIC (paper section 2): codes of S segments, joint entropies of the two
// views. Heads: the projector, whose last width is D.

#include <memory>

#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"
#include "music/method/parts.h"
#include "music/method/setting.h"

namespace music {

struct MusicSettings {
  std::int64_t segment = 80;           // D_S, units a segment
  std::vector<std::int64_t> segments;  // uneven sizes; overrides `segment`
  JointEntropySpec entropy;
};

// The segments that settings ask for on `units` units. Throws kUsage when they
// do not fit.
Segments make_segments(const MusicSettings& settings, std::int64_t units);

class Music : public ProjectedMethod {
 public:
  static constexpr const char* kName = "music";
  static constexpr const char* kSection = "loss";
  using Settings = MusicSettings;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();
  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  Music(Parameters& parameters, const Settings& settings,
        const HeadSizes& sizes);
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;
  std::string legend() const override {
    return "[a, b] beside a value: a for uniform codes, b at best";
  }

  const Segments& segments() const { return segments_; }
  static JointEntropyTerms terms(const Readings& readings);
  static const float* mean_q(const Readings& readings);  // [2,D]

 private:
  Settings settings_;
  Segments segments_;
};

}  // namespace music
