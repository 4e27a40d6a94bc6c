#include "music/report/html.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/core/error.h"
#include "music/report/sha256.h"

TEST_SUITE_BEGIN("html");

namespace {

using namespace music;

std::string hex(std::string_view text) {
  std::string out;
  for (const auto byte : sha256(text)) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

TEST_CASE(
    "sha256: the examples of FIPS 180-4, and every place of the padding") {
  CHECK(hex("") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // hashlib.sha256 of "x" * n, all lengths 0...129, hexadecimal, in one text.
  std::string all;
  for (std::size_t n = 0; n < 130; ++n) all += hex(std::string(n, 'x'));
  CHECK(hex(all) ==
        "199af942eba7fa5d1e16d475169eb24018b14e69339c93d26a9ea6d873b4ace6");
}

TEST_CASE("html_escape: text stays text in an element and in an attribute") {
  CHECK(html_escape("<script>alert('1' & \"2\")</script>") ==
        "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;");
  CHECK(html_escape("a\nb\tc\x01\x7f") == "a\nb\tc\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(html_escape("Gr\xc3\xb6\xc3\x9f"
                    "e \xf0\x9f\x90\x88") ==
        "Gr\xc3\xb6\xc3\x9f"
        "e \xf0\x9f\x90\x88");
  // Cut short, overlong, a surrogate, beyond Unicode: a byte each.
  CHECK(html_escape("\xc3") == "\xef\xbf\xbd");
  CHECK(html_escape("\xc0\xbc") == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(html_escape("\xed\xa0\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(html_escape("\xf4\x90\x80\x80<").ends_with("\xef\xbf\xbd&lt;"));
  CHECK(html_escape(std::string_view("\0", 1)) == "\xef\xbf\xbd");
}

TEST_CASE("base64: the examples of RFC 4648") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foob") == "Zm9vYg==");
  CHECK(base64("\xff\xfe\xfd") == "//79");
  CHECK(data_uri("image/png", "foo") == "data:image/png;base64,Zm9v");
}

TEST_CASE("data_block: no value ends it") {
  const std::string block =
      data_block("a\"b", R"({"name":"</script><!--<script>"})");
  CHECK(block ==
        "<script type=\"application/json\" id=\"a&quot;b\">"
        "{\"name\":\"\\u003c/script>\\u003c!--\\u003cscript>\"}</script>\n");
}

TEST_CASE("to_html: the policy pins what runs") {
  HtmlPage page{"a <b>", "<p>text</p>", {"p { margin: 0 }"}, {"let x = 1;"}};
  const std::string html = to_html(page);
  CHECK(html.find("<title>a &lt;b&gt;</title>") != html.npos);
  CHECK(html.find("default-src 'none'") != html.npos);
  const auto pin = [](const std::string& text) {
    const auto digest = sha256(text);
    return "'sha256-" +
           base64(
               {reinterpret_cast<const char*>(digest.data()), digest.size()}) +
           "'";
  };
  CHECK(html.find("script-src " + pin("let x = 1;") + ";") != html.npos);
  CHECK(html.find(pin("p { margin: 0 }")) != html.npos);
  CHECK(html.find("file:") == html.npos);
  page.local_files = true;
  CHECK(to_html(page).find("img-src data: blob: 'self' file:") != html.npos);
  page.scripts = {"let s = '</script>';"};
  CHECK_THROWS_AS(to_html(page), Error);
  CHECK(to_html({"t", ""}).find("script-src 'none'") != html.npos);
}

TEST_CASE("HtmlTable: headings, numbers to the right, text escaped") {
  HtmlTable table({HtmlTable::text("name"), HtmlTable::number("score")});
  CHECK(table.empty());
  table.row({HtmlTable::text("<b>"), HtmlTable::number("1.5")});
  CHECK(
      table.html("a & b") ==
      "<p class=\"note\">a &amp; b</p>\n"
        "<div class=\"scroll\"><table aria-label=\"a &amp; b\">\n"
      "<thead><tr><th scope=\"col\">name</th>"
      "<th scope=\"col\" class=\"number\">score</th></tr></thead>\n<tbody>\n"
      "<tr><th scope=\"row\">&lt;b&gt;</th><td class=\"number\">1.5</td></tr>\n"
      "</tbody></table></div>\n");
}

TEST_SUITE_END();
