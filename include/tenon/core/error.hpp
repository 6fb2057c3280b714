#pragma once
#include <stdexcept>
#include <string>

namespace tenon {

/// A failure that the user can do something about. what() is one sentence: what happened, where, and what to do.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace tenon
