#pragma once
#include <tuple>

#include "tenon/deploy/expert_family.hpp"
#include "tenon/deploy/model_family.hpp"

namespace tenon::deploy {

/// Every model policy that has a family: where import, export and generation look a `model_type` or a kind up.
using families = std::tuple<model::deepseek_llm, model::deepseek_v2, model::deepseek_v3>;

}  // namespace tenon::deploy
