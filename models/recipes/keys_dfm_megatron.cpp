#include <span>
#include <string>

#include "models/recipes/bridge_keys.h"
#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

/// Latent frames, rows and columns of a video; patches of 1x2x2 make the sequence, whatever `seq_length` says.
constexpr std::string_view kLatentKeys[] = {"dataset.F_latents", "dataset.H_latents", "dataset.W_latents",
                                            "dataset.context_seq_len"};
constexpr std::string_view kLatentFields[] = {"/extra/mock_latents", "/extra/text_tokens"};

struct Latents {
  std::int64_t frames = 0, rows = 0, columns = 0;
  std::int64_t tokens() const { return frames * (rows / 2) * (columns / 2); }
  std::string text() const {
    return "F" + std::to_string(frames) + " H" + std::to_string(rows) + " W" + std::to_string(columns) +
           ", patch 1x2x2 -> " + std::to_string(tokens()) + " tokens";
  }
};

void read_latents(Reading& reading) {
  int sizes[3] = {0, 0, 0};
  for (int i = 0; i < 3; ++i) sizes[i] = reading.count(kLatentKeys[i], kLatentFields[0]).value_or(0);
  if (const auto text = reading.count(kLatentKeys[3], kLatentFields[1]))
    reading.state(kLatentFields[1], *text, *reading.document().find(kLatentKeys[3]));
  constexpr int kMost = 1 << 15;
  for (int i = 0; i < 3; ++i) {
    const Entry* entry = reading.document().find(kLatentKeys[i]);
    if (entry == nullptr) return;
    if (sizes[i] > kMost || (i > 0 && sizes[i] % 2 != 0))
      reading.document().refuse(*entry, i > 0 ? "must be even and at most 32768" : "must be at most 32768");
  }
  const Latents latents{sizes[0], sizes[1], sizes[2]};
  const Entry& from = *reading.document().find(kLatentKeys[2]);
  reading.state("/seq_len", latents.tokens(), from);
  reading.state(kLatentFields[0], latents.text(), from);
}

/// `F24 H104 W60, ...`, as this file writes it.
Latents latents_of(const std::string& text) {
  Latents latents;
  const char letters[] = {'F', 'H', 'W'};
  std::int64_t* sizes[] = {&latents.frames, &latents.rows, &latents.columns};
  for (int i = 0; i < 3; ++i) {
    const std::size_t at = text.find(letters[i]);
    if (at == std::string::npos) return {};
    std::int64_t number = 0;
    for (std::size_t k = at + 1; k < text.size() && text[k] >= '0' && text[k] <= '9' && number < 1 << 20; ++k)
      number = 10 * number + (text[k] - '0');
    *sizes[i] = number;
  }
  return latents;
}

/// A length that is not of such latents stands in a line of its own.
void write_latents(Writing& writing) {
  const auto text = writing.word(kLatentFields[0]);
  const auto length = writing.count("/seq_len");
  const Latents latents = text ? latents_of(*text) : Latents{};
  if (text && length && latents.tokens() == *length) {
    writing.put(kLatentKeys[0], latents.frames);
    writing.put(kLatentKeys[1], latents.rows);
    writing.put(kLatentKeys[2], latents.columns);
  } else if (length) {
    writing.put("@seq_len", *length);
  }
  if (const auto tokens = writing.count(kLatentFields[1])) writing.put(kLatentKeys[3], *tokens);
}

/// The data set is told the batch again.
constexpr std::string_view kBatchKeys[] = {"dataset.global_batch_size", "dataset.micro_batch_size"};
constexpr std::string_view kBatchFields[] = {"/gbs", "/mbs"};

void read_batch(Reading& reading) {
  for (int i = 0; i < 2; ++i) {
    if (const auto samples = reading.count(kBatchKeys[i], kBatchFields[i]))
      reading.state(kBatchFields[i], *samples, *reading.document().find(kBatchKeys[i]));
  }
}

void write_batch(Writing& writing) {
  for (int i = 0; i < 2; ++i) {
    const auto samples = writing.count(kBatchFields[i]);
    if (samples && writing.exists(kBatchKeys[i])) writing.put(kBatchKeys[i], *samples);
  }
}

constexpr std::string_view kNothing[] = {""};
constexpr std::string_view kFormatKeys[] = {"model.qkv_format"};
constexpr std::string_view kFormatFields[] = {"/extra/qkv_format"};

void read_format(Reading& reading) {
  if (const auto word = reading.text(kFormatKeys[0], kFormatFields[0]))
    reading.state(kFormatFields[0], *word, *reading.document().find(kFormatKeys[0]));
}

void write_format(Writing& writing) {
  if (const auto word = writing.word(kFormatFields[0])) writing.put(kFormatKeys[0], *word);
}

void read_defaults(Reading& reading) {
  megatron::read_missing_granularity(reading);
  reading.assume("/precision", "bf16", "the framework's mixed_precision where a recipe does not state it");
  reading.assume("/model", "wan2.1-14b", "the one video model described here");
  megatron::check_model_sizes(reading, {"model.num_layers", "model.hidden_size"});
}

/// The keys alone would be Megatron-Bridge's.
void write_framework(Writing& writing) {
  if (writing.is_new()) writing.put("@framework", name(Format::dfm_megatron));
}

constexpr Rule kRules[] = {
    {kLatentKeys, kLatentFields, read_latents, write_latents},
    {kBatchKeys, kBatchFields, read_batch, write_batch},
    {kFormatKeys, kFormatFields, read_format, write_format},
    {bridge::kShardingKeys, bridge::kShardingFields, bridge::read_sharding, bridge::write_sharding},
    {kNothing, kNothing, read_defaults, write_framework},
};

constexpr Harmless kHarmlessKeys[] = {
    {"model.num_layers", kOfModel},
    {"model.hidden_size", kOfModel},
    {"model.seq_length", "diffusion models have their length from the latents"},
    {"dataset.seq_length", "diffusion models have their length from the latents"},
    {"dataset.*", "data"},
    {"model.crossattn_emb_size", kOfModel},
    {"model.ffn_hidden_size", kOfModel},
    {"model.num_attention_heads", kOfModel},
    {"train.train_iters", "how long it trains"},
    {"train.eval_*", "evaluation"},
    {"train.exit_*", "how long it trains"},
    {"scheduler.*", "learning rate"},
    {"optimizer.lr", "learning rate"},
    {"optimizer.min_lr", "learning rate"},
    {"optimizer.weight_decay", "optimizer constants"},
    {"checkpoint.*", "checkpoints"},
    {"logger.*", "logging"},
    {"rng.*", "random numbers"},
};

}  // namespace

const Table kDfmMegatron{Format::dfm_megatron, std::span(bridge::kRows).subspan(bridge::kLengthRows), kRules,
                         kHarmlessKeys};

}  // namespace recipes
