// One process: every exchange is with itself.

#include <cstdlib>
#include <cstring>

#include "dist/communicator.h"

namespace music::dist {
namespace {

class LocalCommunicator final : public Communicator {
 public:
  LocalCommunicator() : Communicator(Place()) {}
  void abort(ExitCode code) override { std::_Exit(static_cast<int>(code)); }
  void exchange(std::span<const std::int64_t> mine,
                std::span<std::int64_t> all) override {
    std::copy(mine.begin(), mine.end(), all.begin());
  }

 private:
  void do_run(const Collective& c, void*) override {
    if (c.in.data != c.out.data && c.out.bytes() > 0)
      std::memmove(c.out.data, c.in.data, c.out.bytes());
  }
  void do_start(const Collective& c, std::uint64_t, void* stream) override {
    do_run(c, stream);
  }
  void do_wait(std::uint64_t, void*) override {}
};

}  // namespace

std::unique_ptr<Communicator> make_local_communicator() {
  return std::make_unique<LocalCommunicator>();
}

}  // namespace music::dist
