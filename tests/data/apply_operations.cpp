// The pixel operations as a program, for tools/peers/check_pillow.py: commands
// on standard input, one a line, each answered by "WIDTH HEIGHT\n" and the
// pixels. An operation works on the image last loaded and leaves it as it is.
//   image PATH
//   part X Y WIDTH HEIGHT               decoded alone, as in fast mode
//   resize X Y WIDTH HEIGHT TO_WIDTH TO_HEIGHT FILTER FLIP
//   brightness|contrast|saturation|hue FACTOR, grayscale 0, solarize 0
//   blur SIGMA
//   view MODE SIZE FILTER X Y WIDTH HEIGHT FLIP ORDER*4 BRIGHTNESS CONTRAST
//        SATURATION HUE GRAYSCALE SIGMA SOLARIZE
//   eval RESIZE SIZE FILTER
//   pillow 12|13                        whose resize, from here on; 13 at first

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/colour.h"
#include "data/decode.h"
#include "data/partial_reader.h"
#include "engine/core/error.h"
#include "engine/io/file.h"

namespace {

using namespace music::data;
using Pixels = std::vector<std::uint8_t>;

class Operations {
 public:
  // False: no such command, or arguments missing.
  bool run(const std::string& line) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    if (command == "image") {
      std::string path;
      std::getline(in >> std::ws, path);
      music::read_file(path, DecodeLimits::kFileBytes, file_);
      decode_image(file_, image_);
      answer(image_.width(), image_.height(), pixels());
    } else if (command == "part") {
      part(read_box(in));
    } else if (command == "resize") {
      resize(in);
    } else if (command == "blur") {
      double sigma = 0;
      in >> sigma;
      Pixels out = pixels();
      gaussian_blur(out.data(), image_.width(), image_.height(), sigma,
                    scratch_.blur);
      answer(image_.width(), image_.height(), out);
    } else if (command == "view") {
      view(in);
    } else if (command == "pillow") {
      in >> pillow_;
      answer(0, 0, {});
    } else if (command == "eval") {
      int size = 0, resize = 0;
      in >> resize >> size;
      const Interpolation filter = read_filter(in);
      Pixels out(bytes(size, size));
      eval_view(image_, resize, size, {filter, pillow_}, out.data(), scratch_);
      answer(size, size, out);
    } else {
      return colour(command, in);
    }
    return !in.fail();
  }

 private:
  static std::size_t bytes(int width, int height) {
    return std::size_t{Image::kChannels} * static_cast<std::size_t>(width) *
           static_cast<std::size_t>(height);
  }
  Pixels pixels() const {
    return {image_.data(), image_.data() + image_.bytes()};
  }
  static void answer(int width, int height, const Pixels& pixels) {
    std::printf("%d %d\n", width, height);
    std::fwrite(pixels.data(), 1, pixels.size(), stdout);
    std::fflush(stdout);
  }
  static Box read_box(std::istream& in) {
    Box box;
    in >> box.x >> box.y >> box.width >> box.height;
    return box;
  }
  static Interpolation read_filter(std::istream& in) {
    std::string name;
    in >> name;
    return name == "bilinear" ? Interpolation::kBilinear
                              : Interpolation::kBicubic;
  }

  void part(const Box& wanted) {
    reader_.open(file_);
    const Box held = reader_.read(wanted, part_);
    Pixels out;
    for (int y = 0; y < wanted.height; ++y) {
      const std::uint8_t* row = part_.row(wanted.y - held.y + y) +
                                bytes(wanted.x - held.x, 1);
      out.insert(out.end(), row, row + bytes(wanted.width, 1));
    }
    answer(wanted.width, wanted.height, out);
  }

  void resize(std::istream& in) {
    const Box box = read_box(in);
    int width = 0, height = 0;
    in >> width >> height;
    const Interpolation filter = read_filter(in);
    bool flip = false;
    in >> flip;
    Pixels out(bytes(width, height));
    scratch_.resizer.run(image_, box, width, height, {0, 0, width, height},
                         flip, {filter, pillow_}, out.data());
    answer(width, height, out);
  }

  bool colour(const std::string& command, std::istream& in) {
    double factor = 0;
    in >> factor;
    Pixels out = pixels();
    const std::size_t n = out.size() / Image::kChannels;
    if (command == "brightness") adjust_brightness(out.data(), n, factor);
    else if (command == "contrast") adjust_contrast(out.data(), n, factor);
    else if (command == "saturation") adjust_saturation(out.data(), n, factor);
    else if (command == "hue") adjust_hue(out.data(), n, factor);
    else if (command == "grayscale") to_grayscale(out.data(), n);
    else if (command == "solarize") solarize(out.data(), n);
    else return false;
    answer(image_.width(), image_.height(), out);
    return !in.fail();
  }

  void view(std::istream& in) {
    AugmentSpec spec;
    std::string mode;
    in >> mode >> spec.size;
    spec.pillow = pillow_;
    spec.mode = mode == "fast" ? AugmentMode::kFast : AugmentMode::kExact;
    spec.interpolation = read_filter(in);
    ViewParameters p;
    p.crop = read_box(in);
    p.jitter = true;
    in >> p.flip;
    for (auto& op : p.order) {
      int number = 0;
      in >> number;
      op = static_cast<ViewParameters::ColourOp>(number);
    }
    in >> p.brightness >> p.contrast >> p.saturation >> p.hue >> p.grayscale >>
        p.blur_sigma >> p.solarize;
    Pixels out(bytes(spec.size, spec.size));
    apply_view(image_, p, spec, out.data(), scratch_);
    answer(spec.size, spec.size, out);
  }

  Pixels file_;
  Image image_, part_;
  PartialReader reader_;
  AugmentScratch scratch_;
  int pillow_ = Resampling::kToday;
};

}  // namespace

int main() {
  Operations operations;
  try {
    for (std::string line; std::getline(std::cin, line);)
      if (!operations.run(line)) {
        std::fprintf(stderr, "cannot understand: %s\n", line.c_str());
        return 2;
      }
  } catch (const music::Error& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
