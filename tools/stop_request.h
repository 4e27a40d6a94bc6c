#pragma once
// Programs that write a folder as a whole end with nothing half written when a signal
// asks them to: it is noted by an InterruptGuard, and they look for it now and then.

namespace music {

// Throws where a signal was noted, with the exit code a shell expects of it.
// program: "atlas", for the message.
void stop_if_asked(const char* program);

}  // namespace music
