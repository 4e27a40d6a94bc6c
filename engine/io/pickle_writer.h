#pragma once
// The few opcodes of Python's pickle that a dictionary of tensors takes
// (pickletools.py lists them). Written only: pickle is never read here.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace music {

class PickleWriter {
 public:
  explicit PickleWriter(int protocol);

  void mark() { bytes_ += '('; }
  void empty_dict() { bytes_ += '}'; }
  void set_items() { bytes_ += 'u'; }  // since mark()
  void tuple() { bytes_ += 't'; }      // since mark()
  void reduce() { bytes_ += 'R'; }     // calls with a tuple of arguments
  void persistent_id() { bytes_ += 'Q'; }
  void boolean(bool value) { bytes_ += value ? '\x88' : '\x89'; }
  void integer(std::int64_t value);
  void text(std::string_view utf8);
  void integers(std::span<const std::int64_t> values);  // a tuple
  void global(std::string_view module, std::string_view name);
  // Announces so many bytes, which follow this writer's own (protocol 3).
  void bytes_ahead(std::uint64_t count);
  void stop() { bytes_ += '.'; }

  // All so far, taken.
  std::string take() { return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
};

}  // namespace music
