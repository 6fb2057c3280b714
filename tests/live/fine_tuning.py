"""fine_tuning.py REPOSITORY: fine-tunes a model that transformers saved, through ./tenon alone, and asks transformers and peft.

1. sft: each loss of 20 steps over all conversations is that of a transformers loop with labels -100 (within 1e-4).
2. After 60 epochs the model answers questions as the conversations do, through ./tenon generate --chat.
3. lora: what a run exports is loaded by peft and has the held-out loss that the run reported (1e-4); merged (--merge) the model has
   peft's logits within 1e-5; stopped after 10 steps and started again the run ends with the same bytes; with other base weights it is
   refused.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

repository = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).parent
work = pathlib.Path(tempfile.mkdtemp(prefix="tenon-fine-tuning-"))
torch.set_num_threads(1)


def tenon(*arguments, code=0):
    done = subprocess.run([str(repository / "tenon"), *map(str, arguments)], capture_output=True, text=True, cwd=repository)
    if done.returncode != code:
        sys.exit(f"./tenon {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}\nended with {done.returncode}, not {code}")
    return done.stdout + done.stderr


def near(what, have, want, tolerance):
    print(f"{what}: {have:.7g} for {want:.7g}, difference {abs(have - want):.1e}")
    if not abs(have - want) <= tolerance:
        sys.exit(f"{what} is off by more than {tolerance}")


RECIPE = """#pragma once
#include "mine.hpp"
inline constexpr auto careful = mine.edit([](auto& r) {
  r.batch = tn::batch{.sequence = 96_tokens, .global = 4_samples, .micro = 1_samples};
  r.optimizer.clip = 1.0, r.schedule.peak = 3e-3;
});
inline constexpr auto chat = careful.with(tn::objective::sft{}, tn::precision::fp32{}, tn::schedule::constant{.peak = 3e-3});
inline constexpr auto light = chat.with(tn::trainable::lora{.rank = 8, .alpha = 16});
"""
try:
    base, chats = work / "base", work / "chats.jsonl"
    subprocess.run([sys.executable, str(here / "chat_model.py"), str(base), str(chats)], check=True)
    tenon("import", base, "--out", work / "mine.hpp")
    (work / "chat.hpp").write_text(RECIPE)
    train = lambda symbol, run, *more, **k: tenon("train", work / "chat.hpp", "--symbol", symbol, "--init", base, "--data", chats, "--run", work / run, "--threads", 2, *more, **k)

    # Which conversations are held out follows from the hash of their text.
    tokenizer = AutoTokenizer.from_pretrained(base)
    sides = ([], [])
    for line in chats.read_text().splitlines():
        messages = json.loads(line)["messages"]
        out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        ids = torch.tensor(out["input_ids"])
        labels = torch.where(torch.tensor(out["assistant_masks"]) == 1, ids, torch.tensor(-100))
        sides[(first >> 11) * 2.0**-53 < 0.05].append((ids, labels))
    training, held_out = sides

    def loss_of(model, pairs):
        total, count = 0.0, 0
        for ids, labels in pairs:
            logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum")
            count += int((labels[1:] != -100).sum())
        return total / count, count

    # 1. Every step sees all conversations, so how they were packed makes no difference.
    printed = train("chat", "count", "--horizon=1_steps", "--data.held_out=0.05")
    samples, answers = map(int, re.search(r"in (\d+) samples .*?; (\d+) of", printed.replace(",", "")).groups())
    train("chat", "all", "--horizon=20_steps", f"--batch.global={samples}_samples", "--observe.log_every=1_steps", "--data.held_out=0.05")
    records = [json.loads(l) for l in (work / "all" / "log.jsonl").read_text().splitlines()]
    ours = [r["tenon"]["loss"] for r in records if r["event"]["action"] == "step"]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    norms = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}], lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
    worst = 0.0
    for step in range(20):
        optimizer.zero_grad()
        loss, count = loss_of(model, training)
        if step == 0 and count != answers:
            sys.exit(f"{answers} answers' tokens by tenon, {count} by transformers")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        worst = max(worst, abs(loss.item() - ours[step]))
    print(f"sft: 20 steps over {len(training)} conversations, {count} answers' tokens; loss {ours[0]:.4f} to {ours[19]:.4f}, worst difference {worst:.1e}")
    if len(ours) < 20 or worst > 1e-4:
        sys.exit("the losses differ by more than 1e-4")

    # 2. Talk to it.
    train("chat", "talk", "--horizon=60_epochs", "--data.held_out=0.05")
    answer = tenon("generate", work / "talk", "--chat", "--prompt", "What colour is the apple?", "--prompt", "And the brick?", "--temperature", 0, "--tokens", 30)
    print("sft, 60 epochs:", answer.strip().replace("\n", " / "))
    if "The apple is red." not in answer or "The brick is brown." not in answer:
        sys.exit("the fine-tuned model does not answer as its conversations do")

    # 3. Adapters.
    more = ("--data.held_out=0.05", "--schedule.peak=1e-2", "--observe.evaluate_every=20_steps", "--checkpoint.period=10_steps")
    train("light", "straight", "--horizon=20_steps", *more)
    train("light", "parts", "--horizon=10_steps", *more)
    tenon("train", work / "chat.hpp", "--symbol", "light", "--data", chats, "--run", work / "parts", "--threads", 2, "--change", "horizon=20_steps", *more)
    last = "checkpoints/step_00000020/model.safetensors"
    if (work / "straight" / last).read_bytes() != (work / "parts" / last).read_bytes():
        sys.exit("the run that was stopped ends with other adapters than the one that was not")
    tenon("export", work / "straight", "--out", work / "adapters")
    tenon("export", work / "straight", "--out", work / "merged", "--merge")
    from peft import PeftModel
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), work / "adapters").eval()
    merged, info = AutoModelForCausalLM.from_pretrained(work / "merged", dtype=torch.float32, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            sys.exit(f"transformers reports {what}: {info[what]}")
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    evaluations = [json.loads(l) for l in (work / "straight" / "log.jsonl").read_text().splitlines() if '"val_loss"' in l]
    with torch.no_grad():
        loss, _ = loss_of(adapted, held_out)
        near("lora, held-out loss by tenon and by peft", evaluations[-1]["tenon"]["val_loss"], loss.item(), 1e-4)
        ids = held_out[0][0][None]
        a, b, c = (m(input_ids=ids, use_cache=False).logits for m in (adapted, merged.eval(), plain))
        off = ((a - b).abs().max() / a.abs().max()).item()
        print(f"lora, logits of the merged model and of peft: largest difference {off:.1e} of the largest; the base's {((a - c).abs().max() / a.abs().max()).item():.1e}")
        if not off <= 1e-5 or (a - c).abs().max() < 1e-2:
            sys.exit("the merged export is not base plus adapters")
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][0] += 1e-3
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    refused = tenon("generate", work / "straight", "--prompt", "x", code=1)
    if "are not those that this run was begun with" not in refused:
        sys.exit(f"other base weights were not noticed: {refused}")
    print("everything agrees")
finally:
    shutil.rmtree(work, ignore_errors=True)
