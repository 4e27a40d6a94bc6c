#include "music/report/html.h"

#include <cstddef>
#include <cstdint>

#include "engine/core/error.h"
#include "music/report/sha256.h"
#include "music/report/style.h"

namespace music {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Bytes of the UTF-8 character that starts there; 0: none does.
std::size_t character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  std::uint32_t code = first & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool shortest = code >= (length == 2   ? 0x80u
                                 : length == 3 ? 0x800u
                                               : 0x10000u);
  const bool scalar = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return shortest && scalar ? length : 0;
}

std::string hash_source(std::string_view text) {
  const auto digest = sha256(text);
  return "'sha256-" +
         base64({reinterpret_cast<const char*>(digest.data()), digest.size()}) +
         "'";
}

// What stands between <script> or <style> and its end is not escaped.
void check_raw(std::string_view text, std::string_view end) {
  MUSIC_CHECK(text.find(end) == text.npos && text.find("<!--") == text.npos,
              "[html] a script or style sheet would end inside itself");
}

std::string policy(const HtmlPage& page,
                   const std::vector<std::string_view>& styles) {
  std::string script = "script-src", style = "style-src",
              image = "img-src data:";
  for (const auto& text : page.scripts) script.append(" ").append(hash_source(text));
  for (const auto& text : styles) style.append(" ").append(hash_source(text));
  if (page.local_files) {
    script += " 'self' file:";
    image += " blob: 'self' file:";
  } else if (page.scripts.empty()) {
    script += " 'none'";
  }
  return "default-src 'none'; base-uri 'none'; form-action 'none'; " + script +
         "; " + style + "; " + image;
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character(text, at);
    const char c = text[at];
    if (length == 0)
      out += kReplacement;
    else if (length > 1)
      out += text.substr(at, length);
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if ((c >= 0 && c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      out += kReplacement;
    else
      out += c;
    at += length == 0 ? 1 : length;
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) {
      return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i])
                                   : 0u;
    };
    const unsigned three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t i = 0; i < 4; ++i)
      out += at + i <= bytes.size() ? kDigits[three >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

std::string data_uri(std::string_view mime, std::string_view bytes) {
  return "data:" + std::string(mime) + ";base64," + base64(bytes);
}

std::string data_block(std::string_view id, std::string_view json) {
  std::string out =
      "<script type=\"application/json\" id=\"" + html_escape(id) + "\">";
  out.reserve(out.size() + json.size() + 16);
  for (const char c : json) {  // in JSON a < stands inside of a string only
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out + "</script>\n";
}

std::string to_html(const HtmlPage& page) {
  std::vector<std::string_view> styles = {kStyleSheet};
  styles.insert(styles.end(), page.styles.begin(), page.styles.end());
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
      policy(page, styles) +
      "\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>" +
      html_escape(page.title) +
      "</title>\n<link rel=\"icon\" href=\"data:,\">\n";
  for (const std::string_view text : styles) {
    check_raw(text, "</style");
    out.append("<style>").append(text).append("</style>\n");
  }
  out += "</head>\n<body>\n" + page.body + "\n";
  for (const std::string& text : page.scripts) {
    check_raw(text, "</script");
    out += "<script>" + text + "</script>\n";
  }
  return out + "</body>\n</html>\n";
}

std::string HtmlTable::html(std::string_view caption) const {
  const auto cell = [](const Cell& cell, std::string_view tag,
                       std::string_view scope) {
    std::string out = "<";
    out.append(tag);
    if (!scope.empty()) out.append(" scope=\"").append(scope).append("\"");
    if (cell.number) out += " class=\"number\"";
    return out + ">" + cell.html + "</" + std::string(tag) + ">";
  };
  // Above, not in a <caption>, which would be as narrow as the table.
  std::string out, label;
  if (!caption.empty()) {
    label = " aria-label=\"" + html_escape(caption) + "\"";
    out = "<p class=\"note\">" + html_escape(caption) + "</p>\n";
  }
  out += "<div class=\"scroll\"><table" + label + ">\n";
  out += "<thead><tr>";
  for (const Cell& c : head_) out += cell(c, "th", "col");
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows_) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      out += i == 0 ? cell(row[i], "th", "row") : cell(row[i], "td", "");
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace music
