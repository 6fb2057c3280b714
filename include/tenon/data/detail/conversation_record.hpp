#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tenon/core/error.hpp"
#include "tenon/data/chat/conversation.hpp"

namespace tenon::data::detail {

/// One line of a file of conversations.
struct conversation_record {
  chat::conversation content;
  std::optional<double> difficulty;
};

/// Reads {"messages": [{"role": ..., "content": ...}, ...]}: `field` names the list, `difficulty_field` (may be empty)
/// a number beside it. What else the record or a message holds is the template's affair. Throws tenon::error with the
/// reason alone: no such list; a message without role or content; no answer to learn from; what the template refuses.
inline conversation_record read_conversation(std::string_view line, std::string const& field,
                                             std::string const& difficulty_field, chat::format const& as) {
  auto const json = chat::json::parse(line, nullptr, false);
  if (json.is_discarded()) throw error("malformed JSON");
  if (!json.is_object()) throw error("the record is not a JSON object");
  auto const messages = json.find(field);
  if (messages == json.end()) throw error("the record has no field \"" + field + "\"");
  if (!messages->is_array() || messages->empty())
    throw error("field \"" + field +
                "\" is not a list of messages; write [{\"role\": \"user\", \"content\": \"...\"}, ...]");
  std::size_t n = 0;
  for (auto const& m : *messages) {
    auto const which = "message " + std::to_string(++n);
    if (!m.is_object()) throw error(which + " is not an object");
    if (!m.contains("role") || !m["role"].is_string()) throw error(which + " has no \"role\" that is a text");
    bool const calls = m.contains("tool_calls");  // such a message may say nothing
    if (!calls && (!m.contains("content") || !m["content"].is_string()))
      throw error(which + " has no \"content\" that is a text");
  }
  conversation_record r{as.with_answers(*messages), {}};
  if (r.content.answers.empty()) throw error("nobody answers in it, so there is nothing to learn");
  if (!difficulty_field.empty()) {
    auto const number = json.find(difficulty_field);
    if (number == json.end()) throw error("the record has no field \"" + difficulty_field + "\"");
    if (!number->is_number() || !std::isfinite(float(number->get<double>())))
      throw error("field \"" + difficulty_field + "\" is not a number");
    r.difficulty = number->get<double>();
  }
  return r;
}

}  // namespace tenon::data::detail
