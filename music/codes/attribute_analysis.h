#pragma once
// Which segment of a code tells which attribute of an image, counted over images
// whose attributes are known; docs/attributes.md says what each number means.
//
// What is chosen is chosen on one half of the images, drawn by the seed, and
// reported on the other. Equal bytes for any number of threads.

#include <cstdint>
#include <functional>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "music/codes/association.h"
#include "music/loss/segments.h"

namespace music {

struct Attribute {
  std::string name;
  std::vector<std::string> values;
  std::vector<std::int32_t> rows;  // [n] place in values; -1: not known
  std::string bins;  // how numbers were cut; empty: values are as they were given
};

struct AttributeSpec {
  std::int64_t permutations = 1000;  // p is never below 1 / (1 + permutations)
  double level = 0.01;               // adjusted p that is called significant
  std::uint64_t seed = 0;
  std::int64_t best = 3;             // segments named for each attribute
  std::function<void(double)> done;  // share of the work, as it goes
};

// One segment and one attribute, over the images whose attribute is known.
struct Telling {
  Association association;
  double p = 1;         // (1 + permutations as large) / (1 + permutations)
  double adjusted = 1;  // by Westfall and Young's single-step max-T: the reported
  double q = 1;         // Benjamini and Hochberg's, from p
};

// A segment chosen for an attribute.
struct BestSegment {
  std::int64_t segment = 0;
  double chosen_share = 0;    // on the half that chose it
  Association association;    // on the other
};

struct AttributeResult {
  std::string name, bins;
  std::vector<std::string> values;
  std::vector<std::int64_t> counts;  // images of each value
  std::int64_t known = 0;            // their sum
  double entropy = 0;                // nats
  std::vector<BestSegment> best;     // by share, largest first
};

// A unit and the value it stands for: chosen on one half for the surest surplus,
// counted on the other.
struct UnitName {
  std::int64_t segment = 0, place = 0;  // unit Segments::begin(segment) + place
  std::int64_t attribute = 0, value = 0;
  std::int64_t images = 0;  // of this unit, whose attribute is known
  std::int64_t hits = 0;    // of them, with the value
  std::int64_t with_value = 0, known = 0;  // of the half: base with_value / known
  double p = 1;      // of so many hits by chance (hypergeometric)
  bool holds = false;  // p at `level` by Holm's method over all names

  double purity() const { return share(hits, images); }
  double base() const { return share(with_value, known); }
  double recall() const { return share(hits, with_value); }

 private:
  static double share(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }
};

struct AttributeAnalysis {
  std::int64_t images = 0;
  std::vector<std::int64_t> sizes;  // units of each segment
  std::int64_t permutations = 0;
  double level = 0;
  std::uint64_t seed = 0;
  std::vector<AttributeResult> attributes;
  std::vector<Telling> tells;  // [segments, attributes]
  std::vector<UnitName> names;   // of each unit in use on the first half, by unit
  std::vector<UnitName> values;  // best unit of each value, by attribute and value
  // [segments, segments] on the second half: what two segments both tell, as a
  // share of the one that tells less, above chance; 1 on the diagonal.
  std::vector<double> redundancy;
  std::vector<std::string> notes;  // what a reader has to know, one line each

  std::int64_t segments() const { return std::ssize(sizes); }
  const Telling& tell(std::int64_t segment, std::int64_t attribute) const {
    return tells[static_cast<std::size_t>(
        segment * static_cast<std::int64_t>(attributes.size()) + attribute)];
  }
  bool significant(const Telling& t) const { return t.adjusted <= level; }
};

// Throws kUsage for settings that make no test: a level that so few permutations
// cannot reach.
void check_test(const AttributeSpec& spec);

// codes [n, segments.count()]: place of the unit in its segment. Throws as check_test(), and kData
// for fewer than 20 images or no attribute with two values. Attributes with one are
// left out, with a note.
AttributeAnalysis analyse_attributes(std::span<const std::uint16_t> codes,
                                     const Segments& segments,
                                     std::span<const Attribute> attributes,
                                     const AttributeSpec& spec);

}  // namespace music
