#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tenon::observe {

/// A protocol-buffer message being written: fields in the order of the calls, by number. Five wire forms are all that
/// event files need, and a library would bring a second copy of protobuf beside LibTorch's.
class protobuf {
 public:
  /// An integer, boolean or enumeration.
  protobuf& integer(std::uint32_t field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  /// A 64-bit floating-point number.
  protobuf& real(std::uint32_t field, double value) {
    key(field, 1);
    raw(&value, sizeof value);
    return *this;
  }
  /// A 32-bit floating-point number.
  protobuf& single(std::uint32_t field, float value) {
    key(field, 5);
    raw(&value, sizeof value);
    return *this;
  }
  /// Bytes or a string; strings must be valid UTF-8.
  protobuf& text(std::uint32_t field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  /// A message inside this one.
  protobuf& message(std::uint32_t field, protobuf const& value) { return text(field, value.bytes_); }

  /// The encoded message.
  std::string const& bytes() const { return bytes_; }

 private:
  static_assert(std::endian::native == std::endian::little);
  void key(std::uint32_t field, std::uint32_t wire) { varint(std::uint64_t{field} << 3 | wire); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  void raw(void const* data, std::size_t size) { bytes_.append(static_cast<char const*>(data), size); }

  std::string bytes_;
};

}  // namespace tenon::observe
