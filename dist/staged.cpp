// Device tensors by way of host memory.

#include "dist/device_communicator.h"
#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"

namespace music::dist {
namespace {

class StagedCommunicator final : public Communicator {
 public:
  explicit StagedCommunicator(Communicator& host)
      : Communicator(host), host_(host) {}
  bool capturable() const override { return false; }
  void poll() override { host_.poll(); }
  void exchange(std::span<const std::int64_t> mine,
                std::span<std::int64_t> all) override {
    host_.exchange(mine, all);
  }
  void abort(ExitCode code) override { host_.abort(code); }

 private:
  void do_run(const Collective& c, void* stream) override {
    cuda::synchronize(stream);
    if (c.kind == Collective::Kind::kBarrier) return host_.run(c);
    Collective staged = c;
    staged.in.data = grown(in_, c.in.bytes());
    const bool in_place =
        c.in.data == c.out.data && c.in.bytes() == c.out.bytes();
    staged.out.data = in_place ? staged.in.data : grown(out_, c.out.bytes());
    if (c.in.bytes() > 0)
      cuda::copy(staged.in.data, c.in.data, c.in.bytes(), stream);
    cuda::synchronize(stream);
    host_.run(staged);
    if (c.out.bytes() > 0)
      cuda::copy(c.out.data, staged.out.data, c.out.bytes(), stream);
    cuda::synchronize(stream);
  }
  void do_start(const Collective& c, std::uint64_t, void* stream) override {
    do_run(c, stream);
  }
  void do_wait(std::uint64_t, void*) override {}

  static void* grown(Buffer& buffer, std::size_t bytes) {
    if (buffer.bytes() < bytes) buffer = Buffer(bytes, Memory::kPinned);
    return buffer.data();
  }

  Communicator& host_;
  Buffer in_, out_;
};

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(Communicator& host) {
  return std::make_unique<StagedCommunicator>(host);
}

}  // namespace music::dist
