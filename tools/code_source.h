#pragma once
// The command line of programs that look at embeddings and codes: the head
// beside an encoder, and how its units are cut into segments.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "music/loss/segments.h"
#include "tools/encoder_cli.h"

namespace music {

struct HeadOptions {
  std::string projector;
  std::vector<std::int64_t> segments;

  void add_to(CLI::App& app);
};

// The network to its embeddings.
struct OpenedHead {
  std::unique_ptr<Model> model;  // encoder and head with their weights
  std::filesystem::path path;    // of the head's file
  std::string hash;              // of that file
  std::int64_t units = 0;
};
// what: "codes", for the error where there is no head to find.
OpenedHead open_head(const HeadOptions& options, const EncoderOptions& source,
                     const OpenedEncoder& encoder, const std::string& what);

// The configuration of the run that the encoder is of; nothing where it is no
// run.
std::optional<Config> run_config(const EncoderOptions& source);

// How embeddings become codes.
struct CodeRule {
  Segments segments;
  double temperature = 1;
};
// As asked for, else as the run was trained; without --segments, kUsage for what
// is no run, and for a run of a method that has no segments. run: run_config().
CodeRule code_rule(const HeadOptions& options, const EncoderOptions& source,
                   const std::optional<Config>& run, std::int64_t units);

}  // namespace music
