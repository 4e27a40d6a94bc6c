#include "music/model/foreign_weights.h"

#include <doctest/doctest.h>

#include <fstream>

#include "engine/io/zip.h"
#include "music/model/encoder_import.h"
#include "tests/support/encoder_state.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("foreign_weights") {
  TEST_CASE("what is no .safetensors is named, with the way to one") {
    const Scratch scratch;
    const auto put = [&](const std::string& name, const std::string& bytes) {
      std::ofstream(scratch.path / name, std::ios::binary) << bytes;
    };
    const auto zipped = [&](const std::string& name, const std::string& entry) {
      ZipWriter zip(scratch.path / name);
      zip.add(entry, std::string_view("x"));
      zip.commit();
    };
    const auto complaint = [&](const std::string& name) -> std::string {
      try {
        open_encoder_file(scratch.path / name);
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kData);
        CHECK(std::string(e.what()).find('\n') == std::string::npos);
        return e.what();
      }
      return "";
    };
    const auto refused = [&](const std::string& name, const std::string& what) {
      CAPTURE(name);
      const std::string text = complaint(name);
      CAPTURE(text);
      CHECK(text.find(what) != text.npos);
    };
    const std::string torch = "is a pickle, which can run any code and is never "
                              "read: expected a .safetensors, as this makes: "
                              "python3 -c \"import sys,torch;";
    for (const char* name : {"m.pth", "M.PT", "x.ckpt", "x.bin", "x.pth.tar"}) {
      put(name, "anything");
      refused(name, torch);
    }
    for (const char* name : {"old", "old.safetensors"}) {
      put(name, "\x80\x02}q");
      refused(name, torch);
    }
    for (const char* name : {"new.pth", "new.safetensors"}) {
      zipped(name, "archive/data.pkl");
      refused(name, torch);
    }
    zipped("x.npz", "conv1.weight.npy");
    refused("x.npz", "an .npz of NumPy: expected a .safetensors, as this makes: "
                     "python3 -c \"import sys,numpy;");
    zipped("k.keras", "config.json");
    refused("k.keras", "a Keras file");
    zipped("z.zip", "m.safetensors");
    refused("z.zip", "a zip archive: expected a .safetensors: unzip it");
    put("cut.zip", "PK\x03\x04 and no more");
    refused("cut.zip", "a zip archive");
    put("h.h5", "\x89HDF\r\n\x1a\n");
    refused("h.h5", "HDF5");
    put("o.onnx", std::string("\x08\x07\x12\x07pytorch"));
    refused("o.onnx", "ONNX, whose exporters fold batch norms");
    put("lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    refused("lfs", "a Git LFS pointer, not the file itself: expected a "
                   ".safetensors: git lfs pull fetches it");
    put("page", "\n <!DOCTYPE html><html>");
    refused("page", "a page of the web");
    put("index.json", "{\"weight_map\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"2\"}}");
    refused("index.json", "the index of weights in 2 files: expected a "
                          ".safetensors of all, as this makes: python3 -c");
    put("error.json", "{\"error\":\"not found\"}");
    refused("error.json", "a JSON text");
    put("cut.json", "{\"weight_map\":{");
    refused("cut.json", "a JSON text");
    put("g.gz", "\x1f\x8b\x08");
    refused("g.gz", "compressed by gzip: expected a .safetensors: gunzip it");
    put("none", "");
    refused("none", "is empty");
    put("text", "anything");
    refused("text", "[safetensors]");
    refused("no/such.pt", "cannot read");
    State s = trained();
    write_safetensors(scratch.path / "m-00002-of-00003.safetensors", s.entries);
    refused("m-00002-of-00003.safetensors", "one part of several");
    // Folders: a run's, and what is none.
    namespace fs = std::filesystem;
    fs::create_directories(scratch.path / "run/ckpt/step");
    refused("run", "a folder without encoder.safetensors");
    put("run/config.toml", "");
    refused("run", "a run that has not ended");
    put("run/ckpt/step/manifest.json", "{}");
    refused("run/ckpt/step", "a checkpoint to go on from");
    // Whatever their names, these are right.
    write_safetensors(scratch.path / "run/encoder.safetensors", s.entries);
    for (const char* name : {"m-00001-of-00001.safetensors", "m.bin", "m"})
      write_safetensors(scratch.path / name, s.entries);
    for (const char* name : {"run", "m-00001-of-00001.safetensors", "m.bin", "m"}) {
      CAPTURE(name);
      CHECK(open_encoder_file(scratch.path / name).hash == s.import().hash);
    }
  }

  TEST_CASE("runs and weights are no images") {
    const Scratch scratch;
    namespace fs = std::filesystem;
    const auto refused = [&](const fs::path& path) -> std::string {
      try {
        refuse_as_images(path.string());
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kUsage);
        return e.what();
      }
      return "";
    };
    const auto put = [&](const char* name) { std::ofstream(scratch.path / name) << "x"; };
    CHECK(refused(scratch.path).empty());
    put("config.toml");
    CHECK(refused(scratch.path).empty());
    put("encoder.safetensors");
    CHECK(refused(scratch.path).find("is a run directory, expected images") !=
          std::string::npos);
    CHECK(refused(scratch.path / "encoder.safetensors").find("holds weights") !=
          std::string::npos);
    fs::create_directory(scratch.path / "train");  // a run beside images
    CHECK(refused(scratch.path).empty());
    put("manifest.json");
    put("rank-0000.safetensors");
    CHECK(refused(scratch.path).find("is a checkpoint") != std::string::npos);
    CHECK(refused(scratch.path / "no/such").empty());
  }
}

}  // namespace
