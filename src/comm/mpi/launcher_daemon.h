#pragma once

namespace lockstep::comm {

/// Kills the Open MPI process that started this one, mpirun or an orted, if it still runs after `seconds`. To be called
/// before an abort: a launcher that has lost the other hosts waits for them for a quarter of an hour, and the batch job
/// waits with it. Does nothing under other launchers.
void end_launcher_daemon_after(unsigned seconds);

}  // namespace lockstep::comm
