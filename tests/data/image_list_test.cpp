#include "data/image_list.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"

TEST_SUITE("image_list") {
  using namespace music::data;

  bool nothing(const std::string&) { return false; }

  ImageList parse(std::string_view text) {
    return parse_image_list(text, "list.txt", nothing);
  }

  // The only line's path and label, "path|3"; "|-" for none, "|?" for a fault.
  std::string line(std::string_view text) {
    const ImageList list = parse(text);
    REQUIRE(list.paths.size() == 1);
    return std::string(list.paths[0]) + "|" +
           (!list.fault.empty() ? "?"
            : list.labels[0] < 0 ? "-" : std::to_string(list.labels[0]));
  }

  std::string refused(std::string_view text) {
    try {
      parse(text);
    } catch (const music::Error& e) {
      CHECK(e.code() == music::ExitCode::kData);
      const std::string message = e.what();
      CHECK(message.find('\n') == message.npos);
      return message;
    }
    return "no error";
  }

  bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
  }

  TEST_CASE("a path, and a class number behind it") {
    CHECK(line("a.jpg") == "a.jpg|-");
    CHECK(line("a b.jpg") == "a b.jpg|-");
    CHECK(line("a b.jpg 3") == "a b.jpg|3");
    CHECK(line("a.jpg   3") == "a.jpg|3");
    CHECK(line("a.jpg\t3") == "a.jpg|3");
    CHECK(line("a.jpg,3") == "a.jpg|3");
    CHECK(line("a.jpg;3") == "a.jpg|3");
    CHECK(line("a.jpg, 3") == "a.jpg|3");
    CHECK(line("a.jpg,") == "a.jpg|-");
    CHECK(line("a.jpg 007") == "a.jpg|7");
    CHECK(line("A.JPEG 0") == "A.JPEG|0");
    CHECK(line("a,b.jpg") == "a,b.jpg|-");
    CHECK(line("3 a.jpg") == "3 a.jpg|-");
    CHECK(line("a.jpg b.jpg") == "a.jpg b.jpg|-");
    // Without an extension: a last word of digits, or what a tab divides.
    CHECK(line("pictures/12 7") == "pictures/12|7");
    CHECK(line("pictures/12,7") == "pictures/12|7");
    CHECK(line("pictures/12 x\t7") == "pictures/12 x|7");
    CHECK(line("pictures/twelve seven") == "pictures/twelve seven|-");
    // A folder whose name looks like an image and a class.
    CHECK(line("set.jpg 3/one") == "set.jpg 3/one|-");
  }

  TEST_CASE("what is behind a path and no class number") {
    for (const char* text : {"a.jpg cat", "a.jpg\tcat", "a.jpg,cat", "a.jpg -1",
                             "a.jpg 3.0", "a.jpg 1 0 0", "a.jpg 100000",
                             "a.jpg 99999999999999999999", "twelve\tcat"})
      CHECK(line(text).ends_with(std::string_view(text).starts_with("a") ? "a.jpg|?"
                                                                         : "twelve|?"));
    CHECK(holds(parse("a.jpg\tcat").fault, "list.txt:1: expected a class number from 0"));
    CHECK(holds(parse("a.jpg 1 2").fault, "2 words after the path"));
    CHECK(holds(parse("a.jpg 100000").fault, "class number 100000, limit 99999"));
    const ImageList mixed = parse("a.jpg 1\nb.jpg\nc.jpg 2\n");
    CHECK(mixed.fault == "list.txt:2: no label, unlike the lines before");
    CHECK(mixed.labels == std::vector<int>{-1, -1, -1});
    CHECK(mixed.classes == 0);
    CHECK(parse("a.jpg 1\nb.jpg 4\n").classes == 5);
  }

  TEST_CASE("quotes, blanks, ends of lines, comments, the mark at the start") {
    CHECK(line("\"a b.jpg\" 3") == "a b.jpg|3");
    CHECK(line("'a b.jpg',3") == "a b.jpg|3");
    CHECK(line("\"a \"\"b\"\".jpg\"\t3") == "a \"b\".jpg|3");
    CHECK(line("\" a.jpg \"") == "a.jpg|-");
    CHECK(line("\"a.jpg") == "\"a.jpg|-");
    CHECK(line("'tis.jpg 1") == "'tis.jpg|1");
    CHECK(line("\"\" 3") == "\"\"|3");
    CHECK(line(" \t a.jpg 3 \t ") == "a.jpg|3");
    CHECK(line("\xEF\xBB\xBF\"a.jpg\",3\r\n") == "a.jpg|3");
    CHECK(line("a\xEF\xBB\xBF.jpg") == "a\xEF\xBB\xBF.jpg|-");
    CHECK(line("# one\n\n  \r\n#two.jpg 3\na.jpg 3") == "a.jpg|3");
    const ImageList list = parse("a.jpg\rb.jpg\r\nc.jpg\n\nd.jpg");
    REQUIRE(list.paths.size() == 4);
    CHECK(list.paths[3] == "d.jpg");
    CHECK(list.lines == std::vector<int>{1, 2, 3, 5});
    const auto there = [](const std::string& path) { return path == "#1.jpg"; };
    CHECK(parse_image_list("#1.jpg\n#2.jpg\n", "l", there).paths.size() == 1);
  }

  TEST_CASE("paths of Windows, and of the home folder") {
    CHECK(line("train\\a\\1.jpg 3") == "train/a/1.jpg|3");
    CHECK(line("train/a\\1.jpg") == "train/a\\1.jpg|-");
    const auto there = [](const std::string& path) { return path == "a\\1.jpg"; };
    CHECK(parse_image_list("a\\1.jpg\n", "l", there).paths[0] == "a\\1.jpg");
    setenv("HOME", "/home/x", 1);
    CHECK(line("~/a.jpg") == "/home/x/a.jpg|-");
    CHECK(line("~a.jpg") == "~a.jpg|-");
  }

  TEST_CASE("text that is no list") {
    using namespace std::string_view_literals;
    CHECK(holds(refused(""), "lists no image"));
    CHECK(holds(refused("\xEF\xBB\xBF\n# a\n"), "lists no image"));
    CHECK(holds(refused("path,label\na.jpg,3\n"), "list.txt:1: 'path,label' is the header"));
    CHECK(holds(refused("\xEF\xBB\xBF\"Image_ID\"\t\"x\"\n"), "is the header of a table"));
    CHECK(holds(refused("filename\na.jpg\n"), "is the header of a table"));
    CHECK(line("image.jpg 3") == "image.jpg|3");
    CHECK(holds(refused("\xFF\xFE" "a\0.\0"sv), "is text in UTF-16"));
    CHECK(holds(refused("a\0.\0j\0p\0g\0"sv), "is text in UTF-16"));
    CHECK(holds(refused("a.jpg\0b.jpg"sv), "is not text"));
    CHECK(holds(refused("{\"images\": []}"), "is JSON"));
    CHECK(holds(refused("<!DOCTYPE html>"), "is HTML"));
    CHECK(holds(refused("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"));
    CHECK(holds(refused("PAR1\x15\x04"), "a Parquet table"));
    CHECK(holds(refused("PK\3\4"), "unzip"));
  }

  TEST_CASE("what cannot be seen is shown") {
    CHECK(visible("a b/\xC3\xA9.jpg") == "a b/\xC3\xA9.jpg");
    CHECK(visible("\xEF\xBB\xBF" "a\xC2\xA0\xE2\x80\x8B.jpg\n") ==
          "\\u{feff}a\\u{00a0}\\u{200b}.jpg\\x0a");
    CHECK(visible("\xE9.jpg\xC3") == "\\xe9.jpg\\xc3");
    CHECK(visible(std::string(1000, 'a')).size() < 200);
  }
}
