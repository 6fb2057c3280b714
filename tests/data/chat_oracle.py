"""chat_oracle.py OUT: what transformers' apply_chat_template makes of the templates below and some conversations, as JSON: a list of
{"template", "names", "text"}, or "error": true where it raises. tests/data/chat_cases.json is its committed output.

The templates have the constructs of those that DeepSeek's and related models are published with: LLM and V2 ("User: ...\\n\\n"), Coder
("### Instruction:"), V2.5, V3 and R1 (namespaces, tool calls, thoughts cut off), ChatML and Llama-3 (trim, loop.first)."""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from transformers.utils.chat_template_utils import render_jinja_template

BOS, EOS, USER, ANSWER = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"

LLM = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

CODER = """{% if not add_generation_prompt is defined %}
{% set add_generation_prompt = false %}
{% endif %}
{%- set ns = namespace(found=false) -%}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set ns.found = true -%}
    {%- endif -%}
{%- endfor -%}
{{bos_token}}{%- if not ns.found -%}
{{'You answer questions about programs.\\n'}}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
{{ message['content'] }}
    {%- else %}
        {%- if message['role'] == 'user' %}
{{'### Instruction:\\n' + message['content'] + '\\n'}}
        {%- else %}
{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}
{{'### Response:'}}
{% endif %}
"""

V3 = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{%- set ns = namespace(first=true, is_tool=false, system='') -%}
{#- the system's words come first, wherever they stand -#}
{%- for message in messages %}{% if message['role'] == 'system' %}{% if ns.first %}{% set ns.system = ns.system + message['content'] %}{% set ns.first = false %}{% else %}{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{% endif %}{% endif %}{% endfor %}
{{- bos_token }}{{ ns.system }}
{%- for message in messages %}
  {%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{ 'USER' + message['content'] }}
  {%- elif message['role'] == 'assistant' and message['tool_calls'] is defined and message['tool_calls'] is not none %}
    {%- set ns.is_tool = true %}
    {%- for tool in message['tool_calls'] %}
      {%- if loop.first %}{% if message['content'] is none or not message['content'] %}{{ 'ANSWER<calls>' }}{% else %}{{ 'ANSWER' + message['content'] + '<calls>' }}{% endif %}{% else %}{{ '\\n' }}{% endif %}
      {{- '<call>' + tool['type'] + '<sep>' + tool['function']['name'] + '\\n```json\\n' + (tool['function']['arguments'] if tool['function']['arguments'] is string else tool['function']['arguments'] | tojson) + '\\n```<end>' }}
      {%- if loop.last %}{{ '</calls>' + eos_token }}{% endif %}
    {%- endfor %}
  {%- elif message['role'] == 'assistant' %}
    {%- set content = message['content'] %}
    {%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
    {{- 'ANSWER' + content.strip() + eos_token }}
  {%- elif message['role'] == 'tool' %}{{ '<output>' + message['content'] + '</output>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt and not ns.is_tool %}{{ 'ANSWER' }}{% if thinking is defined and thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}""".replace("USER", USER).replace("ANSWER", ANSWER)

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start|>' + message['role'] + '<|end|>\n\n'+ message['content'] | trim + '<|eot|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start|>assistant<|end|>\n\n' }}"""

STRICT = """{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate') }}
    {% endif %}
    {{ message.role }}: {{ message.content }}
{% endfor %}"""

MIXED = """{#- everything else of the subset -#}
{%- set words = ['a', "b", 'c'] + [1, 2.0, true, none] %}
{{ words | length }} {{ words }} {{ words[1:3] | join('-') }} {{ words[-1] }} {{ words[:2] }}
{% for k, v in {'x': 1, 'y': [2, {'z': "it's"}]}.items() %}
  {{ loop.index }}/{{ loop.length }} {{ k }}={{ v }}{% if not loop.last %},{% endif +%}
{% else %}
none
{% endfor %}
{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}[{{ m.role | upper }} {{ m.content | trim if m.content is string and 'x' not in m.content else 'X' }}]{% endfor %}

{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 * 3 + 1 }} {{ 1 ~ 2 }} {{ 'ab' < 'b' }} {{ 3 >= 2 }} {{ not 1 == 2 }}
{{ missing }}|{{ missing is defined }}|{{ missing | default('none given') }}|{{ '' | default('empty', true) }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ (messages | last).role }} {{ messages[0].get('name', 'nobody') }}
{{ {'a': [1, 'é', none], 'b': {}} | tojson }} {{ '  x '.strip() }}|{{ 'a,b,c'.split(',') | last }}|{{ 'abc'.replace('b', 'x') }}|{{ 'abc'.startswith('a') and 'abc'.endswith('c') }}
{% set block %}inner {{ 1 + 1 }}{% endset %}{{ block }} {{ range(3) | list }} {{ messages is mapping }} {{ none is none }}
   {%- if true %} kept{% endif %}   
tail"""

plain = lambda *words: [{"role": r, "content": c} for r, c in zip(("user", "assistant") * 9, words)]
system = [{"role": "system", "content": " Be exact. "}]
call = lambda arguments, content: {"role": "assistant", "content": content, "tool_calls": [
    {"type": "function", "function": {"name": "weather", "arguments": arguments}}, {"type": "function", "function": {"name": "time", "arguments": "{}"}}]}
CONVERSATIONS = [
    plain("Hello"), plain(" 1 + 1? ", "2\n", "and 1 + 2?"), system + plain("你好，世界", "it's \"fine\"", "ok"), plain("x", "<think>let me see</think>\n\n3 "),
    plain("rain?") + [call('{"city": "Köln"}', None), {"role": "tool", "content": "dry"}] + plain("thanks")[:1],
    plain("rain?") + [call({"city": "Köln", "days": [1, 2]}, "I look."), {"role": "tool", "content": "dry"}], system + plain("a", "b") + system + plain("c"),
]

cases = []
for template in (LLM, CODER, V3, CHATML, LLAMA3, STRICT, MIXED):
    for messages in CONVERSATIONS:
        for prompt in (False, True):
            names = {"messages": messages, "add_generation_prompt": prompt, "bos_token": BOS, "eos_token": EOS}
            if prompt and messages is CONVERSATIONS[0]:
                names["thinking"] = True
            try:
                rest = {k: v for k, v in names.items() if k not in ("messages", "add_generation_prompt")}
                text = render_jinja_template([messages], chat_template=template, add_generation_prompt=prompt, **rest)[0][0]
                cases.append({"template": template, "names": names, "text": text})
            except Exception as e:
                cases.append({"template": template, "names": names, "error": True})
with open(sys.argv[1], "w", encoding="utf-8") as f:
    json.dump(cases, f, ensure_ascii=False, indent=1)
    f.write("\n")
print(f"{len(cases)} cases, {sum('error' in c for c in cases)} refused")
