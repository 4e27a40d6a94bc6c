// What tells two names apart that look alike.
#include "music/eval/class_names.h"

#include <doctest/doctest.h>

namespace {

using namespace music;

TEST_SUITE_BEGIN("class_names");

TEST_CASE("bytes are shown where the eye is not enough") {
  CHECK(shown_class("cat") == "cat");
  CHECK(shown_class("n01440764 (tench)") == "n01440764 (tench)");
  CHECK(shown_class("cat ") == "'cat '");
  CHECK(shown_class("a  b") == "'a  b'");
  CHECK(shown_class("a\tb") == "'a\\x09b'");
  CHECK(shown_class("") == "''");
  CHECK(shown_class("caf\xc3\xa9") == "caf\xc3\xa9 'caf\\xc3\\xa9'");
  CHECK(shown_class("caf\xe9") == "'caf\\xe9'");  // no UTF-8
}

TEST_CASE("the narrowest difference is named") {
  struct Case {
    const char *a, *b, *difference;
  };
  for (const Case& c : {
           Case{"cat", "cat", ""},
           Case{"cat", "dog", ""},
           Case{"", "cat", ""},
           Case{"\xc3\xa9", "e\xcc\x81", "Unicode normalisation"},
           // Hangul, and a singleton: the Angstrom sign.
           Case{"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1", "Unicode normalisation"},
           Case{"\xe2\x84\xab", "\xc3\x85", "Unicode normalisation"},
           Case{"Cat", "cAT", "case"},
           Case{"\xc3\x89tude", "e\xcc\x81tude", "case"},
           Case{"stra\xc3\x9f" "e", "STRASSE", "case"},
           Case{"cat", " cat\r", "blanks"},
           Case{"tree frog", "tree\xc2\xa0" "frog", "blanks"},
           Case{"cat", "\xef\xbb\xbf" "cat", "invisible characters"},
           Case{"cat", "c\xc2\xad" "at", "invisible characters"},
           Case{"tree-frog", "tree_frog", "blanks, hyphens and underscores"},
           Case{"caf\xc3\xa9", "cafe", "accents"},
           Case{"\xef\xac\x81g", "fig", "form"},
           Case{"Tree_Frog", "tree frog", "case, blanks and accents"},
           Case{"caf\xe9", "caf\xc3\xa9", "character encoding"},
           Case{"c\xd0\xb0t", "cat", ""}}) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    CHECK(sole_difference(c.a, c.b) == c.difference);
    CHECK(sole_difference(c.b, c.a) == c.difference);
    if (*c.difference) CHECK(bare_class(c.a) == bare_class(c.b));
  }
}

TEST_CASE("any bytes are a name") {
  for (const char* name : {"\xff", "\xf0\x9f", "\xed\xa0\x80", "\xc0\x80", "\x80" "abc"}) {
    CHECK(!shown_class(name).empty());
    CHECK(sole_difference(name, name).empty());
    CHECK(sole_difference(name, "cat").empty());
  }
}

TEST_SUITE_END();

}  // namespace
