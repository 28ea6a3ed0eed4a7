#include "models/lower_blocks.h"

#include <string>
#include <string_view>
#include <vector>

#include "models/backward.h"
#include "models/blocks/layer_parts.h"

namespace models {
namespace {

BlockContext context_of(const Run& run, const BlockVariant& variant) {
  const Layout& layout = run.layout;
  BlockContext context{.run = run};
  context.storage = storage_type(run.precision);
  context.matmul = variant.narrow ? matmul_type(run.precision) : context.storage;
  context.training_weights = run.task != Task::lora;
  context.holds_embedding = variant.holds_embedding;
  context.tokens = layout.mbs * layout.seq_len / layout.cp;
  context.shard_tokens = context.sequence_parallel() ? context.tokens / layout.tp : context.tokens;
  return context;
}

TensorId layer_parts(BlockBuilder& b, const LayerSpec& layer, TensorId x) {
  if (b.context().model().dit) return dit_layer(b, layer, x);
  if (layer.attention)
    x = layer.attention->mla ? mla_part(b, *layer.attention, x) : attention_part(b, *layer.attention, x);
  if (layer.mamba) x = mamba_part(b, *layer.mamba, x);
  if (layer.mlp) x = mlp_part(b, *layer.mlp, x);
  if (layer.moe) x = moe_part(b, *layer.moe, x);
  return x;
}

std::string label_of(const Model& model, const LayerSpec& layer) {
  if (model.dit) return "dit";
  std::string label;
  const auto join = [&label](const char* part) { label += (label.empty() ? "" : "+") + std::string(part); };
  if (layer.attention)
    join(layer.attention->mla ? "mla" : layer.attention->window > 0 ? "window attention" : "attention");
  if (layer.mamba) join("mamba");
  if (layer.mlp) join("mlp");
  if (layer.moe) join("moe");
  return label;
}

/// One multi-token-prediction depth: projection, its layers and a head of its own whose weights are the main head's.
void mtp_block(BlockBuilder& b, TensorId x) {
  const Model& model = b.context().model();
  x = mtp_projection(b, x);
  for (const int kind : model.mtp.kinds) x = layer_parts(b, model.kinds[static_cast<std::size_t>(kind)], x);
  head_part(b, x, "next_labels");
}

void write_forward(BlockBuilder& b, const BlockVariant& variant) {
  const BlockContext& context = b.context();
  const Model& model = context.model();
  Block& block = b.block();
  if (variant.kind == BlockKind::embedding) {
    block.label = "embedding";
    block.output = model.dit ? dit_input(b) : embedding_part(b);
    return;
  }
  block.input = b.tensor("x", TensorKind::input, context.storage, context.shard_tokens, model.hidden);
  if (variant.kind == BlockKind::layer) {
    const LayerSpec& layer = model.kinds[static_cast<std::size_t>(variant.layer_kind)];
    block.label = label_of(model, layer);
    block.output = layer_parts(b, layer, block.input);
  } else if (variant.kind == BlockKind::mtp) {
    block.label = "mtp";
    mtp_block(b, block.input);
    // The hidden states go on to the main head, which keeps them.
    block.output = block.input;
    Tensor& x = block.tensors[static_cast<std::size_t>(block.input)];
    x.shared_columns = x.columns;
  } else {
    block.label = "head";
    model.dit ? dit_output(b, block.input) : head_part(b, block.input);
  }
}

/// What Megatron-Core's fine-grained offloading calls a module: it offloads that module's inputs.
bool named(const Op& op, const std::vector<std::string>& modules) {
  const std::string_view op_name = op.name;
  for (const std::string& module : modules) {
    if (module == "attn_norm" && op_name == "attention_norm") return true;
    if (module == "qkv_linear" && op_name == "qkv") return true;
    if (module == "core_attn" && op_name == "core") return true;
    if (module == "attn_proj" && op_name == "attention_out") return true;
    if (module == "mlp_norm" && (op_name == "mlp_norm" || op_name == "moe_norm")) return true;
    if (module == "expert_fc1" && op_name == "experts_fc1") return true;
    if (module == "fused_group_mlp" && (op.module == Module::experts || op.module == Module::moe_act)) return true;
    if (module == "moe_act" && op.module == Module::moe_act && op_name == "activation") return true;
  }
  return false;
}

/// Kept activations of offloaded blocks, or the kept inputs of offloaded modules, leave after forward and come back
/// before backward.
void offload(Block& block, const BlockVariant& variant, const Traits& traits) {
  double bytes = 0;
  const auto leave = [&](TensorId id) {
    Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
    if (!tensor.kept || tensor.offloaded || tensor.kind == TensorKind::weight) return;
    tensor.offloaded = true;
    bytes += tensor.bytes().value;
  };
  for (const Op& op : block.forward) {
    if (!variant.offloaded && !named(op, traits.offload_modules)) continue;
    for (const TensorId id : op.reads) leave(id);
    if (!variant.offloaded) continue;
    for (const TensorId id : op.writes) leave(id);
  }
  if (bytes == 0) return;
  const auto copy = [bytes](bool to_host, Pass pass) {
    return Op{.name = to_host ? "offload" : "reload",
              .work = HostCopy{.payload = {bytes}, .to_host = to_host},
              .stream = Stream::copy,
              .pass = pass,
              .host_ops = 2,
              .reads = {},
              .writes = {},
              .needs = {}};
  };
  block.forward.push_back(copy(true, Pass::forward));
  block.backward.insert(block.backward.begin(), copy(false, Pass::backward));
}

}  // namespace

Block build_block(const Run& run, const BlockVariant& variant) {
  Block block;
  block.kind = variant.kind;
  block.holds_embedding = variant.holds_embedding;
  block.layer_kind = variant.layer_kind;
  const BlockContext context = context_of(run, variant);
  BlockBuilder builder(context, block);
  write_forward(builder, variant);
  differentiate(builder);
  const bool selective = run.recompute.mode == RecomputeMode::selective;
  insert_replay(block, {.whole_block = variant.replayed,
                        .early_stop = run.traits.recompute_early_stop,
                        .modules = selective ? run.recompute.modules : RecomputeModules{}});
  offload(block, variant, run.traits);
  finish_block(block, context);
  return block;
}

}  // namespace models
