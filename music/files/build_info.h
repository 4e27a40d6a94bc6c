#pragma once
// Which code this is, as known when the build was configured.

#include <string>

namespace music {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string commit;    // git describe; "" when not built from a checkout
  std::string compiler;  // "GNU 12.2.0"
  std::string build_type;

  std::string describe() const {  // "0.1.0 (1a2b3c4)"
    return commit.empty() ? version : version + " (" + commit + ")";
  }
};

const BuildInfo& build_info();

}  // namespace music
