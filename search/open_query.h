#pragma once

#include "hw/node.h"
#include "models/run.h"
#include "search/query.h"

namespace search {

/// A run description without what says how it is laid out: its layout and what follows from it, recompute, where layers
/// lie, and what people or measurements say of it. The batch, the local batch of a flush, number formats and options of
/// the framework stay.
hw::Node opened(const hw::Node& run);

/// The question that a run is one answer to: the space of its framework, with the run's own recompute if that is none
/// of the framework's. Throws hw::InputError.
///   laid_out  the run, parsed
Query query_around(const hw::Node& run, const models::Run& laid_out, models::Library& library);

/// What is replayed, however it was spelt: without `block`, the number of layers says nothing.
bool same_recompute(const models::Recompute& a, const models::Recompute& b);

}  // namespace search
