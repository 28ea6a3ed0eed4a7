#include "exec/checkpoint_manifest.h"

#include <charconv>
#include <cstdio>
#include <utility>

#include "exec/durable_file.h"
#include "exec/fnv_hash.h"
#include "hw/node.h"

namespace exec {
namespace {

constexpr int kVersion = 1;

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::uint64_t read_hex(const hw::Node& node) {
  const std::string text = node.text();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != 16)
    node.fail("must be 16 hexadecimal digits");
  return value;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

constexpr std::pair<const char*, std::int32_t SavedLayout::*> kSizes[] = {
    {"gpus", &SavedLayout::gpus}, {"tp", &SavedLayout::tp},    {"pp", &SavedLayout::pp},   {"vp", &SavedLayout::vp},
    {"cp", &SavedLayout::cp},     {"ep", &SavedLayout::ep},    {"etp", &SavedLayout::etp}, {"dp", &SavedLayout::dp},
    {"fsdp", &SavedLayout::fsdp}, {"zero", &SavedLayout::zero}};

std::string layout_text(const SavedLayout& layout) {
  std::string text;
  for (const auto& [name, size] : kSizes)
    text += (text.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + std::to_string(layout.*size);
  return text + "}";
}

std::string text_of(const CheckpointManifest& manifest) {
  std::string text = "{\n  \"stepcast_checkpoint\": " + std::to_string(kVersion) +
                     ",\n  \"step\": " + std::to_string(manifest.step) + ",\n  \"model\": " + quoted(manifest.model) +
                     ",\n  \"model_hash\": \"" + hex(manifest.model_hash) + "\",\n  \"precision\": \"" +
                     std::string(hw::name(manifest.dtype)) + "\",\n  \"layout\": " + layout_text(manifest.layout) +
                     ",\n  \"files\": [";
  for (std::size_t rank = 0; rank < manifest.files.size(); ++rank)
    text += std::string(rank > 0 ? "," : "") + "\n    {\"name\": \"" + rank_file("", rank) +
            "\", \"bytes\": " + std::to_string(manifest.files[rank].bytes) + ", \"hash\": \"" +
            hex(manifest.files[rank].hash) + "\"}";
  return text + "\n  ]\n}\n";
}

SavedLayout read_layout(const hw::Node& node) {
  SavedLayout layout;
  for (const auto& [name, size] : kSizes) layout.*size = node.at(name).non_negative_int();
  return layout;
}

void add(FnvHash& hash, const models::AttentionSpec& a) {
  for (const int n : {a.heads, a.kv_heads, a.head_dim, a.v_head_dim, a.window}) hash.add(n);
  for (const bool flag : {a.qk_norm, a.qkv_bias, a.out_bias, a.causal, a.sinks, a.output_gate}) hash.add(flag);
  if (!a.mla) return;
  for (const int n : {a.mla->q_lora_rank, a.mla->kv_lora_rank, a.mla->qk_nope, a.mla->qk_rope, a.mla->v_head})
    hash.add(n);
}

void add(FnvHash& hash, const models::MoeSpec& m) {
  for (const std::int64_t n : {std::int64_t{m.experts}, std::int64_t{m.top_k}, m.expert_ffn, m.shared_ffn, m.latent})
    hash.add(n);
  for (const bool flag : {m.gated, m.bias, m.router_bias}) hash.add(flag);
  hash.add(static_cast<int>(m.router)).add(static_cast<int>(m.activation));
}

void add(FnvHash& hash, const models::LayerSpec& layer) {
  hash.add(layer.attention.has_value()).add(layer.mamba.has_value());
  hash.add(layer.mlp.has_value()).add(layer.moe.has_value());
  if (layer.attention) add(hash, *layer.attention);
  if (const auto& m = layer.mamba)
    for (const int n : {m->heads, m->head_dim, m->state, m->groups, m->conv_kernel}) hash.add(n);
  if (const auto& m = layer.mlp) hash.add(m->ffn).add(m->gated).add(m->bias).add(static_cast<int>(m->activation));
  if (layer.moe) add(hash, *layer.moe);
}

void add(FnvHash& hash, const models::DitSpec& d) {
  for (const std::int64_t n :
       {d.text_dim, std::int64_t{d.text_len}, std::int64_t{d.in_channels}, std::int64_t{d.out_channels},
        std::int64_t{d.patch_t}, std::int64_t{d.patch_hw}, d.freq_dim})
    hash.add(n);
}

}  // namespace

std::string rank_file(const std::string& folder, std::size_t rank) {
  return (folder.empty() ? "" : folder + "/") + "rank-" + std::to_string(rank) + ".bin";
}

void write_manifest(const std::string& folder, const CheckpointManifest& manifest) {
  const std::string text = text_of(manifest);
  DurableFile file(folder + "/manifest.json");
  file.write(text.data(), text.size());
  file.commit();
}

CheckpointManifest read_manifest(const std::string& folder) {
  const hw::Node node = hw::Node::read_file(folder + "/manifest.json");
  if (!node.is_object() || !node.has("stepcast_checkpoint"))
    node.fail("must describe a checkpoint of stepcast (key stepcast_checkpoint)");
  if (node.at("stepcast_checkpoint").positive_int() != kVersion)
    node.at("stepcast_checkpoint").fail("must be version " + std::to_string(kVersion));
  CheckpointManifest manifest{
      .step = node.at("step").positive_int64(),
      .model = node.has("model") ? node.at("model").text() : "",
      .model_hash = read_hex(node.at("model_hash")),
      .dtype = node.at("precision").choice({"fp32", "fp64"}) == 0 ? hw::DType::fp32 : hw::DType::fp64,
      .layout = read_layout(node.at("layout")),
      .files = {}};
  for (const hw::Node& file : node.at("files").elements())
    manifest.files.push_back(
        {.bytes = static_cast<std::uint64_t>(file.at("bytes").positive_int64()), .hash = read_hex(file.at("hash"))});
  if (static_cast<int>(manifest.files.size()) != manifest.layout.gpus)
    node.at("files").fail("must be as many as gpus (" + std::to_string(manifest.layout.gpus) + ")");
  return manifest;
}

std::uint64_t model_hash(const models::Run& run) {
  const models::Model& m = run.model;
  FnvHash hash;
  hash.add(m.hidden).add(m.vocab).add(m.tied_embeddings).add(static_cast<int>(m.norm)).add(m.norm_bias);
  hash.add(m.norm_epsilon).add(static_cast<int>(m.position)).add(m.rope_theta).add(m.learned_positions);
  for (const int kind : m.layers) add(hash, m.kinds[static_cast<std::size_t>(kind)]);
  hash.add(m.mtp.depth).add(m.mtp.shared);
  for (const int kind : m.mtp.kinds) add(hash, m.kinds[static_cast<std::size_t>(kind)]);
  if (m.dit) add(hash, *m.dit);
  if (const auto& lora = run.lora)
    hash.add(lora->rank).add(lora->alpha).add(lora->qkv).add(lora->out).add(lora->mlp).add(lora->experts);
  return hash.value();
}

SavedLayout saved_layout(const models::Layout& l) {
  return {.gpus = l.gpus,
          .tp = l.tp,
          .pp = l.pp,
          .vp = l.vp,
          .cp = l.cp,
          .ep = l.ep,
          .etp = l.etp,
          .dp = l.dp,
          .fsdp = l.fsdp,
          .zero = static_cast<std::int32_t>(l.zero)};
}

}  // namespace exec
