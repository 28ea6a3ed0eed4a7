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

/// The model whose Megatron-Bridge recipe function (`llama3_70b_pretrain_config`) a text calls.
std::optional<std::string> model_of_bridge_recipe(std::string_view text);

}  // namespace recipes
