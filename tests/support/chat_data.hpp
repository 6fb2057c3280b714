#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// Writes 80 conversations for each source (ROOT/chats0.jsonl, ...), and the tokenizer and template that transformers
/// made (tests/data/conversation_oracle.py). Each record has a number `by`, which falls while conversations become
/// longer. Returns the options that name all this.
inline std::vector<std::string> chat_data(std::filesystem::path const& root, int sources) {
  using nlohmann::json;
  std::ifstream cases(std::filesystem::path(__FILE__).parent_path().parent_path() / "data" / "conversation_cases.json");
  auto const made = json::parse(cases);
  std::filesystem::create_directories(root / "base");
  std::ofstream(root / "base" / "tokenizer.json") << made["tokenizer"].get<std::string>();
  std::ofstream(root / "base" / "chat_template.jinja") << made["cases"][0]["template"].get<std::string>();
  std::vector<std::string> options{"--data.tokenizer", (root / "base" / "tokenizer.json").string()};
  for (int s = 0; s < sources; ++s) {
    auto const file = root / ("chats" + std::to_string(s) + ".jsonl");
    std::ofstream out(file);
    for (int i = 0; i < 80; ++i) {
      json const ask{{"role", "user"}, {"content", std::to_string(i) + std::string(std::size_t(i / 8), '+') + "?"}};
      json const answer{{"role", "assistant"}, {"content", std::to_string(s) + " and " + std::to_string(i * i)}};
      out << json{{"messages", {ask, answer}}, {"by", -i}}.dump() << "\n";
    }
    options.insert(options.end(), {"--data", file.string()});
  }
  return options;
}
