#pragma once

#include <string>
#include <string_view>

#include "hw/efficiency.h"
#include "hw/units.h"
#include "models/run.h"

/// How numbers and enumerators read in tables.
namespace cli {

/// `23.41 s`, `812.4 ms`: four digits.
std::string time_text(hw::Seconds time);
/// `12.3 %`
std::string percent_text(double ratio);
/// `12.3`: for columns whose title has the unit.
std::string percent_number(double ratio);
/// `+12.3`
std::string signed_percent_number(double ratio);
std::string gib_number(hw::Bytes bytes);
/// Four digits, no exponent: `1234`, `12.34`, `0.1234`.
std::string four_digits(double value);
/// `1,024,000`
std::string grouped(double value);
/// `2026-11-25`, UTC
std::string today();

std::string_view name(models::Precision precision);
std::string_view name(models::Task task);
std::string_view name(models::Schedule schedule);
std::string_view name(models::FlopsConvention convention);
std::string_view name(hw::Origin origin);
/// What a price of that origin rests on.
std::string_view meaning(hw::Origin origin);
/// What a line of the breakdown is, by its name (sim/breakdown.h); empty if unknown.
std::string_view meaning_of_part(std::string_view part);

/// `tp 4 (sp), pp 8, vp 2, dp 16, zero 1`: sizes above 1.
std::string layout_text(const models::Layout& layout);
/// `gbs 1024 = dp 16 x 64 microbatches x mbs 1, seq 4096`
std::string batch_text(const models::Layout& layout);
std::string recompute_text(const models::Run& run);

}  // namespace cli
