// Collectives of device tensors against those of host tensors. Run with 1 to 4
// processes.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/rng.h"
#include "tests/dist/device_world.h"
#include "tests/support/compare.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;
using dist::Collective;
using dist::Communicator;
using dist::Reduction;
using dist::Ticket;

std::vector<float> values(std::uint32_t key, std::int64_t n) {
  Rng rng(5, RngPurpose::kTest, key,
          static_cast<std::uint32_t>(world().rank()));
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(rng.normal());
  return v;
}

// Elements of each rank: uneven with an empty one, or equal.
std::vector<std::int64_t> counts(bool even) {
  std::vector<std::int64_t> c;
  for (int r = 0; r < world().size(); ++r)
    c.push_back(even ? 5 : r == 1 ? 0 : 3 + 2 * r);
  return c;
}
std::int64_t total(const std::vector<std::int64_t>& c) {
  return std::accumulate(c.begin(), c.end(), std::int64_t{0});
}

// A collective as a function of where its tensors lie.
struct Case {
  std::string name;
  std::int64_t in, out;
  std::function<Collective(Tensor in, Tensor out)> make;
  bool in_place = false;
  std::int64_t own = -1;  // `in` lies at this element of `out`
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto at = static_cast<std::size_t>(world().rank());
  for (const std::int64_t n : {1, 7, 4096}) {
    all.push_back({"all_reduce", n, n, [](Tensor in, Tensor out) {
                     return Collective::all_reduce(in, out);
                   }});
    all.push_back(
        {"all_reduce in place", n, n,
         [](Tensor, Tensor out) { return Collective::all_reduce(out, out); },
         true});
    all.push_back({"maximum", n, n, [](Tensor in, Tensor out) {
                     return Collective::all_reduce(in, out, Reduction::kMax);
                   }});
    all.push_back({"broadcast", n, n,
                   [](Tensor, Tensor out) {
                     return Collective::broadcast(out, world().size() - 1);
                   },
                   true});
  }
  for (const bool even : {true, false}) {
    const auto c = counts(even);
    const std::int64_t mine = c[at];
    const std::int64_t before =
        std::accumulate(c.begin(), c.begin() + world().rank(), std::int64_t{0});
    all.push_back({"all_gather", mine, total(c), [c](Tensor in, Tensor out) {
                     return Collective::all_gather(in, out, c);
                   }});
    all.push_back({"all_gather from its place", mine, total(c),
                   [c](Tensor in, Tensor out) {
                     return Collective::all_gather(in, out, c);
                   },
                   false, before});
    all.push_back(
        {"reduce_scatter", total(c), mine, [c](Tensor in, Tensor out) {
           return Collective::reduce_scatter(in, out, c);
         }});
    std::vector<std::int64_t> send, receive;
    for (int s = 0; s < world().size(); ++s) {
      send.push_back(even ? 4 : world().rank() + 2 * s);
      receive.push_back(even ? 4 : s + 2 * world().rank());
    }
    all.push_back({"all_to_all", total(send), total(receive),
                   [send, receive](Tensor in, Tensor out) {
                     return Collective::all_to_all(in, send, out, receive);
                   }});
  }
  return all;
}

// The tensors of a case in memory of a device, as a fresh run finds them.
class Tensors {
 public:
  Tensors(const Case& c, Device device, std::uint32_t key)
      : device_(device),
        in_(static_cast<std::size_t>(std::max<std::int64_t>(c.in, 1)) * 4,
            memory_of(device)),
        out_(static_cast<std::size_t>(std::max<std::int64_t>(c.out, 1)) * 4,
             memory_of(device)) {
    in = {in_.data(), Shape{c.in}, DType::kF32};
    out = {out_.data(), Shape{c.out}, DType::kF32};
    if (c.own >= 0) in.data = static_cast<float*>(out.data) + c.own;
    const auto x = values(key, c.in);
    void* const to = c.in_place ? out.data : in.data;
    if (c.in > 0) upload(to, x.data(), in.bytes(), device);
  }
  std::vector<float> result() const {
    std::vector<float> v(static_cast<std::size_t>(out.elements()));
    if (!v.empty()) download(v.data(), out.data, out.bytes(), device_);
    return v;
  }
  Tensor in, out;

 private:
  Device device_;
  Buffer in_, out_;
};

std::vector<float> expected(const Case& c, std::uint32_t key) {
  Tensors host(c, Device::kCpu, key);
  world().run(c.make(host.in, host.out));
  return host.result();
}

// Sums of the staged body are the host's; NCCL's are rounded otherwise.
void check_close(const std::vector<float>& got,
                 const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(near(got[i], expected[i], 1e-5));
}

TEST_SUITE("cuda_communicator") {
  TEST_CASE("every collective gives what it gives on the host") {
    on_device([] {
      for (const auto& [name, comm] : device_communicators()) {
        cuda::Stream stream;
        for (const Case& c : cases()) {
          CAPTURE(name);
          CAPTURE(c.name);
          CAPTURE(c.in);
          Tensors device(c, Device::kCuda, 1);
          comm->run(c.make(device.in, device.out), stream.get());
          cuda::synchronize(stream.get());
          check_close(device.result(), expected(c, 1));
          Tensors later(c, Device::kCuda, 2);
          const Ticket t =
              comm->start(c.make(later.in, later.out), stream.get());
          comm->poll();
          comm->wait(t, stream.get());
          cuda::synchronize(stream.get());
          check_close(later.result(), expected(c, 2));
        }
        comm->barrier();
      }
    });
  }

  TEST_CASE("several started, waited for in any order, beside run()") {
    on_device([] {
      const auto all = cases();
      for (const auto& [name, comm] : device_communicators()) {
        CAPTURE(name);
        cuda::Stream stream;
        Tensors a(all[0], Device::kCuda, 1), b(all[8], Device::kCuda, 2),
            c(all[4], Device::kCuda, 3);
        const Ticket first =
            comm->start(all[0].make(a.in, a.out), stream.get());
        const Ticket second =
            comm->start(all[8].make(b.in, b.out), stream.get());
        comm->run(all[4].make(c.in, c.out), stream.get());
        comm->wait(second, stream.get());
        comm->wait(first, stream.get());
        cuda::synchronize(stream.get());
        check_close(a.result(), expected(all[0], 1));
        check_close(b.result(), expected(all[8], 2));
        check_close(c.result(), expected(all[4], 3));
        if (name == "nccl")
          CHECK_THROWS_AS(comm->wait(second, stream.get()), Error);
      }
    });
  }

  TEST_CASE("captured with what is around it, and launched again") {
    on_device([] {
      for (const auto& [name, comm] : device_communicators()) {
        if (!comm->capturable()) continue;
        for (const Case& c : cases()) {
          CAPTURE(name);
          CAPTURE(c.name);
          cuda::Stream stream;
          // Once outside, as a training step does: connections are made then.
          Tensors warm(c, Device::kCuda, 3), t(c, Device::kCuda, 3);
          comm->run(c.make(warm.in, warm.out), stream.get());
          comm->wait(comm->start(c.make(warm.in, warm.out), stream.get()),
                     stream.get());
          cuda::CapturedGraph graph;
          graph.begin(stream.get());
          comm->wait(comm->start(c.make(t.in, t.out), stream.get()),
                     stream.get());
          graph.end(stream.get());
          for (int i = 0; i < 2; ++i) {
            const auto x = values(4, c.in);
            void* const to = c.in_place ? t.out.data : t.in.data;
            if (c.in > 0) upload(to, x.data(), t.in.bytes(), Device::kCuda);
            graph.launch(stream.get());
            cuda::synchronize(stream.get());
            check_close(t.result(), expected(c, 4));
          }
        }
      }
    });
  }

  TEST_CASE("one activity counts the exchanges of both sides") {
    if (!select_device()) return;
    for (const auto& [name, comm] : device_communicators()) {
      CAPTURE(name);
      CHECK(&comm->activity() == &world().activity());
      CHECK(comm->rank() == world().rank());
      CHECK(comm->size() == world().size());
      CHECK(comm->local_rank() == world().local_rank());
    }
  }
}

}  // namespace
