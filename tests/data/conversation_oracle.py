"""conversation_oracle.py OUT: ids of conversations and which of them the assistant says, by transformers; as JSON
{"tokenizer": text of tokenizer.json, "eos", "cases": [{"template", "messages", "ids", "mask"}]}. tests/data/conversation_cases.json
is its committed output.

Templates with {% generation %}: apply_chat_template(return_assistant_tokens_mask=True). Those without have no mask in transformers; there
an answer is, by its definition in docs/fine-tuning.md, what the conversation's text up to it has more than the text that asks for it, and
a token is the assistant's where its offsets overlap."""
import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, USER, ANSWER = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
MARKED = """{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant
{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}

{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TIGHT = """{% for m in messages %}
    {%- if m.role == 'assistant' -%}
        Assistant: {% generation %}{{ m.content | trim }}{% endgeneration -%}
        {{ eos_token }}
    {%- else -%}
        {{ m.role | upper }}: {{ m.content }}{{ '\\n\\n' }}
    {%- endif -%}
{%- endfor %}"""
LLM = """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""
V3 = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ 'USER' + m.content }}{% elif m.role == 'assistant' %}{{ 'ANSWER' + m.content + eos_token }}{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ANSWER' }}{% endif %}""".replace("USER", USER).replace("ANSWER", ANSWER)

t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.decoder = decoders.ByteLevel()
t.train_from_iterator(["User: what is the sum of one and two?\n\nAssistant: The sum is three. the answer, the question, the end of the text 123 456"] * 3,
                      trainers.BpeTrainer(vocab_size=330, special_tokens=[BOS, EOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in (USER, ANSWER, "<|im_start|>", "<|im_end|>")])
tokenizer = PreTrainedTokenizerFast(tokenizer_object=t, bos_token=BOS, eos_token=EOS)

turns = lambda *words: [{"role": r, "content": c} for r, c in zip(("user", "assistant") * 9, words)]
system = [{"role": "system", "content": "Answer the question."}]
CONVERSATIONS = [
    turns("what is the sum?", "The sum is three."), turns("1 + 1?", "2", "and 1 + 2?", "3"), system + turns("你好，世界", "你好！🙂", "ok 🧠", "🙂"),
    turns("a", "<|im_end|> is a token", "the end", " the answer \n"), turns("question", "", "again", "answer"), turns("question", "answer", "nobody answers this"),
    system + turns("x\n\ny", "Assistant: no,\n\nUser: yes"), turns("é", "e\u0301, ü, ß"),
]

cases = []
for template in (MARKED, TIGHT, LLM, V3):
    for messages in CONVERSATIONS:
        both = dict(chat_template=template, return_dict=True)
        if "{% generation %}" in template:
            out = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, **both)
            ids, mask = out["input_ids"], out["assistant_masks"]
        else:
            whole = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template)
            encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
            ids, mask = encoded["input_ids"], [0] * len(encoded["input_ids"])
            for i, m in enumerate(messages):
                if m["role"] == "assistant":
                    first = len(tokenizer.apply_chat_template(messages[:i], tokenize=False, chat_template=template, add_generation_prompt=True))
                    last = len(tokenizer.apply_chat_template(messages[:i + 1], tokenize=False, chat_template=template))
                    for k, (a, b) in enumerate(encoded["offset_mapping"]):
                        mask[k] |= int(a < last and b > first)
        assert ids == tokenizer.apply_chat_template(messages, **both)["input_ids"]
        cases.append({"template": template, "messages": messages, "ids": ids, "mask": mask})
with tempfile.TemporaryDirectory() as d:
    tokenizer.save_pretrained(d)
    with open(os.path.join(d, "tokenizer.json"), encoding="utf-8") as f:
        definition = f.read()
with open(sys.argv[1], "w", encoding="utf-8") as f:
    json.dump({"bos": BOS, "eos": EOS, "tokenizer": definition, "cases": cases}, f, ensure_ascii=False, indent=None, separators=(",", ":"))
    f.write("\n")
print(f"{len(cases)} conversations, {sum(sum(c['mask']) for c in cases)} of {sum(len(c['ids']) for c in cases)} tokens are the assistant's")
