#pragma once
// Exchange of text, and agreement on what must be the same everywhere.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dist/communicator.h"

namespace music::dist {

// The text of every rank, in rank order, on every rank.
std::vector<std::string> all_gather_text(Communicator& communicator,
                                         const std::string& mine);
std::string broadcast_text(Communicator& communicator, const std::string& text,
                           int root = 0);

// Throws on all ranks when one of (what, value) differs; the
// message names the ranks that differ from rank 0.
void require_agreement(
    Communicator& communicator,
    std::span<const std::pair<std::string, std::string>> values,
    ExitCode code = ExitCode::kUsage);

}  // namespace music::dist
