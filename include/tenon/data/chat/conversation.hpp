#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/chat/chat_template.hpp"

/// Conversations in the form that a model knows, with what its assistant says in them.
namespace tenon::data::chat {

/// A conversation as text, and the bytes of it that the assistant says, in order and not empty.
struct conversation {
  std::string text;
  std::vector<byte_range> answers;
};

/// How a model wants a conversation written: its chat template, and the tokens that the template names. Immutable.
class format {
 public:
  /// Errors: those of chat_template.
  format(std::string_view text, std::string bos_token, std::string eos_token)
      : template_(text),
        bos_(std::move(bos_token)),
        eos_(std::move(eos_token)),
        fingerprint_(
            sha256::hex_of(json{std::string(text), bos_, eos_}.dump(-1, ' ', false, json::error_handler_t::replace))) {}

  /// The conversation as text; with `ask`, up to where the model's answer begins. `messages`: an array of objects with
  /// role and content. Errors: those of chat_template.
  std::string text(json const& messages, bool ask) const { return template_.render(names(messages, ask)); }

  /// The conversation as text, and what the assistant says. A template that marks it ({% generation %}) decides, as
  /// apply_chat_template(return_assistant_tokens_mask=True) does. With any other, an answer is what the text of the
  /// conversation up to it has more than the text that asks for it; so the marks by which a turn ends belong to it.
  /// Errors: those of chat_template; a template that writes the beginning of a conversation in another way once it goes
  /// on, so that no place in the text is where the answer begins.
  conversation with_answers(json const& messages) const {
    conversation c;
    if (template_.marks_answers()) {
      c.text = template_.render(names(messages, false), &c.answers);
      std::erase_if(c.answers, [](byte_range r) { return r.first == r.last; });
      return c;
    }
    c.text = text(messages, false);
    json before = json::array();
    for (auto const& m : messages) {
      if (m.value("role", "") != "assistant") {
        before.push_back(m);
        continue;
      }
      auto const asked = text(before, true);
      before.push_back(m);
      auto const answered = before.size() == messages.size() ? c.text : text(before, false);
      if (!answered.starts_with(asked) || !c.text.starts_with(answered))
        throw error(
            "the chat template writes what stands before answer " + std::to_string(before.size()) +
            " in another way once the conversation goes on, so the answer has no beginning in the text; mark it "
            "in the template with {% generation %}");
      if (asked.size() < answered.size()) c.answers.push_back({asked.size(), answered.size()});
    }
    return c;
  }

  /// SHA-256 (hexadecimal) of the template and its tokens: equal if and only if they write alike.
  std::string const& fingerprint() const { return fingerprint_; }

 private:
  json names(json const& messages, bool ask) const {
    return {{"messages", messages}, {"add_generation_prompt", ask}, {"bos_token", bos_}, {"eos_token", eos_}};
  }

  chat_template template_;
  std::string bos_, eos_, fingerprint_;
};

}  // namespace tenon::data::chat
