#include "data/label_subset.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("label_subset") {
  using namespace music::data;
  using music::Error;
  using music::ExitCode;

  // Images that are never read: sizes[c] of class c.
  class Named : public Dataset {
   public:
    explicit Named(const std::vector<int>& sizes) {
      for (std::size_t c = 0; c < sizes.size(); ++c) {
        names_.push_back("n" + std::to_string(c));
        for (int i = 0; i < sizes[c]; ++i)
          labels_.push_back(static_cast<int>(c));
      }
    }
    std::int64_t size() const override {
      return static_cast<std::int64_t>(labels_.size());
    }
    const std::vector<std::string>& classes() const override { return names_; }
    int label(std::int64_t i) const override {
      return labels_[static_cast<std::size_t>(i)];
    }
    std::string name(std::int64_t i) const override {
      return fmt::format("/data/n{0}/n{0}_{1}.JPEG", label(i), i);
    }

   private:
    std::vector<std::string> names_;
    std::vector<int> labels_;
  };

  std::unique_ptr<Dataset> choose(const std::vector<int>& sizes,
                                  const std::string& text,
                                  std::uint64_t seed = 0) {
    return label_subset(std::make_unique<Named>(sizes), parse_label_choice(text),
                        seed);
  }
  std::vector<int> counts(const Dataset& d) {
    std::vector<int> n(d.classes().size());
    for (std::int64_t i = 0; i < d.size(); ++i)
      ++n[static_cast<std::size_t>(d.label(i))];
    return n;
  }
  std::vector<std::string> names(const Dataset& d) {
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < d.size(); ++i) out.push_back(d.name(i));
    return out;
  }
  // The error of choosing, of one line.
  template <typename F>
  std::string refused(ExitCode code, F&& choosing) {
    try {
      choosing();
    } catch (const Error& e) {
      CHECK(e.code() == code);
      const std::string text = e.what();
      CHECK(text.find('\n') == text.npos);
      return text;
    }
    return "no error";
  }

  TEST_CASE("what can be said") {
    CHECK(parse_label_choice("1%").share == 0.01);
    CHECK(parse_label_choice("0.5%").share == 0.005);
    CHECK(parse_label_choice("12-per-class").per_class == 12);
    CHECK(parse_label_choice("lists/1percent.txt").list == "lists/1percent.txt");
    for (const char* text : {"0%", "-1%", "101%", "%", "1 %", "nan%", "x%",
                             "0-per-class", "1.5-per-class", "-per-class"})
      CHECK(has(refused(ExitCode::kUsage, [&] { parse_label_choice(text); }),
                text));
  }

  TEST_CASE("a share is the same number of every class, or one more of some") {
    const auto d = choose({100, 100, 100, 100}, "10%");
    CHECK(describe_labels(*d, 400) ==
          "40 of 400 images, 10 of each of 4 classes");
    CHECK(describe_labels(*choose({1, 2, 97}, "100%"), 100) ==
          "100 of 100 images, 1 to 97 of each of 3 classes");
    CHECK(counts(*d) == std::vector<int>{10, 10, 10, 10});
    CHECK(d->classes().size() == 4);
    const auto names_of = names(*d);
    CHECK(std::ranges::is_sorted(names_of, {}, [](const std::string& n) {
      return std::stoi(n.substr(n.find('_') + 1));
    }));
    CHECK(std::set(names_of.begin(), names_of.end()).size() == 40);
    // 1 % of 1,281,167 is 12,811.67.
    auto some = counts(*choose({130, 130, 130}, "5%"));  // 19.5 -> 20
    std::ranges::sort(some);
    CHECK(some == std::vector<int>{6, 7, 7});
    // Which of them is drawn.
    std::set<std::vector<int>> ways;
    for (std::uint64_t seed = 0; seed < 20; ++seed)
      ways.insert(counts(*choose({130, 130, 130}, "5%", seed)));
    CHECK(ways.size() == 3);
  }

  TEST_CASE("small classes give all they have, and others make up for it") {
    CHECK(counts(*choose({4, 100, 96}, "50%")) == std::vector<int>{4, 48, 48});
    CHECK(counts(*choose({1, 2, 97}, "100%")) == std::vector<int>{1, 2, 97});
  }

  TEST_CASE("a share below one image a class is one of each") {
    CHECK(counts(*choose({100, 100, 100}, "0.4%")) == std::vector<int>{1, 1, 1});
    CHECK(has(refused(ExitCode::kUsage,
                      [] { choose({100, 100, 100}, "0.1%"); }),
              "0.1% of 300 images is none"));
  }

  TEST_CASE("a number of each class, which all must have") {
    CHECK(counts(*choose({5, 9, 7}, "5-per-class")) == std::vector<int>{5, 5, 5});
    CHECK(has(refused(ExitCode::kData, [] { choose({5, 9, 7}, "6-per-class"); }),
              "class n0 has 5 images: expected at least the 6"));
    for (const char* text : {"1-per-class", "10%"})
      CHECK(has(refused(ExitCode::kData, [&] { choose({5, 0, 7, 0}, text); }),
                "the data has no image of 2 of 4 classes (n1, n3)"));
  }

  TEST_CASE("the seed decides, and more labels contain fewer") {
    const std::vector<int> sizes{60, 70, 80};
    CHECK(names(*choose(sizes, "10%", 3)) == names(*choose(sizes, "10%", 3)));
    CHECK(names(*choose(sizes, "10%", 3)) != names(*choose(sizes, "10%", 4)));
    const auto few = names(*choose(sizes, "10%", 3)),
               more = names(*choose(sizes, "20%", 3));
    const std::set all(more.begin(), more.end());
    for (const std::string& name : few) CHECK(all.contains(name));
    // Each image has the same chance.
    std::map<std::string, int> taken;
    for (std::uint64_t seed = 0; seed < 300; ++seed)
      for (const std::string& name : names(*choose({10, 10}, "3-per-class", seed)))
        ++taken[name];
    CHECK(taken.size() == 20);
    for (const auto& [name, times] : taken) {
      CHECK(times > 50);  // of 90
      CHECK(times < 130);
    }
  }

  TEST_CASE("SimCLR's lists as they are") {
    const TemporaryFolder f;
    f.write("list.txt", "n1_4.JPEG\r\nn0_2.JPEG\n\nn1_3.JPEG\n");
    const auto d = choose({3, 3}, f.path("list.txt"));
    // In the order of the data, whatever the list's.
    CHECK(names(*d) == std::vector<std::string>{"/data/n0/n0_2.JPEG",
                                                "/data/n1/n1_3.JPEG",
                                                "/data/n1/n1_4.JPEG"});
    CHECK(d->label(2) == 1);
    f.write("mark.txt", "\xEF\xBB\xBFn1_4.JPEG\nn0_2.JPEG\n");
    CHECK(choose({3, 3}, f.path("mark.txt"))->size() == 2);
    f.write("paths.txt", "./n1/n1_4.JPEG\n/data/n0/n0_2.JPEG\n");
    CHECK(choose({3, 3}, f.path("paths.txt"))->size() == 2);
  }

  TEST_CASE("a list that does not fit is refused") {
    const TemporaryFolder f;
    const auto said = [&](const std::string& text) {
      f.write("list.txt", text);
      return refused(ExitCode::kData,
                     [&] { choose({3, 3}, f.path("list.txt")); });
    };
    const std::string known = "n0_0.JPEG\nn1_3.JPEG\n";
    CHECK(has(said(known + "n1_9.JPEG\nn0_7.JPEG\n"),
              "2 of 4 images of " + f.path("list.txt") +
                  " are not in the data: n1_9.JPEG, n0_7.JPEG"));
    CHECK(has(said(known + "n1/ne\xcc\x81.JPEG\n"),
              "n1/ne\xcc\x81.JPEG 'ne\\xcc\\x81.JPEG'"));
    std::string many = known;
    for (int i = 10; i < 30; ++i) many += fmt::format("n0_{}.JPEG\n", i);
    CHECK(has(said(many), "20 of 22 images"));
    CHECK(has(said(many), "n0_19.JPEG and 10 more"));
    // The name says another class than the data.
    CHECK(has(said("n1/n1_3.JPEG\nn1_4.JPEG\n" "n0_0.JPEG\nn0_5.JPEG\n"),
              "n0_5.JPEG"));
    CHECK(has(said(known + "n0_0.JPEG\n"), "list.txt:3: n0_0.JPEG stands on line 1"));
    CHECK(has(said(known + "n0/n0_0.JPEG\n"), "lines 1 and 3 are the same image"));
    CHECK(has(said("n0_0.JPEG\n"), "names no image of 1 of 2 classes (n1)"));
    CHECK(has(said("\n"), "lists no image"));
    CHECK(has(said(std::string("a\0b\n", 4)), "is not text"));
    CHECK(has(refused(ExitCode::kData, [&] { choose({3}, f.path("none")); }),
              "expected a share as 1%"));
  }

  TEST_CASE("an image of another class than its name says, names of several") {
    const TemporaryFolder f;
    f.write_jpeg("data/cat/cat_1.jpg", 1);
    f.write_jpeg("data/cat/dog_1.jpg", 2);  // in the wrong folder
    f.write_jpeg("data/cat/x.jpg", 3);
    f.write_jpeg("data/dog/x.jpg", 4);
    f.write_jpeg("data/dog/dog_2.jpg", 5);
    const auto said = [&](const std::string& text) {
      f.write("list.txt", text);
      return refused(ExitCode::kData, [&] {
        label_subset(open(f.path("data")), parse_label_choice(f.path("list.txt")), 0);
      });
    };
    CHECK(has(said("cat_1.jpg\ndog_1.jpg\ndog_2.jpg\n"),
              "dog_1.jpg, which is of class cat there"));
    CHECK(has(said("cat_1.jpg\nx.jpg\n"), "are both x.jpg: expected more of the path"));
    CHECK(said("cat/x.jpg\ndog/x.jpg\n") == "no error");
  }

  TEST_CASE("records of CIFAR are named by file and number") {
    const TemporaryFolder f;
    std::string records;
    for (int i = 0; i < 20; ++i) {
      records += static_cast<char>(i % 10);
      records += std::string(3072, static_cast<char>(i));
    }
    for (int b = 1; b <= 5; ++b)
      f.write(fmt::format("data_batch_{}.bin", b), records);
    std::string list;
    for (int i = 0; i < 10; ++i) list += fmt::format("data_batch_2.bin:{}\n", i);
    f.write("list.txt", list);
    const auto d = label_subset(open(f.path()),
                                parse_label_choice(f.path("list.txt")), 0);
    CHECK(d->size() == 10);
    CHECK(d->name(3) == "data_batch_2.bin:3");
    CHECK(label_subset(open(f.path()), parse_label_choice("20%"), 0)->size() == 20);
  }

  TEST_CASE("images without labels have none to choose") {
    const TemporaryFolder f;
    f.write_jpeg("1.jpg", 1);
    CHECK(has(refused(ExitCode::kData, [&] {
                label_subset(open(f.path()), parse_label_choice("50%"), 0);
              }),
              "no labels to choose among"));
  }
}
