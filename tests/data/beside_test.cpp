// What lies beside the data that is taken, or nearly where a list says.

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/data/logged.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("beside") {
  using namespace music::data;

  TEST_CASE("CIFAR and STL-10: what lies beside, around, and their classes") {
    const TemporaryFolder f;
    const std::string in = "cifar-10-batches-bin/", twice = in + in;
    for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                             "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"})
      f.write(twice + name, std::string(3073, '\1'));
    const auto said = [](const std::string& path) {
      const Logged logged;
      open(path, Split::kPretrain);
      return logged.text();
    };
    CHECK(said(f.path()).empty());
    CHECK(open(f.path())->size() == 5);
    CHECK(open(f.path(), Split::kTest)->classes()[1] == "automobile");  // not "1"
    f.write_jpeg("photos/1.jpg", 1);
    f.write_jpeg("2.jpg", 2);
    f.write_jpeg("__MACOSX/3.jpg", 3);
    f.write("run/config.toml", "");
    f.write("cifar-10-python.tar.gz", "");
    const std::string all = said(f.path());
    CHECK(has(all, "1 picture beside the records of CIFAR or STL-10 left out (2.jpg)"));
    CHECK(has(all, "1 folder beside the records of CIFAR or STL-10 left out (photos)"));
    CHECK(said(f.path(in)).empty());

    const TemporaryFolder g;
    g.write("test_X.bin", std::string(27648, '\1'));
    g.write("test_y.bin", "\3");
    CHECK(open(g.path(), Split::kTest)->classes()[2] == "car");
    const Logged logged;
    CHECK(has(refusal(g.path(), Split::kPretrain), "expected unlabeled_X.bin or"));
    CHECK(logged.text().empty());
  }

  TEST_CASE("lists: names that are written otherwise on the disk") {
    const TemporaryFolder f;
    f.write_jpeg("A/x.jpg", 0);
    f.write_jpeg("caf\u00e9/\u00fc.jpg", 1);
    f.write_jpeg("\uac01.jpg", 2);
    ::mkfifo(f.path("pipe.jpg").c_str(), 0600);
    for (const auto& [line, hint] : std::vector<std::pair<std::string, std::string>>{
             {"A/X.JPG", "on the disk is x.jpg: upper and lower case differ"},
             {"a/x.jpg", "on the disk is A: upper and lower case differ"},
             {"cafe\u0301/u\u0308.jpg", "on the disk is caf\u00e9: the same in another"},
             {"caf\u00e9/u\u0308.jpg", "on the disk is \u00fc.jpg: the same in another"},
             {"caf\xe9/\xfc.jpg", "Unicode form (normalisation) or encoding"},
             {"\u1100\u1161\u11a8.jpg", "on the disk is \uac01.jpg"},
             {"pipe.jpg", "neither files nor folders"},
             {"A/y.jpg", "relative to the list's folder"},
             {"\xcc\x81\xcd.jpg", "not the one image it lists"}}) {
      f.write("list.txt", line + "\n");
      CHECK_MESSAGE(has(refusal(f.path("list.txt")), hint), refusal(f.path("list.txt")));
    }
    f.write("a-0.tar", "");
    f.write("list.txt", "a-0.tar\n");
    CHECK(has(refusal(f.path("list.txt")), "lists archives (a-0.tar)"));
  }
}
