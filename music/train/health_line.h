#pragma once
// When to say a verdict on a run's health: at its first, at its last, and when
// it has become another one, which has held for two epochs. Numbers in it are
// no change.

#include <string>
#include <utility>

namespace music {

class HealthLine {
 public:
  // At the end of an epoch.
  bool is_due(const std::string& verdict, bool last) {
    if (verdict.empty()) return false;
    std::string kind = verdict;
    std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
    const bool held = kind == before_ || verdict.starts_with("diverged");
    const bool due = last || said_.empty() || (kind != said_ && held);
    before_ = std::move(kind);
    if (due) said_ = before_;
    return due;
  }

 private:
  std::string said_, before_;  // kinds
};

}  // namespace music
