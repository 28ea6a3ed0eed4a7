#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "hw/node.h"

namespace calibration {

/// |predicted / measured - 1| of some points. All 0 where there are none.
struct FitErrors {
  std::size_t count = 0;
  double median = 0, p90 = 0, largest = 0;
};
FitErrors fit_errors(const std::vector<double>& relative);

/// One curve and how well it meets its table.
struct FittedCurve {
  std::string family, system, kind;
  std::string group;  ///< curves that the report sums up together; empty: none
  int parameters = 0;
  FitErrors fitted, held_out;
  std::string selection;                               ///< what else is to be said of it
  std::vector<double> fitted_errors, held_out_errors;  ///< predicted / measured - 1

  void set_errors(std::vector<double> in_sample, std::vector<double> out_of_sample);
};

/// A line for each group of a family that has several curves: their errors together.
std::vector<FittedCurve> summed_up(const std::vector<FittedCurve>& curves, const std::string& family);

/// A share of the shapes is never fitted: one in five, by the hash of what makes the shape, the same on all machines.
bool is_held_out(std::initializer_list<long long> shape);

/// What a family of tables gives.
struct FamilyFit {
  std::vector<FittedCurve> curves;
  std::vector<std::pair<std::string, hw::Node>> values;   ///< of the profile, by JSON pointer
  std::vector<std::pair<std::string, hw::Node>> scalars;  ///< likewise, single numbers
  std::vector<std::string> notes;                         ///< what was not used, and why

  void append(FamilyFit other);
};

/// A JSON object, written member by member.
class Members {
 public:
  Members& number(const char* key, double value, int digits = 4);  ///< rounded to so many significant digits
  Members& count(const char* key, std::size_t value);
  Members& text(const char* key, const std::string& value);
  Members& raw(const char* key, const std::string& json);
  Members& numbers(const char* key, const std::vector<double>& values, int digits = 4);
  /// points, held_out and the three errors: of held-out points, or of the fitted ones where none was held out.
  Members& errors(const FittedCurve& curve);
  hw::Node node() const;

 private:
  std::string json_;
};

/// `953 1020 ...`: as profiles state ratios.
std::string thousandths(const float* ratios, std::size_t count);

/// So many significant digits, without trailing zeros.
std::string rounded(double value, int digits);

}  // namespace calibration
