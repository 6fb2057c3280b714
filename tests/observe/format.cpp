#include "tenon/observe/format.hpp"

#include <cmath>
#include <limits>

#include "support/test.hpp"

using namespace tenon::observe;

TEST("numbers") {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(-123), "-123");
  EXPECT_EQ(fixed_point(3.14159, 2), "3.14");
  EXPECT_EQ(fixed_point(1e300, 0).size(), 301u);
  EXPECT_EQ(fixed_point(std::nan(""), 2), "nan");
  EXPECT_EQ(scientific(2.98e-4, 2), "2.98e-04");
  EXPECT_EQ(exact(0.1), "0.1");
  EXPECT_EQ(short_number(950), "950");
  EXPECT_EQ(short_number(0.5), "0.50");
  EXPECT_EQ(short_number(41'230), "41.2k");
  EXPECT_EQ(short_number(999'600), "1.00M");
  EXPECT_EQ(short_number(-3'100'000), "-3.10M");
  EXPECT_EQ(short_number(1e30), "1000000000000000P");
  EXPECT_EQ(short_number(std::numeric_limits<double>::infinity()), "inf");
}

TEST("bytes and durations") {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.50 KiB");
  EXPECT_EQ(bytes_text(24ull << 30), "24.0 GiB");
  EXPECT_EQ(bytes_text(~0ull), "16384 PiB");
  EXPECT_EQ(duration_text(0.42), "0.42 s");
  EXPECT_EQ(duration_text(7.26), "7.3 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(185), "3 min 05 s");
  EXPECT_EQ(duration_text(7'620), "2 h 07 min");
  EXPECT_EQ(duration_text(76 * 3600), "3 d 04 h");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "unknown");
  EXPECT_EQ(duration_text(-1), "unknown");
}

TEST("timestamps are RFC 3339 in UTC, before 1970 too") {
  using namespace std::chrono;
  EXPECT_EQ(timestamp(system_clock::time_point(milliseconds(0))), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(timestamp(system_clock::time_point(milliseconds(1'767'323'045'067))), "2026-01-02T03:04:05.067Z");
  EXPECT_EQ(timestamp(system_clock::time_point(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

TEST("JSON strings are valid whatever comes in") {
  EXPECT_EQ(json_string("a\"b\\c\n\t\r\x01\x7F"), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\"");
  EXPECT_EQ(json_string("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
  // overlong, surrogate, beyond U+10FFFF, cut short, stray continuation
  for (std::string const bad :
       {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80"})
    EXPECT(valid_utf8(bad).find("\xEF\xBF\xBD") == 0);
  EXPECT_EQ(valid_utf8("a\xFF"
                       "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(-std::numeric_limits<double>::infinity()), "\"-Infinity\"");
  EXPECT_EQ(json_number(std::nan("")), "\"NaN\"");
}
