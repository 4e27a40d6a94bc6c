#pragma once
// What tells one labelled data set from another, wherever its files lie.

#include <string>

#include "data/dataset.h"

namespace music {

// 32 hex digits over number, class names, every label in order, and the stored
// bytes of up to 256 evenly spaced images; neither paths nor the layout of the
// files enter.
std::string data_fingerprint(const data::Dataset& dataset);

}  // namespace music
