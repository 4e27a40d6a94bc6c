#pragma once
// A score as it is written down: with all that decided it, so that two numbers
// can be told comparable or not without asking who made them.
//
// JSON of a record:
//   {"record": 1, "program": "music_knn", "version": "0.1.0 (1a2b3c4)",
//    "protocol": {"id": "knn", "hash": "16 hex digits", "settings": {...}},
//    "encoder": {...}, "data": {"train": {...}, "test": {...}},
//    "seeds": [0], "scores": [{"name": "20-NN top-1", "unit": "%",
//      "value": 61.2, "deviation": null, "values": [61.2],
//      "chance": 10.0, "random_initialisation": 29.6}, ...],
//    "notes": ["..."], "compute": "CPU, fp32", "processes": 1, "seconds": 12.5}
// value is the mean over seeds, deviation the sample standard deviation (null
// for one seed); what was not measured is null.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "music/eval/left_out.h"
#include "music/model/encoder_import.h"

namespace music {

using Json = nlohmann::ordered_json;

struct ScoreRow {
  std::string name;            // "top-1", "20-NN top-1", "mAP", "AP aeroplane"
  std::vector<double> values = {};  // one a seed
  std::optional<double> chance = {}, random_initialisation = {};
  std::string unit = "%";

  double value() const;                     // mean
  std::optional<double> deviation() const;  // of at least two
};

struct ScoreRecord {
  std::string program;   // "music_knn"
  std::string protocol;  // its id: "knn", "linear.imagenet", "svm.voc07"
  // An object: all that decides the number besides encoder, data and seeds
  // (crops, k, T, rates, decays, epochs, feature kind, ...). It is hashed.
  Json settings = Json::object();
  Json encoder = Json::object();  // describe_encoder(), and what else is known
  Json data = Json::object();     // by role ("train", "test"): describe_data()
  std::vector<std::uint64_t> seeds;
  std::vector<ScoreRow> scores;
  std::vector<std::string> notes;  // what a reader of the number must know
  std::string compute;             // "CPU, fp32"
  int processes = 1;
  double seconds = 0;
};

// 16 hex digits of the XXH3 of id and settings; the order of keys does not
// matter.
std::string protocol_hash(const std::string& id, const Json& settings);

// {"path", "images", "used", "classes", "fingerprint"}
Json describe_data(const data::Dataset& dataset, const std::string& path);

// Says of images that could not be read: "used" of record.data[role] and
// "left_out", the names and reasons of the first, a note, and a warning at once.
// which: "training", "test".
void tell_left_out(ScoreRecord& record, const std::string& role,
                   const std::string& which, const LeftOut& left_out);

// {"path", "hash", "model"}, the hash as of EncoderWeights; where the weights look
// as drawn at random, or do not fit each other, "looks_random", "misfits" too.
Json describe_encoder(const EncoderWeights& weights);

Json to_json(const ScoreRecord& record);

// Writes <run>/eval/<protocol>.json, whole or not at all, and appends the same
// as one line to <run>/eval/scores.jsonl. A run that cannot be written to, as one
// in a read-only place, is a warning: the score is printed all the same.
void write_record(const ScoreRecord& record, const std::filesystem::path& run);

}  // namespace music
