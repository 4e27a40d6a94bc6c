#include <fmt/format.h>

#include "music/paper/table_text.h"
#include "music/report/html.h"

namespace music {
namespace {

const char* class_of(const std::string& verdict) {
  if (verdict == "inside" || verdict == "holds") return "good";
  if (verdict == "outside" || verdict == "contradicted") return "bad";
  return "fair";
}

HtmlTable::Cell verdict_cell(const std::string& verdict) {
  return HtmlTable::markup(fmt::format("<span class=\"{}\">{}</span>",
                                       class_of(verdict), html_escape(verdict)));
}

std::string list_of(const std::vector<std::string>& items) {
  std::string out = "<ul class=\"note\">";
  for (const std::string& item : items)
    out += fmt::format("<li>{}</li>", html_escape(item));
  out += "</ul>\n";
  return items.empty() ? "" : out;
}

std::string section(const PaperTableResult& table) {
  std::string out = fmt::format("<section id=\"{}\"><h2>{}</h2>\n<p>{}. {}.</p>\n",
                                table.table->name(), html_escape(heading(table)),
                                html_escape(table.table->caption),
                                html_escape(tally(table)));
  using Cell = HtmlTable;
  HtmlTable numbers({Cell::text("row"), Cell::text("metric"), Cell::text("paper"),
                     Cell::text("ours"), Cell::text("difference"),
                     Cell::text("expected"), Cell::text("verdict")});
  for (const PaperLine& line : lines_of(table))
    numbers.row({Cell::text(line.row), Cell::text(line.metric),
                 Cell::number(line.paper), Cell::number(line.ours),
                 Cell::number(line.difference), Cell::text(line.band),
                 verdict_cell(line.verdict)});
  out += numbers.html();
  HtmlTable claims({Cell::text("the paper says"), Cell::text("here"), Cell::text("")});
  for (const PaperClaimResult& c : table.claims)
    claims.row({Cell::text(c.claim->text), verdict_cell(c.verdict),
                Cell::text(c.detail)});
  if (!claims.empty()) out += claims.html();
  out += list_of(notes_of(table));
  out += "</section>\n";
  return out;
}

}  // namespace

std::string to_page(const std::vector<PaperTableResult>& tables) {
  HtmlPage page;
  page.title = "MUSIC: the paper's tables";
  page.body = "<h1>The paper's tables, run again</h1>\n";
  if (!tables.empty()) {
    const PaperScale& scale = *tables.front().scale;
    page.body += fmt::format("<p>Scale {}: {}.</p>\n<p class=\"note\">{}</p>\n",
                             html_escape(scale.name), html_escape(scale.about),
                             html_escape(scale.band.source));
    page.body += list_of(scale.changes);
    page.body += "<p>";
    for (const PaperTableResult& t : tables)
      page.body += fmt::format("<a href=\"#{}\">Table {}</a> ", t.table->name(),
                               t.table->number);
    page.body += "</p>\n";
  }
  for (const PaperTableResult& t : tables) page.body += section(t);
  return to_html(page);
}

}  // namespace music
