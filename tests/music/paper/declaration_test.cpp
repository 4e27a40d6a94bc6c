// The declared tables against the paper's, and what every row comes to at every
// scale.

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "engine/core/error.h"
#include "music/paper/declaration.h"
#include "music/paper/unit.h"

TEST_SUITE_BEGIN("declaration");

namespace music {
namespace {

const Paper& paper() {
  static const Paper parsed = parse_paper(embedded_paper());
  return parsed;
}

double number(int table, const std::string& row, const std::string& column) {
  for (const PaperRow& r : paper().table(table).rows)
    if (r.id == row) return r.numbers.at(column);
  FAIL("no row " << row << " in table " << table);
  return 0;
}

std::string message(const std::map<std::string, std::string>& texts) {
  try {
    parse_paper(texts);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    return e.what();
  }
  return "accepted";
}

// The declarations with a line of one of them replaced.
std::map<std::string, std::string> with(const std::string& file,
                                        const std::string& from,
                                        const std::string& to) {
  auto texts = embedded_paper();
  const std::size_t at = texts.at(file).find(from);
  REQUIRE(at != std::string::npos);
  texts[file].replace(at, from.size(), to);
  return texts;
}

PaperUnit unit(int table, const std::string& row, const std::string& scale,
               std::uint64_t seed = 0) {
  for (const PaperRow& r : paper().table(table).rows)
    if (r.id == row)
      return make_unit(paper().table(table), r, paper().scale(scale), seed, {});
  FAIL("no row " << row);
  return {};
}

}  // namespace

TEST_CASE("every row and number of tables 1 to 11 is declared") {
  REQUIRE(paper().tables.size() == 11);
  // Rows (cells, where a table has methods by settings) and numbers, counted in
  // the paper. Table 1: 14 methods, 14 + 7 numbers of the frozen encoder and
  // 6 x 4 + 2 of few labels.
  const std::map<int, std::pair<int, int>> counts = {
      {1, {14, 47}}, {2, {6, 46}},  {3, {8, 13}},   {4, {12, 12}},
      {5, {24, 24}}, {6, {3, 12}},  {7, {10, 20}},  {8, {4, 8}},
      {9, {5, 10}},  {10, {6, 18}}, {11, {8, 8}}};
  for (const auto& [table, expected] : counts) {
    CAPTURE(table);
    int numbers = 0;
    for (const PaperRow& row : paper().table(table).rows)
      numbers += static_cast<int>(row.numbers.size());
    CHECK(paper().table(table).rows.size() ==
          static_cast<std::size_t>(expected.first));
    CHECK(numbers == expected.second);
    CHECK(!paper().table(table).claims.empty());
  }
  CHECK(number(1, "music", "top-1") == 73.6);
  CHECK(number(1, "music", "10% top-5") == 89.1);
  CHECK(number(1, "supervised", "1% top-1") == 25.4);
  CHECK(number(2, "music", "APmk") == 34.4);
  CHECK(number(2, "barlow-twins", "Places205 top-1") == 54.1);
  CHECK(number(3, "byol", "200-NN") == 64.9);
  CHECK(number(4, "simsiam-4096", "top-1") == 64.0);
  CHECK(number(5, "swav-400", "top-1") == 70.7);
  CHECK(number(6, "depth-4", "GB / process") == 12.5);
  CHECK(number(7, "music-16320", "hours / 100 epochs") == 10.9);
  CHECK(number(7, "vicreg-1024", "top-1") == 62.4);
  CHECK(number(8, "de-oe-tic", "top-5") == 88.6);
  CHECK(number(9, "ds-128", "top-1") == 68.4);
  CHECK(number(10, "byol", "GB / process") == 14.6);
  CHECK(number(11, "music-48", "top-1") == 89.2);
}

TEST_CASE("the paper's claims are true of the paper's numbers") {
  for (const PaperTable& table : paper().tables)
    for (const PaperClaim& claim : table.claims) {
      CAPTURE(table.number);
      CAPTURE(claim.text);
      CHECK(!claim.over.empty());
      CHECK(!claim.under.empty());
      for (const std::string& over : claim.over)
        for (const std::string& under : claim.under)
          CHECK(number(table.number, over, claim.column) >=
                number(table.number, under, claim.column));
    }
}

TEST_CASE("every row settles at every scale, on data that have a role") {
  for (const PaperScale& scale : paper().scales)
    for (const PaperTable& table : paper().tables)
      for (const PaperRow& row : table.rows) {
        CAPTURE(scale.name);
        CAPTURE(table.number);
        CAPTURE(row.id);
        for (const std::string& evaluation : evaluations_of(table, row))
          CHECK(scale.evaluations.contains(evaluation));
        if (!row.reason.empty()) continue;
        const PaperUnit u = make_unit(table, row, scale, 0, {});
        CHECK(paper().roles.contains(u.role));
        CHECK(u.command.front() == "music_train");
        // The method is the row's, whatever the scale puts in place of the rest.
        ConfigSources sources;
        sources.flags = {{"train.preset", row.preset}};
        sources.flags.insert(sources.flags.end(), row.settings.begin(),
                             row.settings.end());
        CHECK(u.config.value.method.name == resolve(sources).value.method.name);
      }
}

TEST_CASE("the full scale is the paper") {
  const PaperUnit music = unit(1, "music", "full");
  ConfigSources sources;
  sources.flags = {{"train.preset", "paper"}, {"train.epochs", "1000"}};
  CHECK(config_hash(music.config.value) == config_hash(resolve(sources).value));
  const Config c = unit(7, "music-4080", "full").config.value;
  CHECK(c.model.projector == "8192-4080");
  CHECK(c.train.epochs == 100);
  CHECK(c.train.batch == 2048);
}

TEST_CASE("a scale puts its own in place of the paper's, row by row") {
  const Config base = unit(8, "de-oe-ti", "minutes").config.value;
  CHECK(base.model.projector == "512-480");
  CHECK(base.train.batch == 128);
  CHECK(base.method.of<Music>().segment == 20);
  const Config none = unit(8, "de-oe", "minutes").config.value;
  CHECK(differences(deciding_settings(base), none).size() == 1);
  CHECK(unit(4, "music-512", "minutes").config.value.train.batch == 32);
  CHECK(unit(9, "ds-128", "minutes").config.value.method.of<Music>().segment == 32);
  // Doublings of epochs stay doublings.
  for (int epochs : {100, 200, 400}) {
    const auto of = [&](int n) {
      return unit(5, "byol-" + std::to_string(n), "minutes").config.value.train.epochs;
    };
    CHECK(2 * of(epochs) == of(2 * epochs));
  }
}

TEST_CASE("rows that are pre-trained alike share a run") {
  const std::string base = unit(8, "de-oe-ti", "full").identity;
  CHECK(unit(4, "music-2048", "full").identity == base);
  CHECK(unit(5, "music-100", "full").identity == base);
  CHECK(unit(6, "depth-2", "full").identity == base);
  CHECK(unit(7, "music-8160", "full").identity == base);
  CHECK(unit(9, "ds-80", "full").identity == base);
  CHECK(unit(8, "de-oe", "full").identity != base);
  CHECK(unit(8, "de-oe-ti", "full", 1).identity != base);
  const std::string long_run = unit(1, "music", "minutes").identity;
  for (int table : {2, 3, 10}) CHECK(unit(table, "music", "minutes").identity == long_run);
  for (const PaperScale& scale : paper().scales) {
    CAPTURE(scale.name);
    std::set<std::string> runs;
    for (const PaperTable& table : paper().tables)
      for (const PaperRow& row : table.rows)
        if (row.reason.empty())
          runs.insert(make_unit(table, row, scale, 0, {}).identity);
    CHECK(runs.size() >= 50);
    CHECK(runs.size() <= 75);
  }
}

TEST_CASE("declarations that are none are named by file and line") {
  const auto texts = [](const std::string& file, const std::string& from,
                        const std::string& to) {
    return message(with(file, from, to));
  };
  CHECK(message(embedded_paper()) == "accepted");
  CHECK(texts("table08", "number = 8", "number = 9") ==
        "[paper] table08.toml:1: number = 9, expected table09.toml");
  CHECK(texts("table08", "title = ", "titel = ").find("title is missing") !=
        std::string::npos);
  CHECK(texts("table08", "caption = ", "colour = 1\ncaption = ")
            .find("unknown key colour") != std::string::npos);
  CHECK(texts("table08", "id = \"de-oe\"", "id = \"oe-ti\"")
            .find("oe-ti stands twice") != std::string::npos);
  CHECK(texts("table08", "\"loss.invariance\"", "\"loss.invarianz\"")
            .find("unknown key loss.invarianz") != std::string::npos);
  CHECK(texts("table08", "paper = { top-1 = 65.4", "paper = { top1 = 65.4")
            .find("top1 is no column") != std::string::npos);
  CHECK(texts("table08", "over = [\"de-oe-ti\"]", "over = [\"de-oe-to\"]")
            .find("de-oe-to is no row") != std::string::npos);
  CHECK(texts("table08", "caption = \"", "caption = ").find("table08.toml:") !=
        std::string::npos);
  CHECK(texts("scales", "[full.band]", "[full.bend]").find("band is missing") !=
        std::string::npos);
  CHECK(texts("scales", "\"minutes\"]", "\"seconds\"]")
            .find("seconds is missing") != std::string::npos);
  // A value that the scale has no replacement for.
  const Paper odd =
      parse_paper(with("table08", "\"train.epochs\" = 100", "\"train.epochs\" = 150"));
  try {
    make_unit(odd.table(8), odd.table(8).rows[0], odd.scale("minutes"), 0, {});
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(std::string(e.what()) ==
          "[paper] table08 de-oe at scale minutes: train.epochs = 150 has no "
          "replacement");
  }
  CHECK_THROWS_WITH(paper().table(12),
                    "[paper] no table 12; expected 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "
                    "11 or all");
}

}  // namespace music
