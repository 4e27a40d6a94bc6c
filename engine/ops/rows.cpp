#include "engine/ops/rows.h"

#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/ops/function_kernel.h"

namespace music {
namespace {

Shape with_rows(const Shape& s, std::int64_t rows) {
  std::vector<std::int64_t> dims(s.dims().begin(), s.dims().end());
  dims[0] = rows;
  return Shape(dims);
}

std::size_t row_bytes(const ValueInfo& v) {
  return static_cast<std::size_t>(v.shape.elements() / v.shape[0]) *
         size_of(v.dtype);
}

// Bytes moved in the memory of one device.
struct Mover {
  bool device;
  void* stream;
  void copy(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return;
    if (device) cuda::copy(to, from, bytes, stream);
    else std::memcpy(to, from, bytes);
  }
  void clear(void* to, std::size_t bytes) const {
    if (bytes == 0) return;
    if (device) cuda::set(to, 0, bytes, stream);
    else std::memset(to, 0, bytes);
  }
  // `rows` pieces of `bytes`, from one to the next a pitch.
  void copy_pieces(std::byte* to, std::size_t to_pitch, const std::byte* from,
                   std::size_t from_pitch, std::size_t bytes,
                   std::int64_t rows) const {
    if (device)
      return cuda::copy_rows(
          {to, static_cast<std::int64_t>(to_pitch)},
          {const_cast<std::byte*>(from), static_cast<std::int64_t>(from_pitch)},
          static_cast<std::int64_t>(bytes), rows, stream);
    for (std::int64_t i = 0; i < rows; ++i)
      std::memcpy(to + static_cast<std::size_t>(i) * to_pitch,
                  from + static_cast<std::size_t>(i) * from_pitch, bytes);
  }
};

// fn(args, mover): copies.
template <typename F>
std::unique_ptr<Kernel> copying_kernel(const KernelRequest& r, F fn) {
  return function_kernel(
      [device = r.device == Device::kCuda, fn](const KernelArgs& args) {
        fn(args, Mover{device, args.stream});
      });
}

std::byte* bytes_of(const Tensor& t) { return static_cast<std::byte*>(t.data); }

// dy, with zeros for the rows that slice_rows left out.
Value pad_rows(Graph& graph, Value dy, std::int64_t begin, std::int64_t rows) {
  const Shape shape = graph.shape(dy);
  Node node;
  node.op = "pad_rows";
  node.inputs = {dy};
  node.make = [begin](const KernelRequest& r) {
    const std::size_t before =
        static_cast<std::size_t>(begin) * row_bytes(r.out[0]);
    return copying_kernel(r, [before](const KernelArgs& a, const Mover& m) {
      std::byte* to = bytes_of(a.out[0]);
      const std::size_t after = before + a.in[0].bytes();
      m.clear(to, before);
      m.copy(to + before, a.in[0].data, a.in[0].bytes());
      m.clear(to + after, a.out[0].bytes() - after);
    });
  };
  return graph.add1(std::move(node), with_rows(shape, rows),
                    graph.info(dy).dtype);
}

}  // namespace

Value slice_rows(Graph& graph, Value x, std::int64_t begin,
                 std::int64_t count) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() >= 1 && begin >= 0 && count >= 0 &&
                  begin + count <= xs[0],
              "[slice_rows] rows {} to {} of {}, expected a part of its rows",
              begin, begin + count, xs.str());
  if (count == xs[0]) return x;
  Node node;
  node.op = "slice_rows";
  node.inputs = {x};
  node.make = [begin](const KernelRequest& r) {
    const std::size_t before =
        static_cast<std::size_t>(begin) * row_bytes(r.in[0]);
    return copying_kernel(r, [before](const KernelArgs& a, const Mover& m) {
      m.copy(a.out[0].data, bytes_of(a.in[0]) + before, a.out[0].bytes());
    });
  };
  node.backward = [begin, rows = xs[0]](Graph& g, const Node&,
                                        const std::vector<GradientParts>& dy) {
    return std::vector<Value>{pad_rows(g, g.sum(dy[0]), begin, rows)};
  };
  return graph.add1(std::move(node), with_rows(xs, count),
                    graph.info(x).dtype);
}

Value concat_rows(Graph& graph, const std::vector<Value>& parts) {
  MUSIC_CHECK(!parts.empty(), "[concat_rows] no parts, expected one or more");
  const Shape first = graph.shape(parts[0]);
  const DType dtype = graph.info(parts[0]).dtype;
  std::int64_t rows = 0;
  for (Value v : parts) {
    const Shape s = graph.shape(v);
    MUSIC_CHECK(s.rank() >= 1 && s == with_rows(first, s[0]) &&
                    graph.info(v).dtype == dtype,
                "[concat_rows] {} {} behind {} {}, expected equal rows",
                name_of(graph.info(v).dtype), s.str(), name_of(dtype),
                first.str());
    rows += s[0];
  }
  if (parts.size() == 1) return parts[0];
  Node node;
  node.op = "concat_rows";
  node.needs_no_rows = true;
  node.inputs = parts;
  node.make = [](const KernelRequest& r) {
    return copying_kernel(r, [](const KernelArgs& a, const Mover& m) {
      std::byte* to = bytes_of(a.out[0]);
      for (const Tensor& part : a.in) {
        m.copy(to, part.data, part.bytes());
        to += part.bytes();
      }
    });
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& parts) {
    const Value dy = g.sum(parts[0]);
    std::vector<Value> result;
    std::int64_t begin = 0;
    for (Value v : n.inputs) {
      const std::int64_t count = g.shape(v)[0];
      result.push_back(g.needs_gradient(v) ? slice_rows(g, dy, begin, count)
                                           : Value{});
      begin += count;
    }
    return result;
  };
  return graph.add1(std::move(node), with_rows(first, rows), dtype);
}

Value interleave_rows(Graph& graph, Value x, std::int64_t groups) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() >= 1 && groups >= 1 && xs[0] % groups == 0,
              "[interleave_rows] {} in {} groups, expected rows that divide",
              xs.str(), groups);
  const std::int64_t m = xs[0] / groups;
  if (groups == 1 || m <= 1) return x;
  Node node;
  node.op = "interleave_rows";
  node.inputs = {x};
  node.make = [groups, m](const KernelRequest& r) {
    const std::size_t row = row_bytes(r.in[0]);
    const auto at = [row](std::int64_t i) {
      return static_cast<std::size_t>(i) * row;
    };
    return copying_kernel(r, [=](const KernelArgs& a, const Mover& mover) {
      const std::byte* from = bytes_of(a.in[0]);
      std::byte* to = bytes_of(a.out[0]);
      // One copy a group, or one a row of all groups: whichever are fewer.
      if (groups <= m)
        for (std::int64_t g = 0; g < groups; ++g)
          mover.copy_pieces(to + at(g * m), row, from + at(g), at(groups), row,
                             m);
      else
        for (std::int64_t i = 0; i < m; ++i)
          mover.copy_pieces(to + at(i), at(m), from + at(i * groups), row, row,
                             groups);
    });
  };
  node.backward = [m](Graph& g, const Node&,
                      const std::vector<GradientParts>& dy) {
    return std::vector<Value>{interleave_rows(g, g.sum(dy[0]), m)};
  };
  return graph.add1(std::move(node), xs, graph.info(x).dtype);
}

}  // namespace music
