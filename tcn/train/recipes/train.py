#!/usr/bin/env python3
"""Trains the default model on a CPU: matrices by Muon, the rest by AdamW.

    python3 train.py --data CORPUS --out RUN --config config.json --minutes 68 --decay 0.25
    python3 train.py --data CORPUS --out RUN2 --from RUN --quantize --minutes 15 --decay 1 --lr 0.0015

CORPUS is what prepare.py wrote. The rate warms up, stays, and falls to nothing
over the last share (--decay) of the time, which does not count pauses. RUN gets
model.safetensors and config.json for `zetagrid model import safetensors`,
log.jsonl, and state.pt. With --quantize training goes on in the 2-bit form, and
the weights written are exactly representable, so that `zetagrid model quantize`
takes them over without an error.
"""
import argparse, hashlib, json, math, os, pathlib, time

import numpy as np
import torch
from safetensors.torch import save_file

from model import Model


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--config")
    p.add_argument("--from", dest="start")
    p.add_argument("--quantize", action="store_true")
    p.add_argument("--teacher", help="learn this run's distributions instead of the text's bytes")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--decay", type=float, default=0.2)
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--lr", type=float, default=4e-3)
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--sequence", type=int, default=1024)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--pause", help="while this file exists, wait")
    p.add_argument("--finish", help="when this file appears, the decay begins; it holds minutes")
    return p.parse_args()


def orthogonal(g, rounds=5):
    """The nearest (semi-)orthogonal matrix, roughly: Newton-Schulz, quintic (Jordan et al., Muon, 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    turned = x.shape[0] > x.shape[1]
    if turned:
        x = x.t()
    for _ in range(rounds):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.t() if turned else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=0.0, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                state["m"].lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(state["m"], group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(g), alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))


def windows(data, batch, sequence, rng):
    """Batches of a random order of windows that cover the text, shifted anew each time through."""
    while True:
        shift = int(rng.integers(0, sequence))
        order = rng.permutation((len(data) - 1 - shift) // sequence)
        for i in range(0, len(order) - batch + 1, batch):
            at = [shift + int(j) * sequence for j in order[i:i + batch]]
            rows = torch.from_numpy(np.stack([data[a:a + sequence + 1] for a in at]).astype(np.int64))
            yield rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def held_out(run, text, quantize, chunk=16384, limit=None):
    """Bits per byte over chunks, each from an empty state; the first byte of each is not counted."""
    chunks = [text[i:i + chunk] for i in range(0, len(text) - chunk + 1, chunk)][:limit]
    total = 0.0
    for c in chunks:
        t = torch.from_numpy(c.astype(np.int64))[None]
        total += run(t[:, :-1], t[:, 1:], quantize).item()
    return total / len(chunks) / math.log(2)


def export(model, config, out, quantize):
    tensors = {"emb.weight": model.emb, "norm_f.w": model.norm_f}
    for i, layer in enumerate(model.layers):
        w_in, w_out = layer.true_weights() if quantize else (layer.w_in, layer.w_out)
        tensors |= {f"layers.{i}.w_in": w_in, f"layers.{i}.w_out": w_out, f"layers.{i}.w_dw": layer.w_dw.t(),
                    f"layers.{i}.norm.w": layer.norm, f"layers.{i}.scale": layer.scale.reshape(1)}
    save_file({k: v.detach().float().contiguous().clone() for k, v in tensors.items()}, out / "model.safetensors.part")
    os.replace(out / "model.safetensors.part", out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    train = np.fromfile(pathlib.Path(a.data) / "train.txt", np.uint8)
    held = np.fromfile(pathlib.Path(a.data) / "heldout.txt", np.uint8)
    if a.start:
        config = json.loads((pathlib.Path(a.start) / "config.json").read_text())
        model = Model(config)
        model.load_state_dict(torch.load(pathlib.Path(a.start) / "state.pt")["model"])
    else:
        config = json.loads(pathlib.Path(a.config).read_text())
        model = Model(config)
    teach = None
    if a.teacher:
        teacher = Model(config)
        teacher.load_state_dict(torch.load(pathlib.Path(a.teacher) / "state.pt")["model"])
        teach = torch.compile(teacher.logits)
    matrices = [p for n, p in model.named_parameters() if n.endswith((".w_in", ".w_out"))]
    rest = [p for n, p in model.named_parameters() if not n.endswith((".w_in", ".w_out"))]
    muon = Muon(matrices, weight_decay=a.weight_decay)
    adam = torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
    run = torch.compile(model)
    log = open(out / "log.jsonl", "a")

    def note(**what):
        log.write(json.dumps(what) + "\n")
        log.flush()
        print(what, flush=True)

    count = sum(p.numel() for p in model.parameters())
    note(event="start", options={k: v for k, v in vars(a).items() if not isinstance(v, str)}, parameters=count, config=config, torch=torch.__version__,
         train_sha256=hashlib.sha256(train.tobytes()).hexdigest())
    rng = np.random.default_rng(a.seed + (1000 if a.start else 0))
    active, fall_at, fall_for = 0.0, a.minutes * 60 * (1 - a.decay), a.minutes * 60 * a.decay
    recent, saved, step, seen = [], 0.0, 0, 0
    for tokens, targets in windows(train, a.batch, a.sequence, rng):
        while a.pause and os.path.exists(a.pause):
            time.sleep(0.5)
        began = time.monotonic()
        if a.finish and os.path.exists(a.finish):
            fall_at, fall_for = active, float(open(a.finish).read()) * 60
            os.remove(a.finish)
        left = 1 - max(0.0, (active - fall_at) / fall_for) if fall_for > 0 else 1.0
        if left <= 0:
            break
        lr = a.lr * min(1.0, (step + 1) / a.warmup) * left
        for group in muon.param_groups + adam.param_groups:
            group["lr"] = lr
        if teach is not None:
            with torch.no_grad():
                targets = teach(tokens).softmax(-1)
        loss = run(tokens, targets, a.quantize)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        muon.zero_grad()
        adam.zero_grad()
        step, seen = step + 1, seen + tokens.numel()
        active += time.monotonic() - began
        recent.append(loss.item() / math.log(2))
        if step % 50 == 0:
            note(step=step, bytes=seen, bits_per_byte=round(sum(recent) / len(recent), 4), lr=round(lr, 6),
                 norm=round(float(norm), 3), bytes_per_second=round(seen / active), minutes=round(active / 60, 2))
            recent = []
        if active - saved > 360:
            saved = active
            torch.save(dict(model=model.state_dict(), step=step), out / "state.pt.part")
            os.replace(out / "state.pt.part", out / "state.pt")
            export(model, config, out, a.quantize)
            note(step=step, held_out=round(held_out(run, held, a.quantize, limit=8), 4), of="8 chunks")
    torch.save(dict(model=model.state_dict(), step=step), out / "state.pt")
    export(model, config, out, a.quantize)
    note(event="end", step=step, bytes=seen, held_out=round(held_out(run, held, a.quantize), 4), minutes=round(active / 60, 2))


if __name__ == "__main__":
    main()
