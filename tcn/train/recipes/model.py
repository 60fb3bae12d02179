"""The release cell in PyTorch, for training only: products in bf16, the rest in f32.

Quantization-aware: with quantize=True each matrix is seen as its own 2-bit form
(signs, Walsh-Hadamard, levels +-1, +-3, one scale a row) and each row of
activations as int8, with straight-through gradients. See tcn/quant for the form.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

MASK = (1 << 64) - 1


def signs(seed, layer, matrix, cols):
    """quant.Signs: -1 where the SplitMix64 finaliser's top bit is set."""
    out = torch.empty(cols)
    for c in range(cols):
        z = (seed + 0x9E3779B97F4A7C15 * (1 + (layer << 18 | matrix << 17 | c))) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        out[c] = -1.0 if z >> 63 else 1.0
    return out


def hadamard(cols):
    """The normalised Walsh-Hadamard matrix of one block, at most 1,024 wide."""
    block = min(cols & -cols, 1024)
    h = torch.ones(1, 1)
    while h.shape[0] < block:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)], 0)
    return h / math.sqrt(block)


def rotate(x, sign, h):
    """x D H, the last dimension in blocks."""
    shape = x.shape
    return ((x * sign).reshape(-1, h.shape[0]) @ h).reshape(shape)


def unrotate(x, sign, h):
    shape = x.shape
    return (x.reshape(-1, h.shape[0]) @ h).reshape(shape) * sign


@torch.no_grad()
def row_scale(w, rounds=4):
    """The scale of each row that makes its error least, by alternation."""
    s = w.square().mean(1, keepdim=True).sqrt() * 0.4979  # half step of four levels for a Gaussian
    for _ in range(rounds):
        q = levels(w / s)
        s = ((w * q).sum(1, keepdim=True) / q.square().sum(1, keepdim=True)).clamp_min(1e-12)
    return s


def levels(w):
    return (2 * torch.floor(w / 2) + 1).clamp(-3, 3)


def int8_rows(x):
    m = x.detach().abs().amax(-1, keepdim=True).clamp_min(1e-12)
    s = m / 127
    q = torch.round(x / s).clamp(-127, 127) * s
    return x + (q - x).detach()


class Layer(nn.Module):
    def __init__(self, d, f, kernel, dilation, index, seed, depth):
        super().__init__()
        self.dilation = dilation
        self.norm = nn.Parameter(torch.ones(d))
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.w_in = nn.Parameter(torch.randn(2 * f, d) / math.sqrt(d))
        self.w_dw = nn.Parameter(torch.zeros(kernel, f))
        self.w_out = nn.Parameter(torch.randn(d, f) / math.sqrt(f) / math.sqrt(depth) * 1.5)
        with torch.no_grad():
            self.w_dw.normal_(0, 0.3)
            self.w_dw[-1] += 1.0
        self.register_buffer("sign_in", signs(seed, index, 0, d), persistent=False)
        self.register_buffer("sign_out", signs(seed, index, 1, f), persistent=False)
        self.register_buffer("h_in", hadamard(d), persistent=False)
        self.register_buffer("h_out", hadamard(f), persistent=False)

    def forward(self, x, weights):
        w_in, w_out, rotated = weights
        h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.norm
        if rotated:
            h = int8_rows(rotate(h, self.sign_in, self.h_in))
        z = h.to(w_in.dtype) @ w_in.t()
        a, g = z.float().chunk(2, -1)
        taps, time = self.w_dw.shape[0], a.shape[1]
        c = a * self.w_dw[taps - 1]
        for j in range(taps - 1):
            shift = (taps - 1 - j) * self.dilation
            if shift < time:
                c = c + F.pad(a[:, : time - shift], (0, 0, shift, 0)) * self.w_dw[j]
        y = c * torch.sigmoid(c) * torch.sigmoid(g)
        if rotated:
            y = int8_rows(rotate(y, self.sign_out, self.h_out))
        return x + self.scale * (y.to(w_out.dtype) @ w_out.t()).float()

    def plain(self, dtype):
        return self.w_in.to(dtype), self.w_out.to(dtype), False

    def rounded(self, w, sign, h):
        """The rotated matrix as its 2-bit form; the gradient passes as if nothing was rounded."""
        r = rotate(w, sign, h)
        s = row_scale(r.detach())
        q = levels(r.detach() / s) * s
        return r + (q - r).detach()

    def quantized(self, dtype):
        return (self.rounded(self.w_in, self.sign_in, self.h_in).to(dtype),
                self.rounded(self.w_out, self.sign_out, self.h_out).to(dtype), True)

    @torch.no_grad()
    def true_weights(self):
        """The 2-bit matrices turned back: what a quantizer is handed."""
        return (unrotate(self.rounded(self.w_in, self.sign_in, self.h_in), self.sign_in, self.h_in),
                unrotate(self.rounded(self.w_out, self.sign_out, self.h_out), self.sign_out, self.h_out))


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, f = c["d_model"], c["d_ff"]
        self.config = c
        self.emb = nn.Parameter(torch.randn(256, d) * 0.05)
        self.norm_f = nn.Parameter(torch.ones(d))
        self.layers = nn.ModuleList(
            Layer(d, f, c["kernel_size"], c["dilations"][i % len(c["dilations"])], i, 1, c["n_layers"])
            for i in range(c["n_layers"]))

    def hidden(self, tokens, quantize, dtype):
        x = F.embedding(tokens, self.emb)
        for layer in self.layers:
            x = layer(x, layer.quantized(dtype) if quantize else layer.plain(dtype))
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.norm_f

    def logits(self, tokens, quantize=False, dtype=torch.bfloat16):
        x = self.hidden(tokens, quantize, dtype)
        return (x.to(dtype) @ self.emb.to(dtype).t()).float().flatten(0, 1)

    def forward(self, tokens, targets, quantize=False):
        """Mean loss in nats; targets are bytes, or a teacher's distributions."""
        if targets.dtype == torch.int64:
            targets = targets.flatten()
        return F.cross_entropy(self.logits(tokens, quantize), targets)
