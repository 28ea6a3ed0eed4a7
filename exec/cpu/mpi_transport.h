#pragma once

#include <memory>

#include "exec/transport.h"

namespace exec {

/// Whether this build can talk MPI.
bool has_mpi();

/// Ranks are the processes of an MPI job: starts MPI, which is possible once a process and only under a launcher
/// (exec/launched_rank.h). Throws TransportError where the build has no MPI.
///
/// A wait polls, then yields its core, then sleeps between polls, so that ranks may outnumber cores. Destruction ends
/// MPI; after fail(), or while an exception passes by, it ends the whole job within a second or two. So declare it
/// outside the try block whose handler prints what went wrong and calls fail().
std::unique_ptr<Transport> start_mpi_transport();

}  // namespace exec
