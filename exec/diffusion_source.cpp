#include "exec/diffusion_source.h"

#include <cmath>
#include <cstddef>
#include <numbers>

#include "exec/random_stream.h"

namespace exec {

double DiffusionSource::time(std::int64_t r) const {
  return RandomStream("time", seed_).unit(static_cast<std::uint64_t>(r));
}

/// Uniform, of mean 0 and variance 1.
std::vector<double> DiffusionSource::drawn(std::string_view stream, std::int64_t first, std::int64_t count) const {
  const RandomStream numbers(stream, seed_);
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = first; i < first + count; ++i)
    values.push_back(std::numbers::sqrt3 * numbers.symmetric(static_cast<std::uint64_t>(i)));
  return values;
}

std::vector<double> DiffusionSource::time_row(double t) const {
  const std::int64_t half = spec_.freq_dim / 2;
  std::vector<double> row(static_cast<std::size_t>(spec_.freq_dim));
  for (std::int64_t j = 0; j < half; ++j) {
    const double angle = 1000 * t * std::pow(10'000.0, -static_cast<double>(j) / static_cast<double>(half));
    row[static_cast<std::size_t>(j)] = std::cos(angle);
    row[static_cast<std::size_t>(half + j)] = std::sin(angle);
  }
  return row;
}

std::vector<double> DiffusionSource::row(std::string_view tensor, std::int64_t r, std::int64_t place) const {
  if (tensor == "time") return time_row(time(r));
  if (tensor == "text_encoding") return drawn("text", (r * spec_.text_len + place) * spec_.text_dim, spec_.text_dim);
  const std::int64_t first = (r * sequence_ + place) * patch();
  std::vector<double> values = drawn("latents", first, patch());
  const std::vector<double> noise = drawn("noise", first, patch());
  const double t = time(r);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = tensor == "latents" ? (1 - t) * values[i] + t * noise[i] : noise[i] - values[i];
  return values;
}

}  // namespace exec
