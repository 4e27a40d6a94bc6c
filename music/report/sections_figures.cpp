// What the codes of a run say: figures/figures.json, which music_figures
// writes, and atlas/attributes.json of music_atlas.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "music/codes/attribute_file.h"
#include "music/report/attribute_section.h"
#include "music/report/html.h"
#include "music/report/regular_file.h"
#include "music/report/sections.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_field(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

std::vector<double> number_list(const Json& json, const char* key) {
  std::vector<double> out;
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) return out;
  for (const Json& v : *it)
    out.push_back(v.is_number() ? v.get<double>() : std::nan(""));
  return out;
}

// The pictures of one report, which must not grow without end.
class Pictures {
 public:
  Pictures(fs::path folder, std::size_t& left,
           std::vector<std::string>& problems)
      : folder_(std::move(folder)), left_(left), problems_(problems) {}

  // <figure>, wide where the picture is; "" and a problem where it cannot be
  // read. Small ones are enlarged pixel by pixel.
  std::string figure(const std::string& name, const std::string& caption) {
    const std::string bytes = read(name);
    if (bytes.empty()) return "";
    const auto number = [&](std::size_t at) {
      std::uint32_t n = 0;
      for (std::size_t i = at; i < at + 4; ++i)
        n = n << 8 | static_cast<unsigned char>(bytes[i]);
      return n;
    };
    const std::uint32_t width = number(16), height = number(20);
    return fmt::format(
        "<figure{}><img{} src=\"{}\" alt=\"{}\">"
        "<figcaption>{}</figcaption></figure>\n",
        width / 2 > height && width > 1000 ? " class=\"wide\"" : "",
        width <= 640 ? " class=\"pixels\"" : "", data_uri("image/png", bytes),
        html_escape(caption), html_escape(caption));
  }

 private:
  std::string read(const std::string& name) {
    const auto refuse = [&](const char* why) {
      problems_.push_back(fmt::format(
          "{}: {}: left out", (folder_ / one_line(name)).string(), why));
      return std::string();
    };
    const fs::path path = name;
    if (name.empty() || path != path.filename())
      return refuse("expected a name in that folder");
    std::error_code failure;
    const auto size = fs::file_size(folder_ / path, failure);
    if (failure) return refuse("not there or not readable");
    if (size > left_)
      return refuse("too large for the report, which holds 64 MiB of pictures");
    std::ifstream in = open_regular(folder_ / path);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    if (!bytes.starts_with("\x89PNG\r\n\x1a\n") || bytes.size() < 24)
      return refuse("no PNG");
    left_ -= std::min<std::size_t>(left_, bytes.size());
    return bytes;
  }

  fs::path folder_;
  std::size_t& left_;
  std::vector<std::string>& problems_;
};

// A bar a segment.
std::string usage_bars(const std::vector<double>& usage) {
  if (usage.empty()) return "";
  const double width = 640, height = 120, base = 100;
  const double each = width / static_cast<double>(usage.size());
  std::string bars;
  for (std::size_t s = 0; s < usage.size(); ++s) {
    const double v =
        std::isfinite(usage[s]) ? std::clamp(usage[s], 0.0, 1.0) : 0;
    fmt::format_to(
        std::back_inserter(bars),
        "<rect class=\"bar\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" "
        "height=\"{:.2f}\"><title>segment {}: {:.3f}</title></rect>",
        static_cast<double>(s) * each + each * 0.1, base - v * 90, each * 0.8,
        v * 90, s, usage[s]);
  }
  return fmt::format(
      "<figure><svg class=\"bars\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"usage of the segments\">{}<path class=\"grid\" d=\"M0 "
      "{}H{}\"/>"
      "<text class=\"tick\" x=\"0\" y=\"{}\">segment 0</text>"
      "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">segment "
      "{}</text></svg>"
      "<figcaption>Usage of each segment: entropy of its mean code; 1 = all "
      "units equally "
      "often. Least {:.3f}, mean {:.3f}.</figcaption></figure>\n",
      width, height, bars, base, width, height - 4, width, height - 4,
      usage.size() - 1, *std::ranges::min_element(usage),
      std::accumulate(usage.begin(), usage.end(), 0.0) /
          static_cast<double>(usage.size()));
}

// The pairs that share most.
std::string shared_pairs(const Json& json) {
  const auto matrix = json.find("mutual_information");
  if (matrix == json.end() || !matrix->is_array()) return "";
  struct Pair {
    std::size_t a, b;
    double value;
  };
  std::vector<Pair> pairs;
  double sum = 0;
  for (std::size_t a = 0; a < matrix->size(); ++a)
    if ((*matrix)[a].is_array())
      for (std::size_t b = a + 1; b < (*matrix)[a].size(); ++b)
        if (const Json& v = (*matrix)[a][b]; v.is_number()) {
          pairs.push_back({a, b, v.get<double>()});
          sum += pairs.back().value;
        }
  if (pairs.empty()) return "";
  const double mean = sum / static_cast<double>(pairs.size());
  std::ranges::stable_sort(pairs,
                           [](auto& x, auto& y) { return x.value > y.value; });
  HtmlTable table(
      {HtmlTable::text("segments"), HtmlTable::number("shared information")});
  for (std::size_t i = 0; i < std::min<std::size_t>(pairs.size(), 5); ++i)
    table.row(
        {HtmlTable::text(fmt::format("{} and {}", pairs[i].a, pairs[i].b)),
         HtmlTable::number(fmt::format("{:.4f}", pairs[i].value))});
  return table.html(
      fmt::format("the pairs of segments that share most; mean of all {} "
                  "pairs: {:.4f} (0 = independent, 1 = one tells the other)",
                  pairs.size(), mean));
}

std::string facts(const Json& json) {
  std::string out;
  const auto add = [&](const std::string& text) {
    out += (out.empty() ? "" : "; ") + text;
  };
  if (json.contains("images") && json["images"].is_number_integer())
    add(fmt::format("{} images", json["images"].get<std::int64_t>()));
  if (json.contains("data") && json["data"].is_object())
    if (const std::string path = text_field(json["data"], "path");
        !path.empty())
      add("of " + path);
  if (const std::string views = text_field(json, "views"); !views.empty())
    add("views: " + views);
  if (json.contains("agreement") && json["agreement"].is_number())
    add(fmt::format("agreement {:.3f}", json["agreement"].get<double>()));
  if (json.contains("same_codes") && json["same_codes"].is_number())
    add(fmt::format("same code in both views {:.3f}",
                    json["same_codes"].get<double>()));
  double dead = 0;
  for (const double d : number_list(json, "dead_units"))
    dead += std::isfinite(d) ? d : 0;
  if (json.contains("dead_units")) add(fmt::format("{:.0f} dead units", dead));
  return out.empty() ? "" : "<p>" + html_escape(out) + "</p>\n";
}

std::string galleries(const Json& json, Pictures& pictures) {
  const auto list = json.find("galleries");
  if (list == json.end() || !list->is_array()) return "";
  std::string out;
  for (const Json& g : *list) {
    if (!g.is_object()) continue;
    const auto number = [&](const char* key) {
      return g.contains(key) && g[key].is_number() ? g[key].get<double>() : 0.0;
    };
    out += pictures.figure(
        text_field(g, "file"),
        fmt::format("unit {:.0f} of segment {:.0f}, {:.1f} % of the images",
                    number("unit"), number("segment"), 100 * number("share")));
  }
  return out.empty() ? ""
                     : "<h4>The images that a unit is surest of</h4>\n<div "
                       "class=\"gallery\">\n" +
                           out + "</div>\n";
}

std::string figures(const RunSummary& run, std::size_t& left,
                    std::vector<std::string>& problems) {
  const fs::path folder = run.path / "figures", file = folder / "figures.json";
  std::error_code failure;
  if (!fs::exists(file, failure))
    return run.has_encoder ? "<p class=\"note\">No pictures of the codes yet: "
                             "<code>music_figures " +
                                 html_escape(run.path.string()) +
                                 " DATA</code> makes them.</p>\n"
                           : "";
  std::ifstream in = open_regular(file);
  const Json json = Json::parse(in, nullptr, false);
  if (!json.is_object() || !json.contains("version") || json["version"] != 1) {
    problems.push_back(fmt::format(
        "{}: expected a JSON object of version 1: left out", file.string()));
    return "";
  }
  Pictures pictures(folder, left, problems);
  std::string out = facts(json) + usage_bars(number_list(json, "usage"));
  std::string drawn;
  const auto files = json.find("files");
  if (files != json.end() && files->is_object())
    for (const auto& [key, name] : files->items()) {
      if (!name.is_string()) continue;
      const bool told =
          json.contains("captions") && json["captions"].is_object();
      const std::string caption =
          told ? text_field(json["captions"], key.c_str()) : "";
      drawn += pictures.figure(name.get<std::string>(),
                               caption.empty() ? key : caption);
    }
  if (!drawn.empty()) out += "<div class=\"pictures\">\n" + drawn + "</div>\n";
  return out + shared_pairs(json) + galleries(json, pictures);
}

// A link where the page lies in the run.
std::string atlas(const RunSummary& run, const fs::path& folder) {
  std::error_code failure;
  const fs::path page = run.path / "atlas" / "index.html";
  if (!fs::exists(page, failure)) return "";
  const bool beside =
      !folder.empty() && fs::equivalent(folder, run.path, failure);
  return "<p>The images by their codes: " +
         (beside ? std::string("<a href=\"atlas/index.html\">atlas</a>")
                 : "<code>" + html_escape(page.string()) + "</code>") +
         "</p>\n";
}

}  // namespace

std::string attributes(const Runs& runs, std::vector<std::string>& problems) {
  std::string out;
  int shown = 0;
  for (const RunSummary& run : runs) {
    const fs::path file = run.path / "atlas" / "attributes.json";
    std::error_code failure;
    if (!fs::exists(file, failure)) continue;
    try {
      out += attribute_section(
          read_attributes(file),
          ++shown == 1 ? "attributes" : fmt::format("attributes-{}", shown),
          runs.size() > 1 ? run.label : "");
    } catch (const Error& e) {
      problems.push_back(std::string(e.what()) + ": left out");
    }
  }
  return out;
}

std::string code_pictures(const Runs& runs, const fs::path& folder,
                          std::vector<std::string>& problems) {
  std::size_t left = std::size_t{64} << 20;
  std::string out;
  for (const RunSummary& run : runs) {
    const std::string body = figures(run, left, problems) + atlas(run, folder);
    if (body.empty()) continue;
    if (runs.size() > 1) out += "<h3>" + html_escape(run.label) + "</h3>\n";
    out += body;
  }
  return out;
}

}  // namespace music
