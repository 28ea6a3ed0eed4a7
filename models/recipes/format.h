#pragma once

#include <array>
#include <string>
#include <string_view>

namespace recipes {

/// Whose keys a recipe uses.
enum class Format { megatron_bridge, megatron_lm, automodel, dfm_megatron, dfm_automodel, torchtitan, hugging_face };
inline constexpr std::array kFormats = {Format::megatron_bridge, Format::megatron_lm,   Format::automodel,
                                        Format::dfm_megatron,    Format::dfm_automodel, Format::torchtitan,
                                        Format::hugging_face};

/// How they are written down. Only Megatron-Bridge is written in several ways: overrides in Python, on a command line,
/// in YAML.
enum class Syntax { python, shell, yaml, toml, json };

/// `megatron-bridge`, as `--format` takes it; the name of the software stack too, where there is one.
std::string_view name(Format format);
/// Throws hw::InputError naming the formats and the nearest.
Format parse_format(const std::string& text);

/// The way in which recipes of the format are written where there is none yet.
Syntax usual_syntax(Format format);

/// Tells both from the text. Throws hw::InputError where nothing known stands in it.
Syntax syntax_of(std::string_view text);
Format format_of(std::string_view text, Syntax syntax, const std::string& file);

}  // namespace recipes
