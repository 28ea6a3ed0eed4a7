#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cli/explain.h"
#include "cli/rounded.h"
#include "cli/text_table.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// Share of A's total below which a change is not listed by itself.
constexpr double kSmallChange = 0.0005;
constexpr int kPercentDecimals = 1;

struct Line {
  std::string what;
  double a, b;
};

/// A table of what leads from a total to another: its lines, largest change first, add up to the last one as printed.
struct Waterfall {
  std::string title, unit, total;
  int decimals;
  Line sum;
  std::vector<Line> lines;
};

class WaterfallTable {
 public:
  explicit WaterfallTable(const Waterfall& waterfall)
      : waterfall_(waterfall),
        rest_(rounded(waterfall.sum)),
        reached_(rest_.a),
        table_({{waterfall.title},
                {"A, " + waterfall.unit, Align::right},
                {"B, " + waterfall.unit, Align::right},
                {"B - A", Align::right},
                {"% of A", Align::right},
                {"reaches", Align::right}}) {}

  std::string text(std::size_t width) {
    int small = 0;
    for (const Line& line : waterfall_.lines) small += add_if_large(line) ? 0 : 1;
    if (small > 0) {
      add(fmt::format("rest: {} with little change", small), rest_);
    } else if (!rest_.a.is_zero() || !rest_.b.is_zero() || !rest_.percent.is_zero()) {
      add("rest: rounding", rest_);
    }
    table_.rule();
    const Row sum = rounded(waterfall_.sum);
    reached_ = sum.a;
    add(waterfall_.total, sum);
    return table_.text(width);
  }

 private:
  struct Row {
    Rounded a, b, percent;
  };

  Row rounded(const Line& line) const {
    const double of = waterfall_.sum.a;
    return {{line.a, waterfall_.decimals},
            {line.b, waterfall_.decimals},
            {of > 0 ? 100 * (line.b - line.a) / of : 0, kPercentDecimals}};
  }

  bool add_if_large(const Line& line) {
    const Row row = rounded(line);
    if ((row.b - row.a).is_zero() || std::abs(line.b - line.a) < kSmallChange * waterfall_.sum.a) return false;
    rest_ = {rest_.a - row.a, rest_.b - row.b, rest_.percent - row.percent};
    add(line.what, row);
    return true;
  }

  void add(const std::string& what, const Row& row) {
    const Rounded change = row.b - row.a;
    reached_ = reached_ + change;
    table_.add({what, row.a.text(), row.b.text(), change.text(true), row.percent.text(true), reached_.text()});
  }

  const Waterfall& waterfall_;
  Row rest_;  ///< what the lines so far leave over
  Rounded reached_;
  TextTable table_;
};

/// Seconds from 10 s on, else milliseconds.
struct TimeUnit {
  const char* name;
  double per_second;
  int decimals;
};

TimeUnit time_unit(const Explanation& e) {
  constexpr hw::Seconds kLong{10};
  if (std::max(e.a.prediction.step_time, e.b.prediction.step_time) >= kLong) return {"s", 1, 3};
  return {"ms", 1e3, 2};
}

std::vector<Line> part_lines(const sim::Difference& difference, double scale_a, double scale_b) {
  std::vector<Line> lines;
  for (const sim::PartChange& part : difference.parts)
    lines.push_back({part.what, scale_a * part.a.value, scale_b * part.b.value});
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Line& x, const Line& y) { return std::abs(x.b - x.a) > std::abs(y.b - y.a); });
  return lines;
}

std::string time_waterfall(const Explanation& e, std::size_t width) {
  const TimeUnit unit = time_unit(e);
  const Waterfall waterfall{
      .title = "time of a step",
      .unit = unit.name,
      .total = "step",
      .decimals = unit.decimals,
      .sum = {"", unit.per_second * e.a.prediction.step_time.value, unit.per_second * e.b.prediction.step_time.value},
      .lines = part_lines(e.difference, unit.per_second, unit.per_second)};
  return WaterfallTable(waterfall).text(width);
}

bool same_amount(const models::Layout& a, const models::Layout& b) {
  return a.gpus == b.gpus && a.gbs == b.gbs && a.seq_len == b.seq_len;
}

/// The same for a million tokens on one GPU: where steps do not do the same on the same number of GPUs.
std::string normalised_waterfall(const Explanation& e, std::size_t width) {
  if (same_amount(e.a.run().layout, e.b.run().layout)) return "";
  const double a = gpu_seconds_per_million_tokens(e.a.prediction), b = gpu_seconds_per_million_tokens(e.b.prediction);
  constexpr double kMany = 100;
  const Waterfall waterfall{
      .title = "GPU time of a million tokens",
      .unit = "s",
      .total = "all",
      .decimals = std::max(a, b) >= kMany ? 2 : 4,
      .sum = {"", a, b},
      .lines = part_lines(e.difference, a / e.a.prediction.step_time.value, b / e.b.prediction.step_time.value)};
  return "\n" + WaterfallTable(waterfall).text(width) +
         paragraph("", "batches or GPU counts differ: this is the step time times GPUs over tokens", width);
}

std::string memory_waterfall(const Explanation& e, std::size_t width) {
  std::vector<Line> lines;
  for (const sim::MemoryChange& kind : e.difference.memory)
    lines.push_back({kind.kind, hw::to_gib(kind.a), hw::to_gib(kind.b)});
  const sim::Memory &a = e.a.prediction.memory, &b = e.b.prediction.memory;
  constexpr int kDecimals = 2;
  const Waterfall waterfall{.title = "memory of a GPU",
                            .unit = "GiB",
                            .total = "peak",
                            .decimals = kDecimals,
                            .sum = {"", hw::to_gib(a.peak), hw::to_gib(b.peak)},
                            .lines = std::move(lines)};
  const std::string where = fmt::format("A stage {}, {}; B stage {}, {}; available {} and {} GiB", a.stage, a.moment,
                                        b.stage, b.moment, gib_number(a.available), gib_number(b.available));
  return WaterfallTable(waterfall).text(width) + paragraph("peak at: ", where, width);
}

}  // namespace

std::string difference_tables(const Explanation& e, std::size_t width) {
  return time_waterfall(e, width) + normalised_waterfall(e, width) + "\n" + memory_waterfall(e, width);
}

}  // namespace cli
