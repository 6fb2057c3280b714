#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/nn/dtype.hpp"

/// A file of this directory: what torch or transformers computed (make_goldens.py made it).
class golden {
 public:
  explicit golden(std::string const& name)
      : file_(std::filesystem::path(__FILE__).parent_path() / (name + ".safetensors")) {}

  /// The same from another place, such as files that were just made.
  explicit golden(std::filesystem::path const& directory, std::string const& name)
      : file_(directory / (name + ".safetensors")) {}

  auto const& tensors() const { return file_.tensors(); }
  /// A tensor's values, row-major, widened exactly from F16, F32 or F64.
  std::vector<double> reals(std::string const& name) const {
    using tenon::checkpoint::dtype;
    auto const& t = file_.at(name);
    switch (t.type) {
      case dtype::F64:
        return read<double>(t);
      case dtype::F32:
        return widened(read<float>(t));
      case dtype::F16: {
        std::vector<double> out;
        for (auto const bits : read<std::uint16_t>(t)) out.push_back(double(tenon::nn::widen(tenon::nn::fp16{bits})));
        return out;
      }
      default:
        throw tenon::error("the golden tensor '" + name + "' is not of reals; make the golden files anew");
    }
  }
  std::vector<float> floats(std::string const& name) const {
    auto const all = reals(name);
    return {all.begin(), all.end()};
  }
  std::vector<std::int64_t> integers(std::string const& name) const {
    auto const& t = file_.at(name);
    if (t.type != tenon::checkpoint::dtype::I64)
      throw tenon::error("the golden tensor '" + name + "' is not of integers; make the golden files anew");
    return read<std::int64_t>(t);
  }

 private:
  template <class T>
  static std::vector<T> read(tenon::checkpoint::stored_tensor const& t) {
    std::vector<T> out(t.bytes.size() / sizeof(T));
    std::memcpy(out.data(), t.bytes.data(), t.bytes.size());
    return out;
  }
  static std::vector<double> widened(std::vector<float> const& v) { return {v.begin(), v.end()}; }
  tenon::checkpoint::safetensors_file file_;
};

/// |a - b| / |b| over whole vectors.
template <class A, class B>
double relative_distance(A const* a, B const* b, std::size_t n) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < n; ++i)
    difference += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i])), norm += double(b[i]) * double(b[i]);
  return std::sqrt(difference / norm);
}
