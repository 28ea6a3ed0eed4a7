#include "models/recipes/mapping.h"
#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr std::string_view kKeys[] = {"model_type", "architectures"};
constexpr std::string_view kFields[] = {"/model"};

/// The whole document is the model: which of its keys matter is for models/ to say.
void read_model(Reading& reading) {
  if (reading.has("/model")) return;
  const Document& document = reading.document();
  for (const Entry& entry : document.entries) reading.take(entry.key, "/model/" + entry.key);
  reading.follow("/model", from_node(hw::Node::parse(document.text, document.file)));
  reading.model();  // refuses what is no model
}

void write_model(Writing&) {}  // write() copies the model's own description

constexpr Rule kRules[] = {{kKeys, kFields, read_model, write_model}};

}  // namespace

const Table kHuggingFace{Format::hugging_face, {}, kRules, {}};

}  // namespace recipes
