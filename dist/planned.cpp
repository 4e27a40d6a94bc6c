#include "dist/planned.h"

#include <cstdlib>

namespace music::dist {
namespace {

class PlannedCommunicator final : public Communicator {
 public:
  PlannedCommunicator(int rank, int size) : Communicator({rank, size, 0, 1}) {}
  void abort(ExitCode code) override { std::_Exit(static_cast<int>(code)); }

 private:
  [[noreturn]] static void refuse() {
    throw error(ExitCode::kInternal, "[dist] an exchange of planned processes");
  }
  void do_run(const Collective&, void*) override { refuse(); }
  void do_start(const Collective&, std::uint64_t, void*) override { refuse(); }
  void do_wait(std::uint64_t, void*) override { refuse(); }
  void exchange(std::span<const std::int64_t>,
                std::span<std::int64_t>) override { refuse(); }
};

}  // namespace

std::unique_ptr<Communicator> make_planned_communicator(int rank, int size) {
  MUSIC_CHECK(rank >= 0 && rank < size, "[dist] rank {} of {}", rank, size);
  return std::make_unique<PlannedCommunicator>(rank, size);
}

}  // namespace music::dist
