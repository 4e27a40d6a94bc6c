#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "data/written_name.h"
#include "engine/core/error.h"
#include "tests/data/temporary_folder.h"

namespace music::data {
namespace {

TEST_SUITE("written_name") {
  std::string refused(const std::string& path) {
    try {
      require_extension("--out", path, "NumPy's", {"npz", "npy"});
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kUsage);
      return e.what();
    }
    return {};
  }

  TEST_CASE("a file is not written under another format's name") {
    for (const char* name : {"x.npz", "x.NPY", "x", "a/b.png/x", "x.2026-11-28", "v1.0",
                             ".png", "x.", "x.bin", "", "a.jpg.npz", "x.npz.part"})
      CHECK_MESSAGE(refused(name).empty(), name);
    for (const char* name : {"x.jpg", "x.JPEG", "a/b/x.webp", "x.tif", "x.safetensors",
                             "x.json", "x.pth", "x.onnx", "x.npz.gz", "x.npz.png", "x.pdf",
                             "x.mp4", "x.heic"})
      CHECK_MESSAGE(refused(name).find("the file would be NumPy's, expected a name that ends "
                                       "in .npz or .npy") != std::string::npos, name);
    CHECK(refused("a\nb.png").find('\n') == std::string::npos);
  }

  TEST_CASE("a folder that is called a file") {
    const TemporaryFolder f;
    std::filesystem::create_directories(f.path("old.npy"));
    for (const char* name : {"new.npy", "new.TAR", "a/b.safetensors", "x.json"})
      CHECK_MESSAGE(is_called_a_file(f.path(name)), name);
    for (const char* name : {"new", "old.npy", "v1.5", "new.npy/", "x.raw", "a.tar/b"})
      CHECK_MESSAGE(!is_called_a_file(f.path(name)), name);
  }
}

}  // namespace
}  // namespace music::data
