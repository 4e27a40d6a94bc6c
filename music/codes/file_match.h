#pragma once
// Which row of a table is that of which image, by their names.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace music {

// For each image the number of its row, -1: none. In turn: the row whose name is the
// end of the image's, in whole parts, the longest first; then the row whose end the
// image's name is; then the row of the same last part where that is the only such
// row and image; of those none where a pair's folders differ and the row's is one of the
// images'. Backslashes are slashes, "./" at the start does not count.
//
// notes: rows matched by their last part, rows without an image and images without a
// row, counted, with the first names. Throws kData where a name comes twice in the table, where a row could be of
// two images or an image of two rows, and where no row is of an image.
std::vector<std::int64_t> match_files(std::span<const std::string> rows,
                                      std::span<const std::string> images,
                                      const std::string& table,
                                      std::vector<std::string>& notes);

}  // namespace music
