#include "tools/stop_request.h"

#include "engine/core/error.h"
#include "music/train/interrupt.h"

namespace music {

void stop_if_asked(const char* program) {
  if (const int signal = InterruptGuard::pending(); signal != 0)
    throw error(static_cast<ExitCode>(exit_code_of(signal)),
                "[{}] stopped by {}: nothing is written", program, signal_name(signal));
}

}  // namespace music
