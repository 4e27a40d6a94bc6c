// What is said of a number beside the paper's, and of rows beside each other.

#include <doctest/doctest.h>

#include "music/paper/result.h"
#include "music/paper/table_text.h"

TEST_SUITE_BEGIN("verdict");

namespace music {
namespace {

PaperScale scale(std::map<std::string, double> within) {
  PaperScale s;
  s.name = "small";
  s.band = {std::move(within), 1.0, 1.5, 0.1, "chosen"};
  return s;
}

const PaperColumn kTop1{"top-1", "linear", "top-1", 1};
const PaperColumn kTime{"hours", "time", "hours", 1};

PaperCell cell(const PaperColumn& column, double paper, std::vector<double> ours,
               const PaperScale& s) {
  PaperCell c;
  c.column = &column;
  c.paper = paper;
  c.ours.values = std::move(ours);
  if (c.ours.there() && column.measured()) c.ours.how = "measured";
  c.ours.chance = 10;
  c.ours.random = 30;
  judge(c, s);
  return c;
}

struct Rows {
  PaperTable table;
  PaperTableResult result;
};

Rows two(const std::vector<double>& a, const std::vector<double>& b,
         const PaperColumn& column) {
  static const PaperScale s = scale({});
  Rows r;
  r.table.number = 8;
  r.table.title = "Loss | terms";
  for (const char* id : {"a", "b"}) {
    PaperRow row;
    row.id = id;
    row.label = std::string("<row ") + id + ">";
    r.table.rows.push_back(row);
  }
  r.table.claims.push_back({"a is above b", column.name, {"a"}, {"b"}});
  r.result.table = &r.table;
  r.result.scale = &s;
  for (int i = 0; i < 2; ++i) {
    PaperRowResult row;
    row.row = &r.table.rows[static_cast<std::size_t>(i)];
    row.cells.push_back(cell(column, 50, i == 0 ? a : b, s));
    r.result.rows.push_back(row);
  }
  return r;
}

std::string claim(const std::vector<double>& a, const std::vector<double>& b,
                  const PaperColumn& column = kTop1) {
  const Rows r = two(a, b, column);
  return judge(r.table.claims[0], r.result).verdict;
}

}  // namespace

TEST_CASE("at the paper's scale the band is around its number") {
  const PaperScale full = scale({{"linear", 0.5}});
  CHECK(cell(kTop1, 69.4, {69.8}, full).verdict == "inside");
  CHECK(cell(kTop1, 69.4, {68.8}, full).verdict == "outside");
  CHECK(cell(kTop1, 69.4, {68.8, 69.6}, full).verdict == "inside");  // the mean
  CHECK(cell(kTop1, 69.4, {}, full).verdict == "no number");
}

TEST_CASE("at a smaller scale it is above chance and random weights") {
  const PaperScale small = scale({});
  const PaperCell above = cell(kTop1, 69.4, {31.5}, small);
  CHECK(above.verdict == "inside");
  CHECK(above.band == "> 31.0 (random weights)");
  CHECK(cell(kTop1, 69.4, {30.5}, small).verdict == "outside");
  CHECK(cell(kTime, 8.5, {0.1}, small).verdict == "not comparable");
}

TEST_CASE("a claim is decided beyond the noise only") {
  CHECK(claim({35}, {30}) == "holds");
  CHECK(claim({30}, {35}) == "contradicted");
  CHECK(claim({31}, {30}) == "undecided");
  CHECK(claim({}, {30}) == "not run");
  // With seeds the noise is theirs: 2 x sqrt(2 x 1 / 3) = 1.63 here.
  CHECK(claim({34, 35, 36}, {32.2, 33.2, 34.2}) == "holds");
  CHECK(claim({34, 35, 36}, {32.6, 33.6, 34.6}) == "undecided");
  // A tenth of a time.
  CHECK(claim({1.2}, {1.0}, kTime) == "holds");
  CHECK(claim({1.05}, {1.0}, kTime) == "undecided");
}

TEST_CASE("mean and deviation over seeds") {
  PaperNumber n;
  n.values = {34, 35, 36};
  CHECK(n.mean() == doctest::Approx(35));
  CHECK(*n.deviation() == doctest::Approx(1));
  n.values = {34};
  CHECK(!n.deviation());
}

TEST_CASE("a table is the same in every format, and text stays text") {
  Rows r = two({34, 35, 36}, {}, kTop1);
  r.result.rows[1].cells[0].ours.reason = "no data for cifar";
  r.result.claims.push_back(judge(r.table.claims[0], r.result));
  const std::string terminal = to_terminal(r.result);
  CHECK(terminal.find("35.0 +- 1.0") != std::string::npos);
  CHECK(terminal.find("-15.0") != std::string::npos);
  CHECK(terminal.find("note: <row b>: no data for cifar") != std::string::npos);
  CHECK(terminal.find("claim not run: a is above b") != std::string::npos);
  const std::string markdown = to_markdown(r.result);
  CHECK(markdown.find("| <row a> | top-1 | 50.0 | 35.0 +- 1.0 | -15.0 |") !=
        std::string::npos);
  CHECK(to_json(r.result).find("\"ours\": 35.0") != std::string::npos);
  const std::string page = to_page({r.result});
  CHECK(page.find("&lt;row a&gt;") != std::string::npos);
  CHECK(page.find("<row a>") == std::string::npos);
}

}  // namespace music
