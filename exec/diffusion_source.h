#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace exec {

/// Synthetic data of a diffusion transformer, drawn by name, sequence and place: any rank asks for any.
class DiffusionSource {
 public:
  DiffusionSource(const models::DitSpec& spec, std::int64_t sequence, std::uint64_t seed)
      : spec_(spec), sequence_(sequence), seed_(seed) {}

  /// Row `place` of what sequence r has of a tensor of the batch:
  ///   latents        [sequence, patch]      x_t = (1 - t) x + t noise, at the sequence's time t
  ///   velocity       [sequence, patch]      noise - x
  ///   text_encoding  [text_len, text_dim]
  ///   time           [1, freq_dim]          cosines, then sines, of 1000 t * 10000^(-j / n), n = freq_dim / 2
  std::vector<double> row(std::string_view tensor, std::int64_t r, std::int64_t place) const;

 private:
  std::int64_t patch() const {
    return std::int64_t{spec_.in_channels} * spec_.patch_t * spec_.patch_hw * spec_.patch_hw;
  }
  double time(std::int64_t r) const;
  std::vector<double> drawn(std::string_view stream, std::int64_t first, std::int64_t count) const;
  std::vector<double> time_row(double t) const;

  const models::DitSpec& spec_;
  std::int64_t sequence_;
  std::uint64_t seed_;
};

}  // namespace exec
