#pragma once
// Stands in for <tenon/tenon.hpp> where a trainer's recipe is checked alone (NAME_check in TenonTrainer.cmake): all that a
// recipe may use, and nothing of LibTorch, so that its errors come in about a second.
#include <tenon/exec/plan.hpp>
#include <tenon/recipe.hpp>
#include <tenon/variants/base.hpp>
#include <tenon/variants/pro.hpp>
#include <tenon/variants/ultra.hpp>
