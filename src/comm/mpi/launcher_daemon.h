#pragma once

namespace lockstep::comm {

/// Before an abort: should the process of Open MPI's mpirun that started this one, mpirun itself or an orted, still be
/// there after `seconds`, it is killed. One that has lost the other hosts waits for them for a quarter of an hour, and
/// the batch job with it. Does nothing under other launchers.
void end_launcher_daemon_after(unsigned seconds);

}  // namespace lockstep::comm
