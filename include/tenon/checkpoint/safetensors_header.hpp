#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/checkpoint/dtype.hpp"
#include "tenon/checkpoint/io.hpp"
#include "tenon/core/error.hpp"

namespace tenon::checkpoint {

/// The format's own limit on the JSON header, in bytes.
inline constexpr std::uint64_t max_header_size = 100'000'000;
/// The most dimensions of a tensor that this reader takes (the format has no limit; LibTorch does).
inline constexpr std::size_t max_rank = 64;

/// A file mapped for reading. Throws io_error; refuses anything but a regular file.
class mapped_file {
 public:
  explicit mapped_file(path const& file) {
    int const descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) throw io_error("open", file, errno);
    struct stat facts {};
    int code = ::fstat(descriptor, &facts) != 0 ? errno : 0;
    if (code == 0 && !S_ISREG(facts.st_mode)) code = S_ISDIR(facts.st_mode) ? EISDIR : EINVAL;
    size_ = static_cast<std::size_t>(facts.st_size);
    if (code == 0 && size_ > 0) {
      data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (data_ == MAP_FAILED) code = errno;
    }
    ::close(descriptor);
    if (code != 0) throw io_error("map", file, code);
  }
  mapped_file(mapped_file&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  mapped_file& operator=(mapped_file&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~mapped_file() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }

  /// The file's bytes; valid while this object lives.
  std::span<std::byte const> bytes() const { return {static_cast<std::byte const*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// One entry of a header; begin and end count from the start of the file.
struct tensor_entry {
  std::string name;
  dtype type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;
};

/// A checked header: entries in the order of their data.
struct safetensors_header {
  std::vector<tensor_entry> tensors;
  std::map<std::string, std::string> metadata;
};

namespace detail {

/// Reads the header as a stream of events, so that a hostile file costs no more memory than its useful part. Every
/// event returns false, with `why` set, as soon as a rule is broken.
class header_events {
 public:
  std::string why;
  std::vector<tensor_entry> tensors;
  std::map<std::string, std::string> metadata;

  bool null() { return refuse("null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(std::int64_t) { return refuse("a negative number"); }
  bool number_float(double, std::string const&) { return refuse("a number that is not a 64-bit integer"); }
  bool binary(nlohmann::json::binary_t&) { return refuse("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (at_ == place::shape) {
      if (value > static_cast<std::uint64_t>(INT64_MAX)) return fail(in_tensor() + "has a size beyond 2^63");
      if (tensors.back().shape.size() == max_rank) return fail(in_tensor() + "has more than 64 dimensions");
      tensors.back().shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (at_ != place::offsets) return refuse("a number");
    if (num_offsets_ == 2) return fail(in_tensor() + "has more than two data_offsets");
    (num_offsets_++ == 0 ? tensors.back().begin : tensors.back().end) = value;
    return true;
  }

  bool string(std::string& value) {
    if (at_ == place::metadata) {
      metadata[key_] = std::move(value);
      return true;
    }
    if (at_ != place::tensor || key_ != "dtype") return refuse("a string");
    auto const type = dtype_named(value);
    if (!type) return fail(in_tensor() + "has dtype '" + value.substr(0, 40) + "', which this build does not know");
    tensors.back().type = *type;
    return true;
  }

  bool start_object(std::size_t) {
    if (at_ == place::before) return move(place::top);
    if (at_ != place::top) return refuse("an object");
    if (key_ == "__metadata__") return move(place::metadata);
    tensors.push_back({key_, dtype::U8, {}, 0, 0});
    seen_ = 0;
    return move(place::tensor);
  }

  bool key(std::string& value) {
    if (at_ == place::tensor) {
      unsigned const bit = value == "dtype" ? 1u : value == "shape" ? 2u : value == "data_offsets" ? 4u : 0u;
      if (bit == 0) return fail(in_tensor() + "has an unknown key '" + value.substr(0, 40) + "'");
      if ((seen_ & bit) != 0) return fail(in_tensor() + "gives '" + value + "' twice");
      seen_ |= bit;
    } else if (at_ == place::metadata ? metadata.count(value) != 0 : !names_.insert(value).second) {
      return fail("the header gives '" + value.substr(0, 80) + "' twice");
    }
    key_ = std::move(value);
    return true;
  }

  bool end_object() {
    if (at_ == place::top) return move(place::after);
    if (at_ == place::tensor && seen_ != 7)
      return fail(in_tensor() + "lacks '" +
                  ((seen_ & 1) == 0   ? "dtype"
                   : (seen_ & 2) == 0 ? "shape"
                                      : "data_offsets") +
                  "'");
    return move(place::top);
  }

  bool start_array(std::size_t) {
    num_offsets_ = 0;
    if (at_ == place::tensor && key_ == "shape") return move(place::shape);
    if (at_ == place::tensor && key_ == "data_offsets") return move(place::offsets);
    return refuse("an array");
  }

  bool end_array() {
    if (at_ == place::offsets && num_offsets_ != 2) return fail(in_tensor() + "needs exactly two data_offsets");
    return move(place::tensor);
  }

  bool parse_error(std::size_t position, std::string const&, nlohmann::json::exception const&) {
    return fail("the header is not JSON in UTF-8 (at its byte " + std::to_string(position) + ")");
  }

 private:
  enum class place { before, top, metadata, tensor, shape, offsets, after };

  bool move(place next) {
    at_ = next;
    return true;
  }
  bool fail(std::string sentence) {
    why = std::move(sentence);
    return false;
  }
  std::string in_tensor() const { return "tensor '" + tensors.back().name.substr(0, 80) + "' "; }
  bool refuse(std::string const& what) {
    if (at_ == place::before) return fail("the header must be a JSON object");
    if (at_ == place::top) return fail("entry '" + key_.substr(0, 80) + "' is " + what + " instead of an object");
    if (at_ == place::metadata)
      return fail("__metadata__ may hold strings only, and '" + key_.substr(0, 80) + "' is " + what);
    return fail(in_tensor() + "has " + what + " at '" + key_ + "'");
  }

  place at_ = place::before;
  std::string key_;
  unsigned seen_ = 0;
  int num_offsets_ = 0;
  std::set<std::string> names_;
};

}  // namespace detail

/// Checks a whole safetensors file in memory against every rule of the format and returns its header. `where` is the
/// name to use in messages. Throws tenon::error: the file, the rule it breaks, and what to do. Bounded by the bytes
/// given: nothing is allocated because a header asks for it.
inline safetensors_header parse_safetensors(std::span<std::byte const> file, std::string const& where) {
  auto const fail = [&](std::string const& why) {
    return error("'" + where + "' is not a valid safetensors file: " + why + "; fetch or write it again");
  };
  if (file.size() < 8)
    throw fail("it has " + std::to_string(file.size()) + " bytes, fewer than the 8 of a header's length");
  std::uint64_t header_size;
  std::memcpy(&header_size, file.data(), 8);
  if (header_size > max_header_size)
    throw fail("its header claims " + std::to_string(header_size) + " bytes, above the limit of 100 MB");
  if (header_size > file.size() - 8) throw fail("its header claims more bytes than the file has");
  std::string_view text(reinterpret_cast<char const*>(file.data()) + 8, static_cast<std::size_t>(header_size));
  if (text.empty() || text.front() != '{') throw fail("its header does not begin with '{'");
  text.remove_suffix(text.size() - 1 - text.find_last_not_of(' '));

  detail::header_events events;
  bool const whole = nlohmann::json::sax_parse(text.begin(), text.end(), &events);
  if (!events.why.empty() || !whole) throw fail(events.why.empty() ? "its header is not JSON" : events.why);
  if (text.back() != '}') throw fail("its header ends in something other than spaces");

  auto& tensors = events.tensors;
  std::sort(tensors.begin(), tensors.end(), [](auto const& a, auto const& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end < b.end : a.name < b.name;
  });
  std::uint64_t const data_size = file.size() - 8 - header_size;
  std::uint64_t offset = 0;
  for (auto& entry : tensors) {
    std::string const name = "tensor '" + entry.name.substr(0, 80) + "' ";
    if (entry.end < entry.begin) throw fail(name + "ends before it begins");
    if (entry.begin != offset)
      throw fail(name + (entry.begin > offset ? "leaves a hole before it" : "overlaps the one before it"));
    if (entry.end > data_size) throw fail(name + "reaches beyond the end of the file");
    auto const size = bytes_of(entry.type, entry.shape);
    if (!size) throw fail(name + "has a shape whose product overflows");
    if (*size != entry.end - entry.begin) throw fail(name + "has data_offsets that do not fit its dtype and shape");
    offset = entry.end;
    entry.begin += 8 + header_size;
    entry.end += 8 + header_size;
  }
  if (offset != data_size) throw fail(std::to_string(data_size - offset) + " bytes follow the last tensor");
  return {std::move(tensors), std::move(events.metadata)};
}

}  // namespace tenon::checkpoint
