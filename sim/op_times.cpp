#include "sim/op_times.h"

#include <algorithm>
#include <array>
#include <utility>

#include "hw/variant.h"
#include "models/expand.h"
#include "sim/chunk_play.h"
#include "sim/cost.h"
#include "sim/predict_step.h"

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

using Shares = std::array<double, kBounds>;  ///< s of an op's time by what bounds them

/// The machine with one resource a little faster.
struct Faster {
  Bound bound;
  hw::Cluster cluster;
  hw::Efficiency efficiency;
};

constexpr double kFaster = 1.01;

Faster faster(Bound bound, hw::Cluster cluster, const hw::Efficiency& efficiency) {
  const hw::Cluster before = cluster;
  switch (bound) {
    case Bound::compute:
      for (hw::FlopsPerSecond& peak : cluster.gpu.peak) peak = kFaster * peak;
      break;
    case Bound::hbm: cluster.gpu.memory_bandwidth = kFaster * cluster.gpu.memory_bandwidth; break;
    case Bound::nvlink: cluster.nvlink = kFaster * cluster.nvlink; break;
    case Bound::nic: cluster.nic = kFaster * cluster.nic; break;
    case Bound::host_link: cluster.gpu.host_link = kFaster * cluster.gpu.host_link; break;
    case Bound::host:
    case Bound::latency: break;
  }
  hw::Efficiency scaled = hw::scaled_to(cluster, before, efficiency);
  return {bound, std::move(cluster), std::move(scaled)};
}

/// Prices ops on the machine and on faster ones.
class Sensitivity {
 public:
  explicit Sensitivity(const CostModel& model) : model_(model) {
    for (const Bound bound : {Bound::compute, Bound::hbm, Bound::nvlink, Bound::nic, Bound::host_link})
      machines_.push_back(faster(bound, model.cluster(), model.efficiency()));
    for (const Faster& machine : machines_) models_.emplace_back(model.program(), machine.cluster, machine.efficiency);
  }

  /// A resource that is 1 % faster takes 1 - 1/1.01 off the time that it bounds.
  Shares shares(const models::Block& block, const models::Op& op) const {
    const double time = model_.price(block, op).time.value;
    Shares result{};
    double left = time;
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const double bound = (time - models_[i].price(block, op).time.value) / (1 - 1 / kFaster);
      result[static_cast<std::size_t>(machines_[i].bound)] = bound;
      left -= bound;
    }
    result[static_cast<std::size_t>(Bound::latency)] = std::max(0.0, left);
    result[static_cast<std::size_t>(Bound::host)] = std::max(0.0, model_.host_time(op).value - time);
    return result;
  }

 private:
  const CostModel& model_;
  std::vector<Faster> machines_;
  std::vector<CostModel> models_;
};

bool takes_compute(const models::Op& op, const Price& price) {
  return price.link == Link::none && (op.stream == models::Stream::compute || op.stream == models::Stream::side);
}

/// Adds up ops of the same name and block.
class Tally {
 public:
  explicit Tally(const CostModel& model) : model_(model), sensitivity_(model) {}

  void add(const std::string& label, const models::Block& block, const models::Op& op, double times) {
    const Price price = model_.price(block, op);
    if (times <= 0 || (price.time.value <= 0 && model_.host_time(op).value <= 0)) return;
    const std::size_t place = place_of(label, op, takes_compute(op, price));
    rows_[place].time += times * price.time;
    const Shares shares = sensitivity_.shares(block, op);
    for (std::size_t i = 0; i < shares.size(); ++i) shares_[place][i] += times * shares[i];
  }

  std::vector<OpTime> rows() && {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const auto most = std::max_element(shares_[i].begin(), shares_[i].end());
      rows_[i].bound = static_cast<Bound>(most - shares_[i].begin());
    }
    return std::move(rows_);
  }

 private:
  std::size_t place_of(const std::string& label, const models::Op& op, bool computes) {
    const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const OpTime& row) {
      return row.block == label && row.op == op.name && row.computes == computes;
    });
    if (found != rows_.end()) return static_cast<std::size_t>(found - rows_.begin());
    rows_.push_back({.block = label, .op = op.name, .time = {}, .computes = computes});
    shares_.emplace_back();
    return rows_.size() - 1;
  }

  const CostModel& model_;
  Sensitivity sensitivity_;
  std::vector<OpTime> rows_;
  std::vector<Shares> shares_;
};

using Happens = bool (*)(const models::DataParallel&, models::Phase, bool);

/// How often a block is gathered or reduced in a step of `microbatches`.
double rounds(Happens happens, const models::StepProgram& program, bool at_the_end) {
  using models::Phase;
  const bool split = models::splits_backward(program.layout.schedule);
  double count = at_the_end ? 1 : 0;
  for (const Phase phase : {Phase::forward, split ? Phase::input_grad : Phase::backward, Phase::weight_grad}) {
    if (phase == Phase::weight_grad && !split) continue;
    if (happens(program.data_parallel, phase, false)) {
      count += program.layout.microbatches;
    } else if (happens(program.data_parallel, phase, true)) {
      count += 1;
    }
  }
  return count;
}

void add_block(const models::StepProgram& program, const models::BlockRun& run, Tally& tally) {
  const models::Block& block = program.blocks[at(run.block)];
  const models::DataParallel& dp = program.data_parallel;
  const double microbatches = program.layout.microbatches;
  const auto add = [&](const std::vector<models::Op>& ops, double times) {
    for (const models::Op& op : ops) tally.add(block.label, block, op, run.count * times);
  };
  add(block.forward, microbatches);
  add(block.backward, microbatches);
  add(block.gather, rounds(models::gathers, program, models::gathers_at_the_end(dp)));
  add(block.reduce, rounds(models::reduces, program, models::reduces_at_the_end(dp)));
}

/// Activations to the next chunk, their gradients to the one before, unless that lies on the same stage.
double sends(const models::StepProgram& program, const models::StageProgram& stage) {
  const models::Layout& layout = program.layout;
  const int chunks = static_cast<int>(program.chunks.size());
  int count = 0;
  for (const int chunk : stage.chunks)
    for (const int neighbour : {chunk - 1, chunk + 1})
      if (neighbour >= 0 && neighbour < chunks && layout.stage_of_chunk(neighbour) != layout.stage_of_chunk(chunk))
        ++count;
  return static_cast<double>(count) * layout.microbatches;
}

}  // namespace

const char* name(Bound bound) {
  constexpr const char* kNames[kBounds] = {"compute", "HBM", "NVLink", "NIC", "host link", "host", "latency"};
  return kNames[static_cast<int>(bound)];
}

std::vector<OpTime> op_times(const LoweredRun& lowered, const hw::Efficiency& efficiency, Tier tier) {
  const models::StepProgram& program = lowered.program;
  const hw::Efficiency on_this_stack = hw::on_stack(efficiency, lowered.run.traits.stack);
  const CostModel model(program, lowered.run.cluster, on_this_stack);
  const PricedProgram priced(model);
  const int busiest = step_cost(priced, chunk_costs(priced, tier), tier).critical_stage;
  const models::StageProgram& stage = program.stages[at(busiest)];
  Tally tally(model);
  for (const int chunk : stage.chunks)
    for (const models::BlockRun& run : program.chunks[at(chunk)].blocks) add_block(program, run, tally);
  const models::Block nothing;
  tally.add("pipeline", nothing, program.send, sends(program, stage));
  for (const models::Op& op : stage.optimizer) tally.add("optimizer", nothing, op, 1);
  return std::move(tally).rows();
}

}  // namespace sim
