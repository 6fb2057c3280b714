#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tenon/data/chat/chat_template.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/deploy/config_reader.hpp"

namespace tenon::deploy {

/// One turn of a conversation.
struct chat_message {
  std::string role, content;
};

/// How a model wants a conversation written: its chat template and the tokens that the template names.
class chat_format {
 public:
  chat_format(std::string_view text, std::string bos_token, std::string eos_token)
      : template_(text), bos_(std::move(bos_token)), eos_(std::move(eos_token)) {}

  /// The conversation as text; with `ask`, up to where the model's answer begins. Errors: those of chat_template.
  std::string text(std::vector<chat_message> const& messages, bool ask) const {
    data::chat::json list = data::chat::json::array();
    for (auto const& m : messages) list.push_back({{"role", m.role}, {"content", m.content}});
    return template_.render(
        {{"messages", list}, {"add_generation_prompt", ask}, {"bos_token", bos_}, {"eos_token", eos_}});
  }

 private:
  data::chat::chat_template template_;
  std::string bos_, eos_;
};

/// The chat format of a run or model directory: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
/// several, the one named "default"). Throws tenon::error where there is none, or it is not understood.
inline chat_format load_chat_format(std::filesystem::path const& directory, data::tokenizer const& tokens) {
  std::string text, bos, eos = tokens.definition().end_of_text;
  auto const settings = directory / "tokenizer_config.json";
  if (std::filesystem::exists(settings)) {
    auto const json = read_json_object(settings);
    auto const token = [&](char const* key, std::string& into) {
      auto const v = json.value(key, nlohmann::json());
      if (v.is_string()) into = v.get<std::string>();
      if (v.is_object() && v.contains("content") && v["content"].is_string()) into = v["content"].get<std::string>();
    };
    token("bos_token", bos), token("eos_token", eos);
    auto const given = json.value("chat_template", nlohmann::json());
    if (given.is_string()) text = given.get<std::string>();
    if (given.is_array())
      for (auto const& one : given)
        if (one.is_object() && one.value("name", "") == "default") text = one.value("template", "");
  }
  auto const file = directory / "chat_template.jinja";
  if (std::filesystem::exists(file)) {
    std::ifstream in(file, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  if (text.empty())
    throw error("'" + directory.string() +
                "' has no chat template, so a conversation has no form that the model knows; put one into "
                "chat_template.jinja there, or continue a text with --prompt");
  return chat_format(text, bos, eos);
}

}  // namespace tenon::deploy
