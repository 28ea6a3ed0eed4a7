#include <gtest/gtest.h>

#include <string>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace {

const std::string kRecipes = STEPCAST_SOURCE_DIR "/configs/recipes/";

}  // namespace
