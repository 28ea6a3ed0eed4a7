#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cli/explain.h"
#include "cli/rounded.h"
#include "cli/text_table.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// Share of A's step below which an op's change is not worth a line.
constexpr double kSmallChange = 0.0005;
constexpr std::size_t kMostOps = 4;  ///< of a block
constexpr int kDecimals = 2;         ///< of milliseconds

struct BlockChange {
  std::string label;
  std::vector<const sim::OpChange*> ops;  ///< largest change first
  double moved = 0;                       ///< s, sum of the sizes of the changes
};

double size(const sim::OpChange& op) { return std::abs(op.change().value); }

std::vector<BlockChange> by_block(const std::vector<sim::OpChange>& ops) {
  std::vector<BlockChange> blocks;
  for (const sim::OpChange& op : ops) {
    auto block = std::ranges::find(blocks, op.block, &BlockChange::label);
    if (block == blocks.end()) block = blocks.insert(blocks.end(), BlockChange{.label = op.block, .ops = {}});
    block->ops.push_back(&op);
    block->moved += size(op);
  }
  for (BlockChange& block : blocks)
    std::stable_sort(block.ops.begin(), block.ops.end(),
                     [](const auto* x, const auto* y) { return size(*x) > size(*y); });
  std::stable_sort(blocks.begin(), blocks.end(), [](const auto& x, const auto& y) { return x.moved > y.moved; });
  return blocks;
}

std::string bound_text(const sim::OpChange& op) {
  if (op.a.value <= 0) return name(op.b_bound);
  if (op.b.value <= 0 || op.a_bound == op.b_bound) return name(op.a_bound);
  return fmt::format("{}, then {}", name(op.a_bound), name(op.b_bound));
}

Rounded milliseconds(hw::Seconds time) { return {1e3 * time.value, kDecimals}; }

void add_row(const std::string& block, const std::string& op, const std::string& bound, const Rounded& a,
             const Rounded& b, TextTable& table) {
  table.add({block, op, bound, a.text(), b.text(), (b - a).text(true)});
}

void add_block(const BlockChange& block, double smallest, TextTable& table) {
  hw::Seconds all_a, all_b;
  for (const sim::OpChange* op : block.ops) {
    all_a += op->a;
    all_b += op->b;
  }
  Rounded rest_a = milliseconds(all_a), rest_b = milliseconds(all_b);
  if (!table.empty()) table.rule();
  add_row(block.label, block.ops.size() == 1 ? "all" : fmt::format("all {} ops", block.ops.size()), "", rest_a, rest_b,
          table);
  std::size_t shown = 0;
  for (; shown < std::min(kMostOps, block.ops.size()); ++shown) {
    const sim::OpChange& op = *block.ops[shown];
    if (size(op) < smallest) break;
    const Rounded a = milliseconds(op.a), b = milliseconds(op.b);
    rest_a = rest_a - a;
    rest_b = rest_b - b;
    add_row("", op.op, bound_text(op), a, b, table);
  }
  if (shown < block.ops.size())
    add_row("", fmt::format("{} others", block.ops.size() - shown), "", rest_a, rest_b, table);
}

}  // namespace

std::string op_change_table(const Explanation& e, std::size_t width) {
  const double smallest = kSmallChange * e.a.prediction.step_time.value;
  TextTable table({{"why: ops of a step"},
                   {"op"},
                   {"bound by"},
                   {"A, ms", Align::right},
                   {"B, ms", Align::right},
                   {"B - A", Align::right}});
  for (const BlockChange& block : by_block(e.ops))
    if (!block.ops.empty() && size(*block.ops.front()) > smallest) add_block(block, smallest, table);
  if (table.empty()) return paragraph("", "why: no kind of op changes by 0.05 % of A's step or more", width);
  return table.text(width) +
         paragraph("",
                   "all launches of a step on the busiest pipeline stage, forward and backward, each alone; transfers "
                   "hidden or not. Bound by: the resource of which a little more shortens the op most; latency: none",
                   width);
}

}  // namespace cli
