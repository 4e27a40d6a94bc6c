#pragma once
// A place among processes that do not exist: graphs can be recorded, planned
// and priced for any number of them.

#include <memory>

#include "dist/communicator.h"

namespace music::dist {

// Rank `rank` of `size`. Every exchange throws.
std::unique_ptr<Communicator> make_planned_communicator(int rank, int size);

}  // namespace music::dist
