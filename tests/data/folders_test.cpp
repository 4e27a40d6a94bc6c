// Folders as users have them: what is an image in them, what is left out, what is
// said of it, and who needs labels.

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "data/index_cache.h"
#include "tests/data/logged.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("folders") {
  using namespace music::data;
  namespace fs = std::filesystem;
  using Names = std::vector<std::string>;

  // Names below the folder, and what was logged.
  struct Opened {
    std::unique_ptr<Dataset> data;
    Names names;
    std::string said;
  };
  Opened look(const std::string& path, Split split = Split::kPretrain) {
    const Logged logged;
    Opened opened{open(path, split), {}, {}};
    for (std::int64_t i = 0; i < opened.data->size(); ++i)
      opened.names.push_back(opened.data->name(i).substr(path.size() + 1));
    opened.said = logged.text();
    return opened;
  }

  std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const char* const kPointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

  TEST_CASE("what systems and tools leave behind is passed over") {
    const TemporaryFolder f;
    f.write_jpeg("a/1.jpg", 1);
    f.write_jpeg("b/2.jpg", 2);
    for (const char* name :
         {"a/.hidden.jpg", "a/._1.jpg", "__MACOSX/a/1.jpg", "a/__MACOSX/1.jpg",
          "@eaDir/1.jpg", "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/1.jpg",
          "$RECYCLE.BIN/1.jpg", "$Recycle.Bin/2.jpg", "lost+found/1.jpg",
          "System Volume Information/1.jpg", ".ipynb_checkpoints/1.jpg",
          "a/.AppleDouble/1.jpg", "a/1.jpg.part", "a/1.jpg.crdownload", "a/1.jpg~",
          "a/1.jpg.bak"})
      f.write_jpeg(name, 3);
    for (const char* name : {".DS_Store", "a/Thumbs.db", "a/desktop.ini", "a/.nomedia"})
      f.write(name, "x");
    for (const Split split : {Split::kPretrain, Split::kTrain}) {
      const Opened d = look(f.path(), split);
      CHECK(d.names == Names{"a/1.jpg", "b/2.jpg"});
      CHECK(d.data->classes() == Names{"a", "b"});
      CHECK(d.said.empty());
    }
  }

  TEST_CASE("images by other names are found") {
    const TemporaryFolder f;
    const Names names{"0.jpe", "1.JFIF", "2.PNG", "3.jpeg", "4.pjpeg", "5.mpo",
                      "6.bmp",  // these by their content
                      "7.TIF", "8", "9.0001", "photo.jpg?size=large", "x.jpg_large",
                      "y.jpg_large"};
    for (const std::string& name : names) f.write_jpeg(name, 1);
    for (const char* name : {"README", "LICENSE", "2.0002", "z.jpg_large", "a.txt",
                             "b.csv", "c.json"})
      f.write(name, "no image");
    const Opened d = look(f.path());
    CHECK(d.names == names);
    CHECK(d.said.empty());
    Image image;
    for (std::int64_t i = 0; i < d.data->size(); ++i) d.data->read(i, image);
  }

  TEST_CASE("pictures in other formats are counted, named and left out") {
    const TemporaryFolder f;
    f.write_jpeg("a/0.jpg", 1);
    f.write("a/1.bmp", std::string("BM\x9a\0\0\0\0\0\0\0", 10));
    f.write("a/2.gif", "GIF89a");
    f.write("a/3.GIF", "GIF89a");
    f.write("a/4.heic", std::string("\0\0\0\x18" "ftypheic", 12));
    const Opened d = look(f.path());
    CHECK(d.names == Names{"a/0.jpg"});
    CHECK(has(d.said, "4 pictures in formats that are not read left out: 2 .gif, 1 .bmp, "
                      "1 .heic (a/1.bmp, a/2.gif, a/3.GIF, ...); .bmp: `mogrify -format png FILE` "
                      "converts it; .gif: `convert 'FILE[0]' OUT.png` converts its first "
                      "frame; .heic: `heif-convert"));
    CHECK(std::count(d.said.begin(), d.said.end(), '\n') == 1);
    fs::remove(f.path("a/0.jpg"));
    const std::string none = refusal(f.path());
    CHECK(has(none, "no image found in it or its sub-folders, but 2 .gif, 1 .bmp"));
    CHECK(has(none, "not read: .bmp: `mogrify -format png FILE` converts it; .gif: `convert"));
    fs::remove(f.path("a/1.bmp"));
    fs::remove(f.path("a/4.heic"));
    CHECK(has(refusal(f.path()), "not read: `convert 'FILE[0]' OUT.png` converts"));
  }

  TEST_CASE("archives among images are named") {
    const TemporaryFolder f;
    f.write_jpeg("a/0.jpg", 1);
    f.write("train.zip", "PK\3\4");
    f.write("a/b.tar.gz", "\x1f\x8b");
    CHECK(has(look(f.path()).said, "2 archives not looked into (a/b.tar.gz, train.zip)"));
    const TemporaryFolder flat;
    for (int i = 0; i < 3; ++i) flat.write_jpeg(std::to_string(i) + ".jpg", i);
    flat.write("a.tar", "");
    flat.write("b.tar.gz", "\x1f\x8b");
    const Opened d = look(flat.path());
    CHECK(d.names.size() == 3);
    CHECK(has(d.said, "2 archives not looked into (b.tar.gz, a.tar)"));
  }

  TEST_CASE("labels matter only to those who use them") {
    const TemporaryFolder f;
    f.write_jpeg("JPEGImages/1.jpg", 1);
    f.write("Annotations/1.xml", "<annotation/>");
    f.write("ImageSets/Main/train.txt", "1\n");
    const Opened d = look(f.path());
    CHECK(d.names == Names{"JPEGImages/1.jpg"});
    CHECK(d.said.empty());
    CHECK(has(refusal(f.path()), "2 of 3 class folders have no image (Annotations, "
                                 "ImageSets)"));
    fs::remove_all(f.path("ImageSets"));
    CHECK(has(refusal(f.path()), "class folder Annotations has no image"));
    // Hidden files do not make it a class.
    f.write_jpeg("Annotations/.1.jpg", 1);
    CHECK(has(refusal(f.path()), "class folder Annotations has no image"));
  }

  TEST_CASE("images beside class folders: learnt from, but of no class") {
    const TemporaryFolder f;
    f.write_jpeg("b/1.jpg", 1);
    f.write_jpeg("a.jpg", 2);
    f.write_jpeg("c.jpg", 3);
    const Opened all = look(f.path());
    CHECK(all.names == Names{"b/1.jpg", "a.jpg", "c.jpg"});
    CHECK(has(all.said, "2 images beside its folders count too"));
    CHECK(all.data->label(0) == 0);
    CHECK(all.data->label(1) == -1);
    const Opened labelled = look(f.path(), Split::kTrain);
    CHECK(labelled.names == Names{"b/1.jpg"});
    CHECK(has(labelled.said, "2 images beside the class folders left out (a.jpg)"));
  }

  TEST_CASE("what our programs wrote is passed over") {
    const TemporaryFolder f;
    f.write_jpeg("a/1.jpg", 1);
    const auto run = [&](const std::string& at) {
      f.write(at + "/config.toml", "");
      f.write(at + "/metrics.jsonl", "");
      f.write_jpeg(at + "/sheet.png", 2);
      f.write_jpeg(at + "/eval/worst/1.jpg", 3);
    };
    run("run");
    run("runs/b");
    f.write("started/config.toml", "");
    f.write("started/env.json", "");
    f.write("old/config.toml", "");
    f.write("old/ckpt/step_1/manifest.json", "");
    for (const char* name : {"files.txt", "info.json", "labels.npy"})
      f.write(std::string("features/") + name, "");
    f.write_jpeg("features/1.jpg", 4);
    for (const Split split : {Split::kPretrain, Split::kTrain}) {
      const Opened d = look(f.path(), split);
      CHECK(d.names == Names{"a/1.jpg"});
      CHECK(d.data->classes() == Names{"a"});
      CHECK(has(d.said, "5 folders of this program's output left out (features, old, "
                        "run, ...)"));
    }
    // Somebody's configuration is no run.
    f.write_jpeg("z/1.jpg", 5);
    f.write("z/config.toml", "");
    CHECK(look(f.path()).names.size() == 2);
    // The data is the run itself.
    run(".");
    CHECK(look(f.path()).names == Names{"a/1.jpg", "z/1.jpg", "sheet.png"});
  }

  TEST_CASE("links: loops, folders above, folders and files that are gone") {
    const TemporaryFolder f;
    f.write_jpeg("beside/1.jpg", 1);
    f.write_jpeg("data/a/1.jpg", 2);
    f.write_jpeg("data/b/2.jpg", 3);
    fs::create_directory_symlink("..", f.path("data/a/up"));
    fs::create_directory_symlink("../..", f.path("data/b/far"));
    fs::create_directory_symlink(f.path(), f.path("data/c"));
    CHECK(look(f.path("data")).names == Names{"a/1.jpg", "b/2.jpg"});
    CHECK(has(look(f.path("data")).said,
              "3 links to a folder above not followed (a/up, b/far, c)"));
    CHECK(look(f.path("data"), Split::kTrain).data->classes() == Names{"a", "b"});

    const TemporaryFolder g;
    g.write_jpeg("a/x/1.jpg", 1);
    g.write_jpeg("else/2.jpg", 2);
    fs::create_directory_symlink("x", g.path("a/y"));
    fs::create_directory_symlink("a", g.path("b"));
    fs::create_symlink("/nowhere/3.jpg", g.path("a/3.jpg"));
    fs::create_directory_symlink("/nowhere", g.path("c"));
    fs::create_symlink("../else/2.jpg", g.path("a/4.jpg"));
    const Opened d = look(g.path());
    CHECK(d.names == Names{"a/4.jpg", "a/x/1.jpg", "b/4.jpg", "b/x/1.jpg", "else/2.jpg"});
    CHECK(has(d.said, "links to what is not there (c, a/3.jpg, b/3.jpg)"));
    CHECK(has(d.said, "2 links to a folder listed already not followed (a/y, b/y)"));
    CHECK(has(d.said, "1 link to another class folder (b): its images count twice"));
  }

  TEST_CASE("links across class folders do not multiply") {
    const TemporaryFolder f;
    constexpr int kFolders = 9;  // whose paths are 9!
    for (int i = 0; i < kFolders; ++i) {
      const std::string folder = std::to_string(i);
      f.write_jpeg(folder + "/1.jpg", i);
      for (int j = 0; j < kFolders; ++j)
        if (i != j)
          fs::create_directory_symlink("../" + std::to_string(j),
                                       f.path(folder + "/" + std::to_string(j)));
    }
    CHECK(look(f.path()).names.size() == kFolders * kFolders);
  }

  TEST_CASE("what is no file is no image") {
    const TemporaryFolder f;
    f.write_jpeg("a/1.jpg", 1);
    REQUIRE(mkfifo(f.path("a/2.jpg").c_str(), 0600) == 0);
    f.write_jpeg("a/3.jpg/4.jpg", 1);  // a folder by that name
    CHECK(look(f.path()).names == Names{"a/1.jpg", "a/3.jpg/4.jpg"});
  }

  TEST_CASE("splits: which is learnt from is said") {
    const TemporaryFolder f;
    f.write_jpeg("train/a/1.jpg", 1);
    f.write_jpeg("val/a/2.jpg", 1);
    f.write_jpeg("test/a/3.jpg", 1);
    CHECK(has(look(f.path()).said, "learns from train, not from val and test"));
    f.write_jpeg("valid/a/9.jpg", 9);
    CHECK(has(look(f.path()).said, "learns from train, not from valid and val and test"));
    fs::remove_all(f.path("valid"));
    fs::remove_all(f.path("val"));
    fs::remove_all(f.path("test"));
    f.write_jpeg("train/b/4.jpg", 1);
    f.write_jpeg(".hidden/5.jpg", 1);
    CHECK(look(f.path(), Split::kTrain).data->classes() == Names{"a", "b"});
    f.write_jpeg("bus/6.jpg", 1);  // train is a class
    CHECK(look(f.path(), Split::kTrain).data->classes() == Names{"bus", "train"});
    const TemporaryFolder g;
    g.write_jpeg("x/train2017/1.jpg", 1);
    g.write_jpeg("x/val2017/2.jpg", 1);
    const Opened d = look(g.path());
    CHECK(d.names.size() == 2);
    CHECK(has(d.said, "images of x/train2017, x/val2017 are used alike"));
  }

  TEST_CASE("folders without an image: what is there instead, and the way out") {
    const TemporaryFolder f;
    const auto says = [&](const std::string& file, std::string_view bytes,
                          const std::string& expected) {
      const std::string folder = "f" + std::to_string(std::hash<std::string>{}(file));
      f.write(folder + "/" + file, bytes);
      const std::string said = refusal(f.path(folder), Split::kPretrain);
      CHECK_MESSAGE(has(said, expected), said);
    };
    using namespace std::string_view_literals;
    says("data/train-00000-of-00002.parquet", "PAR1", "a Parquet table: write its images");
    says("x/0.tfrecord", "\x0a\0\0\0\0\0\0\0abcd\x0a"sv, "a TFRecord file");
    says("data.mdb", std::string(16, '\0') + "\xDE\xC0\xEF\xBE", "an LMDB database");
    says("a.h5", "\x89HDF\r\n\x1A\n", "an HDF5 file");
    says("train.zip", "PK\3\4", "unpack it with `unzip`");
    says("cifar10/here/data_batch_1.bin", std::string(3073, '\1'),
         "for CIFAR or STL-10 give");
    says("cifar-10-python.tar.gz", "\x1f\x8b", "the Python version of CIFAR-10");
    says("stl10_binary.tar.gz", "\x1f\x8b", "unpack it with `tar xzf`");
    says("a/notes.txt", "text", "but 1 .txt (a/notes.txt); expected images");
    says("model.bin", kPointer, "a Git LFS pointer");
  }

  TEST_CASE("CIFAR in Python's version, wherever it lies") {
    const TemporaryFolder f;
    f.write("cifar-10-batches-py/data_batch_1", "\x80\2pickle");
    f.write("hundred/cifar-100-python/train", "\x80\2pickle");
    f.write("hundred/cifar-100-python/meta", "\x80\2pickle");
    for (const char* folder : {"", "cifar-10-batches-py"}) {
      const std::string said = refusal(f.path(folder));
      CHECK(has(said, "cifar-10-batches-py is the Python version of CIFAR-10"));
      CHECK(has(said, "cifar-10-binary.tar.gz"));
    }
    for (const char* folder : {"hundred", "hundred/cifar-100-python"})
      CHECK(has(refusal(f.path(folder)), "cifar-100-binary.tar.gz"));
  }

  TEST_CASE("CIFAR and STL-10 in part: file by file") {
    const TemporaryFolder f;
    for (const int i : {1, 2, 4})
      f.write("data_batch_" + std::to_string(i) + ".bin", std::string(3073, '\1'));
    const Logged logged;
    CHECK(open(f.path())->size() == 3);
    CHECK(has(logged.text(), "data_batch_3.bin, data_batch_5.bin of CIFAR-10 not there; 3 "
                             "images"));
    CHECK(has(refusal(f.path(), Split::kTest), "expected test_batch.bin of CIFAR-10"));
    f.write("data_batch_2.bin", kPointer);
    CHECK(has(refusal(f.path()), "git lfs pull"));
    f.write("data_batch_2.bin", "<html><body>404");
    CHECK(has(refusal(f.path()), "HTML"));
    f.write("data_batch_1.bin", std::string(3073, '\0'));
    CHECK(has(refusal(f.path("data_batch_1.bin")), "a file of CIFAR or STL-10"));
    const TemporaryFolder g;
    g.write("train_X.bin", std::string(27648, '\1'));
    CHECK(open(g.path(), Split::kPretrain)->size() == 1);
    CHECK(has(logged.text(), "unlabeled_X.bin of STL-10 not there"));
    g.write("train_X.bin", kPointer);
    CHECK(has(refusal(g.path(), Split::kPretrain), "git lfs pull"));
  }

  TEST_CASE("an unreadable image says what its bytes are") {
    const TemporaryFolder f;
    f.write("a/0.jpg", kPointer);
    f.write("a/1.jpg", "<!DOCTYPE html><html>Not Found</html>");
    f.write("a/2.jpg", "GIF89a");
    const auto d = open(f.path());
    const auto why = [&](std::int64_t i) -> std::string {
      Image image;
      try {
        d->read(i, image);
      } catch (const music::Error& e) {
        return e.what();
      }
      return "no error";
    };
    CHECK(has(why(0), "git lfs pull"));
    CHECK(has(why(1), "HTML"));
    CHECK(has(why(2), "a GIF"));
  }

  TEST_CASE("lists: what is missing, what stands there twice") {
    const TemporaryFolder f;
    for (int i = 0; i < 3; ++i) f.write_jpeg("p/" + std::to_string(i) + ".jpg", i);
    const auto said = [&](const std::string& text) {
      f.write("list.txt", text);
      const Logged logged;
      try {
        const auto size = open(f.path("list.txt"), Split::kPretrain)->size();
        return std::to_string(size) + " " + logged.text();
      } catch (const music::Error& e) {
        return std::string(e.what());
      }
    };
    CHECK(said("p/0.jpg\np/1.jpg\n") == "2 ");
    const std::string some = said("p/0.jpg\np/a.jpg\n\xEF\xBB\xBFp/1.jpg\np/c.jpg\np/d.jpg\n");
    CHECK(has(some, "5 warning"));
    CHECK(has(some, "4 of the 5 images it lists cannot be read (p/a.jpg, \\u{feff}p/1.jpg, "
                    "p/c.jpg, ...)"));
    CHECK(has(said("p/0.jpg\n./p/0.jpg\np/1.jpg\np/0.jpg\n"),
              "2 of its 4 lines name an image again (./p/0.jpg on lines 1 and 2, ...)"));
    CHECK(has(said("p/0.jpg 1\np/0.jpg 2\n"), "again, 1 with another class"));
    for (const auto& [line, hint] : std::vector<std::pair<std::string, std::string>>{
             {"p/x.jpg", "relative to the list's folder"},
             {"/p/0.jpg", "below the list's folder"},
             {"7 p/0.jpg", "expected the path first"},
             {"7,p/0.jpg", "expected the path first"},
             {"p/0", "without their extension"},
             {"p", "folders"},
             {"https://example.org/0.jpg", "addresses"},
             {"C:\\data\\0.jpg", "paths of Windows"},
             {"a-0000.tar", "for shards"}})
      CHECK_MESSAGE(has(said(line), hint), said(line));
    CHECK(has(said("p/x.jpg"), "not the one image it lists is a file (p/x.jpg)"));
  }

  TEST_CASE("lists: labels matter only to those who use them") {
    const TemporaryFolder f;
    f.write_jpeg("0.jpg", 0);
    f.write_jpeg("1.jpg", 1);
    for (const char* text : {"0.jpg 1\n1.jpg\n", "0.jpg cat\n1.jpg dog\n", "0.jpg -1\n1.jpg 1\n",
                             "0.jpg 1 0\n1.jpg 0 1\n", "0.jpg\t20230511\n1.jpg\t1\n"}) {
      f.write("list.txt", text);
      const auto d = open(f.path("list.txt"), Split::kPretrain);
      CHECK(d->size() == 2);
      CHECK(d->label(0) == -1);
      CHECK(d->label(1) == -1);
      CHECK(d->classes().empty());
      CHECK(has(refusal(f.path("list.txt")), "list.txt:"));
    }
  }

  TEST_CASE("class names behind a byte order mark") {
    const TemporaryFolder f;
    f.write("data_batch_1.bin", std::string(3073, '\1'));
    f.write("batches.meta.txt", "\xEF\xBB\xBF" "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    const Logged quiet;
    CHECK(open(f.path())->classes()[0] == "a");
  }

  TEST_CASE("a kept list says again what it leaves out") {
    const TemporaryFolder f, kept;
    setenv("MUSIC_INDEX_CACHE", kept.path().c_str(), 1);
    f.write_jpeg("images/0.jpg", 1);
    const std::string bytes = bytes_of(f.path("images/0.jpg"));
    for (int i = 0; i < IndexCache::kWorthwhile; ++i)
      fs::create_hard_link(f.path("images/0.jpg"),
                           f.path("images/n" + std::to_string(i) + ".jpg"));
    f.write("images/x.gif", "GIF89a");
    f.write("notes/x.txt", "");
    f.write("y.jpg", bytes);
    for (const char* folder : {"images", "notes", ""})  // settled
      fs::last_write_time(f.path(folder),
                          fs::file_time_type::clock::now() - std::chrono::hours(1));
    const Opened first = look(f.path());
    REQUIRE(!fs::is_empty(kept.path()));
    const Opened second = look(f.path());
    CHECK(has(first.said, "1 picture in formats"));
    CHECK(second.said == first.said);
    CHECK(second.names == first.names);
    CHECK(has(refusal(f.path()), "class folder notes has no image"));
    setenv("MUSIC_INDEX_CACHE", "off", 1);
  }
}
