#include "music/model/foreign_weights.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "engine/io/zip.h"

namespace music {

// Dictionaries in dictionaries become names with dots; tensors that share memory
// are written each for itself.
const char* const kConvertCommand =
    "python3 -c \"import sys,torch;from safetensors.torch import save_file;"
    "f=lambda d,p='':{k:v for n,x in d.items() for k,v in (f(x,p+str(n)+'.') if "
    "isinstance(x,dict) else {p+str(n):x}).items() if torch.is_tensor(v)};"
    "save_file({k:v.clone().contiguous() for k,v in f(torch.load(sys.argv[1],"
    "map_location='cpu',weights_only=True)).items() if 'optim' not in k},"
    "sys.argv[2])\" FILE.pth FILE.safetensors";

namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

const char* const kFromNpz =
    "python3 -c \"import sys,numpy;from safetensors.numpy import save_file;"
    "save_file(dict(numpy.load(sys.argv[1])),sys.argv[2])\" FILE.npz "
    "FILE.safetensors";
const char* const kFromOnnx =
    "python3 -c \"import sys,onnx;from onnx.numpy_helper import to_array;from "
    "safetensors.numpy import save_file;save_file({t.name:to_array(t) for t in "
    "onnx.load(sys.argv[1]).graph.initializer},sys.argv[2])\" FILE.onnx "
    "FILE.safetensors";
const char* const kFromShards =
    "python3 -c \"import sys,json,os;from safetensors.torch import "
    "load_file,save_file;i=sys.argv[1];d=os.path.dirname(i);save_file({k:v for f "
    "in set(json.load(open(i))['weight_map'].values()) for k,v in "
    "load_file(os.path.join(d,f)).items()},sys.argv[2])\" "
    "model.safetensors.index.json FILE.safetensors";

struct Found {
  std::string what;     // "a pickle"
  std::string way_out;  // behind "expected a .safetensors"
};

Found pickle() {
  return {"a pickle, which can run any code and is never read",
          fmt::format(", as this makes: {}", kConvertCommand)};
}

Found in_zip(const FileReader& file) {
  std::vector<ZipEntry> entries;
  try {
    entries = zip_entries(file);
  } catch (const Error&) {  // cut short, or of a kind we do not read
    return {"a zip archive", ", or, where it is PyTorch's, what this makes: " +
                                 std::string(kConvertCommand)};
  }
  const auto ends = [&](std::string_view end) {
    return [end](const ZipEntry& e) { return e.name.ends_with(end); };
  };
  if (std::ranges::any_of(entries, ends("data.pkl"))) return pickle();
  if (!entries.empty() && std::ranges::all_of(entries, ends(".npy")))
    return {"an .npz of NumPy", fmt::format(", as this makes: {}", kFromNpz)};
  if (std::ranges::any_of(entries, ends(".safetensors")))
    return {"a zip archive", ": unzip it"};
  if (std::ranges::any_of(entries, ends("config.json")))
    return {"a Keras file", ""};
  return {"a zip archive", ""};
}

Found in_json(const FileReader& file) {
  constexpr std::uint64_t kMost = 16 << 20;
  std::string text(std::min(file.size(), kMost), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("weight_map") ||
      !json["weight_map"].is_object())
    return {"a JSON text", ""};
  std::set<std::string> files;
  for (const auto& name : json["weight_map"])
    if (name.is_string()) files.insert(name.get<std::string>());
  return {fmt::format("the index of weights in {}",
                      counted(std::ssize(files), "file")),
          fmt::format(" of all, as this makes: {}", kFromShards)};
}

std::string lower(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// By first bytes; of what has none that tell, by the name.
Found identify(const FileReader& file, std::string_view head) {
  const std::string name = lower(file.path().filename().string());
  const auto starts = [&](std::string_view s) { return head.starts_with(s); };
  const auto named = [&](auto... ends) { return (name.ends_with(ends) || ...); };
  const std::string text = lower(std::string(head.substr(0, 64)));
  const std::size_t at = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  const std::string_view begin = at == text.npos
                                     ? std::string_view()
                                     : std::string_view(text).substr(at);

  if (starts("PK\x03\x04"sv)) return in_zip(file);
  if (head.size() > 1 && head[0] == '\x80' && head[1] >= 1 && head[1] <= 5)
    return pickle();
  if (starts("\x93NUMPY"sv)) return {"an .npy of NumPy, one array", ""};
  if (starts("\x89HDF\r\n"sv))
    return {"HDF5, as Keras writes it under names of its own",
            " of the PyTorch network"};
  if (starts("version https://git-lfs"sv))
    return {"a Git LFS pointer, not the file itself",
            ": git lfs pull fetches it"};
  if (begin.starts_with("<!doctype") || begin.starts_with("<html") ||
      begin.starts_with("<?xml") || begin.starts_with("<head"))
    return {"a page of the web, as a download that failed leaves it",
            ": download it again"};
  if (begin.starts_with('{') || begin.starts_with('[')) return in_json(file);
  if (starts("GGUF"sv)) return {"GGUF, quantised weights", ""};
  if (starts("\x1F\x8B"sv)) return {"compressed by gzip", ": gunzip it"};
  if (starts("\xFD""7zXZ"sv)) return {"compressed by xz", ": unxz it"};
  if (starts("\x28\xB5\x2F\xFD"sv)) return {"compressed by zstd", ": unzstd it"};
  if (head.size() > 262 && head.substr(257, 5) == "ustar")
    return {"a tar archive", ": unpack it"};
  if (starts("\xFF\xD8\xFF"sv) || starts("\x89PNG"sv)) return {"an image", ""};
  if (named(".onnx"))
    return {"ONNX, whose exporters fold batch norms into convolutions",
            fmt::format("; where they are not folded, as this makes: {}",
                        kFromOnnx)};
  if (named(".pb", ".tflite")) return {"TensorFlow's, under names of its own", ""};
  if (named(".pth", ".pt", ".pkl", ".bin", ".ckpt", ".pyth", ".pth.tar"))
    return pickle();
  return {};
}

[[noreturn]] void refuse(const fs::path& path, const Found& found) {
  throw error(ExitCode::kData, "[weights] {} is {}: expected a .safetensors{}",
              path.string(), found.what, found.way_out);
}

// model-00001-of-00003.safetensors
bool is_part(const std::string& name) {
  const std::size_t of = name.rfind("-of-");
  const auto digits = [&](std::size_t begin) {
    return begin < name.size() &&
           std::isdigit(static_cast<unsigned char>(name[begin]));
  };
  return of != name.npos && of > 0 && digits(of - 1) && digits(of + 4) &&
         !name.ends_with("-of-00001.safetensors");
}

void refuse_folder(const fs::path& path) {
  if (fs::exists(path / "manifest.json"))
    throw error(ExitCode::kData,
                "[weights] {} is a checkpoint to go on from: expected "
                "encoder.safetensors, which a run writes when it ends",
                path.string());
  if (fs::exists(path / "config.toml") && fs::exists(path / "ckpt"))
    throw error(ExitCode::kData,
                "[weights] {} is a run that has not ended, without "
                "encoder.safetensors: expected one that has; the command that "
                "started it goes on", path.string());
  throw error(ExitCode::kData,
              "[weights] {} is a folder without encoder.safetensors: expected a "
              "run directory or a .safetensors", path.string());
}

}  // namespace

void refuse_foreign(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) refuse_folder(path);
  const FileReader file(path);
  std::string head(std::min<std::uint64_t>(file.size(), 512), '\0');
  file.read(0, std::as_writable_bytes(std::span(head)));
  // Eight bytes of length, then JSON.
  const bool right = head.size() > 8 && head[8] == '{';
  if (right && !is_part(path.filename().string())) return;
  if (right)
    refuse(path, {"one part of several",
                  fmt::format(" of all, as this makes: {}", kFromShards)});
  if (const Found found = identify(file, head); !found.what.empty())
    refuse(path, found);
  if (head.empty()) refuse(path, {"empty", ""});
}

// A run may lie among images, in their own folder.
static bool has_more_than_a_run(const fs::path& folder) {
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end;
       it.increment(failure)) {
    const std::string name = it->path().filename().string();
    const bool of_run = name == "ckpt" || name == "eval" || name == "logs" ||
                        name == "tb" || name.starts_with('.');
    const std::string ending = lower(it->path().extension().string());
    if (it->is_directory(failure) ? !of_run
                                  : ending == ".jpg" || ending == ".jpeg" ||
                                        ending == ".png" || ending == ".webp" ||
                                        ending == ".tar")
      return true;
  }
  return false;
}

void refuse_as_images(const std::string& path) {
  std::error_code ignored;
  const fs::path given = path;
  const auto has = [&](const char* name) { return fs::exists(given / name, ignored); };
  if (has("config.toml") && (has("ckpt") || has("encoder.safetensors")) &&
      !has_more_than_a_run(given))
    throw error(ExitCode::kUsage,
                "[data] {} is a run directory, expected images (its config.toml "
                "says, as data.path, which it learnt from)", path);
  if (has("manifest.json") && has("rank-0000.safetensors"))
    throw error(ExitCode::kUsage, "[data] {} is a checkpoint, expected images",
                path);
  if (given.extension() == ".safetensors" && fs::is_regular_file(given, ignored))
    throw error(ExitCode::kUsage,
                "[data] {} holds weights, expected images (--weights of "
                "music_train starts from weights, evaluators take them first)",
                path);
}

}  // namespace music
