#include "music/codes/attribute_table.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "music/codes/csv.h"

namespace {

using namespace music;
using Fields = std::vector<std::string>;

std::vector<Fields> rows(const std::string& text) {
  std::vector<Fields> out;
  read_csv(text, "t.csv", [&](std::int64_t, std::span<const std::string> fields) {
    out.emplace_back(fields.begin(), fields.end());
  });
  return out;
}

std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    const std::string text = e.what();
    CHECK(text.find('\n') == text.npos);
    return text;
  }
  return "nothing was thrown";
}

AttributeTable parse(const std::string& csv, const Fields& files) {
  return parse_attribute_table(csv, "t.csv", files);
}
std::string refused(const std::string& csv, const Fields& files) {
  return refusal([&] { parse(csv, files); });
}

// "file,x" and a row for each of n images, whose x is f(i).
std::string column(int n, const std::function<std::string(int)>& f) {
  std::string csv = "file,x\n";
  for (int i = 0; i < n; ++i)
    csv += std::to_string(i) + ".jpg," + f(i) + "\n";
  return csv;
}
Fields images(int n) {
  Fields files;
  for (int i = 0; i < n; ++i) files.push_back("d/" + std::to_string(i) + ".jpg");
  return files;
}

}  // namespace

TEST_SUITE("attribute_table") {
  TEST_CASE("text as tables") {
    CHECK(rows("a,b\n1,2\n") == std::vector<Fields>{{"a", "b"}, {"1", "2"}});
    CHECK(rows("\xEF\xBB\xBF" "a, b \r\n\r\n1,\t2") ==
          std::vector<Fields>{{"a", "b"}, {"1", "2"}});
    CHECK(rows("a;b;c,d\r1;;x\r") == std::vector<Fields>{{"a", "b", "c,d"}, {"1", "", "x"}});
    CHECK(rows("a\tb\n \"x\ty\"\tz\n") == std::vector<Fields>{{"a", "b"}, {"x\ty", "z"}});
    CHECK(rows("\"a \"\"b\"\"\",\"\"\n\"two\nlines\" , x\n") ==
          std::vector<Fields>{{"a \"b\"", ""}, {"two\nlines", "x"}});
    CHECK(rows("a,\n,") == std::vector<Fields>{{"a", ""}, {"", ""}});
    CHECK(rows("a") == std::vector<Fields>{{"a"}});
  }

  TEST_CASE("text that is no table") {
    CHECK(refusal([] { rows("a,b\n\n1,2,3\n"); }) ==
          "[csv] t.csv: line 3 has 3 fields, expected 2");
    CHECK(refusal([] { rows("a,b\n\"x\ny\",2\n1"); }) ==
          "[csv] t.csv: line 4 has 1 field, expected 2");
    CHECK(refusal([] { rows("a,\"b\n1,2\n"); }) ==
          "[csv] t.csv: the quote of line 1 is not closed");
    CHECK(refusal([] { rows("a,\"b\"c\n"); }) ==
          "[csv] t.csv: line 1 has text behind a quote");
    CHECK(refusal([] { rows(std::string("a\0b", 3)); }) ==
          "[csv] t.csv has bytes that are no text, expected UTF-8");
    CHECK(refusal([] { rows("\r\n \n"); }) == "nothing was thrown");  // a blank field
    CHECK(refusal([] { rows("\n\n"); }) ==
          "[csv] t.csv is empty, expected a header and rows");
  }

  TEST_CASE("the table of music_attributes") {
    const auto table = parse(
        "file,split,colour,scale\n"
        "train/red/img_0.jpg,train,red,0.1\n"
        "train/blue/img_1.jpg,train,blue,0.2\n"
        "test/red/img_0.jpg,test,red,0.3\n",
        {"data/train/blue/img_1.jpg", "data/train/red/img_0.jpg"});
    REQUIRE(table.attributes.size() == 2);
    CHECK(table.attributes[0].name == "colour");
    CHECK(table.attributes[0].values == Fields{"blue", "red"});
    CHECK(table.attributes[0].rows == std::vector<std::int32_t>{0, 1});
    CHECK(table.notes ==
          Fields{"1 of 3 rows in t.csv without an image: 'test/red/img_0.jpg'",
                 "column 'split' left out: all images have the value 'train'"});
  }

  TEST_CASE("which row is which image's") {
    const auto places = [](const std::string& csv, const Fields& files) {
      const auto table = parse("name,x\n" + csv, files);
      std::vector<std::string> out;
      for (const std::int32_t r : table.attributes.at(0).rows)
        out.push_back(r < 0 ? "-" : table.attributes[0].values[static_cast<std::size_t>(r)]);
      return out;
    };
    // The longest end, in whole parts.
    CHECK(places("1.jpg,a\nr/1.jpg,b\n", {"/d/r/1.jpg", "/d/g/1.jpg"}) == Fields{"b", "a"});
    CHECK(places("r/1.jpg,a\nb/1.jpg,b\n", {"xr/1.jpg", "b/1.jpg", "r/1.jpg"}) ==
          Fields{"-", "b", "a"});
    // The table's paths are longer, or of Windows, or the data moved.
    CHECK(places("C:\\d\\r\\1.jpg,a\nC:\\d\\b\\1.jpg,b\n", {"./r/1.jpg", "b/1.jpg"}) ==
          Fields{"a", "b"});
    CHECK(places("old/1.jpg,a\nold/2.jpg,b\n", {"new/2.jpg", "new/1.jpg"}) ==
          Fields{"b", "a"});
    // CIFAR's names.
    CHECK(places("data_batch_1.bin:7,a\ndata_batch_1.bin:8,b\n",
                 {"data_batch_1.bin:8", "data_batch_1.bin:7"}) == Fields{"b", "a"});
    // An image that is listed twice.
    CHECK(places("1.jpg,a\n2.jpg,b\n", {"1.jpg", "1.jpg", "2.jpg"}) ==
          Fields{"a", "a", "b"});
  }

  TEST_CASE("rows matched by their last part alone are counted") {
    CHECK(parse("file,x\nold/1.jpg,a\nold/2.jpg,b\n", {"new/2.jpg", "new/1.jpg"}).notes ==
          Fields{"2 of 2 rows matched by the last part of the name alone, as "
                 "'old/1.jpg' with 'new/1.jpg'"});
  }

  TEST_CASE("rows and images that do not fit") {
    CHECK(refused("file,x\n1.jpg,a\n", {"r/1.jpg", "b/1.jpg"}) ==
          "[attributes] t.csv: the row of '1.jpg' could be of 'r/1.jpg' and of "
          "'b/1.jpg', expected more of its path");
    CHECK(refused("file,x\nr/1.jpg,a\nb/1.jpg,b\n", {"1.jpg"}) ==
          "[attributes] t.csv: the rows of 'r/1.jpg' and 'b/1.jpg' could be of "
          "'1.jpg', expected images whose names say more");
    CHECK(refused("file,x\n1.jpg,a\n2.jpg,b\n1.jpg,a\n", {"1.jpg"}) ==
          "[attributes] t.csv: '1.jpg' has two rows (1 and 3)");
    CHECK(refused("file,x\n3.jpg,a\n4.jpg,b\n<5>.jpg,b\n6.jpg,b\n", {"1.jpg", "2.jpg"}) ==
          "[attributes] t.csv: none of 4 rows is of one of these 2 images: '3.jpg', "
          "'4.jpg', '<5>.jpg', ... and '1.jpg', '2.jpg'");
    CHECK(refused("file,x\n", {"1.jpg"}) ==
          "[attributes] t.csv has a header and no rows");
    // The same last parts in other folders of the same names are other images.
    CHECK(refused("file,x\ntest/cat/1.jpg,a\ntest/dog/2.jpg,b\n",
                  {"train/dog/1.jpg", "train/dog/2.jpg", "train/cat/3.jpg"}) ==
          "[attributes] t.csv: none of 2 rows is of one of these 3 images: "
          "'test/cat/1.jpg', 'test/dog/2.jpg' and 'train/dog/1.jpg', "
          "'train/dog/2.jpg', 'train/cat/3.jpg'");
    CHECK(parse("file,x\n1.jpg,a\n2.jpg,b\n", {"1.jpg", "2.jpg", "3\n.jpg"}).notes ==
          Fields{"1 of 3 images without a row in t.csv: '3\\x0a.jpg'"});
  }

  TEST_CASE("columns that cannot be used") {
    CHECK(refused("a,b\n1,2\n", {"1"}) ==
          "[attributes] t.csv: no column of file names among 2 ('a', 'b'), expected "
          "one called file, path, image or name");
    CHECK(refused("file,x,x\n1,2,3\n", {"1"}) ==
          "[attributes] t.csv: two columns are called 'x'");
    CHECK(refused("file,x\n,2\n", {"1"}) ==
          "[attributes] t.csv: line 2 names no file");
    CHECK(parse(column(40, [](int i) { return "v" + std::to_string(i); }),
                images(40)).notes ==
          Fields{"column 'x' left out: 40 values of 40 images are too many for "
                 "categories, expected 8 at most"});
    CHECK(parse(column(20, [](int) { return "NA"; }), images(20)).notes ==
          Fields{"column 'x' left out: it says nothing of these images"});
    CHECK(parse(",file,x\n0,1.jpg,a\n1,2.jpg,b\n", {"1.jpg", "2.jpg"}).notes ==
          Fields{"column '' left out: it has no name"});
  }

  TEST_CASE("numbers are categories when they are few, else cut at quintiles") {
    const auto few = parse(column(50, [](int i) { return std::to_string(i % 10 - 5); }),
                           images(50)).attributes.at(0);
    CHECK(few.values.front() == "-5");
    CHECK(few.values.back() == "4");
    CHECK(few.bins.empty());
    const auto many = parse(column(50, [](int i) {
                              return i == 7 ? "nan" : std::to_string(i) + "e-1";
                            }), images(50)).attributes.at(0);
    CHECK(many.bins == "5 quantile bins");
    CHECK(many.values == Fields{"up to 1", "1 to 2", "2 to 3", "3 to 4",
                                "above 4"});
    CHECK(many.rows[7] == -1);
    CHECK(many.rows[10] == 0);
    CHECK(many.rows[11] == 1);
    // Equal numbers stay together.
    const auto tied = parse(column(60, [](int i) {
                              return std::to_string(i < 48 ? 0 : i);
                            }), images(60)).attributes.at(0);
    CHECK(tied.values == Fields{"up to 0", "above 0"});
  }

  TEST_CASE("classes as an attribute: those that occur") {
    const auto table = class_attribute(std::vector<int>{2, 0, -1, 2}, {"a", "b", "c"});
    CHECK(table.attributes.at(0).values == Fields{"a", "c"});
    CHECK(table.attributes[0].rows == std::vector<std::int32_t>{1, 0, -1, 1});
    CHECK(class_attribute(std::vector<int>{-1}, {}).notes ==
          Fields{"the images have no labels"});
    CHECK(class_attribute(std::vector<int>{0, 0}, {"a\t"}).notes ==
          Fields{"all images are of the class 'a\\x09'"});
  }
}
