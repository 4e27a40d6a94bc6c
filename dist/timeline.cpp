#include "dist/timeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace music::dist {
namespace {

constexpr const char* kLanes[] = {"steps", "compute", "input", "collectives"};
constexpr int kBackground = static_cast<int>(Timeline::Lane::kBackground);

void append(std::string& text, const nlohmann::json& event) {
  if (!text.empty()) text += ",\n";
  text += event.dump();
}

nlohmann::json metadata(const char* what, int rank, int lane,
                        nlohmann::json value) {
  const bool order = std::string(what).ends_with("sort_index");
  return {{"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", lane},
          {"args", {{order ? "sort_index" : "name", std::move(value)}}}};
}

}  // namespace

void Timeline::started(std::uint64_t number, const char* name,
                       std::size_t bytes) {
  const Time now = Clock::now();
  open_.push_back({number, {Lane::kBackground, name, "collective", now, now, {},
                            static_cast<std::int64_t>(bytes)}});
}

void Timeline::completed(std::uint64_t number) {
  const auto it = std::find_if(open_.begin(), open_.end(), [&](const Open& o) {
    return o.number == number;
  });
  if (it == open_.end()) return;
  it->span.end = Clock::now();
  spans_.push_back(std::move(it->span));
  open_.erase(it);
}

std::string Timeline::events(int rank) const {
  std::string text;
  append(text, metadata("process_name", rank, 0, fmt::format("rank {}", rank)));
  append(text, metadata("process_sort_index", rank, 0, rank));
  // An interval goes on the first background lane that is free when it begins.
  std::vector<const Span*> order;
  for (const Span& s : spans_) order.push_back(&s);
  std::stable_sort(order.begin(), order.end(),
                   [](const Span* a, const Span* b) {
                     return a->begin != b->begin ? a->begin < b->begin
                                                 : a->end > b->end;
                   });
  std::vector<Time> busy_until;
  for (const Span* s : order) {
    int lane = static_cast<int>(s->lane);
    if (s->lane == Lane::kBackground) {
      const auto free =
          std::find_if(busy_until.begin(), busy_until.end(),
                       [&](Time until) { return until <= s->begin; });
      lane += static_cast<int>(free - busy_until.begin());
      if (free == busy_until.end()) busy_until.push_back(s->end);
      else *free = s->end;
    }
    const auto us = [](Clock::duration d) {
      return std::chrono::duration<double, std::micro>(d).count();
    };
    nlohmann::json args = nlohmann::json::object();
    if (!s->detail.empty()) args["where"] = s->detail;
    if (s->bytes >= 0) args["bytes"] = s->bytes;
    append(text, {{"ph", "X"}, {"name", s->name}, {"cat", s->category},
                  {"ts", us(s->begin - zero_)}, {"dur", us(s->end - s->begin)},
                  {"pid", rank}, {"tid", lane}, {"args", std::move(args)}});
  }
  const int lanes = kBackground + static_cast<int>(busy_until.size());
  for (int lane = 0; lane < lanes; ++lane) {
    const std::string name =
        lane <= kBackground
            ? kLanes[lane]
            : fmt::format("collectives {}", lane - kBackground + 1);
    append(text, metadata("thread_name", rank, lane, name));
    append(text, metadata("thread_sort_index", rank, lane, lane));
  }
  return text;
}

std::string trace_json(std::span<const std::string> events) {
  std::string all = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  for (std::size_t r = 0; r < events.size(); ++r)
    all += (r > 0 ? ",\n" : "") + events[r];
  return all + "\n]}\n";
}

}  // namespace music::dist
