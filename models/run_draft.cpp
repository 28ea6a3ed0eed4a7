#include "models/run_draft.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "hw/input_error.h"

namespace models {
namespace {

/// `/overlap/kernels/attn` as people write it: overlap.kernels.attn.
std::string dotted(const hw::Node& node) {
  std::string name = node.pointer().empty() ? "" : node.pointer().substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

/// Lower case, without the marks that frameworks differ in.
std::string plain(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c != '-' && c != '_' && c != ' ') result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

}  // namespace

void RunDraft::not_understood(const hw::Node& key) { run.not_understood.push_back(dotted(key)); }

void RunDraft::not_understood_value(const hw::Node& value) {
  run.not_understood.push_back(dotted(value) + " = " + (value.is_text() ? value.text() : value.dump()));
}

void read_open_object(const hw::Node& object, std::span<const OpenKey> known, RunDraft& draft) {
  for (const std::string& key : object.keys()) {
    const auto value = object.find(key);
    if (!value) continue;
    const auto entry = std::find_if(known.begin(), known.end(), [&key](const OpenKey& k) { return k.name == key; });
    if (entry == known.end()) {
      draft.not_understood(*value);
    } else if (entry->trait != nullptr) {
      draft.run.traits.*(entry->trait) = value->boolean();
    } else if (entry->read != nullptr) {
      entry->read(*value, draft);
    }
  }
}

std::optional<hw::DType> dtype_of(const std::string& text) {
  const std::string word = text.substr(0, text.find(' '));
  if (word == "fp32" || word == "float32") return hw::DType::fp32;
  if (word == "bf16" || word == "bfloat16") return hw::DType::bf16;
  if (word == "fp16" || word == "float16") return hw::DType::fp16;
  if (word == "fp64" || word == "float64") return hw::DType::fp64;
  if (word == "fp8") return hw::DType::fp8;
  return std::nullopt;
}

std::optional<Schedule> schedule_of(const std::string& text) {
  const std::string word = plain(text);
  if (word == "1f1b") return Schedule::one_f_one_b;
  if (word == "interleaved" || word == "1f1bi" || word == "interleaved1f1b") return Schedule::interleaved;
  if (word == "gpipe") return Schedule::gpipe;
  if (word == "zb1p") return Schedule::zb_1p;
  if (word == "zb2p" || word == "zb2p*") return Schedule::zb_2p;
  if (word == "zbv" || word == "zbvzerobubble") return Schedule::zb_v;
  return std::nullopt;
}

void state_zero(const hw::Node& key, Zero zero, RunDraft& draft) {
  if (draft.zero && *draft.zero != zero) key.fail("must agree with " + draft.zero_from);
  draft.zero = zero;
  draft.zero_from = key.pointer();
}

void refuse(const hw::Node& node, std::string_view key, const std::string& rule) {
  if (const auto value = node.find(key)) value->fail(rule);
  throw hw::InputError(node.file() + ": " + node.pointer() + "/" + std::string(key) + ": " + rule + ", got nothing");
}

void insist(const hw::Node& node, const std::optional<Refusal>& refused) {
  if (refused) refuse(node, refused->key, refused->rule);
}

}  // namespace models
