"""The training loop of PyTorch on several ranks: DistributedDataParallel over gloo."""

import contextlib

import torch
from conftest import load_saved
from training_workplace import torch_loss_sum, torch_optimizer


def train_rank(rank, ranks, folder, kind, batches, settings):
    """Trains folder/model, a step a batch; rank 0 writes losses and weights to folder/ddp.pt. Batches are shared row by row."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=ranks)
    has_encoder = kind.startswith("t5")
    model = load_saved(kind, folder / "model")[0].float().train()
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    optimizer, schedule = torch_optimizer(model, len(batches), *settings)
    losses = []
    for examples in batches:
        tokens = sum(len(target) for _, target in examples)
        own = examples[rank::ranks]
        total = torch.zeros((), dtype=torch.double)
        optimizer.zero_grad()
        for i, (source, target) in enumerate(own):
            with contextlib.nullcontext() if i + 1 == len(own) else parallel.no_sync():
                loss = torch_loss_sum(parallel, source, target, has_encoder) / tokens
                (ranks * loss).backward()  # it takes the mean over ranks
            total += loss.item()
        torch.distributed.all_reduce(total)
        losses.append(total.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    if rank == 0:
        torch.save({"losses": losses, "weights": model.state_dict()}, folder / "ddp.pt")
    torch.distributed.destroy_process_group()
