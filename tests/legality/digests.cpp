// docs/digests.md: which field of which policy belongs to which digest, printed from the types.
#include <array>
#include <string>

#include "legality/pages.hpp"
#include "support/policies.hpp"
#include "support/test.hpp"
#include "tenon/recipe/fields.hpp"

namespace {

namespace tn = tenon;

/// A line for each policy: its fields under the digest that they belong to. A field without one fails.
std::string digests_page() {
  std::string page =
      "# Digests\n\n"
      "A run has three digests, SHA-256 of a canonical text of its choices and fields. *identity* must match on resume (or\n"
      "a [migration](checkpoints.md#another-shape) is needed), *layout* may differ, *numbers* may differ where `--change`\n"
      "asked for it. Every fixed and every trajectory field belongs to exactly one of them; operational fields belong to\n"
      "none. `strings PROGRAM | grep 'tenon recipe'` and `--help` show those that are compiled into a program; the start\n"
      "of a run, `log.jsonl`, TensorBoard's text and each checkpoint's manifest those of the run. They are the same from\n"
      "g++ and clang, and `tenon::diff(a, b)` names the fields in which two recipes differ.\n\n"
      "This page is printed from the types; `./tenon test legality` fails when it is stale and\n"
      "`./tenon test legality --update` writes it anew.\n\n"
      "| policy | identity | layout | numbers | operational |\n| --- | --- | --- | --- | --- |\n";
  shipped::for_each_axis_tag([&](auto tag) {
    using axis = decltype(tag);
    std::string const name(axis::name);
    auto const cell = [](std::string const& text) { return " " + text + (text.empty() ? "|" : " |"); };
    std::array<std::string, 4> choice{};
    choice[std::size_t(axis::choice)] = "*the choice*";
    page += "| **" + name + "** |";
    for (auto const& c : choice) page += cell(c);
    page += "\n";
    std::string last;
    tn::hetero::for_each(shipped::choices(tag), [&](auto const& one) {
      std::string const kind(one.policy.kind);
      if (kind == last) return;  // the same policy with other values
      last = kind;
      std::array<std::string, 4> fields{};
      auto add = [&](std::string const& path, auto const& member) {
        auto const d = std::size_t(tn::field_traits<std::remove_cvref_t<decltype(member)>>::belongs_to);
        auto const field = path.size() > name.size() ? path.substr(name.size() + 1) : path;
        fields[d] += (fields[d].empty() ? "`" : ", `") + field + "`";
      };
      auto const policy = one.policy;
      tn::fields::walk(name, policy, add);
      page += "| `" + (name == kind ? kind : name + "::" + kind) + "` |";
      for (auto const& f : fields) page += cell(f);
      page += "\n";
    });
  });
  return page;
}

TEST("docs/digests.md is what the types say now (else: ./tenon test legality --update)") {
  EXPECT(legality::up_to_date("digests.md", digests_page()));
}

}  // namespace
