#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace recipes {

/// What a model described in models/ is called elsewhere.
struct ModelName {
  std::string_view name;
  std::string_view hugging_face;  ///< repository
  std::string_view bridge;        ///< how Megatron-Bridge's recipe functions begin; empty where it has none
};

/// The model of a Hugging Face repository. Nothing where none is known.
std::optional<std::string> model_of_repository(std::string_view repository);
/// And back. Nothing where the model has no repository.
std::optional<std::string> repository_of_model(std::string_view model);

/// Model and task of the Megatron-Bridge recipe function (`llama3_70b_pretrain_config`) that a text calls.
struct BridgeRecipe {
  std::string model, task;
};
std::optional<BridgeRecipe> bridge_recipe_of(std::string_view text);

}  // namespace recipes
