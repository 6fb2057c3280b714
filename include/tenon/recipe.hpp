#pragma once
/// The room recipe: policies, recipe(...), rules. Std only; describe, digests and JSON live in recipe/describe.hpp,
/// recipe/digests.hpp and recipe/json.hpp, which need reflection. The rules are listed here although check.hpp includes
/// them, because a compiler prints this chain above a rule's sentence, and the shorter one reads better.
#include "tenon/core/fixed.hpp"
#include "tenon/core/units.hpp"
#include "tenon/recipe/rules/form.hpp"
//
#include "tenon/recipe/form.hpp"
#include "tenon/recipe/recipe.hpp"
#include "tenon/recipe/rules/batch.hpp"
#include "tenon/recipe/rules/contract.hpp"
#include "tenon/recipe/rules/curriculum.hpp"
#include "tenon/recipe/rules/data.hpp"
#include "tenon/recipe/rules/experts.hpp"
#include "tenon/recipe/rules/launch.hpp"
#include "tenon/recipe/rules/model.hpp"
#include "tenon/recipe/rules/optimizer.hpp"
#include "tenon/recipe/rules/parallel.hpp"
#include "tenon/recipe/rules/precision.hpp"
#include "tenon/recipe/rules/rope.hpp"
#include "tenon/recipe/rules/run.hpp"
#include "tenon/recipe/rules/schedule.hpp"
#include "tenon/recipe/rules/trainable.hpp"
//
#include "tenon/recipe/rules/gpu.hpp"  // after those that it includes, for the same reason
//
#include "tenon/recipe/check.hpp"
#include "tenon/recipe/rehearsal.hpp"
