#pragma once
// LibTorch's wheel holds Gloo but not Gloo's headers. ProcessGroupGloo.hpp names these types behind pointers only, so their
// declarations are enough; everything that looks inside them is compiled in the library. Never make a GlooStore: its
// base here is an outline.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

struct Context {
  void setTimeout(std::chrono::milliseconds);
};

namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual ~Store() = default;
  virtual void set(std::string const& key, std::vector<char> const& value) = 0;
  virtual std::vector<char> get(std::string const& key) = 0;
  virtual void wait(std::vector<std::string> const& keys) = 0;
  virtual void wait(std::vector<std::string> const& keys, std::chrono::milliseconds const& limit) = 0;
};
}  // namespace rendezvous

}  // namespace gloo
