#pragma once
/// The room recipe: policies, recipe(...), rules. Std only; describe, digests and JSON live in recipe/describe.hpp,
/// recipe/digests.hpp and recipe/json.hpp, which need reflection.
#include "tenon/core/units.hpp"
#include "tenon/recipe/recipe.hpp"
