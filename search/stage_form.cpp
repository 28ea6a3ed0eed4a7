#include "search/stage_form.h"

#include <algorithm>

#include "models/stage_layout_text.h"

namespace search {
namespace {

std::vector<std::string> texts(const hw::Node& node) {
  std::vector<std::string> all;
  for (const hw::Node& each : node.elements()) all.push_back(each.text());
  return all;
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return "[" + text + "]";
}

std::vector<std::string> modules_of(const StageForm& form, const models::StageChunk& chunk) {
  std::vector<std::string> modules;
  const auto add = [&](const std::vector<std::string>& more) {
    modules.insert(modules.end(), more.begin(), more.end());
  };
  if (chunk.embedding) add(form.embedding);
  for (int i = 0; i < chunk.layers; ++i) modules.push_back(form.layer + std::to_string(chunk.first_layer + i));
  if (chunk.loss) add(form.loss);
  add(form.every);
  return modules;
}

}  // namespace

StageForm parse_stage_form(const hw::Node& node) {
  node.only({"form", "key", "layer", "embedding", "loss", "every", "origin"});
  constexpr StageForm::Kind kKinds[] = {StageForm::Kind::none, StageForm::Kind::string, StageForm::Kind::modules};
  StageForm form{.kind = kKinds[node.at("form").choice({"none", "string", "modules"})],
                 .key = {},
                 .layer = {},
                 .embedding = {},
                 .loss = {},
                 .every = {},
                 .origin = node.at("origin").text()};
  if (form.kind == StageForm::Kind::none) return form;
  form.key = node.at("key").text();
  if (form.kind == StageForm::Kind::string) return form;
  form.layer = node.at("layer").text();
  form.embedding = texts(node.at("embedding"));
  form.loss = texts(node.at("loss"));
  form.every = texts(node.at("every"));
  return form;
}

std::string stage_setting(const StageForm& form, const std::vector<models::StageChunk>& chunks) {
  if (form.kind == StageForm::Kind::string) return models::stage_layout_text(chunks);
  const bool has_mtp = std::ranges::any_of(chunks, [](const models::StageChunk& chunk) { return chunk.mtp > 0; });
  if (form.kind == StageForm::Kind::none || has_mtp) return "";
  std::string text;
  for (const models::StageChunk& chunk : chunks) text += (text.empty() ? "" : ",\n ") + quoted(modules_of(form, chunk));
  return "[" + text + "]";
}

}  // namespace search
