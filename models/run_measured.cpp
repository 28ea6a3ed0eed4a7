#include "hw/units.h"
#include "models/run_draft.h"

namespace models {
namespace {

double positive_or_zero(const hw::Node& node, std::string_view key) {
  const auto value = node.find(key);
  return value ? value->positive() : 0;
}

}  // namespace

Measured read_measured(const hw::Node& node) {
  node.only({"step_time_s", "step_time_from", "tokens_per_s_per_gpu", "tflops_per_gpu", "mfu", "mem_gib", "mem_gb"});
  Measured measured;
  measured.step_time = hw::Seconds{node.at("step_time_s").positive()};
  measured.step_time_from = node.at("step_time_from").text();
  measured.derived = measured.step_time_from != "printed";
  measured.tokens_per_s_per_gpu = positive_or_zero(node, "tokens_per_s_per_gpu");
  measured.tflops_per_gpu = positive_or_zero(node, "tflops_per_gpu");
  if (const auto mfu = node.find("mfu")) measured.mfu = mfu->fraction();
  const auto gib = node.find("mem_gib");
  const auto gb = node.find("mem_gb");
  if (gib && gb) gb->fail("must not stand beside mem_gib");
  // Sources that say GB print max_memory_allocated()/1024**3 (AutoModel's code; Megatron and Composer likewise).
  const double memory = gib ? gib->positive() : positive_or_zero(node, "mem_gb");
  measured.memory = hw::Bytes{memory * hw::kGiB};
  measured.memory_unit_stated = !gb;
  return measured;
}

}  // namespace models
