#include "tools/progress.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace music {
namespace {

constexpr double kBarEvery = 0.2;  // seconds between redraws of the bar
constexpr int kBarWidth = 16;

int terminal_columns(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const int n = columns ? std::atoi(columns) : 0;
  return n > 0 ? n : 80;
}

// Unlike fmt::print, does not throw when the other end is gone.
void put(std::FILE* out, const std::string& text) {
  std::fputs(text.c_str(), out);
  std::fflush(out);
}

double share(const ProgressState& s) {
  return s.steps > 0 ? std::clamp(static_cast<double>(s.step) /
                                      static_cast<double>(s.steps), 0.0, 1.0)
                     : 0.0;
}

std::string text(const ProgressLine& l) {
  return fmt::format("  {} {:.3f}", l.label, l.now) +
         (std::isnan(l.start) ? ""
                              : fmt::format(" [{:.2f}, {:.2f}]", l.start, l.best));
}

std::string task_text(const ProgressState& now, const ProgressState& then,
                      double window) {
  std::string out = fmt::format("{} {}/{}", now.task, now.step, now.steps);
  if (window > 0 && now.step > then.step)
    out += fmt::format("  {:.0f} {}/s",
                       static_cast<double>(now.step - then.step) / window,
                       now.unit);
  return out;
}

std::string run_text(const ProgressState& now, const ProgressState& then,
                     double window) {
  std::string out = fmt::format("epoch {:.2f}/{}  step {}/{}", now.epoch,
                                now.epochs, now.step, now.steps);
  for (const ProgressLine& line : now.lines) out += text(line);
  if (window > 0 && now.views > then.views)
    out += fmt::format(
        "  {:.0f} views/s  data wait {:.0f}%",
        static_cast<double>(now.views - then.views) / window,
        100 * std::clamp((now.data_wait - then.data_wait) / window, 0.0, 1.0));
  return out;
}

}  // namespace

struct Progress::Screen {
  std::mutex mutex;
  std::FILE* out = nullptr;
  bool dirty = false;  // a bar stands on the current line

  void wipe() {
    const std::lock_guard<std::mutex> lock(mutex);
    if (dirty) std::fputs("\r\x1b[K", out);
    if (dirty) std::fflush(out);
    dirty = false;
  }
  void draw(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex);
    put(out, fmt::format("\r{}\x1b[K", text));
    dirty = true;
  }

  // Stands first among the log's sinks; prints nothing itself.
  struct Sink : spdlog::sinks::base_sink<std::mutex> {
    explicit Sink(std::shared_ptr<Screen> s) : screen(std::move(s)) {}
    void sink_it_(const spdlog::details::log_msg&) override { screen->wipe(); }
    void flush_() override {}
    std::shared_ptr<Screen> screen;
  };
  std::shared_ptr<spdlog::logger> logger;
  spdlog::sink_ptr sink;

  // Follows the default logger, which a run may replace as it starts.
  static void attach(const std::shared_ptr<Screen>& screen) {
    if (screen->logger == spdlog::default_logger()) return;
    screen->detach();
    screen->logger = spdlog::default_logger();
    screen->sink = std::make_shared<Sink>(screen);
    auto& sinks = screen->logger->sinks();
    sinks.insert(sinks.begin(), screen->sink);
  }
  void detach() {
    if (!logger) return;
    auto& sinks = logger->sinks();
    sinks.erase(std::remove(sinks.begin(), sinks.end(), sink), sinks.end());
    sink.reset();  // it holds the screen
    logger.reset();
  }
};

ProgressStyle progress_style(const std::string& name) {
  return name == "bar"     ? ProgressStyle::kBar
         : name == "plain" ? ProgressStyle::kPlain
         : name == "none"  ? ProgressStyle::kNone
                           : ProgressStyle::kAuto;
}

ProgressStyle choose_style(ProgressStyle asked, int rank, bool terminal,
                           const char* term, const char* ci) {
  if (rank != 0) return ProgressStyle::kNone;
  if (asked != ProgressStyle::kAuto) return asked;
  const bool dumb = !term || !*term || std::strcmp(term, "dumb") == 0;
  return terminal && !dumb && !(ci && *ci) ? ProgressStyle::kBar
                                           : ProgressStyle::kPlain;
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(
      std::isfinite(seconds) ? std::clamp(seconds, 0.0, 1e12) + 0.5 : 0);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

std::string progress_text(const ProgressState& now, const ProgressState& then,
                          double window, double remaining) {
  std::string out = now.task.empty() ? run_text(now, then, window)
                                     : task_text(now, then, window);
  if (remaining >= 0)
    out += fmt::format("  ETA {}", duration_text(remaining));
  return out;
}

Progress::Progress(ProgressStyle style, int rank, double log_every,
                   std::FILE* out, std::function<double()> clock)
    : style_(choose_style(style, rank, isatty(fileno(out)) == 1,
                          std::getenv("TERM"), std::getenv("CI"))),
      every_(style_ == ProgressStyle::kBar ? kBarEvery : log_every),
      out_(out),
      clock_(std::move(clock)) {
  if (!clock_)
    clock_ = [] {
      return std::chrono::duration<double>(
                 std::chrono::steady_clock::now().time_since_epoch())
          .count();
    };
  if (style_ != ProgressStyle::kBar) return;
  screen_ = std::make_shared<Screen>();
  screen_->out = out_;
}

Progress::~Progress() {
  if (!screen_) return;
  screen_->detach();
  const std::lock_guard<std::mutex> lock(screen_->mutex);
  if (screen_->dirty) std::fputs("\n", out_);
  std::fflush(out_);
}

void Progress::update(const ProgressState& state) {
  if (style_ == ProgressStyle::kNone) return;
  const double time = clock_();
  if (!started_ || state.task != last_.task) {  // a new task counts anew
    started_ = true;
    first_ = last_ = state;
    first_time_ = last_time_ = time;
    if (style_ == ProgressStyle::kPlain && !state.legend.empty())
      put(out_, state.legend + "\n");
  } else if (time - last_time_ < every_ && state.step < state.steps) {
    return;
  }
  const auto done = static_cast<double>(state.step - first_.step);
  const double remaining =
      done > 0 ? (time - first_time_) / done *
                     static_cast<double>(state.steps - state.step)
               : -1;
  std::string text =
      progress_text(state, last_, time - last_time_, remaining);
  if (style_ == ProgressStyle::kPlain) {
    put(out_, text + "\n");
  } else {
    const int filled =
        static_cast<int>(std::lround(share(state) * kBarWidth));
    text = fmt::format("{:3.0f}% [{:<{}}] {}", 100 * share(state),
                       std::string(static_cast<std::size_t>(filled), '='),
                       kBarWidth, text);
    // One column stays free: a full line would wrap.
    const auto columns = static_cast<std::size_t>(terminal_columns(out_));
    if (text.size() >= columns) text.resize(columns - 1);
    Screen::attach(screen_);
    screen_->draw(text);
  }
  last_ = state;
  last_time_ = time;
}

}  // namespace music
