#pragma once

#include <string>
#include <string_view>

namespace cli {

/// Replaces the file's content. Throws hw::InputError where any of it cannot be written (no such folder, disk full).
void write_file(const std::string& path, std::string_view text);

/// Writes to stdout. A reader that has gone (`| head`) is no error. Throws hw::InputError on all else.
void write_stdout(std::string_view text);

/// Puts a verb's JSON where `--json` says: `-` in place of the text for stdout, else in that file. Nothing if empty.
void place_json(const std::string& target, std::string json, std::string& out);

}  // namespace cli
