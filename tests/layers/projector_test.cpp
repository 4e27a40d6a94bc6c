#include "layers/projector.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::relative_error;
using test::within;

std::vector<std::string> names(std::span<const ParameterInfo> table) {
  std::vector<std::string> result;
  for (const auto& p : table) result.push_back(p.name + p.shape.str());
  return result;
}

TEST_SUITE("projector") {
  TEST_CASE("8192-8160 on 2048 features: names, shapes and count") {
    Parameters p;
    const Projector projector(p, "projector", 2048,
                              parse_projector("8192-8160"));
    CHECK(p.count() == 83648512);
    CHECK(projector.units() == 8160);
    CHECK(names(p.table()) ==
          std::vector<std::string>{
              "projector.0.weight[8192,2048]", "projector.0.bias[8192]",
              "projector.1.weight[8192]", "projector.1.bias[8192]",
              "projector.3.weight[8160,8192]"});
    CHECK(names(p.buffers()) ==
          std::vector<std::string>{"projector.1.running_mean[8192]",
                                   "projector.1.running_var[8192]"});
  }

  TEST_CASE("depths one, three and four") {
    Parameters one;
    const Projector linear(one, "", 512, parse_projector("64"));
    CHECK(names(one.table()) == std::vector<std::string>{"0.weight[64,512]"});
    Parameters three;
    const Projector p3(three, "", 2048, parse_projector("8192-8192-8192"));
    CHECK(three.count() == 151044096);
    CHECK(three.table().back().name == "6.weight");
    Parameters four;
    const Projector p4(four, "", 8, parse_projector("7-6-5-4"));
    CHECK(names(four.table()).back() == "9.weight[4,5]");
    CHECK(p4.units() == 4);
  }

  TEST_CASE("initial weights and biases are uniform by fan-in") {
    Parameters p;
    const Projector projector(p, "", 256, {512, 128});
    p.allocate(false);
    p.initialise(1);
    for (const auto& [index, fan_in] :
         {std::pair{0, 256}, {1, 256}, {4, 512}}) {
      CAPTURE(p.table()[static_cast<std::size_t>(index)].name);
      const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
      double largest = 0, square = 0;
      const auto values = p.value(index).span<float>();
      for (const double v : values) {
        largest = std::max(largest, std::abs(v));
        square += v * v;
      }
      CHECK(largest <= bound);
      CHECK(largest > 0.98 * bound);
      const double root_mean =
          std::sqrt(square / static_cast<double>(values.size()));
      CHECK(within(relative_error(root_mean, bound / std::sqrt(3.0)), 0.08));
    }
    for (const float v : p.value(2).span<float>()) CHECK(v == 1);
    for (const float v : p.value(3).span<float>()) CHECK(v == 0);
  }

  TEST_CASE("spec strings") {
    CHECK(parse_projector("8192-8160") ==
          std::vector<std::int64_t>{8192, 8160});
    CHECK(parse_projector("5") == std::vector<std::int64_t>{5});
    for (const std::string bad : {"", "-", "8-", "-8", "8--8", "0-8", "8,8",
                                  "8-x", "1-2-3-4-5", "99999999", "8 -8"}) {
      CAPTURE(bad);
      CHECK_THROWS_WITH_AS(parse_projector(bad),
                           ("[projector] \"" + bad +
                            "\", expected one to four widths joined by '-', as "
                            "8192-8160")
                               .c_str(),
                           Error);
    }
  }
}

}  // namespace
