#pragma once
// Processes that train one model together. One process is a communicator of
// size 1, never a special case.

#include <memory>

namespace music::dist {

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void barrier() = 0;
};

// The communicator of a process on its own.
std::unique_ptr<Communicator> make_local_communicator();

}  // namespace music::dist
