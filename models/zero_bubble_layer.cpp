#include "models/zero_bubble_layer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace models {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
}  // namespace

ZeroBubbleLayer::ZeroBubbleLayer(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight,
                                 const ZeroBubbleRule& rule)
    : times_(times),
      rule_(rule),
      microbatches_(static_cast<std::size_t>(microbatches)),
      row_((microbatches_ + 15) / 16 * 16 + 8),
      per_stage_(layout.vp),
      in_flight_(in_flight),
      period_(layout.vp * (times.forward + times.input_grad + times.weight_grad)),
      duration_{times.forward, times.input_grad, times.weight_grad},
      wake_(static_cast<std::size_t>(layout.pp), 0) {
  const auto stages = static_cast<std::size_t>(layout.pp);
  chunks_.resize(stages * static_cast<std::size_t>(layout.vp));
  stages_.resize(stages);
  for (Stage& stage : stages_) stage.order.reserve(3 * microbatches_ * static_cast<std::size_t>(per_stage_));
  place_chunks(layout, in_flight, rule.capped);
  set_due_times(rule.stretch);
  ready_.assign(2 * chunks_.size() * row_, kNever);
  std::fill_n(ready_.begin(), microbatches_, 0.0);  // the first chunk's forwards need nothing
  history_.reserve(chunks_.size() * microbatches_);
}

void ZeroBubbleLayer::place_chunks(const Layout& layout, int in_flight, bool capped) {
  const int count = static_cast<int>(chunks_.size());
  for (int c = count - 1; c >= 0; --c) {
    Chunk& chunk = at(c);
    chunk.stage = layout.stage_of_chunk(c);
    chunk.reserves = layout.vp > 1 && c < layout.pp;
    chunk.cap = capped ? std::max(1, in_flight - c - (chunk.reserves ? 1 : 0)) : in_flight;
    stages_[static_cast<std::size_t>(chunk.stage)].chunks[layout.vp > 1 && c < layout.pp ? 1 : 0] = c;
    if (c + 1 == count || at(c + 1).stage == chunk.stage) continue;
    chunk.transfer[forward] = at(c + 1).transfer[input_grad] = times_.send;
  }
}

/// Forwards one after the other down the chunks, then input gradients back; hops between stages are stretched alike, so
/// that all takes `stretch` times as many periods as there are places (of whole stages) for microbatches.
void ZeroBubbleLayer::set_due_times(double stretch) {
  const double hops = times_.forward + times_.input_grad + 2 * times_.send;
  const double factor = hops > 0 ? stretch * period_ / hops : 0;
  double due = 0;
  for (Chunk& chunk : chunks_) {
    chunk.due[forward] = due;
    due += factor * (times_.forward + times_.send);
  }
  for (auto chunk = chunks_.rbegin(); chunk != chunks_.rend(); ++chunk) {
    chunk->due[input_grad] = due;
    due += factor * (times_.input_grad + times_.send);
  }
}

bool ZeroBubbleLayer::run(double too_long) {
  for (std::size_t left = 3 * chunks_.size() * microbatches_; left > 0;) {
    const int next = wake_.first();
    const double now = wake_.at(next);
    assert(now < kNever);  // somewhere an input is there: the last microbatch of all under way is never held up
    if (decide(next, now)) --left;
    if (stages_[static_cast<std::size_t>(next)].idle >= too_long) return false;
  }
  return true;
}

double ZeroBubbleLayer::idle() const {
  double most = 0;
  for (const Stage& stage : stages_) most = std::max(most, stage.idle);
  return most;
}

/// Between two moments all tasks went on by as many microbatches.
bool ZeroBubbleLayer::repeats(std::size_t from, std::size_t to) const {
  const auto period = static_cast<std::int32_t>(to - from);
  for (std::size_t c = 0; c < chunks_.size(); ++c)
    for (std::size_t kind = 0; kind < kKinds; ++kind)
      if (history_[to * chunks_.size() + c][kind] - history_[from * chunks_.size() + c][kind] != period) return false;
  return true;
}

std::ptrdiff_t ZeroBubbleLayer::started_tasks(const Stage& stage, std::size_t moment) const {
  std::ptrdiff_t sum = 0;
  for (int i = 0; i < per_stage_; ++i) {
    const auto c = static_cast<std::size_t>(stage.chunks[static_cast<std::size_t>(i)]);
    for (const std::int32_t count : history_[moment * chunks_.size() + c]) sum += count;
  }
  return sum;
}

std::vector<TaskOrder> ZeroBubbleLayer::longer_orders(int more) const {
  // A repetition that is sooner over may be by chance, between two that go on.
  const std::size_t lasting = std::max<std::size_t>(stages_.size() / 2, 1);
  std::size_t from = 0, to = 0;
  for (std::size_t period = 1; period <= 4 && to == 0; ++period) {
    if (static_cast<std::size_t>(more) % period != 0) continue;
    std::size_t lasts = 0;
    for (std::size_t i = microbatches_ - 1; i >= period && lasts < lasting; --i) {
      lasts = repeats(i - period, i) ? lasts + 1 : 0;
      if (lasts == 1) from = i - period, to = i;
    }
    if (lasts < lasting) to = 0;
  }
  if (to == 0) return {};
  return with_copies(from, to, more);
}

/// What ran between two moments that are a period apart is inserted again, with later microbatches. All inputs stay
/// earlier than what needs them, and no more is in flight: at the end of each copy all counts are those of the first
/// moment, plus as many microbatches each.
std::vector<TaskOrder> ZeroBubbleLayer::with_copies(std::size_t from, std::size_t to, int more) const {
  std::vector<TaskOrder> orders;
  const auto period = static_cast<std::int32_t>(to - from);
  for (const Stage& stage : stages_) {
    const TaskOrder& once = stage.order;
    const auto begin = once.begin() + started_tasks(stage, from), end = once.begin() + started_tasks(stage, to);
    TaskOrder& order = orders.emplace_back();
    order.reserve(once.size() + kKinds * static_cast<std::size_t>(more * per_stage_));
    order.assign(once.begin(), end);
    const auto append = [&](auto first, auto last, std::int32_t later) {
      for (; first != last; ++first) order.push_back({first->phase, first->chunk, first->microbatch + later});
    };
    for (std::int32_t later = period; later <= more; later += period) append(begin, end, later);
    append(end, once.end(), more);
  }
  return orders;
}

std::vector<TaskOrder> ZeroBubbleLayer::take_orders() {
  std::vector<TaskOrder> orders;
  for (Stage& stage : stages_) orders.push_back(std::move(stage.order));
  return orders;
}

ZeroBubbleLayer::Choice ZeroBubbleLayer::pending_weight_grad(const Stage& stage) {
  Choice first{.due = kNever, .chunk = -1, .kind = weight_grad};
  for (int i = 0; i < per_stage_; ++i) {
    const int c = stage.chunks[static_cast<std::size_t>(i)];
    const Chunk& chunk = at(c);
    const double due = chunk.due[input_grad] + chunk.next[weight_grad] * period_;
    if (chunk.next[weight_grad] < chunk.next[input_grad] && due < first.due) first.due = due, first.chunk = c;
  }
  return first;
}

ZeroBubbleLayer::Outlook ZeroBubbleLayer::look(const Stage& stage, double now) {
  Outlook out{.best = {.due = kNever}, .blocked = kNever, .arrival = kNever};
  for (int i = 0; i < per_stage_; ++i) {
    const int c = stage.chunks[static_cast<std::size_t>(i)];
    const Chunk& chunk = at(c);
    const int ahead = chunk.next[forward], behind = chunk.next[input_grad];
    if (ahead < static_cast<int>(microbatches_) && ahead - behind < chunk.cap) {
      const double arrives = ready(forward, c, ahead), due = chunk.due[forward] + ahead * period_;
      if (stage.held >= in_flight_ - (chunk.reserves ? 1 : 0)) {
        if (arrives <= now) out.blocked = std::min(out.blocked, due);
      } else if (arrives > now) {
        out.arrival = std::min(out.arrival, arrives);
      } else if (due < out.best.due) {
        out.best = {due, c, forward};
      }
    }
    if (behind < ahead) {
      const double arrives = ready(input_grad, c, behind), due = chunk.due[input_grad] + behind * period_;
      if (arrives > now) out.arrival = std::min(out.arrival, arrives);
      else if (due < out.best.due) out.best = {due, c, input_grad};
    }
  }
  return out;
}

/// Starts a task of the stage that is free now, or puts it to sleep until the next arrival. If tasks go by due times, a
/// forward that memory has no room for makes room: weight gradients go before all that is due later. Other weight
/// gradients fill the waits.
bool ZeroBubbleLayer::decide(int index, double now) {
  const Stage& stage = stages_[static_cast<std::size_t>(index)];
  const Outlook out = look(stage, now);
  const bool make_room = rule_.stretch > 0 && out.blocked < out.best.due;
  if (out.best.chunk >= 0 && !make_room) return start(index, out.best, now), true;
  const Choice filling = pending_weight_grad(stage);
  if (filling.chunk >= 0 && (make_room || out.arrival - now >= rule_.patience * times_.weight_grad))
    return start(index, filling, now), true;
  if (out.best.chunk >= 0) return start(index, out.best, now), true;
  wake_.set(index, out.arrival);
  return false;
}

void ZeroBubbleLayer::remember() {
  for (const Chunk& chunk : chunks_) history_.push_back(chunk.next);
}

void ZeroBubbleLayer::start(int index, const Choice& choice, double now) {
  Stage& stage = stages_[static_cast<std::size_t>(index)];
  Chunk& chunk = at(choice.chunk);
  if (choice.chunk == 0 && choice.kind == forward) remember();
  const int microbatch = chunk.next[choice.kind]++;
  if (stage.started) stage.idle += now - stage.free;
  stage.started = true;
  stage.free = now + duration_[choice.kind];
  wake_.set(index, stage.free);
  Phase phase = Phase::weight_grad;
  if (choice.kind == forward) {
    phase = Phase::forward;
    ++stage.held;
    const bool turns = choice.chunk + 1 == static_cast<int>(chunks_.size());
    arrive(turns ? input_grad : forward, choice.chunk + (turns ? 0 : 1), microbatch,
           stage.free + chunk.transfer[forward]);
  } else if (choice.kind == input_grad) {
    phase = Phase::input_grad;
    if (choice.chunk > 0) arrive(input_grad, choice.chunk - 1, microbatch, stage.free + chunk.transfer[input_grad]);
  } else {
    --stage.held;
  }
  stage.order.push_back({phase, static_cast<std::int16_t>(choice.chunk), microbatch});
}

/// Wakes the receiver, unless it is busy for longer or wakes earlier anyhow.
void ZeroBubbleLayer::arrive(Kind kind, int chunk, int microbatch, double when) {
  ready(kind, chunk, microbatch) = when;
  const int receiver = at(chunk).stage;
  const double wakes = std::max(stages_[static_cast<std::size_t>(receiver)].free, when);
  if (wakes < wake_.at(receiver)) wake_.set(receiver, wakes);
}

}  // namespace models
