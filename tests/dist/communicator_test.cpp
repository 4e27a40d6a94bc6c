// Every collective against what it means, with values that say where they
// came from. Run with 1 to 4 processes.
#include "dist/communicator.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <numeric>
#include <vector>

#include "engine/core/rng.h"
#include "tests/dist/world.h"

namespace {

using namespace music;
using dist::Collective;
using dist::Reduction;
using test::world;

template <typename T>
Tensor tensor(std::vector<T>& v) {
  return {v.data(), Shape{static_cast<std::int64_t>(v.size())},
          DTypeOf<T>::value};
}

// Element i of what rank r starts with.
float value(int r, std::size_t i) {
  Rng rng(9, RngPurpose::kTest, static_cast<std::uint32_t>(r),
          static_cast<std::uint32_t>(i));
  return static_cast<float>(rng.normal());
}

std::vector<float> values(int r, std::int64_t n) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = value(r, i);
  return v;
}

// The sum in double in rank order, rounded once: to the bit.
std::vector<float> expected_sum(std::int64_t n) {
  std::vector<double> sum(static_cast<std::size_t>(n));
  for (int r = 0; r < world().size(); ++r) {
    const auto v = values(r, n);
    for (std::size_t i = 0; i < v.size(); ++i)
      sum[i] += static_cast<double>(v[i]);
  }
  return {sum.begin(), sum.end()};
}

// Rank r's part of something uneven; rank 1 has none.
std::vector<std::int64_t> uneven() {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < world().size(); ++r)
    counts.push_back(r == 1 ? 0 : 3 + 2 * r);
  return counts;
}

std::int64_t total(const std::vector<std::int64_t>& v) {
  std::int64_t n = 0;
  for (std::int64_t i : v) n += i;
  return n;
}

std::string message_of(const Collective& c) {
  try {
    world().run(c);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST_SUITE("communicator") {
  TEST_CASE("sums are formed in double, in rank order") {
    const int r = world().rank();
    // Around the size from which the work is shared out; fewer than ranks.
    for (std::int64_t n : {1, 2, 3, 1000, 16384, 16385, 100003}) {
      CAPTURE(n);
      const auto expected = expected_sum(n);
      auto in_place = values(r, n), in = in_place;
      std::vector<float> out(in.size(), 7);
      world().all_reduce(tensor(in_place));
      CHECK(in_place == expected);
      world().run(Collective::all_reduce(tensor(in), tensor(out)));
      CHECK(out == expected);
      CHECK(in == values(r, n));
    }
    std::vector<double> d = {1.0 + r, 1e-300 * r, r == 0 ? 1e200 : 0.0};
    world().all_reduce(tensor(d));
    const int n = world().size();
    CHECK(d[0] == n * (n + 1) / 2);
    CHECK(d[2] == 1e200);
  }

  TEST_CASE("integers and maxima") {
    const int r = world().rank(), n = world().size();
    std::vector<std::int64_t> i = {r + (std::int64_t{1} << 60), -r};
    auto largest = i;
    world().all_reduce(tensor(i));
    CHECK(i[0] == n * (std::int64_t{1} << 60) + n * (n - 1) / 2);
    CHECK(i[1] == -n * (n - 1) / 2);
    world().all_reduce(tensor(largest), Reduction::kMax);
    CHECK(largest == std::vector<std::int64_t>{
                         n - 1 + (std::int64_t{1} << 60), 0});
    std::vector<float> f = {static_cast<float>(r), static_cast<float>(-r)};
    world().all_reduce(tensor(f), Reduction::kMax);
    CHECK(f == std::vector<float>{static_cast<float>(n - 1), 0.0f});
  }

  TEST_CASE("gather, scatter and exchange of uneven parts") {
    const int r = world().rank(), n = world().size();
    const auto counts = uneven();
    const auto at = static_cast<std::size_t>(r);
    std::vector<float> expected;
    for (int s = 0; s < n; ++s)
      for (float v : values(s, counts[static_cast<std::size_t>(s)]))
        expected.push_back(v);
    auto mine = values(r, counts[at]);
    std::vector<float> all(expected.size());
    world().run(Collective::all_gather(tensor(mine), tensor(all), counts));
    CHECK(all == expected);

    // From its own place in the output.
    std::vector<float> again(expected.size());
    std::int64_t start = 0;
    for (int s = 0; s < r; ++s) start += counts[static_cast<std::size_t>(s)];
    std::copy(mine.begin(), mine.end(), again.begin() + start);
    const Tensor own{again.data() + start, Shape{counts[at]}, DType::kF32};
    world().run(Collective::all_gather(own, tensor(again), counts));
    CHECK(again == expected);

    auto full = values(r, total(counts));
    std::vector<float> part(static_cast<std::size_t>(counts[at]));
    world().run(
        Collective::reduce_scatter(tensor(full), tensor(part), counts));
    const auto sum = expected_sum(total(counts));
    CHECK(std::equal(part.begin(), part.end(), sum.begin() + start));

    // r sends s as many bytes as r + 2 s, all of value 10 r + s.
    std::vector<std::int64_t> send, receive;
    std::vector<std::uint8_t> out, in, expected_bytes;
    for (int s = 0; s < n; ++s) {
      send.push_back(r + 2 * s);
      receive.push_back(s + 2 * r);
      out.insert(out.end(), static_cast<std::size_t>(r + 2 * s),
                 static_cast<std::uint8_t>(10 * r + s));
      expected_bytes.insert(expected_bytes.end(),
                            static_cast<std::size_t>(s + 2 * r),
                            static_cast<std::uint8_t>(10 * s + r));
    }
    in.resize(expected_bytes.size());
    world().run(Collective::all_to_all(tensor(out), send, tensor(in), receive));
    CHECK(in == expected_bytes);
  }

  TEST_CASE("ranks without a part of an exchange") {
    const int size = world().size(), rank = world().rank();
    // The last sends and receives nothing, from and to one address.
    std::vector<std::int64_t> counts(static_cast<std::size_t>(size), 1);
    if (size > 1) counts.back() = 0;
    const bool part = counts[static_cast<std::size_t>(rank)] > 0;
    std::vector<std::int64_t> mine = counts;
    if (!part) std::fill(mine.begin(), mine.end(), 0);
    std::vector<float> out(static_cast<std::size_t>(part ? size : 0),
                           static_cast<float>(rank)), in(out.size());
    const auto cut = [&](std::vector<float>& v) {
      const auto n = std::accumulate(mine.begin(), mine.end(), std::int64_t{0});
      return Tensor{part ? v.data() : nullptr, {n}, DType::kF32};
    };
    for (int again = 0; again < 2; ++again) {
      const Collective exchange =
          Collective::all_to_all(cut(out), mine, cut(in), mine);
      if (again == 0)
        world().run(exchange);
      else
        world().wait(world().start(exchange));
      for (std::size_t r = 0; part && r < counts.size(); ++r)
        if (counts[r] > 0) CHECK(in[r] == static_cast<float>(r));
      // What follows must not take a message of it for its own.
      std::vector<double> sum = {1};
      world().all_reduce(tensor(sum));
      CHECK(sum[0] == size);
    }
    std::vector<float> all(static_cast<std::size_t>(size > 1 ? size - 1 : 1));
    std::vector<float> own(part ? 1 : 0, static_cast<float>(rank));
    world().run(Collective::all_gather(tensor(own), tensor(all), counts));
    for (std::size_t r = 0; r < all.size(); ++r)
      CHECK(all[r] == static_cast<float>(r));
    world().run(Collective::reduce_scatter(tensor(all), tensor(own), counts));
    if (part) CHECK(own[0] == static_cast<float>(rank * size));
  }

  TEST_CASE("broadcast from any rank") {
    for (int root = 0; root < world().size(); ++root) {
      auto v = values(world().rank(), 1001);
      world().broadcast(tensor(v), root);
      CHECK(v == values(root, 1001));
    }
    world().barrier();
  }

  // More started at once than finish in order, polled a different number of
  // times on each rank, with blocking ones in between.
  TEST_CASE("started collectives overlap and keep their results apart") {
    const int r = world().rank();
    std::vector<std::vector<float>> v;
    std::vector<dist::Ticket> tickets;
    for (std::int64_t k = 0; k < 6; ++k) {
      v.push_back(values(r, 20000 + 3000 * k));
      tickets.push_back(
          world().start(Collective::all_reduce(tensor(v.back()),
                                               tensor(v.back()))));
      for (int i = 0; i < 5 * r; ++i) world().poll();
      std::vector<double> small = {1};
      world().all_reduce(tensor(small));
      CHECK(small[0] == world().size());
    }
    const auto counts = uneven();
    auto mine = values(r, counts[static_cast<std::size_t>(r)]);
    std::vector<float> all(static_cast<std::size_t>(total(counts)));
    const auto gather = world().start(
        Collective::all_gather(tensor(mine), tensor(all), counts));
    world().wait(gather);
    for (std::size_t k : {3u, 0u, 5u, 1u, 2u, 4u}) world().wait(tickets[k]);
    for (const auto& x : v)
      CHECK(x == expected_sum(static_cast<std::int64_t>(x.size())));
    world().wait({});
  }

  TEST_CASE("what this process was doing can be read") {
    auto& activity = world().activity();
    const auto ticks = activity.ticks();
    const auto number = activity.collectives();
    std::vector<float> v(5);
    world().all_reduce(tensor(v));
    CHECK(activity.ticks() > ticks);
    CHECK(activity.collectives() == number + 1);
    const auto& record = activity.record(number + 1);
    CHECK(record.sequence == number + 1);
    CHECK(std::string(record.what) == "all_reduce");
    CHECK(record.bytes == 20);
    CHECK(record.done);
  }

  TEST_CASE("misuse is refused before anything is sent") {
    std::vector<float> a(4), b(5);
    std::vector<std::uint8_t> bytes(4);
    const std::vector<std::int64_t> counts(
        static_cast<std::size_t>(world().size()), 4);
    CHECK(message_of(Collective::all_reduce(tensor(a), tensor(b))) ==
          "[dist] all_reduce: output is 5, expected 4");
    CHECK(message_of(Collective::all_reduce(tensor(bytes), tensor(bytes))) ==
          "[dist] all_reduce of U8, expected F32, F64 or I64");
    CHECK(message_of(Collective::all_gather(tensor(b), tensor(a), counts)) ==
          "[dist] all_gather: input is 5, expected 4");
    CHECK(message_of(Collective::broadcast(tensor(a), -1)) ==
          fmt::format("[dist] root -1 of {} ranks", world().size()));
  }

  TEST_CASE("ranks that call different collectives are named") {
    const int last = world().size() - 1;
    if (last == 0) return;
    const bool odd = world().rank() == last;
    world().check_collectives(true);
    std::vector<float> a(odd ? 5 : 4);
    const std::string sizes =
        message_of(Collective::all_reduce(tensor(a), tensor(a)));
    const std::string kinds = message_of(
        odd ? Collective() : Collective::all_reduce(tensor(a), tensor(a)));
    // Rank 0 and the last differ about their share of the same total.
    std::vector<std::int64_t> counts(static_cast<std::size_t>(last + 1), 4);
    if (odd) counts[0] = 3, counts[1] = 5;
    std::vector<float> all(static_cast<std::size_t>(4 * (last + 1)));
    std::vector<float> mine(
        static_cast<std::size_t>(counts[static_cast<std::size_t>(
            world().rank())]));
    const std::string parts = message_of(
        Collective::all_gather(tensor(mine), tensor(all), counts));
    world().check_collectives(false);
    const auto contains = [](const std::string& s, const std::string& part) {
      CAPTURE(s);
      CHECK(s.find(part) != std::string::npos);
    };
    contains(sizes, "ranks call different collectives: rank 0 all_reduce of 4 "
                    "F32");
    contains(sizes, fmt::format("rank {} all_reduce of 5 F32", last));
    contains(kinds, fmt::format("rank {} barrier", last));
    contains(parts, "[dist] all_gather (number");
    contains(parts, "has a part of ");
    world().barrier();
  }
}

}  // namespace
