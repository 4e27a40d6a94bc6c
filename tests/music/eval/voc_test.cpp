#include "music/eval/voc.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "engine/core/error.h"
#include "tests/support/scratch.h"

namespace {

namespace fs = std::filesystem;
using namespace music;
using music::test::Scratch;

// A devkit of two classes: images 1, 2, 3 to train on and 4, 5 to test. Nothing
// here decodes an image.
struct Devkit {
  Scratch scratch;
  fs::path root = scratch.path / "VOCdevkit" / "VOC2007";

  Devkit() {
    fs::create_directories(root / "JPEGImages");
    for (const char* image : {"000001", "000002", "000003", "000004", "000005"})
      std::ofstream(root / "JPEGImages" / (std::string(image) + ".jpg")) << "x";
    list("cat_trainval", "000001 -1\n000002  1\n000003  0\n");
    list("dog_trainval", "000001  1\n000002 -1\n000003 -1\n");
    list("cat_test", "000004  1\n000005 -1\n");
    list("dog_test", "000004 -1\n000005  1\n");
    // What else lies there.
    list("trainval", "000001\n000002\n000003\n");
    list("cat_train", "000001 -1\n");
  }
  fs::path list(const std::string& name, const std::string& text) const {
    const fs::path path = root / "ImageSets" / "Main" / (name + ".txt");
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  VocData open() const { return open_voc(root.string(), "trainval", "test"); }
  void refused(const std::string& with) const {
    std::string message;
    try {
      open();
    } catch (const Error& e) {
      message = e.what();
      CHECK(e.code() == ExitCode::kData);
    }
    CAPTURE(message);
    CHECK(message.find(with) != message.npos);
    CHECK(message.find('\n') == message.npos);
  }
};

TEST_SUITE("voc") {
  TEST_CASE("a devkit as it lies on disk") {
    const Devkit kit;
    for (const fs::path& path :
         {kit.root, kit.root.parent_path(), kit.scratch.path}) {
      CHECK(looks_like_voc(path.string()));
      const VocData voc = open_voc(path.string(), "trainval", "test");
      CHECK(voc.classes == std::vector<std::string>{"cat", "dog"});
      CHECK(voc.train.targets ==
            std::vector<std::vector<std::int8_t>>{{-1, 1, 0}, {1, -1, -1}});
      CHECK(voc.test.targets ==
            std::vector<std::vector<std::int8_t>>{{1, -1}, {-1, 1}});
      REQUIRE(voc.train.images->size() == 3);
      CHECK(voc.train.images->name(2) ==
            (kit.root / "JPEGImages" / "000003.jpg").string());
      CHECK(voc.train.images->label(0) == -1);
    }
    CHECK(!looks_like_voc((kit.root / "JPEGImages").string()));
  }

  TEST_CASE("Windows line ends and empty lines") {
    const Devkit kit;
    kit.list("cat_test", "000004  1\r\n\r\n000005 -1\r\n");
    CHECK(kit.open().test.targets[0] == std::vector<std::int8_t>{1, -1});
  }

  TEST_CASE("a list that names a missing file") {
    const Devkit kit;
    fs::remove(kit.root / "JPEGImages" / "000005.jpg");
    kit.refused("cat_test.txt lists 000005, but there is no ");
  }

  TEST_CASE("malformed lines, by file and line") {
    for (const char* line : {"000005", "000005 2", "000005 -1 7", "000005 x",
                             "../000005 1", "000005 1.5"}) {
      const Devkit kit;
      kit.list("dog_test", std::string("000004 -1\n") + line + "\n");
      kit.refused("dog_test.txt:2: '" + std::string(line) +
                  "', expected an image's name and 1, -1 or 0");
    }
    const Devkit kit;
    kit.list("dog_test", "000004 -1\n000004 1\n");
    kit.refused("dog_test.txt:2: 000004 stands in it twice");
    kit.list("dog_test", "");
    kit.refused("dog_test.txt lists no image");
  }

  TEST_CASE("a class that nothing shows") {
    const Devkit kit;
    kit.list("dog_trainval", "000001 -1\n000002 -1\n000003 0\n");
    kit.refused("dog_trainval.txt has 0 images with and 2 without the class");
    kit.list("dog_trainval", "000001  1\n000002 -1\n000003 -1\n");
    kit.list("dog_test", "000004 1\n000005 1\n");
    kit.refused("dog_test.txt has 2 images with and 0 without the class");
  }

  TEST_CASE("lists that do not belong together") {
    const Devkit kit;
    kit.list("dog_test", "000005 1\n000004 -1\n");
    kit.refused("dog_test.txt has 000005 where cat_test.txt has 000004");
    kit.list("dog_test", "000004 1\n");
    kit.refused("dog_test.txt has");
    kit.list("dog_test", "000004 -1\n000005 1\n");
    kit.list("emu_test", "000004 -1\n000005 1\n");
    kit.refused("class emu has a list of trainval or of test, expected both");
  }

  TEST_CASE("an image in both sets") {
    const Devkit kit;
    kit.list("cat_test", "000001 1\n000005 -1\n");
    kit.list("dog_test", "000001 -1\n000005 1\n");
    kit.refused("000001 is in the lists of trainval and of test");
  }

  TEST_CASE("a folder that is none, and one that holds two") {
    const Devkit kit;
    const std::string images = (kit.root / "JPEGImages").string();
    CHECK_THROWS_WITH(open_voc(images, "trainval", "test"),
                      ("[voc] " + images + " has no ImageSets/Main, nor a folder "
                       "with one: expected a VOCdevkit or its VOC2007").c_str());
    CHECK_THROWS_AS(open_voc(kit.root.string(), "val", "test"), Error);
    fs::create_directories(kit.root.parent_path() / "VOC2012/ImageSets/Main");
    const std::string both = kit.root.parent_path().string();
    CHECK_THROWS_WITH(open_voc(both, "trainval", "test"),
                      ("[voc] " + both + " holds VOC2007 and VOC2012: expected one "
                       "of them, by its own path").c_str());
  }
}

}  // namespace
