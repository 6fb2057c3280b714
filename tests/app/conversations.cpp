// objective::sft beside policies of the data. What is learnt of a conversation, and how they share samples, is tested
// in tests/data/conversation_test.cpp; on ranks, with a mixture, in tests/ranks.
#include "support/program.hpp"

using namespace app_test;

namespace {

inline constexpr auto staged_chat =
    tiny.edit([](auto& r) { r.model.vocab = 336, r.horizon = 150_steps, r.batch.sequence = 64_tokens; })
        .with(objective::sft{},
              curriculum::by_field("by", {{.until = 50_steps, .high = 0.5}, {.until = 150_steps, .low = 0.25}}));

}  // namespace

TEST("conversations in stages of a curriculum: killed and resumed ends with the same bytes as straight through") {
  chats const p;
  killed_equals_straight<staged_chat>(p);
  auto const manifest = nlohmann::json::parse(bytes_of(p.checkpoint("killed", 150) / "manifest.json"))["body"];
  EXPECT(manifest["cursor"]["stage"] == 1);
  auto const said = bytes_of(p.log("straight"));
  EXPECT(said.find(" conversations in ") != std::string::npos);
  EXPECT(said.find(" tokens are answers") != std::string::npos);
}

TEST("conversations without the number that the curriculum orders by are named by line") {
  chats const p;
  std::ofstream(p.root / "chats0.jsonl", std::ios::app)
      << R"({"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}]})"
      << "\n";
  std::string printed;
  EXPECT(finish<staged_chat>(p, "run", {"--data.invalid=stop"}, printed) == 1);
  EXPECT(printed.find(":81: the record has no field \"by\"") != std::string::npos);
}
