// music_atlas: the codes of a data set as a product: files, an index to search in,
// a page to look at. music_atlas --search ATLAS asks one that is written.

#include <spdlog/spdlog.h>

#include <limits>

#include "data/written_name.h"
#include "engine/core/counted.h"
#include "engine/core/log.h"
#include "music/train/interrupt.h"
#include "tools/atlas_search.h"
#include "tools/atlas_writer.h"
#include "tools/stop_request.h"
#include "tools/whole_folder.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  EncoderOptions encoder;
  HeadOptions head;
  AtlasSpec atlas;
  AtlasQuestion question;
  AttributeOptions attributes;
  std::string data, out, search;
  std::int64_t limit = 0;
  std::uint64_t seed = 0;
  bool json = false;
};

void add_options(CLI::App& app, Options& o) {
  o.encoder.add_to(app);
  app.get_option("encoder")->required(false);
  app.add_option("data", o.data,
                 "images: a folder, a list, shards, CIFAR or STL-10");
  app.add_option("--split", o.atlas.split,
                 "train (default), test or pretrain (what music_train learns from)")
      ->check(CLI::IsMember({"train", "test", "pretrain"}));
  o.head.add_to(app);
  app.add_option("--limit", o.limit, "so many images only, drawn by --seed; 0: all")
      ->check(CLI::Range(0.0, std::numeric_limits<double>::max()));
  app.add_option("--seed", o.seed, "of --limit, and of what attributes are tested by");
  app.add_option("--batch", o.atlas.batch, "images that pass the network at once")
      ->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--bad-images", o.atlas.bad_images,
                 "skip: left out of all files and listed (default); refuse")
      ->check(CLI::IsMember({"skip", "refuse"}));
  app.add_option("--neighbours", o.atlas.neighbours,
                 "of each image, by code, soft code and features each; 0: none")
      ->check(CLI::Range(0, 1000))->capture_default_str();
  app.add_option("--thumbnail", o.atlas.thumbnail,
                 "side of the page's pictures; 0: neither pictures nor page")
      ->check(CLI::Range(0, 512))->capture_default_str();
  o.attributes.add_to(app);
  app.add_option("--out", o.out, "folder to write (default: RUN/atlas)");
  app.add_option("--progress", o.atlas.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  app.add_flag("--json", o.json, "print one JSON object");
  app.add_option("--search", o.search, "an atlas to ask instead of writing one");
  o.question.add_to(app, "--search");
}

void write(const Options& o) {
  if (o.encoder.encoder.empty() || o.data.empty())
    throw error(ExitCode::kUsage, "[atlas] no {}: expected music_atlas RUN DATA, or "
                "--search ATLAS", o.encoder.encoder.empty() ? "run" : "data");
  if (o.out.empty() && !o.encoder.is_run() && fs::exists(o.encoder.encoder))
    throw error(ExitCode::kUsage, "[atlas] {} is no run to write an atlas into: "
                "expected --out", o.encoder.encoder);
  if (o.atlas.thumbnail > 0 && o.atlas.thumbnail < 8)
    throw error(ExitCode::kUsage, "[atlas] --thumbnail {}, expected 0 or 8 to 512",
                o.atlas.thumbnail);
  const fs::path out = o.out.empty() ? fs::path(o.encoder.encoder) / "atlas"
                                     : fs::path(o.out);
  const auto dataset = data::subset(
      data::open_dataset(o.data, data::DatasetFormat::kAuto,
                         o.atlas.split == "test"    ? data::Split::kTest
                         : o.atlas.split == "train" ? data::Split::kTrain
                                                    : data::Split::kPretrain),
      o.limit, o.seed);
  const OpenedEncoder encoder = open_encoder(o.encoder);
  const OpenedHead head = open_head(o.head, o.encoder, encoder, "codes");
  const CodeRule rule = code_rule(o.head, o.encoder, run_config(o.encoder), head.units);
  AttributeOptions known = o.attributes;
  known.seed = o.seed;
  const AtlasAttributes attributes(known, *dataset);
  const InterruptGuard interrupts;
  WholeFolder folder(out, "units.json");
  Json info = {{"version", 1},
               {"run", o.encoder.encoder},
               {"encoder", describe_encoder(encoder.weights)},
               {"projector", {{"path", head.path.string()}, {"hash", head.hash}}},
               {"data", describe_data(*dataset, o.data)},
               {"split", o.atlas.split},
               {"compute", describe(encoder.compute)}};
  info = write_atlas(folder.path(), o.atlas, *dataset, encoder, head, rule,
                     attributes, std::move(info));
  stop_if_asked("atlas");
  folder.commit();
  if (o.json) {
    info["out"] = out.string();
    fmt::print("{}\n", info.dump(-1, ' ', false, Json::error_handler_t::replace));
  } else {
    fmt::print("{}: {}, {}\n", out.string(),
               counted(info["images"].get<std::int64_t>(), "image"),
               counted(rule.segments.count(), "segment"));
    if (o.atlas.thumbnail > 0)
      fmt::print("open {} in a browser\n", (out / "index.html").string());
  }
}

int atlas_main(int argc, char** argv) {
  CLI::App app("Writes the codes of a data set with all that is looked up in them, "
               "and a page that shows them; or searches among them.");
  Options o;
  add_options(app, o);
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info", 0, 1);
  if (o.search.empty()) {
    if (data::is_called_a_file(o.out))
      throw error(ExitCode::kUsage, "[atlas] --out {} is the name of a file, expected "
                  "that of a folder for the files", o.out);
    write(o);
  } else {
    if (!o.encoder.encoder.empty())
      throw error(ExitCode::kUsage, "[atlas] {} and --search {}: expected a run to write "
                  "of, or an atlas to ask", o.encoder.encoder, o.search);
    search_atlas(o.search, o.question, o.json);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, atlas_main);
}
