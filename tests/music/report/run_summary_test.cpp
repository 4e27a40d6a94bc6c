#include "music/report/run_summary.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

#include "engine/core/error.h"
#include "music/report/embedded.h"
#include "music/report/run_parts.h"
#include "music/report/run_report.h"
#include "music/report/verdict.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Folder {
  Folder() {
    static int count = 0;
    path = fs::temp_directory_path() /
           fmt::format("music_summary_{}_{}", getpid(), count++);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  fs::path path;
};

bool any(const std::vector<std::string>& problems, const std::string& part) {
  for (const std::string& p : problems)
    if (p.find(part) != p.npos) return true;
  return false;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

constexpr const char* kHostile = "<script>alert(1)</script>\"'&";

}  // namespace

TEST_SUITE("run_summary") {

TEST_CASE("config.toml: keys, strings with a #, origins, damage") {
  int damaged = 0, first = 0;
  const auto settings = parse_settings(
      "# comment\n\n[data]\npath = \"/a#b \\\" c\"  # flag\nlimit = 0\n[optim]\n"
      "base_lr = 0.2  # base.toml:12\nnonsense\nkey with blanks = 3\n", damaged, first);
  REQUIRE(settings.size() == 3);
  CHECK(settings[0].key == "data.path");
  CHECK(settings[0].value == "\"/a#b \\\" c\"");
  CHECK(settings[0].origin == "flag");
  CHECK(settings[1].origin == "");
  CHECK(settings[2].key == "optim.base_lr");
  CHECK(settings[2].origin == "base.toml:12");
  CHECK(damaged == 2);
  CHECK(first == 8);
}

TEST_CASE("labels tell runs of one name apart; a run given twice is shown once") {
  std::vector<fs::path> runs = {"/x/a/run", "/x/b/run", "/x/b/../b/run", "/x/b/other"};
  std::vector<std::string> labels, problems;
  label_runs(runs, labels, problems);
  CHECK(labels == std::vector<std::string>{"a/run", "b/run", "other"});
  CHECK(runs.size() == 3);
  CHECK(any(problems, "given twice"));
}

TEST_CASE("verdict: in the log's words, unless the loss says otherwise") {
  RunSummary run;
  CHECK(judge(run).level == Verdict::Level::kUnknown);
  CHECK(judge(run).state == "no step is recorded");
  for (int i = 0; i < 6; ++i) {
    run.metrics.curves.row(i, i / 3, i);
    run.metrics.curves.add("loss", -1);
    run.metrics.curves.add("usage_entropy", 0.2);
  }
  CHECK(judge(run).health == "collapsed: segments use 20 % of their range");
  CHECK(judge(run).level == Verdict::Level::kBad);
  run.health = "healthy";
  CHECK(judge(run).level == Verdict::Level::kGood);
  CHECK(judge(run).state == "at step 6: stopped, or still running");
  run.epochs = 4;
  run.total_steps = 12;
  CHECK(judge(run).state == "at step 6 of 12 (50 %): stopped, or still running");
  run.has_encoder = true;
  CHECK(judge(run).state == "at step 6 of 12 (50 %), with the encoder of fewer epochs");
  run.epochs = 2;
  run.total_steps = 6;
  CHECK(judge(run).state == "finished: 2 epochs, 6 steps");
  run.health = "segments redundant: 60 % of what a segment tells, another tells too";
  CHECK(judge(run).level == Verdict::Level::kFair);
  run.metrics.curves.row(6, 2, 6);
  run.metrics.curves.add("loss", NAN);
  CHECK(judge(run).health == "diverged: the loss is not finite");
  CHECK(judge(run).remarks.front() == "1 step without a finite loss");
}

TEST_CASE("scores: records of version 1; others are named and left out") {
  const Folder run;
  run.write("eval/knn.json",
            R"({"record":1,"program":"music_knn","protocol":{"id":"knn","hash":"ab","settings":{"k":20}},
                "data":{"test":{"images":7,"used":6,"fingerprint":"f"}},"seeds":[0],
                "scores":[{"name":"top-1","unit":"%","value":50.5,"deviation":null,"chance":10},
                          {"name":"bad","unit":"%","value":null}, 3],"notes":["n",4]})");
  run.write("eval/new.json", R"({"record":2,"scores":[]})");
  run.write("eval/old.json", R"({"trained":[]})");
  run.write("eval/torn.json", R"({"record":1,)");
  run.write("eval/knn_during_training.jsonl",
            "{\"epoch\":4,\"step\":40,\"knn20\":31.5,\"knn200\":30}\nrubbish\n");
  run.write("eval/classifier.jsonl",
            R"({"epoch":4,"step":40,"test":{"classifiers":[{"name":"lr1","top1":12.5}]}})" "\n");
  RunSummary summary{.path = run.path};
  std::vector<std::string> problems;
  read_scores(summary, problems);
  REQUIRE(summary.scores.size() == 1);
  const RunScores& s = summary.scores[0];
  CHECK(s.data == "6 test images");
  REQUIRE(s.scores.size() == 2);
  CHECK(s.scores[0].value == 50.5);
  CHECK(*s.scores[0].chance == 10);
  CHECK_FALSE(s.scores[0].deviation);
  CHECK(std::isnan(s.scores[1].value));
  CHECK(s.notes == std::vector<std::string>{"n"});
  CHECK(problems.size() == 4);
  CHECK(any(problems, "new.json: record 2, expected 1: left out"));
  CHECK(any(problems, "old.json: no \"record\", expected 1"));
  CHECK(any(problems, "torn.json: no JSON object"));
  CHECK(any(problems, "1 line is no JSON object"));
  REQUIRE(summary.score_curves.size() == 3);
  CHECK(summary.score_curves[0].name == "20-NN top-1");
  CHECK(summary.score_curves[2].name == "test top-1, lr1");
}

TEST_CASE("log: verdicts, course and warnings; the middle of a long one left out") {
  const Folder run;
  std::string text = "06:57:59 info [run] computes on cpu, fp32\n"
                     "06:58:43 info [health] epoch 1: starting (uniform codes)\n"
                     "06:59:00 info [threads] not of interest\n"
                     "07:00:00 info [run] goes on at step 9 of 20 from ckpt\n"
                     "no log line\n";
  for (int i = 0; i < 1000; ++i) text += fmt::format("07:01:00 warning [data] image {}\n", i);
  text += "07:06:19 info [health] epoch 8: healthy\n";
  run.write("logs/rank-0000.log", text);
  RunSummary summary{.path = run.path};
  std::vector<std::string> problems;
  read_log(summary, problems);
  CHECK(problems.empty());
  CHECK(summary.health == "healthy");
  CHECK(summary.system[0] == std::pair<std::string, std::string>("computes on", "cpu, fp32"));
  CHECK(summary.events.size() <= 300);
  CHECK(std::ssize(summary.events) + summary.events_left_out == 1003);
  CHECK(summary.events[0].kind == RunEvent::Kind::kHealth);
  CHECK(summary.events.back().text == "[health] epoch 8: healthy");
}

TEST_CASE("run_report: what there is appears, and hostile text stays text") {
  const Folder folder;
  const std::string hostile = std::string(kHostile).substr(0, 8) + "x\"'&";  // no slash
  const fs::path run = folder.path / hostile;
  folder.write(hostile + "/metrics.jsonl",
               fmt::format("{{\"argv\":\"{0}\"}}\n"
                           "{{\"epoch\":0,\"step\":0,\"loss\":1,\"time\":1,\"</script><b>\":2}}\n"
                           "{{\"epoch\":0,\"step\":1,\"loss\":null,\"time\":2,\"</script><b>\":3}}\n",
                           "<script>alert(1)</script>"));
  folder.write(hostile + "/config.toml",
               "[method]\nname = \"<script>alert(2)</script>\"  # <script>alert(3)</script>\n");
  folder.write(hostile + "/eval/a.json",
               R"({"record":1,"protocol":{"id":"<script>alert(4)</script>"},"scores":[{"name":"<script>alert(5)</script>","value":1,"unit":"<b>"}],"notes":["<script>alert(6)</script><img src=x onerror=alert(6)>"]})");
  folder.write(hostile + "/env.json", R"({"<script>alert(7)</script>":"<script>alert(8)</script>"})");
  folder.write(hostile + "/logs/rank-0000.log", "1 warning <script>alert(9)</script>\n");
  folder.write(hostile + "/quarantine.jsonl", R"({"sample":1,"name":"<script>alert(10)</script>","reason":"<b>"})" "\n");
  folder.write(hostile + "/figures/figures.json",
               R"({"version":1,"usage":[0.5,null],"mutual_information":[[null,0.1],[0.1,null]],
                   "files":{"<script>":"../../a.png"},"galleries":[{"file":"none.png"}]})");
  folder.write("empty/.keep", "");
  std::vector<std::string> problems;
  const std::string html =
      run_report({run, folder.path / "empty", folder.path / "none"}, {}, problems);
  CHECK(any(problems, "no run: expected"));
  CHECK(any(problems, "none: not there"));
  CHECK(any(problems, "no checkpoints"));
  CHECK(any(problems, "no encoder.safetensors"));
  CHECK(any(problems, "expected a name in that folder"));
  CHECK(any(problems, "none.png: not there"));
  // Scripts are the data block and the two of ours.
  CHECK(count(html, "<script") == 3);
  CHECK(count(html, "</script>") == 3);
  CHECK(html.find("<img src=x") == html.npos);
  CHECK(html.find("<b>\"") == html.npos);
  for (int i = 1; i <= 10; ++i) {
    CAPTURE(i);
    CHECK(html.find(fmt::format("&lt;script&gt;alert({})", i)) != html.npos);
  }
  CHECK(html.find(" onerror=alert") != html.npos);  // as text
  CHECK(html.find("segment 1: nan") != html.npos);
  CHECK_THROWS_AS(run_report({folder.path / "empty"}, {}, problems), Error);
}

TEST_CASE("embedded: dygraphs as the package has it, but for where its sources lie") {
  std::ifstream in(fs::path(MUSIC_DYGRAPHS_DIR) / "dygraph.min.js", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  REQUIRE(text.size() > 100000);
  text.resize(text.find("\n//# sourceMappingURL"));
  CHECK(embedded_dygraphs_js == text);
  CHECK(embedded_dygraphs_licence.find("Permission is hereby granted") !=
        std::string_view::npos);
  CHECK(embedded_dygraphs_licence.find("*/") == std::string_view::npos);
  CHECK(embedded_dygraphs_css.find("sourceMappingURL") == std::string_view::npos);
  CHECK(embedded_charts_js.find("'use strict'") != std::string_view::npos);
}

}
