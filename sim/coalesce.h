#pragma once

#include "sim/chunk_play.h"

namespace sim {

/// The same list with fewer ops: neighbours on the compute stream that nothing comes between count as one. A pass
/// played on its own takes as long, but for rounding. An op joins the one before it if
///   - it waits for nothing on another stream, and nothing that is pipelined in chunks is involved,
///   - nothing waits for the one before it but what follows on the stream, and it is not the list's output,
///   - the host has issued it by the time that one ends, however fast: its host time and that of all that joined are no
///     more than what these take.
/// The joined op is issued when its first one is; the host time of the others counts with the op that is issued next.
/// Not for lists whose ops come back from the host, nor for two lanes that share the host.
PricedList coalesced(const PricedList& list);

}  // namespace sim
