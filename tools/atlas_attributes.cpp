#include "tools/atlas_attributes.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "music/train/interrupt.h"

namespace music {

void AttributeOptions::add_to(CLI::App& app) {
  app.add_option("--attributes", table,
                 "what is known of the images: a CSV table with a column of their "
                 "names, as music_attributes writes it (classes are taken from the "
                 "data)");
  app.add_option("--permutations", permutations,
                 "of the tests of which segment tells which attribute; 0: none are made")
      ->check(CLI::Range(0, 1000000))->capture_default_str();
  app.add_option("--level", level, "p that is called significant")
      ->check(CLI::Range(1e-6, 0.5))->capture_default_str();
}

AtlasAttributes::AtlasAttributes(const AttributeOptions& o,
                                 const data::Dataset& dataset)
    : options_(o) {
  if (o.permutations == 0) {
    if (!o.table.empty())
      throw error(ExitCode::kUsage, "[atlas] --attributes {} with --permutations 0, "
                  "expected at least 1", o.table);
    return;
  }
  AttributeSpec spec;  // before hours of work
  spec.permutations = o.permutations, spec.level = o.level;
  check_test(spec);
  std::vector<int> labels;
  for (std::int64_t i = 0; i < dataset.size(); ++i) labels.push_back(dataset.label(i));
  known_ = class_attribute(labels, dataset.classes());
  if (o.table.empty()) return;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < dataset.size(); ++i) names.push_back(dataset.name(i));
  AttributeTable table = read_attribute_table(o.table, names);
  for (const std::string& note : table.notes) spdlog::warn("[atlas] {}", note);
  for (Attribute& a : known_.attributes)
    if (std::ranges::count(table.attributes, a.name, &Attribute::name) > 0)
      a.name += " (of the data)";
  for (Attribute& a : table.attributes) known_.attributes.push_back(std::move(a));
  for (std::string& note : table.notes) known_.notes.push_back(std::move(note));
}

std::optional<AttributeAnalysis> AtlasAttributes::analyse(
    const CodeIndex& codes, const std::vector<std::int64_t>& samples,
    const std::function<void(double)>& done) const {
  if (known_.attributes.empty()) return {};
  std::vector<Attribute> attributes = known_.attributes;
  for (Attribute& a : attributes) {
    std::vector<std::int32_t> rows;
    for (const std::int64_t s : samples) rows.push_back(a.rows[static_cast<std::size_t>(s)]);
    a.rows = std::move(rows);
  }
  std::vector<std::uint16_t> all;
  all.reserve(static_cast<std::size_t>(codes.size() * codes.segments().count()));
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    const std::vector<std::uint16_t> code = codes.code(i);
    all.insert(all.end(), code.begin(), code.end());
  }
  AttributeSpec spec;
  spec.permutations = options_.permutations;
  spec.level = options_.level;
  spec.seed = options_.seed;
  spec.done = done;
  try {
    AttributeAnalysis found =
        analyse_attributes(all, codes.segments(), attributes, spec);
    found.notes.insert(found.notes.begin(), known_.notes.begin(), known_.notes.end());
    return found;
  } catch (const Error& e) {
    if (!options_.table.empty() || InterruptGuard::pending() != 0) throw;
    spdlog::warn("[atlas] no analysis of classes: {}", e.what());
    return {};
  }
}

}  // namespace music
