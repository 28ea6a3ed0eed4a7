#include "models/recipes/format.h"

#include <algorithm>
#include <vector>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "hw/node.h"

namespace recipes {
namespace {

constexpr std::array<std::string_view, kFormats.size()> kNames = {
    "megatron-bridge", "megatron-lm", "automodel", "dfm-megatron", "dfm-automodel", "torchtitan", "hugging-face"};

std::string format_names() {
  std::string names;
  for (const std::string_view word : kNames) names += (names.empty() ? "" : ", ") + std::string(word);
  return names;
}

/// The text line by line, without indentation.
std::vector<std::string_view> stripped_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/// `[parallelism]`
bool is_toml_table(std::string_view line) {
  const std::size_t end = line.find(']');
  return line.starts_with('[') && end != std::string_view::npos && end > 1 &&
         std::all_of(line.begin() + 1, line.begin() + static_cast<std::ptrdiff_t>(end), is_name) &&
         (end + 1 == line.size() || line.find_first_not_of(" \t", end + 1) == line.find('#', end + 1));
}

/// `cfg.model.x = 1`, and what only Python begins a line with.
bool is_python(std::string_view line) {
  for (const std::string_view word : {"import ", "from ", "def ", "class "}) {
    if (line.starts_with(word)) return true;
  }
  const std::size_t end = static_cast<std::size_t>(std::find_if_not(line.begin(), line.end(), is_name) - line.begin());
  const std::string_view target = line.substr(0, end);
  const std::size_t sign = line.find_first_not_of(' ', end);
  if (target.find('.') == std::string_view::npos || target.starts_with('-') || sign == std::string_view::npos ||
      line[sign] != '=' || line.substr(sign).starts_with("=="))
    return false;
  return sign > end || target.starts_with("cfg.") || target.starts_with("config.");
}

/// A flag, an override, or what only a shell begins a line with.
bool is_shell(std::string_view line) {
  for (const std::string_view word : {"--", "export ", "#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash", "torchrun ",
                                      "python ", "python3 ", "srun "}) {
    if (line.starts_with(word)) return true;
  }
  const std::size_t end = static_cast<std::size_t>(std::find_if_not(line.begin(), line.end(), is_name) - line.begin());
  return line.find(" --") != std::string_view::npos || (end > 0 && end < line.size() && line[end] == '=');
}

struct Telltale {
  Format format;
  Syntax syntax;
  std::string_view words;  ///< stands somewhere in the text
  int weight;
};

constexpr Telltale kTelltales[] = {
    {Format::megatron_lm, Syntax::shell, "pretrain_gpt.py", 4},
    {Format::megatron_lm, Syntax::shell, "--tensor-model-parallel-size", 3},
    {Format::megatron_lm, Syntax::shell, "--pipeline-model-parallel-size", 3},
    {Format::megatron_lm, Syntax::shell, "--micro-batch-size", 2},
    {Format::megatron_lm, Syntax::shell, "--global-batch-size", 2},
    {Format::megatron_lm, Syntax::shell, "--seq-length", 1},
    {Format::megatron_lm, Syntax::shell, "--num-layers", 1},
    {Format::megatron_lm, Syntax::shell, "--", 1},
    {Format::megatron_bridge, Syntax::shell, "scripts/performance", 20},
    {Format::megatron_bridge, Syntax::shell, "model.", 4},
    {Format::megatron_bridge, Syntax::shell, "train.", 4},
    {Format::megatron_bridge, Syntax::python, "", 1},
    {Format::megatron_bridge, Syntax::yaml, "tensor_model_parallel_size", 2},
    {Format::megatron_bridge, Syntax::yaml, "global_batch_size", 1},
    {Format::megatron_bridge, Syntax::yaml, "ConfigContainer", 4},
    {Format::dfm_megatron, Syntax::yaml, "crossattn_emb_size", 4},
    {Format::dfm_megatron, Syntax::yaml, "F_latents", 4},
    {Format::dfm_megatron, Syntax::yaml, "dfm.src.megatron", 6},
    {Format::dfm_megatron, Syntax::yaml, "qkv_format", 2},
    {Format::dfm_automodel, Syntax::yaml, "flow_matching:", 6},
    {Format::dfm_automodel, Syntax::yaml, "dfm.src.automodel", 6},
    {Format::dfm_automodel, Syntax::yaml, "Wan-AI/", 3},
    {Format::automodel, Syntax::yaml, "nemo_automodel", 6},
    {Format::automodel, Syntax::yaml, "step_scheduler:", 3},
    {Format::automodel, Syntax::yaml, "autopipeline:", 3},
    {Format::automodel, Syntax::yaml, "strategy: fsdp2", 3},
    {Format::torchtitan, Syntax::toml, "[parallelism]", 3},
    {Format::torchtitan, Syntax::toml, "[training]", 2},
    {Format::torchtitan, Syntax::toml, "[model]", 2},
    {Format::hugging_face, Syntax::json, "\"model_type\"", 4},
    {Format::hugging_face, Syntax::json, "\"architectures\"", 4},
    {Format::hugging_face, Syntax::json, "\"hidden_size\"", 2},
};

}  // namespace

std::string_view name(Format format) { return kNames[static_cast<std::size_t>(format)]; }

Format parse_format(const std::string& text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found != kNames.end()) return kFormats[static_cast<std::size_t>(found - kNames.begin())];
  const auto meant = hw::nearest(text, {kNames.begin(), kNames.end()});
  throw hw::InputError("format: must be one of " + format_names() + (meant ? " (did you mean " + *meant + "?)" : "") +
                       ", got " + hw::shortened(hw::printable(text)));
}

Syntax usual_syntax(Format format) {
  switch (format) {
    case Format::megatron_bridge: return Syntax::python;
    case Format::megatron_lm: return Syntax::shell;
    case Format::torchtitan: return Syntax::toml;
    case Format::hugging_face: return Syntax::json;
    default: return Syntax::yaml;
  }
}

Syntax syntax_of(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && text[start] == '{') return Syntax::json;
  const std::vector<std::string_view> lines = stripped_lines(text);
  const auto any = [&lines](bool (*is)(std::string_view)) { return std::any_of(lines.begin(), lines.end(), is); };
  if (any(is_python)) return Syntax::python;
  if (any(is_toml_table)) return Syntax::toml;
  return any(is_shell) ? Syntax::shell : Syntax::yaml;
}

Format format_of(std::string_view text, Syntax syntax, const std::string& file) {
  for (const Format format : kFormats) {
    const std::string line = "# stepcast: framework = " + std::string(name(format)) + "\n";
    if (text.find(line) != std::string_view::npos) return format;
  }
  std::array<int, kFormats.size()> score{};
  for (const Telltale& telltale : kTelltales) {
    if (telltale.syntax == syntax && text.find(telltale.words) != std::string_view::npos)
      score[static_cast<std::size_t>(telltale.format)] += telltale.weight;
  }
  const auto best = std::max_element(score.begin(), score.end());
  if (*best > 0) return kFormats[static_cast<std::size_t>(best - score.begin())];
  throw hw::InputError(hw::printable(file) + ": line 1: must be a recipe of a known format (" + format_names() +
                       "); state --format");
}

}  // namespace recipes
