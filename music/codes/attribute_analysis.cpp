#include "music/codes/attribute_analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "music/codes/permutation_test.h"

namespace music {
namespace {

constexpr std::int64_t kFewest = 20;  // images: ten a half

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// Codes and attributes, a column each, of all images or of one half.
struct CodeColumns {
  std::vector<std::vector<std::uint16_t>> codes, attributes;
  std::vector<std::int64_t> units, values;  // how many each of them has

  std::int64_t segments() const { return static_cast<std::int64_t>(codes.size()); }
  std::int64_t known_attributes() const {
    return static_cast<std::int64_t>(attributes.size());
  }

  Contingency table(std::int64_t s, std::int64_t a) const {
    return count(codes[at(s)], units[at(s)], attributes[at(a)], values[at(a)]);
  }
  Contingency both(std::int64_t s, std::int64_t t) const {
    return count(codes[at(s)], units[at(s)], codes[at(t)], units[at(t)]);
  }
  // The images of these numbers.
  CodeColumns pick(std::span<const std::uint32_t> chosen) const {
    CodeColumns out = *this;
    for (auto* columns : {&out.codes, &out.attributes})
      for (auto& column : *columns) {
        std::vector<std::uint16_t> picked;
        picked.reserve(chosen.size());
        for (const std::uint32_t i : chosen) picked.push_back(column[i]);
        column = std::move(picked);
      }
    return out;
  }
  static std::vector<Labels> labels(
      const std::vector<std::vector<std::uint16_t>>& columns,
      const std::vector<std::int64_t>& sizes) {
    std::vector<Labels> out;
    for (std::size_t i = 0; i < columns.size(); ++i)
      out.push_back({sizes[i], columns[i]});
    return out;
  }

 private:
  static Contingency count(const std::vector<std::uint16_t>& a, std::int64_t rows,
                           const std::vector<std::uint16_t>& b,
                           std::int64_t columns) {
    Contingency table(rows, columns);
    for (std::size_t i = 0; i < a.size(); ++i)
      if (b[i] != Labels::kUnknown) table.add(a[i], b[i]);
    return table;
  }
};

CodeColumns columns_of(std::span<const std::uint16_t> codes, const Segments& segments,
                   std::span<const Attribute> attributes) {
  CodeColumns out;
  const std::size_t count = at(segments.count()), n = codes.size() / count;
  out.codes.resize(count);
  for (std::size_t s = 0; s < count; ++s) {
    out.units.push_back(segments.size(static_cast<std::int64_t>(s)));
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint16_t code = codes[i * count + s];
      MUSIC_CHECK(code < out.units[s], "[attributes] code {} of {} units", code,
                  out.units[s]);
      out.codes[s].push_back(code);
    }
  }
  for (const Attribute& attribute : attributes) {
    MUSIC_CHECK(attribute.rows.size() == n, "[attributes] {} rows of {} images",
                attribute.rows.size(), n);
    auto& column = out.attributes.emplace_back();
    for (const std::int32_t v : attribute.rows)
      column.push_back(v < 0 ? Labels::kUnknown : static_cast<std::uint16_t>(v));
    out.values.push_back(static_cast<std::int64_t>(attribute.values.size()));
  }
  return out;
}

// f(i) for i in [0, n), in any order and at once.
template <typename F>
void for_each(std::int64_t n, const F& f) {
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t i = 0; i < n; ++i) f(i);
}

std::vector<Association> associations(const CodeColumns& columns) {
  const std::int64_t attributes = columns.known_attributes();
  std::vector<Association> out(at(columns.segments() * attributes));
  for_each(static_cast<std::int64_t>(out.size()), [&](std::int64_t i) {
    out[at(i)] = associate(columns.table(i / attributes, i % attributes));
  });
  return out;
}

// The half that chooses and the half that reports.
struct ImageHalves {
  CodeColumns first, second;
};

void choose_segments(const ImageHalves& halves, std::int64_t best,
                     std::vector<AttributeResult>& results) {
  const auto shares = associations(halves.first);
  const std::size_t count = results.size();
  std::vector<std::int64_t> order(at(halves.first.segments()));
  for (std::size_t a = 0; a < count; ++a) {
    const auto share = [&](std::int64_t s) { return shares[at(s) * count + a].share; };
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::ranges::stable_sort(order, std::ranges::greater{}, share);
    for (std::int64_t k = 0; k < best && k < std::ssize(order); ++k) {
      const std::int64_t s = order[at(k)];
      results[a].best.push_back(
          {s, share(s),
           associate(halves.second.table(s, static_cast<std::int64_t>(a)))});
    }
  }
}

// How sure a surplus is: hits of so many images where a share `base` was to be
// expected. Chernoff's exponent, -log of a bound of its probability.
double surplus(std::int64_t hits, std::int64_t images, double base) {
  if (images == 0) return 0;
  const double n = static_cast<double>(images);
  const double rate = static_cast<double>(hits) / n;
  if (rate <= base) return 0;
  const double other = rate < 1 ? (1 - rate) * std::log((1 - rate) / (1 - base)) : 0;
  return n * (rate * std::log(rate / base) + other);
}

struct NameCandidate {
  double surplus = 0;
  UnitName name;
};

// The surest value of each unit, and the surest unit of each value, by the first
// half; [units] and, one attribute after the other, [values].
void choose_names(const CodeColumns& half, const Segments& segments,
                  std::vector<NameCandidate>& units,
                  std::vector<std::vector<NameCandidate>>& values) {
  for (std::int64_t s = 0; s < half.segments(); ++s)
    for (std::int64_t a = 0; a < half.known_attributes(); ++a) {
      const Contingency table = half.table(s, a);
      for (std::int64_t d = 0; d < table.rows; ++d)
        for (std::int64_t v = 0; v < table.columns; ++v) {
          const double base = static_cast<double>(table.column_sums[at(v)]) /
                              static_cast<double>(std::max<std::int64_t>(table.total, 1));
          const NameCandidate found{
              surplus(table.cells[at(d * table.columns + v)],
                      table.row_sums[at(d)], base),
              {.segment = s, .place = d, .attribute = a, .value = v}};
          auto& unit = units[at(segments.begin(s) + d)];
          auto& value = values[at(a)][at(v)];
          if (found.surplus > unit.surplus) unit = found;
          if (found.surplus > value.surplus) value = found;
        }
    }
}

// Counts of chosen names on the second half, and which hold there (Holm, 1979).
void report_names(const CodeColumns& half, double level, std::vector<UnitName>& names) {
  for (UnitName& name : names) {
    const Contingency table = half.table(name.segment, name.attribute);
    name.images = table.row_sums[at(name.place)];
    name.hits = table.cells[at(name.place * table.columns + name.value)];
    name.with_value = table.column_sums[at(name.value)];
    name.known = table.total;
    name.p = hypergeometric_tail(name.hits, name.images, name.with_value,
                                 name.known);
  }
  std::vector<std::size_t> order(names.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return names[i].p; });
  double left = static_cast<double>(names.size());
  for (const std::size_t i : order) {
    if (names[i].p * left-- > level) break;
    names[i].holds = true;
  }
}

std::vector<double> redundancy(const CodeColumns& half) {
  const std::int64_t count = half.segments();
  std::vector<double> shared(at(count * count), 1);
  for_each(count * count, [&](std::int64_t i) {
    const std::int64_t s = i / count, t = i % count;
    if (s >= t) return;
    const Contingency table = half.both(s, t);
    const double least = std::min(entropy(table.row_sums), entropy(table.column_sums));
    const double chance = chance_information(table.row_sums, table.column_sums);
    const double information = entropy(table.row_sums) +
                               entropy(table.column_sums) - entropy(table.cells);
    const double room = least - chance;
    shared[at(i)] = shared[at(t * count + s)] =
        room > 1e-12 ? (information - chance) / room : 0;
  });
  return shared;
}

void check(std::span<const Attribute> attributes, std::int64_t images,
           const AttributeSpec& spec) {
  check_test(spec);
  if (images < kFewest)
    throw error(ExitCode::kData, "[attributes] {}, expected {} at least",
                counted(images, "image"), kFewest);
  for (const Attribute& attribute : attributes)
    if (std::ssize(attribute.values) >= Labels::kUnknown)
      throw error(ExitCode::kData, "[attributes] {} has {} values, expected {} at most",
                  in_quotes(attribute.name), attribute.values.size(),
                  Labels::kUnknown - 1);
}

AttributeResult describe(const Attribute& attribute) {
  AttributeResult result;
  result.name = attribute.name, result.bins = attribute.bins;
  result.values = attribute.values;
  result.counts.resize(attribute.values.size());
  for (const std::int32_t v : attribute.rows)
    if (v >= 0) ++result.counts.at(static_cast<std::size_t>(v));
  result.known = std::reduce(result.counts.begin(), result.counts.end());
  result.entropy = entropy(result.counts);
  return result;
}

}  // namespace

void check_test(const AttributeSpec& spec) {
  if (spec.permutations < 1 || spec.best < 1 || !(spec.level > 0) ||
      !(spec.level < 1))
    throw error(ExitCode::kUsage,
                "[attributes] {} permutations, level {}, {} segments an attribute: "
                "expected 1 or more, a number in (0,1), 1 or more",
                spec.permutations, spec.level, spec.best);
  if (spec.level * static_cast<double>(spec.permutations + 1) < 1)
    throw error(ExitCode::kUsage,
                "[attributes] {} {} no p below {:.2g}, expected {} at least for level {}",
                counted(spec.permutations, "permutation"),
                spec.permutations == 1 ? "shows" : "show",
                1 / static_cast<double>(spec.permutations + 1),
                std::ceil(1 / spec.level) - 1, spec.level);
}

AttributeAnalysis analyse_attributes(std::span<const std::uint16_t> codes,
                                     const Segments& segments,
                                     std::span<const Attribute> given,
                                     const AttributeSpec& spec) {
  AttributeAnalysis out;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    out.sizes.push_back(segments.size(s));
    if (out.sizes.back() >= Labels::kUnknown)
      throw error(ExitCode::kUsage, "[attributes] a segment of {} units, expected {} "
                  "at most", out.sizes.back(), Labels::kUnknown - 1);
  }
  out.images = std::ssize(codes) / segments.count();
  out.permutations = spec.permutations;
  out.level = spec.level, out.seed = spec.seed;
  check(given, out.images, spec);
  std::vector<Attribute> attributes;
  for (const Attribute& attribute : given) {
    AttributeResult result = describe(attribute);
    if (result.entropy > 0) {
      out.attributes.push_back(std::move(result));
      attributes.push_back(attribute);
    } else {
      out.notes.push_back(fmt::format("{} left out: it has one value or none in {}",
                                      in_quotes(attribute.name),
                                      counted(out.images, "image")));
    }
  }
  if (attributes.empty())
    throw error(ExitCode::kData,
                "[attributes] none of {} has two values in {}, expected one that has",
                counted(std::ssize(given), "attribute"),
                counted(out.images, "image"));

  const CodeColumns all = columns_of(codes, segments, attributes);
  auto order = drawn_order(out.images, spec.seed, 0, 1);
  const auto middle = order.begin() + std::ssize(order) / 2;
  std::sort(order.begin(), middle), std::sort(middle, order.end());
  const ImageHalves halves{all.pick({order.begin(), middle}),
                      all.pick({middle, order.end()})};

  const auto told = associations(all);
  const auto tested = permutation_test(
      CodeColumns::labels(all.codes, all.units),
      CodeColumns::labels(all.attributes, all.values),
      {.permutations = spec.permutations, .seed = spec.seed, .done = spec.done});
  const auto q = benjamini_hochberg(tested.p);
  std::size_t unsure = 0;
  for (std::size_t i = 0; i < told.size(); ++i) {
    out.tells.push_back({told[i], tested.p[i], tested.adjusted[i], q[i]});
    unsure += !told[i].enough;
  }
  if (unsure > 0)
    out.notes.push_back(fmt::format(
        "{} of {} pairs have fewer than five images a cell: there Miller and "
        "Madow's correction is not to be trusted, the share above chance is",
        unsure, told.size()));

  choose_segments(halves, spec.best, out.attributes);
  std::vector<NameCandidate> units(at(segments.units()));
  std::vector<std::vector<NameCandidate>> values;
  for (const Attribute& attribute : attributes)
    values.emplace_back(attribute.values.size());
  choose_names(halves.first, segments, units, values);
  for (const NameCandidate& unit : units)
    if (unit.surplus > 0) out.names.push_back(unit.name);
  for (const auto& attribute : values)
    for (const NameCandidate& value : attribute)
      if (value.surplus > 0) out.values.push_back(value.name);
  report_names(halves.second, spec.level, out.names);
  report_names(halves.second, spec.level, out.values);
  out.redundancy = redundancy(halves.second);
  return out;
}

}  // namespace music
