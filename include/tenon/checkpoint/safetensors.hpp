#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/checkpoint/io.hpp"
#include "tenon/checkpoint/safetensors_header.hpp"
#include "tenon/core/crc32c.hpp"
#include "tenon/core/error.hpp"

namespace tenon::checkpoint {

/// A tensor to be written: row-major, contiguous, little-endian; `data` holds product(shape) elements of `type`.
struct tensor_view {
  std::string name;
  dtype type;
  std::vector<std::int64_t> shape;
  void const* data;
};

/// Names and values of `__metadata__`; the writer adds format = pt unless it is given.
using tensor_metadata = std::map<std::string, std::string>;

namespace detail {

inline std::string quoted_json(std::string const& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (nlohmann::json::exception const&) {
    throw error("a tensor name or metadata string is not valid UTF-8, which safetensors requires; rename it");
  }
}

inline void sort_and_check(std::vector<tensor_view>& tensors) {
  // Larger elements first, then by dtype as the reference writer does, then by name: the data stays aligned.
  std::sort(tensors.begin(), tensors.end(), [](tensor_view const& a, tensor_view const& b) {
    return a.type != b.type ? a.type > b.type : a.name < b.name;
  });
  std::vector<std::string_view> names;
  for (auto const& tensor : tensors) {
    names.push_back(tensor.name);
    if (tensor.name == "__metadata__") throw error("'__metadata__' cannot be the name of a tensor; rename it");
    auto const size = bytes_of(tensor.type, tensor.shape);
    if (!size) throw error("tensor '" + tensor.name + "' has a negative or overflowing shape; check its sizes");
    if (tensor.data == nullptr && *size > 0)
      throw error("tensor '" + tensor.name + "' of " + std::to_string(*size) + " bytes has no data; fill it first");
  }
  std::sort(names.begin(), names.end());
  auto const twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw error("two tensors are named '" + std::string(*twice) + "'; names must be unique");
}

inline std::string make_header(std::vector<tensor_view> const& sorted, tensor_metadata metadata) {
  metadata.try_emplace("format", "pt");
  std::string header = "{\"__metadata__\":{";
  for (char const* comma = ""; auto const& [key, value] : metadata) {
    header += comma + quoted_json(key) + ":" + quoted_json(value);
    comma = ",";
  }
  header += '}';
  std::uint64_t offset = 0;
  for (auto const& tensor : sorted) {
    header += "," + quoted_json(tensor.name) + ":{\"dtype\":\"" + std::string(name_of(tensor.type)) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      if (i > 0) header += ',';
      header += std::to_string(tensor.shape[i]);
    }
    std::uint64_t const end = offset + *bytes_of(tensor.type, tensor.shape);
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > max_header_size)
    throw error("the names of these tensors need more than safetensors' 100 MB header");
  return header;
}

}  // namespace detail

/// Streams a safetensors file into `sink`, which has write(void const*, size_t). Tensors are ordered by descending
/// alignment, then name, and the header is padded to 8 bytes, as the reference writer does. Returns CRC-32C (8 hex
/// digits) by tensor name. Throws tenon::error on a duplicate name, a bad shape or text that is not UTF-8.
template <class Sink>
std::map<std::string, std::string> write_safetensors(Sink& sink, std::vector<tensor_view> tensors,
                                                     tensor_metadata const& metadata = {}) {
  detail::sort_and_check(tensors);
  std::string const header = detail::make_header(tensors, metadata);
  std::uint64_t const size = header.size();
  sink.write(&size, sizeof size);
  sink.write(header.data(), header.size());
  std::map<std::string, std::string> checksums;
  for (auto const& tensor : tensors) {
    std::uint64_t left = *bytes_of(tensor.type, tensor.shape);
    auto const* bytes = static_cast<char const*>(tensor.data);
    std::uint32_t checksum = 0;
    while (left > 0) {  // piecewise, so that checksum, hash and write find the bytes in cache
      std::size_t const piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, 1 << 20));
      checksum = crc32c(bytes, piece, checksum);
      sink.write(bytes, piece);
      bytes += piece;
      left -= piece;
    }
    checksums.emplace(tensor.name, hex_of(checksum));
  }
  return checksums;
}

/// A tensor in a mapped file. `bytes` is as long as `type` and `shape` say and is valid while the file object lives; it
/// is aligned only if the writer aligned it, so copy with memcpy.
struct stored_tensor {
  dtype type;
  std::vector<std::int64_t> shape;
  std::span<std::byte const> bytes;
};

/// A safetensors file, mapped and checked against every rule of the format; nothing in it is executed or trusted.
class safetensors_file {
 public:
  /// Maps and checks. Throws io_error, or tenon::error naming the file and the rule it breaks. The file must not shrink
  /// while it is open.
  explicit safetensors_file(path const& file) : map_(file), where_(file.string()) {
    auto parsed = parse_safetensors(map_.bytes(), where_);
    metadata_ = std::move(parsed.metadata);
    for (auto& entry : parsed.tensors)
      tensors_.emplace(
          std::move(entry.name),
          stored_tensor{entry.type, std::move(entry.shape),
                        map_.bytes().subspan(entry.begin, static_cast<std::size_t>(entry.end - entry.begin))});
  }

  /// All tensors by name.
  std::map<std::string, stored_tensor> const& tensors() const { return tensors_; }
  /// The strings of `__metadata__`.
  tensor_metadata const& metadata() const { return metadata_; }
  /// The tensor of this name; throws tenon::error naming file and tensor if there is none.
  stored_tensor const& at(std::string const& name) const {
    auto const found = tensors_.find(name);
    if (found == tensors_.end())
      throw error("'" + where_ + "' has no tensor '" + name + "'; it is not from this model");
    return found->second;
  }

 private:
  mapped_file map_;
  std::string where_;
  std::map<std::string, stored_tensor> tensors_;
  tensor_metadata metadata_;
};

}  // namespace tenon::checkpoint
