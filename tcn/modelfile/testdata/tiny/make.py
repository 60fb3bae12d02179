"""Makes the files of this folder: a small release and a small paper model, with
the outputs of a float64 reference. Needs NumPy only. The checkpoint uses what
real ones may: an OrderedDict with _metadata, storages of several types, a shared
storage, an offset and a transposed tensor.

    python3 make.py
"""
import collections, io, json, os, pickle, struct, sys, types, zipfile
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20)
V, D, F, LAYERS, K, RANK, POSITIONS = 256, 6, 10, 5, 3, 2, 96
DILATIONS, EPS = [1, 2, 4], 1e-6
PROMPTS = ["A", "to be", "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich."]


def bf16(x):
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widen_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


# A fake torch, so that Python's own pickle writes what torch.save writes.
def _rebuild_tensor_v2(*args): raise NotImplementedError
torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": utils})
_rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
utils._rebuild_tensor_v2 = _rebuild_tensor_v2
for name in ["FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage"]:
    setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))


class Storage:
    def __init__(self, kind, raw):
        self.kind, self.raw, self.count = kind, raw.tobytes(), raw.size


class Tensor:
    def __init__(self, storage, offset, shape, stride):
        self.args = (storage, offset, shape, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.args


class Pickler(pickle.Pickler):
    storages = None

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        if obj not in self.storages:
            self.storages.append(obj)
        return "storage", getattr(torch, obj.kind), str(self.storages.index(obj)), "cpu", obj.count


def save(path, value):
    text, pickler = io.BytesIO(), None
    pickler = Pickler(text, protocol=2)
    pickler.storages = []
    pickler.dump(value)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        entries = [("data.pkl", text.getvalue()), ("byteorder", b"little"), ("version", b"3\n")]
        entries += [(f"data/{i}", s.raw) for i, s in enumerate(pickler.storages)]
        for name, data in entries:
            z.writestr(zipfile.ZipInfo("soul/" + name), data)


def contiguous(x, kind="FloatStorage"):
    raw = {"FloatStorage": np.float32, "HalfStorage": np.float16, "DoubleStorage": np.float64}
    raw = bf16(x) if kind == "BFloat16Storage" else np.asarray(x, raw[kind])
    shape = np.shape(x)
    stride = tuple(int(np.prod(shape[i + 1:])) for i in range(len(shape)))
    exact = widen_bf16(raw) if kind == "BFloat16Storage" else raw.astype(np.float64)
    return Tensor(Storage(kind, raw), 0, shape, stride), exact


def normal(*shape, scale=1.0):
    return rng.normal(size=shape) * scale


# The reference.
def rms(x, w): return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w
def sigmoid(x): return 1 / (1 + np.exp(-x))


def conv(x, w, dilation):  # x [rows, width], w [width, K]; tap K-1 is the present
    out = np.zeros_like(x)
    for k in range(K):
        back = (K - 1 - k) * dilation
        if back < len(x):
            out[back:] += x[: len(x) - back] * w[:, k]
    return out


def release(p, text):
    x = p["emb"][list(text)] + p["pos"][: len(text)]
    for i, l in enumerate(p["layers"]):
        h = rms(x, l["norm"])
        u = h @ l["w_in"].T + (h @ l["in_A"].T) @ l["in_B"].T
        y = conv(u[:, :F], l["w_dw"], DILATIONS[i % 3])
        y = y * sigmoid(y) * sigmoid(u[:, F:])
        x = x + l["scale"] * (y @ l["w_out"].T + (y @ l["out_A"].T) @ l["out_B"].T)
    return rms(x, p["norm_f"]) @ p["emb"].T


def paper(p, text):
    x = p["emb"][list(text)]
    for i, l in enumerate(p["layers"]):
        u = conv(x, l["w_dw"], DILATIONS[i % 3]) @ l["w_in"].T
        v = u[:, F:]
        x = rms(x + (sigmoid(u[:, :F]) * v * sigmoid(v)) @ l["w_out"].T, l["norm"])
    return rms(x, p["norm_f"]) @ p["emb"].T


def expect(forward, p, nll):
    cases = []
    for prompt in PROMPTS:
        text, margin = prompt.encode(), np.inf
        logits = forward(p, text)
        case = {"prompt": prompt, "last_logits": [round(float(v), 9) for v in logits[-1]]}
        if nll:
            total = [np.log(np.exp(r - r.max()).sum()) + r.max() - r[b] for r, b in zip(logits, text[1:])]
            case["mean_nll"] = float(np.mean(total)) if total else None
        start = len(text)
        for _ in range(24):
            best = np.sort(forward(p, text)[-1])
            margin = min(margin, best[-1] - best[-2])
            text += bytes([int(np.argmax(forward(p, text)[-1]))])
        case.update(greedy_hex=text[start:].hex(), smallest_margin=float(margin))
        cases.append(case)
    return cases


def write(name, value):
    with open(os.path.join(HERE, name), "w") as f:
        json.dump(value, f)
        f.write("\n")


def make_release():
    config = dict(vocab_size=V, d_model=D, d_ff=F, n_layers=LAYERS, kernel_size=K, lora_rank=RANK,
                  dilations=DILATIONS, layers_per_block=3, max_positions=POSITIONS, cell="release", rms_eps=EPS)
    genome = normal(19, 23).astype(">f2")
    np.save(os.path.join(HERE, "genome.npy"), genome)
    flat, at, cuts, wraps = genome.astype(np.float64).ravel(), 0, [], 0

    def take(shape, scale):
        nonlocal at, wraps
        n = int(np.prod(shape))
        if at + n > flat.size:
            at, wraps = 0, wraps + 1
        cuts.append([at, n])
        at += n
        return (flat[at - n:at] * scale).astype(np.float32).astype(np.float64).reshape(shape)

    state, p = collections.OrderedDict(), {"layers": []}

    def put(name, value, kind="FloatStorage"):
        state[name], exact = contiguous(value, kind)
        return exact

    p["emb"] = put("emb.weight", normal(V, D), "BFloat16Storage")
    p["pos"] = put("pos_emb.weight", normal(POSITIONS, D, scale=0.3), "HalfStorage")
    p["norm_f"] = put("norm_f.w", 1 + normal(D, scale=0.1), "DoubleStorage").astype(np.float32).astype(np.float64)
    for i in range(LAYERS):
        l, name = {}, f"layers.{i}."
        l["w_in"] = take((2 * F, D), 1 / np.sqrt(0.1 * D))
        l["w_dw"] = take((F, K), 1 / np.sqrt(K))
        l["w_out"] = take((D, F), 1 / np.sqrt(0.1 * F))
        l["norm"] = put(name + "norm.w", 1 + normal(D, scale=0.1))
        l["scale"] = put(name + "scale", np.array(0.4) if i % 2 else np.array([0.5]))
        # A_in and A_out share a storage, the second at an offset.
        both = normal(RANK * (D + F), scale=0.3).astype(np.float32)
        shared = Storage("FloatStorage", both)
        state[name + "lora_in.A"] = Tensor(shared, 0, (RANK, D), (D, 1))
        l["in_A"] = both[: RANK * D].astype(np.float64).reshape(RANK, D)
        l["in_B"] = put(name + "lora_in.B", normal(2 * F, RANK, scale=0.3))
        state[name + "lora_out.A"] = Tensor(shared, RANK * D, (RANK, F), (F, 1))
        l["out_A"] = both[RANK * D:].astype(np.float64).reshape(RANK, F)
        # B_out lies transposed.
        turned = normal(RANK, D, scale=0.3).astype(np.float32)
        state[name + "lora_out.B"] = Tensor(Storage("FloatStorage", turned), 0, (D, RANK), (1, D))
        l["out_B"] = turned.T.astype(np.float64)
        p["layers"].append(l)
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    save(os.path.join(HERE, "soul.pt"), {"model": state, "step": 7, "loss": 2.5, "tags": ["tiny", None, True]})
    write("config.json", config)
    write("expected.json", {"cases": expect(release, p, True), "cuts": cuts, "wraps": wraps})


def make_paper():
    config = dict(vocab_size=V, d_model=D, d_ff=F, n_layers=LAYERS, kernel_size=K, lora_rank=0,
                  dilations=DILATIONS, max_positions=0, cell="paper", rms_eps=EPS)
    tensors, p, kinds = {}, {"layers": []}, ["F32", "F16", "BF16", "F64"]

    def put(name, value):
        kind = kinds[len(tensors) % 4]
        raw = bf16(value) if kind == "BF16" else np.asarray(value, {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[kind])
        tensors[name] = kind, np.shape(value), raw.tobytes()
        return widen_bf16(raw) if kind == "BF16" else raw.astype(np.float32).astype(np.float64)

    p["emb"], p["norm_f"] = put("emb.weight", normal(V, D)), put("norm_f.w", 1 + normal(D, scale=0.1))
    for i in range(LAYERS):
        name = f"layers.{i}."
        p["layers"].append({
            "w_dw": put(name + "w_dw", normal(D, K, scale=0.6)), "w_in": put(name + "w", normal(2 * F, D, scale=0.5)),
            "w_out": put(name + "w_o", normal(D, F, scale=0.5)), "norm": put(name + "norm.w", 1 + normal(D, scale=0.1))})
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(os.path.join(HERE, "paper_weights.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    write("paper_config.json", config)
    write("paper_expected.json", {"cases": expect(paper, p, False)})


make_release()
make_paper()
