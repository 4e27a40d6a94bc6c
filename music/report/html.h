#pragma once
// Pages that one file holds: report, atlas, paper. Nothing is loaded from
// elsewhere; what a page runs and how it looks is pinned by hash in its content
// security policy, so markup that slipped in could neither run nor load.
//
// By that policy a page has no style="..." and no onclick="...": looks are
// classes of the style sheet or of page.styles, behaviour is in page.scripts,
// numbers come to them by data_block(). In SVG, attributes (fill="...") are
// fine.
//
// Classes of the sheet: table.scroll boxes come from HtmlTable; p.note (small,
// quiet), p.warning; div.cards > div.card (tiles side by side); span.good,
// .fair, .bad (verdicts); figure > img + figcaption; img.pixels (enlarged
// without smoothing); div.gallery (pictures in a row that wraps), div.pictures
// (in columns, figure.wide over all of them); .series-1 ...
// .series-12 (colour of a line or its name). The colours are custom properties:
// --ink,
// --quiet, --paper, --card, --line, --accent, --series-1 ... --series-12.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace music {

// For text and for attributes in either kind of quotes. Bytes that are not
// UTF-8 and control characters but newline and tab become the replacement
// character.
std::string html_escape(std::string_view text);

std::string base64(std::string_view bytes);

// "data:image/png;base64,...".
std::string data_uri(std::string_view mime, std::string_view bytes);

// <script type="application/json" id="id">, which a script reads with
// JSON.parse(document.getElementById(id).textContent). No value ends it early.
std::string data_block(std::string_view id, std::string_view json);

struct HtmlPage {
  std::string title;
  std::string body;                       // HTML
  std::vector<std::string> styles = {};   // after the shared sheet
  std::vector<std::string> scripts = {};  // run in turn when the body is there
  // Pictures and scripts may also come from files beside the page.
  bool local_files = false;
};

std::string to_html(const HtmlPage& page);

// A table in a box of its own that scrolls sideways where it is too wide.
class HtmlTable {
 public:
  // text() and number() take text of any origin, markup() HTML; numbers stand
  // to the right with digits of one width.
  struct Cell {
    std::string html;
    bool number = false;
  };
  static Cell text(std::string_view text) { return {html_escape(text)}; }
  static Cell number(std::string_view text) {
    return {html_escape(text), true};
  }
  static Cell markup(std::string html) { return {std::move(html)}; }

  explicit HtmlTable(std::vector<Cell> head) : head_(std::move(head)) {}
  void row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // The first cell of each row is its heading. caption: text, may be empty.
  std::string html(std::string_view caption = {}) const;

 private:
  std::vector<Cell> head_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace music
