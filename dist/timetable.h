#pragma once
// What a node of the graph tells of its exchanges to a plan: the same calls, in
// the same order, as its kernel makes on a communicator.

#include "dist/communicator.h"

namespace music::dist {

class Timetable {
 public:
  virtual ~Timetable() = default;

  // What a step waits for, by who asked for it.
  enum class Account { kLoss, kNorm };
  // Of the calls that follow in this node; kLoss unless it says otherwise.
  virtual void charge(Account account) = 0;

  // Computes for part / whole of the time that the node takes on its own.
  virtual void compute(double part, double whole) = 0;
  // As Communicator does them; bytes: Collective::bytes().
  virtual Ticket start(Collective::Kind kind, double bytes) = 0;
  virtual void wait(Ticket ticket) = 0;
  virtual void run(Collective::Kind kind, double bytes) = 0;
};

}  // namespace music::dist
