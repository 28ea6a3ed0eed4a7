"""Checks the streams against published values and every model against its second implementation."""

import torch

import streams
import tiny_models
import training
import wan
from second import Second, SecondWan

STEPS = 20
TOLERANCE = 1e-9


def check_streams():
    """FNV-1a's published test vector of "a"; the first number of splitmix64 seeded with 0."""
    assert streams.fnv1a("a") == 0xAF63DC4C8601EC8C
    assert streams.splitmix64_mix(streams.np.array([streams.GOLDEN], "u8"))[0] == 0xE220A8397B1DCDAF


def second_training(run, steps):
    """Losses and global gradient norms by the second implementation, with torch's AdamW and clipping."""
    trainee = training.Trainee(run)
    trainee.loss(0)  # makes the weights
    table = {name: w.detach().clone().requires_grad_(w.requires_grad) for name, w in trainee.weights.table.items()}
    model = (SecondWan if trainee.diffusion else Second)(run, table)
    t = run["train"]
    trained = {name: w for name, w in table.items() if w.requires_grad}
    groups = [
        {"params": [w for n, w in trained.items() if n in trainee.weights.decayed], "weight_decay": t["weight_decay"]},
        {"params": [w for n, w in trained.items() if n not in trainee.weights.decayed], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=t["lr"], betas=tuple(t["betas"]), eps=1e-8)
    losses, norms = [], []
    for step in range(steps):
        loss = model.loss(wan.batch(run, step) if trainee.diffusion else trainee.tokens(step))
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(list(trained.values()), t["clip"]).item())
        optimizer.step()
    return losses, norms


def run(names):
    check_streams()
    failed = 0
    for name in names or tiny_models.RUNS:
        described = tiny_models.RUNS[name]
        golden = training.train(described, STEPS)
        losses, norms = second_training(described, STEPS)
        pairs = list(zip(golden["losses"] + golden["global_gradient_norm"], losses + norms))
        worst = max(abs(a - b) / abs(a) for a, b in pairs)
        verdict = "agrees" if worst <= TOLERANCE else "differs"
        failed += verdict == "differs"
        print(f"{name}: {verdict}, worst relative difference {worst:.2g}", flush=True)
    return 1 if failed else 0
