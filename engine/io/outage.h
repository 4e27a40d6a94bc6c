#pragma once
// Storage that is away for a while (a network file system, a limit that others
// have used up): which errors pass, and how long they are waited for. The one
// policy of all reads; a checkpoint that cannot be written is tried again as a
// whole (music/train/due_save.h).
//
//   waited for        ESTALE, ETIMEDOUT, EMFILE, ENFILE, EAGAIN, and those of a
//                     lost connection: from 20 ms, doubling to 1 s, until the
//                     limit; then kUnavailable
//   tried three times EIO, which may also be a bad sector
//   of an image       these and ENOENT, ENOTDIR, EACCES, ENXIO are waited for
//                     where another image near it, which could be read before,
//                     cannot be read either; else it is a bad image
//
// The first of several waits says so, and how long it took.

#include <cstdint>
#include <string>

#include "engine/core/error.h"

namespace music {

// An Error that a call of the system caused.
class StorageError : public Error {
 public:
  StorageError(ExitCode code, const std::string& message, int number)
      : Error(code, message), number_(number) {}
  int number() const { return number_; }

 private:
  int number_;
};

// Whether an error of that number is waited for.
bool may_pass(int number);

// Seconds that a read waits, of this process: 60 until it is set.
void set_outage_limit(double seconds);
double outage_limit();

// What was waited for so far.
struct OutageCount {
  std::int64_t outages = 0, attempts = 0;
  double seconds = 0;
};
OutageCount outage_count();

// Attempts of one read.
class Attempts {
 public:
  // path must outlive it. image: what is said above of images.
  explicit Attempts(const char* path, bool image = false)
      : path_(path), image_(image) {}
  ~Attempts();
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;
  // It failed with that number. True: after some time, it is to be tried again.
  // False: the error is the file's own. kUnavailable: the limit is reached.
  bool again(int number);
  // It did not.
  void succeeded() { done_ = true; }

 private:
  bool worth_waiting(int number) const;
  const char* path_;
  bool image_;
  bool done_ = false, waited_ = false, first_ = false;
  int failures_ = 0;
  double began_ = 0;
};

// While one lives, reads of this thread do not wait: of a save, which is tried again
// as a whole.
class WithoutWaiting {
 public:
  WithoutWaiting();
  ~WithoutWaiting();
  WithoutWaiting(const WithoutWaiting&) = delete;
  WithoutWaiting& operator=(const WithoutWaiting&) = delete;
};

// An image that could be read: for others near it.
void note_image_read(const char* path);

}  // namespace music
