#include "music/codes/attribute_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"

namespace music {
namespace {

using nlohmann::json;
constexpr int kAttributesVersion = 1;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 30;

// What is said of each pair, a matrix [segments, attributes] each.
struct PairMatrix {
  const char* key;
  double& (*of)(Telling&);
};
const PairMatrix kMatrices[] = {
    {"information", [](Telling& t) -> double& { return t.association.information; }},
    {"chance", [](Telling& t) -> double& { return t.association.chance; }},
    {"corrected", [](Telling& t) -> double& { return t.association.corrected; }},
    {"share", [](Telling& t) -> double& { return t.association.share; }},
    {"adjusted_information",
     [](Telling& t) -> double& { return t.association.adjusted; }},
    {"p", [](Telling& t) -> double& { return t.p; }},
    {"p_adjusted", [](Telling& t) -> double& { return t.adjusted; }},
    {"q", [](Telling& t) -> double& { return t.q; }}};

json write(const Association& a) {
  return {{"information", a.information}, {"chance", a.chance},
          {"corrected", a.corrected},     {"enough", a.enough},
          {"share", a.share},             {"adjusted_information", a.adjusted}};
}

Association read_association(const json& j) {
  return {.information = j.at("information"), .chance = j.at("chance"),
          .corrected = j.at("corrected"),     .enough = j.at("enough"),
          .share = j.at("share"),             .adjusted = j.at("adjusted_information")};
}

// Numbers that JSON may also write as 1e40.
std::int64_t whole(const json& j) {
  if (!j.is_number_integer())
    throw error(ExitCode::kData, "{}, expected a whole number", j.dump());
  return j.get<std::int64_t>();
}

std::vector<std::int64_t> wholes(const json& j, std::int64_t least,
                                 std::int64_t most) {
  std::vector<std::int64_t> out;
  for (const json& element : j) {
    out.push_back(whole(element));
    if (out.back() < least || out.back() > most)
      throw error(ExitCode::kData, "{}, expected {} to {}", out.back(), least, most);
  }
  return out;
}

json matrix(std::int64_t rows, std::int64_t columns, const auto& value) {
  json out = json::array();
  for (std::int64_t r = 0; r < rows; ++r) {
    json row = json::array();
    for (std::int64_t c = 0; c < columns; ++c) row.push_back(value(r, c));
    out.push_back(std::move(row));
  }
  return out;
}

// set(r, c, element) of a matrix that has to be [rows, columns].
void read_matrix(const json& j, const char* key, std::int64_t rows,
                 std::int64_t columns, const auto& set) {
  const json& found = j.at(key);
  const bool fits =
      found.is_array() && std::ssize(found) == rows &&
      std::ranges::all_of(found, [&](const json& row) {
        return row.is_array() && std::ssize(row) == columns;
      });
  if (!fits)
    throw error(ExitCode::kData, "{} is not [{}, {}]", key, rows, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      set(r, c, found[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)]);
}

json write(const std::vector<UnitName>& names) {
  json rows = json::array();
  for (const UnitName& u : names)
    rows.push_back({u.segment, u.place, u.attribute, u.value, u.images, u.hits,
                    u.with_value, u.known, u.p, u.holds});
  return {{"columns",
           {"segment", "place", "attribute", "value", "images", "hits",
            "with_value", "known", "p", "holds"}},
          {"rows", std::move(rows)}};
}

std::vector<UnitName> read_names(const json& j, const char* key,
                                 const AttributeAnalysis& analysis) {
  const auto below = [&](std::int64_t index, std::int64_t count) {
    if (index < 0 || index >= count)
      throw error(ExitCode::kData, "{} has {}, expected less than {}", key, index,
                  count);
  };
  std::vector<UnitName> out;
  for (const json& row : j.at(key).at("rows")) {
    UnitName u;
    std::int64_t* const numbers[] = {&u.segment, &u.place, &u.attribute,
                                     &u.value,   &u.images, &u.hits,
                                     &u.with_value, &u.known};
    for (std::size_t i = 0; i < std::size(numbers); ++i)
      *numbers[i] = whole(row.at(i));
    u.p = row.at(8), u.holds = row.at(9);
    below(u.segment, analysis.segments());
    below(u.place, analysis.sizes[static_cast<std::size_t>(u.segment)]);
    below(u.attribute, std::ssize(analysis.attributes));
    below(u.value, std::ssize(
        analysis.attributes[static_cast<std::size_t>(u.attribute)].values));
    out.push_back(u);
  }
  return out;
}

AttributeAnalysis read(const json& j) {
  if (const std::int64_t version = whole(j.at("version")); version != kAttributesVersion)
    throw error(ExitCode::kData, "version {}, expected {}", version, kAttributesVersion);
  AttributeAnalysis out;
  constexpr std::int64_t kMostImages = std::int64_t{1} << 32;
  out.images = whole(j.at("images"));
  out.sizes = wholes(j.at("segments"), 1, 65536);
  out.permutations = wholes({j.at("permutations")}, 1, kMostImages)[0];
  out.level = j.at("level");
  out.seed = static_cast<std::uint64_t>(whole(j.at("seed")));
  for (const json& a : j.at("attributes")) {
    AttributeResult result;
    result.name = a.at("name"), result.bins = a.at("bins");
    result.values = a.at("values").get<std::vector<std::string>>();
    result.counts = wholes(a.at("counts"), 0, kMostImages);
    result.known = whole(a.at("known")), result.entropy = a.at("entropy");
    if (result.counts.size() != result.values.size())
      throw error(ExitCode::kData, "{} counts of {} values", result.counts.size(),
                  result.values.size());
    for (const json& b : a.at("best")) {
      result.best.push_back(
          {whole(b.at("segment")), b.at("chosen_share"), read_association(b)});
      if (const std::int64_t s = result.best.back().segment;
          s < 0 || s >= out.segments())
        throw error(ExitCode::kData, "segment {} of {}", s, out.segments());
    }
    out.attributes.push_back(std::move(result));
  }
  const std::int64_t segments = out.segments(), columns = std::ssize(out.attributes);
  const json& tells = j.at("tells");
  const auto cell = [&](std::int64_t s, std::int64_t a) -> Telling& {
    return out.tells[static_cast<std::size_t>(s * columns + a)];
  };
  read_matrix(tells, "enough", segments, columns, [](auto, auto, const json&) {});
  out.tells.resize(static_cast<std::size_t>(segments * columns));
  read_matrix(tells, "enough", segments, columns,
              [&](auto s, auto a, const json& v) { cell(s, a).association.enough = v; });
  for (const PairMatrix& m : kMatrices)
    read_matrix(tells, m.key, segments, columns,
                [&](auto s, auto a, const json& v) { m.of(cell(s, a)) = v; });
  out.names = read_names(j, "units", out);
  out.values = read_names(j, "values", out);
  read_matrix(j, "redundancy", segments, segments,
              [&](auto, auto, const json& v) { out.redundancy.push_back(v); });
  out.notes = j.at("notes").get<std::vector<std::string>>();
  return out;
}

}  // namespace

std::string to_json(const AttributeAnalysis& analysis) {
  const std::int64_t segments = analysis.segments();
  const std::int64_t columns = std::ssize(analysis.attributes);
  json attributes = json::array();
  for (const AttributeResult& a : analysis.attributes) {
    json best = json::array();
    for (const BestSegment& b : a.best) {
      json one = write(b.association);
      one["segment"] = b.segment;
      one["chosen_share"] = b.chosen_share;
      best.push_back(std::move(one));
    }
    attributes.push_back({{"name", a.name}, {"bins", a.bins}, {"values", a.values},
                          {"counts", a.counts}, {"known", a.known},
                          {"entropy", a.entropy}, {"best", std::move(best)}});
  }
  json tells;
  for (const PairMatrix& m : kMatrices)
    tells[m.key] = matrix(segments, columns, [&](auto s, auto a) {
      Telling copy = analysis.tell(s, a);
      return m.of(copy);
    });
  tells["enough"] = matrix(segments, columns, [&](auto s, auto a) {
    return analysis.tell(s, a).association.enough;
  });
  const json out = {
      {"version", kAttributesVersion}, {"images", analysis.images},
      {"segments", analysis.sizes}, {"permutations", analysis.permutations},
      {"level", analysis.level}, {"seed", analysis.seed},
      {"attributes", std::move(attributes)}, {"tells", std::move(tells)},
      {"units", write(analysis.names)}, {"values", write(analysis.values)},
      {"redundancy", matrix(segments, segments,
                            [&](auto s, auto t) {
                              return analysis.redundancy[static_cast<std::size_t>(
                                  s * segments + t)];
                            })},
      {"notes", analysis.notes}};
  // Names of values are bytes of any origin.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

AttributeAnalysis attributes_from_json(std::string_view text,
                                       const std::string& name) {
  try {
    return read(json::parse(text));
  } catch (const std::exception& failure) {
    throw error(ExitCode::kData, "[attributes] {} cannot be read: {}", name,
                one_line(failure.what()));
  }
}

void write_attributes(const AttributeAnalysis& analysis,
                      const std::filesystem::path& path) {
  FileWriter file(path);
  file.write(to_json(analysis));
  file.commit();
}

AttributeAnalysis read_attributes(const std::filesystem::path& path) {
  std::vector<std::uint8_t> bytes;
  read_file(path.string(), kMostFileBytes, bytes);
  return attributes_from_json(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace music
