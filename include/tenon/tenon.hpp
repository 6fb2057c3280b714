#pragma once
/// Everything a trainer needs: the recipe, the engine, the loop, the program. A recipe alone (checks, plan, no LibTorch)
/// is <tenon/recipe.hpp> and <tenon/exec/plan.hpp>.
#include "tenon/recipe.hpp"  // first, because a compiler prints the chain above a rule's sentence
//
#include "tenon/app/migrate.hpp"
#include "tenon/app/run.hpp"
#include "tenon/variants/base.hpp"
#include "tenon/variants/pro.hpp"
#include "tenon/variants/ultra.hpp"
