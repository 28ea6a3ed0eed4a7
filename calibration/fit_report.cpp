#include "calibration/fit_report.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <utility>

#include "calibration/statistics.h"
#include "hw/error_text.h"

namespace calibration {

FitErrors fit_errors(const std::vector<double>& relative) {
  if (relative.empty()) return {};
  std::vector<double> amounts;
  amounts.reserve(relative.size());
  for (const double error : relative) amounts.push_back(error < 0 ? -error : error);
  constexpr double kNineTenths = 0.9;
  return {amounts.size(), median(amounts), percentile(amounts, kNineTenths), largest(amounts)};
}

void FittedCurve::set_errors(std::vector<double> in_sample, std::vector<double> out_of_sample) {
  fitted = fit_errors(in_sample);
  held_out = fit_errors(out_of_sample);
  fitted_errors = std::move(in_sample);
  held_out_errors = std::move(out_of_sample);
}

std::vector<FittedCurve> summed_up(const std::vector<FittedCurve>& curves, const std::string& family) {
  std::map<std::string, std::vector<const FittedCurve*>> groups;
  for (const FittedCurve& curve : curves)
    if (curve.family == family && !curve.group.empty()) groups[curve.group].push_back(&curve);
  std::vector<FittedCurve> sums;
  for (const auto& [group, members] : groups) {
    std::vector<double> in_sample, held_out;
    for (const FittedCurve* member : members) {
      in_sample.insert(in_sample.end(), member->fitted_errors.begin(), member->fitted_errors.end());
      held_out.insert(held_out.end(), member->held_out_errors.begin(), member->held_out_errors.end());
    }
    FittedCurve& sum = sums.emplace_back();
    sum.family = family;
    sum.system = "all";
    sum.kind = group;
    sum.set_errors(std::move(in_sample), std::move(held_out));
  }
  return sums;
}

bool is_held_out(std::initializer_list<long long> shape) {
  // SplitMix64's finaliser: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
  std::uint64_t hash = 0;
  for (const long long size : shape) {
    hash += static_cast<std::uint64_t>(size) + 0x9E3779B97F4A7C15ULL;
    hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBULL;
    hash ^= hash >> 31;
  }
  constexpr std::uint64_t kOneIn = 5;
  return hash % kOneIn == 0;
}

void FamilyFit::append(FamilyFit other) {
  const auto move_to = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  move_to(other.curves, curves);
  move_to(other.values, values);
  move_to(other.scalars, scalars);
  move_to(other.notes, notes);
}

std::string rounded(double value, int digits) {
  std::array<char, 64> buffer{};
  const auto rough =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, digits);
  double read_back = value;
  std::from_chars(buffer.data(), rough.ptr, read_back);
  const auto exact = std::to_chars(buffer.data(), buffer.data() + buffer.size(), read_back);
  return {buffer.data(), exact.ptr};
}

std::string thousandths(const float* ratios, std::size_t count) {
  std::string line;
  for (std::size_t i = 0; i < count; ++i)
    line += (i > 0 ? " " : "") + std::to_string(std::lround(1000 * static_cast<double>(ratios[i])));
  return line;
}

Members& Members::raw(const char* key, const std::string& json) {
  json_ += (json_.empty() ? "\"" : ", \"") + std::string(key) + "\": " + json;
  return *this;
}

Members& Members::number(const char* key, double value, int digits) { return raw(key, rounded(value, digits)); }

Members& Members::count(const char* key, std::size_t value) { return raw(key, std::to_string(value)); }

Members& Members::text(const char* key, const std::string& value) {
  std::string quoted = "\"";
  for (const char c : hw::printable(value)) quoted += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
  return raw(key, quoted + '"');
}

Members& Members::numbers(const char* key, const std::vector<double>& values, int digits) {
  std::string list = "[";
  for (const double value : values) list += (list.size() > 1 ? ", " : "") + rounded(value, digits);
  return raw(key, list + "]");
}

Members& Members::errors(const FittedCurve& curve) {
  constexpr int kDigits = 2;
  const FitErrors& errors = curve.held_out.count > 0 ? curve.held_out : curve.fitted;
  count("points", curve.fitted.count).count("held_out", curve.held_out.count);
  number("median_error", errors.median, kDigits).number("p90_error", errors.p90, kDigits);
  return number("max_error", errors.largest, kDigits);
}

hw::Node Members::node() const { return hw::Node::parse("{" + json_ + "}", "fitted curve"); }

}  // namespace calibration
