#pragma once
// What every record of a COCO file must have.

#include <cstddef>
#include <initializer_list>
#include <string>

#include "engine/core/error.h"
#include "music/eval/coco/ground_truth.h"
#include "music/eval/coco/record_reader.h"

namespace music::coco {

// "[coco] gt.json: annotations[7]: ..."
inline Error record_error(const std::string& file, List list, std::size_t index,
                          const std::string& what) {
  return error(ExitCode::kData, "[coco] {}: {}: {}", file,
               place_of(list, index), what);
}

inline void require(const std::string& file, List list, const Record& r,
                    std::initializer_list<Key> keys) {
  for (const Key key : keys)
    if (!r.has(key))
      throw record_error(file, list, r.index,
                         fmt::format("no \"{}\"", name_of(key)));
}

// Its box, whose sides are not negative.
inline Box checked_box(const std::string& file, List list, const Record& r) {
  const Box box{r.box[0], r.box[1], r.box[2], r.box[3]};
  if (box[2] < 0 || box[3] < 0)
    throw record_error(file, list, r.index,
                       fmt::format("box of {} x {}, expected sides from 0",
                                   box[2], box[3]));
  return box;
}

}  // namespace music::coco
