#pragma once
// The methods there are: the one list. What each has is described in its own
// header; here a name becomes a Method.
//
// A method M is a class with
//   kName, kSection     its name and the section of its settings
//   kNeeds              what it asks of the batch
//   Settings            what can be set, with defaults
//   settings()          the same as a list of Setting<Settings>
//   check(settings, sizes, warnings), if it has any
//                       throws kUsage for what no single setting can say; names
//                       of settings in messages are given their origin
//   M(parameters, settings, sizes)
//                       registers heads

#include <memory>
#include <tuple>
#include <type_traits>

#include "music/method/barlow_twins.h"
#include "music/method/byol.h"
#include "music/method/moco_v2.h"
#include "music/method/music.h"
#include "music/method/simclr.h"
#include "music/method/simsiam.h"
#include "music/method/supervised.h"
#include "music/method/swav.h"
#include "music/method/vicreg.h"

namespace music {

template <typename... M>
struct MethodList {
  using Settings = std::tuple<typename M::Settings...>;
  template <typename F>
  static void for_each(F&& fn) {
    (fn(std::type_identity<M>{}), ...);
  }
};

// In the order of the help.
using Methods = MethodList<Music, Vicreg, BarlowTwins, SimClr, SimSiam, Byol,
                           MocoV2, Swav, Supervised>;

// A choice among them, with the settings of all.
struct MethodSpec {
  std::string name = Music::kName;
  Methods::Settings settings;

  template <typename M>
  typename M::Settings& of() {
    return std::get<typename M::Settings>(settings);
  }
  template <typename M>
  const typename M::Settings& of() const {
    return std::get<typename M::Settings>(settings);
  }
};

std::vector<std::string> method_names();
Needs needs_of(const MethodSpec& spec);

// Registers the method's heads behind what parameters has.
std::unique_ptr<Method> make_method(Parameters& parameters,
                                    const MethodSpec& spec,
                                    const HeadSizes& sizes);

// Throws kUsage, or adds warnings: see above.
void check_method(const MethodSpec& spec, const HeadSizes& sizes,
                  std::vector<std::string>& warnings);

}  // namespace music
