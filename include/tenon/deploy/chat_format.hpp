#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tenon/data/chat/conversation.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/deploy/config_reader.hpp"

namespace tenon::deploy {

/// One turn of a conversation.
struct chat_message {
  std::string role, content;
};

/// How a model wants a conversation written.
using chat_format = data::chat::format;

/// Turns as the chat template takes them.
inline data::chat::json chat_messages(std::vector<chat_message> const& turns) {
  data::chat::json list = data::chat::json::array();
  for (auto const& m : turns) list.push_back({{"role", m.role}, {"content", m.content}});
  return list;
}

namespace detail {

/// The text of a directory's chat template and its tokens; an empty text where there is no template.
struct chat_files {
  std::string text, bos, eos;
};
inline chat_files read_chat_files(std::filesystem::path const& directory) {
  chat_files f;
  auto const settings = directory / "tokenizer_config.json";
  if (std::filesystem::exists(settings)) {
    auto const json = read_json_object(settings);
    auto const token = [&](char const* key, std::string& into) {
      auto const v = json.value(key, nlohmann::json());
      if (v.is_string()) into = v.get<std::string>();
      if (v.is_object() && v.contains("content") && v["content"].is_string()) into = v["content"].get<std::string>();
    };
    token("bos_token", f.bos), token("eos_token", f.eos);
    auto const given = json.value("chat_template", nlohmann::json());
    if (given.is_string()) f.text = given.get<std::string>();
    if (given.is_array())
      for (auto const& one : given)
        if (one.is_object() && one.value("name", "") == "default") f.text = one.value("template", "");
  }
  auto const file = directory / "chat_template.jinja";
  if (std::filesystem::exists(file)) {
    std::ifstream in(file, std::ios::binary);
    f.text.assign(std::istreambuf_iterator<char>(in), {});
  }
  return f;
}

}  // namespace detail

/// Whether a directory has a chat template.
inline bool has_chat_format(std::filesystem::path const& directory) {
  return !detail::read_chat_files(directory).text.empty();
}

/// The chat format of a run or model directory: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
/// several, the one named "default"). `end_of_text`: the eos_token where tokenizer_config.json names none. Throws
/// tenon::error where there is none, or it is not understood.
inline chat_format load_chat_format(std::filesystem::path const& directory, std::string const& end_of_text) {
  auto const f = detail::read_chat_files(directory);
  if (f.text.empty())
    throw error("'" + directory.string() +
                "' has no chat template, so a conversation has no form that the model knows; put one into "
                "chat_template.jinja there, or continue a text with --prompt");
  return chat_format(f.text, f.bos, f.eos.empty() ? end_of_text : f.eos);
}

}  // namespace tenon::deploy
