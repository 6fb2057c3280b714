// docs/policies.md says of every policy and field what the types say.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "support/policies.hpp"
#include "support/test.hpp"
#include "tenon/recipe/fields.hpp"

namespace {

namespace tn = tenon;

std::string read_page() {
  char const* root = std::getenv("TENON_SOURCE_DIR");
  if (root == nullptr)
    throw tn::error("TENON_SOURCE_DIR is not set; run the tests with ./tenon test, or set it to the repository");
  std::ifstream file(std::string(root) + "/docs/policies.md");
  std::ostringstream all;
  all << file.rdbuf();
  if (!file || all.str().empty()) throw tn::error("docs/policies.md could not be read under " + std::string(root));
  return all.str();
}

/// The part of the page under "### `name".
std::string section(std::string const& page, std::string const& name) {
  auto begin = page.find("### `" + name + "`");
  if (begin == page.npos) begin = page.find("### `" + name + "<");
  if (begin == page.npos) return {};
  auto const end = page.find("\n#", begin + 3);
  return page.substr(begin, end - begin);
}

int count_rows(std::string const& text) {
  int rows = 0;
  for (auto at = text.find("\n| `"); at != text.npos; at = text.find("\n| `", at + 1)) ++rows;
  return rows;
}

template <class Policy>
void check_policy(std::string const& page, Policy policy) {
  std::string const axis(Policy::axis::name), kind(Policy::kind);
  std::string const text = section(page, axis == kind ? kind : axis + "::" + kind);
  DOCTEST_INFO("policy " << axis << "::" << kind);
  REQUIRE(!text.empty());
  int fields = 0;
  auto one_field = [&](auto const& self, std::string const& name, auto const& member) -> void {
    using member_type = std::remove_cvref_t<decltype(member)>;
    if constexpr (!tn::is_leaf<member_type> && !tn::fields::is_array<member_type>::value) {  // fields inside a field
      tn::for_each_field(member, [&](std::string_view inner, auto const& one) { self(self, name + "." + std::string(inner), one); });
      return;
    } else {
    using traits = tn::field_traits<std::remove_cvref_t<decltype(member)>>;
    using value_type = typename traits::value_type;
    ++fields;
    std::string const row = "| `" + name + "` | " + tn::to_text(traits::classification) + " | " +
                            tn::to_text(traits::belongs_to) + " | ";
    DOCTEST_INFO("row " << row);
    auto const at = text.find(row);
    REQUIRE(at != text.npos);
    std::string written = text.substr(at + row.size(), text.find(" |", at + row.size()) - at - row.size());
    if constexpr (tn::is_leaf<value_type>) {
      value_type const value = member;
      if (written == "required") return;  // no default to compare; a rule refuses what was left out
      REQUIRE(written.size() > 2);
      written = written.substr(1, written.size() - 2);
      if (written.front() == '"') written = written.substr(1, written.size() - 2);
      value_type read{};
      tn::parse_text(written, read);
      EXPECT_EQ(tn::to_text(read), tn::to_text(value));
    }
    }
  };
  if constexpr (tn::is_leaf<Policy>)
    one_field(one_field, kind, policy);
  else
    tn::for_each_field(policy, [&](std::string_view name, auto const& member) { one_field(one_field, std::string(name), member); });
  EXPECT_EQ(count_rows(text), fields);
  bool const usual = std::is_same_v<Policy, tn::default_policy_t<typename Policy::axis>>;
  std::string const name = axis == kind ? kind : axis + "::" + kind;
  EXPECT((page.find("Digest of the choice: " + tn::to_text(Policy::axis::choice) + ". Default: `" + name + "`.") !=
          page.npos) == usual);
}

TEST("docs/policies.md agrees with the types") {
  auto const page = read_page();
  std::set<std::string> policies;
  auto const check = [&]<class Policy>(shipped::choice<Policy> const&) {
    if (policies.insert(std::string(Policy::axis::name) + "::" + std::string(Policy::kind)).second)
      check_policy(page, Policy{});
  };
  shipped::for_each_axis_tag([&](auto tag) { tn::hetero::for_each(shipped::choices(tag), check); });
  tn::hetero::for_each(shipped::beside_the_product(), check);
  int headings = 0;
  for (auto at = page.find("\n### `"); at != page.npos; at = page.find("\n### `", at + 1)) ++headings;
  EXPECT_EQ(headings, static_cast<int>(policies.size()));
}

}  // namespace
