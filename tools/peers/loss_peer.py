"""A loss in eager PyTorch, as its authors compute it: time and memory.

Reads FOLDER/{z1,z2,dz1,dz2}.f32 (raw float32, [n,D]; dz are the gradients to
compare with) and prints one line of JSON. On a GPU --precision fp16 is autocast,
fp32 is without TF32, and the gradients are compared with a run in fp64.
"""
import argparse
import contextlib
import json
import time

import numpy as np
import torch
import torch.nn.functional as F


def joint_entropy(z1, z2, size):
    n, d = z1.shape
    s = d // size

    def q(z):
        return torch.softmax(z.view(n, s, size), dim=2).clamp(min=1e-8)

    q1, q2 = q(z1), q(z2)
    invariance = -torch.log((q1 * q2).sum(dim=2)).mean()
    p = q1.view(n, d).t() @ q2.view(n, d) / n
    entropy = p * torch.log(p)
    diagonal = torch.diagonal(entropy).sum() / s
    blocks = entropy.view(s, size, s, size).sum(dim=(1, 3))
    off = (blocks.sum() - torch.diagonal(blocks).sum()) / (s * (s - 1))
    return diagonal + off + invariance


def off_diagonal(m):
    d = m.shape[0]
    return m.flatten()[:-1].view(d - 1, d + 1)[:, 1:].flatten()


def vicreg(z1, z2, _):
    n, d = z1.shape
    invariance = F.mse_loss(z1, z2)
    z1, z2 = z1 - z1.mean(dim=0), z2 - z2.mean(dim=0)
    variance = sum(F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean() / 2
                   for z in (z1, z2))
    covariance = sum(off_diagonal(z.t() @ z / (n - 1)).pow_(2).sum() / d
                     for z in (z1, z2))
    return 25 * invariance + 25 * variance + covariance


def barlow_twins(z1, z2, _):
    n, d = z1.shape
    unit = [F.batch_norm(z, None, None, training=True, eps=1e-5) for z in (z1, z2)]
    c = unit[0].t() @ unit[1] / n
    on = torch.diagonal(c).add_(-1).pow_(2).sum()
    return on + 0.0051 * off_diagonal(c).pow_(2).sum()


LOSSES = {f.__name__: f for f in (joint_entropy, vicreg, barlow_twins)}


def status(key):
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--method", default="joint_entropy", choices=LOSSES)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--d", type=int, required=True)
    parser.add_argument("--segment", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--reps", type=int, required=True)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "fp16"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    gpu = args.device == "cuda"

    def read(name):
        a = np.fromfile(f"{args.folder}/{name}.f32", np.float32)
        return torch.from_numpy(a.reshape(args.n, args.d)).to(args.device)

    def step(z1, z2):
        z1.grad = z2.grad = None
        half = torch.autocast(args.device, dtype=torch.float16)
        with half if args.precision == "fp16" else contextlib.nullcontext():
            total = LOSSES[args.method](z1, z2, args.segment)
        total.backward()
        return total

    z1, z2 = read("z1").requires_grad_(), read("z2").requires_grad_()
    ours = read("dz1"), read("dz2")
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = False
        before = torch.cuda.memory_allocated()
    else:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # VmHWM starts again from the present size
        before = status("VmRSS")
    times = []
    for _ in range(args.reps + 1):
        if gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        total = step(z1, z2)
        if gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if gpu else status("VmHWM")
    peak -= before + 2 * 4 * args.n * args.d
    if gpu:
        args.precision = "fp64"
        z1, z2 = (z.detach().double().requires_grad_() for z in (z1, z2))
        total = step(z1, z2)
    error = sum(float((a - z.grad).double().pow(2).sum())
                for a, z in zip(ours, (z1, z2)))
    norm = sum(float(z.grad.double().pow(2).sum()) for z in (z1, z2))
    print(json.dumps({
        "torch": torch.__version__,
        "ms": 1e3 * float(np.median(times[1:])),
        "extra_mb": peak / 1e6,
        "total": total.item(),
        "distance": (error / norm) ** 0.5,
    }))


if __name__ == "__main__":
    main()
