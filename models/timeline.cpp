#include "models/timeline.h"

#include <array>
#include <cstdio>
#include <set>
#include <utility>

#ifndef STEPCAST_VERSION
#define STEPCAST_VERSION "0.1.0"
#endif

namespace models {
namespace {

constexpr std::array<const char*, kStreams> kStreamNames = {"compute", "side",    "tp_comm", "cp_comm", "ep_comm",
                                                            "pp_comm", "dp_comm", "copy",    "host"};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

std::string metadata(const char* what, int rank, int stream, const std::string& name) {
  return "{\"name\":\"" + std::string(what) + "\",\"ph\":\"M\",\"pid\":" + std::to_string(rank) +
         ",\"tid\":" + std::to_string(stream) + ",\"args\":{\"name\":" + quoted(name) + "}}";
}

std::string complete_event(const TimelineEvent& event) {
  return "{\"name\":" + quoted(event.name) + ",\"cat\":" + quoted(event.kind) +
         ",\"ph\":\"X\",\"pid\":" + std::to_string(event.rank) +
         ",\"tid\":" + std::to_string(static_cast<int>(event.stream)) + ",\"ts\":" + number(event.start.value * 1e6) +
         ",\"dur\":" + number((event.end - event.start).value * 1e6) + ",\"args\":{\"op\":" + std::to_string(event.op) +
         ",\"kind\":" + quoted(event.kind) + ",\"bytes\":" + number(event.bytes.value) +
         ",\"flops\":" + number(event.flops.value) + ",\"microbatch\":" + std::to_string(event.microbatch) + "}}";
}

}  // namespace

std::string to_chrome_trace(const Timeline& timeline, const std::string& run, const std::string& clock,
                            const std::string& ranks_are) {
  char hash[24];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(timeline.program_hash));
  std::string text =
      "{\"displayTimeUnit\":\"ms\",\"stepcast\":{\"version\":\"" STEPCAST_VERSION "\",\"run\":" + quoted(run) +
      ",\"program_hash\":\"" + hash + "\",\"clock\":" + quoted(clock) + "},\"traceEvents\":[";
  std::set<int> ranks;
  std::set<std::pair<int, int>> tracks;
  for (const TimelineEvent& event : timeline.events) {
    ranks.insert(event.rank);
    tracks.insert({event.rank, static_cast<int>(event.stream)});
  }
  const char* separator = "\n";
  const auto append = [&](const std::string& event) {
    text += separator;
    text += event;
    separator = ",\n";
  };
  for (const int rank : ranks) append(metadata("process_name", rank, 0, ranks_are + " " + std::to_string(rank)));
  for (const auto& [rank, stream] : tracks)
    append(metadata("thread_name", rank, stream, kStreamNames[static_cast<std::size_t>(stream)]));
  for (const TimelineEvent& event : timeline.events) append(complete_event(event));
  return text + "\n]}\n";
}

}  // namespace models
