#pragma once
// How OpenMP threads wait for each other.
//
// GNU's runtime lets a waiting thread spin for milliseconds before it sleeps.
// On cores that are shared with other work that takes the time from the very
// thread that is waited for; a step of thousands of short regions then runs at
// a third of its speed or less (docs/results/2026-11-any-machine.md). Sleeping
// at once costs a wake-up a region. Programs of ours spin for about as long as
// a wake-up takes, and then sleep.

namespace music {

// To be called first in main(), before any thread. The runtime reads its
// environment when it is loaded, so this sets GOMP_SPINCOUNT and starts the
// program anew in its place (same process, arguments and files); what runs then
// has the variable taken out again, so that programs started by this one have
// the environment that the user gave. Does nothing where OMP_WAIT_POLICY or
// GOMP_SPINCOUNT is set already, the program cannot be started anew, or this was
// called before.
void settle_wait_policy(char** argv);

// What it came to, for the record: "spin 40 us, then sleep", or the user's
// "OMP_WAIT_POLICY=active".
const char* wait_policy();

}  // namespace music
