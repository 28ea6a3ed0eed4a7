#pragma once

#include <optional>
#include <string>

#include "models/layout.h"
#include "models/model.h"

/// Which layouts are legal, as numbers: what parse_run says of a description and a search asks millions of times.
namespace models {

/// Why a layout is not legal: the rule, and the key of the run description that breaks it.
struct Refusal {
  std::string key;
  std::string rule;
};

/// dp = gpus / (tp * cp * pp).
std::optional<Refusal> divide_gpus(Layout& layout);

/// fsdp divides dp * cp.
std::optional<Refusal> refused_shard_group(const Layout& layout);

/// `zero` is 2 or 3 with fsdp > 0, else 0 or 1.
std::optional<Refusal> refused_sharding(const Layout& layout);

/// vp is one that the schedule can have.
std::optional<Refusal> refused_schedule(const Layout& layout);

/// microbatches = gbs / (mbs * dp).
std::optional<Refusal> divide_batch(Layout& layout);

/// Tokens of a microbatch can be counted.
std::optional<Refusal> refused_tokens(const Layout& layout);

/// A pipeline of several stages is flushed after `local_batch` sequences; 0: once a step.
std::optional<Refusal> divide_into_flushes(int local_batch, Layout& layout);

/// Not more stages than there is to place: layers, embedding, MTP and loss.
std::optional<Refusal> refused_stages(const Model& model, const Layout& layout);

/// The schedule can be laid out task by task.
std::optional<Refusal> refused_schedule_size(const Layout& layout);

/// Heads, widths, experts and the sequence can be divided so.
std::optional<Refusal> refused_by_model(const Model& model, const Layout& layout);

}  // namespace models
