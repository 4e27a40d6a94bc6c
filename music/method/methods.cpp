#include "music/method/methods.h"

namespace music {
namespace {

// Calls fn with the chosen method's type.
template <typename F>
void with_method(const MethodSpec& spec, F&& fn) {
  bool found = false;
  Methods::for_each([&]<typename M>(std::type_identity<M> m) {
    if (spec.name != M::kName) return;
    fn(m);
    found = true;
  });
  MUSIC_CHECK(found, "[method] no method {}", spec.name);
}

}  // namespace

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  Methods::for_each([&]<typename M>(std::type_identity<M>) {
    names.push_back(M::kName);
  });
  return names;
}

Needs needs_of(const MethodSpec& spec) {
  Needs needs;
  with_method(spec, [&]<typename M>(std::type_identity<M>) {
    needs = M::kNeeds;
  });
  return needs;
}

std::unique_ptr<Method> make_method(Parameters& parameters,
                                    const MethodSpec& spec,
                                    const HeadSizes& sizes) {
  std::unique_ptr<Method> method;
  with_method(spec, [&]<typename M>(std::type_identity<M>) {
    method = std::make_unique<M>(parameters, spec.of<M>(), sizes);
  });
  return method;
}

void check_method(const MethodSpec& spec, const HeadSizes& sizes,
                  std::vector<std::string>& warnings) {
  with_method(spec, [&]<typename M>(std::type_identity<M>) {
    if constexpr (requires { M::check(spec.of<M>(), sizes, warnings); })
      M::check(spec.of<M>(), sizes, warnings);
  });
}

}  // namespace music
