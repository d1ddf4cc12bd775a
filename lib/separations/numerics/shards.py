"""A set whose rows are spread over processes (`torch.distributed`): each holds a part, and each gets the answer for the whole.

    rows = Rows(my_part, group=torch.distributed.group.WORLD)      # or Empirical(my_part, group=...)
    nearest(x, rows)                                                # the same x in every process, row numbers of the whole set

Row numbers count through the parts in the order of the processes. Every process must ask the same queries, in the same order.
"""

import hashlib

import torch
import torch.distributed as dist
from torch import Tensor

WORDS = 600  # bytes of an error that the other processes are told


def _gathered(x: Tensor, rows) -> list[Tensor]:
    """The tensor of every process, of equal shapes."""
    found = [torch.empty_like(x) for _ in range(dist.get_world_size(rows.group))]
    dist.all_gather(found, x.contiguous(), group=rows.group)
    return found


def join(rows, problem: ValueError | None = None) -> None:
    """Number of the first row held here, and of all; one power of two and one largest norm for all processes.

    Raises:
        ValueError: in every process, if one of them has a `problem` with its part, or parts differ in the length or kind of their rows.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(f"group = {rows.group!r}: torch.distributed.init_process_group has to be called first")
    _agree(problem, rows)
    mine = torch.tensor([rows.n, rows.d, rows.bytes, rows.peak, rows.unit, rows.origin], dtype=torch.float64)
    all_of = torch.stack(_gathered(mine.to(rows.home), rows)).cpu()
    if not (all_of[:, [1, 2, 4, 5]] == all_of[0, [1, 2, 4, 5]]).all():
        raise ValueError(f"data has rows of {rows.d} values here: rows of one length and kind are needed in all processes, "
                         f"there are lengths {', '.join(str(int(d)) for d in all_of[:, 1])}")  # fmt: skip
    me = dist.get_rank(rows.group)
    rows.first, rows.total = int(all_of[:me, 0].sum()), int(all_of[:, 0].sum())
    rows.one_size(float(all_of[:, 3].max()))
    norm = torch.tensor([rows.max_norm], dtype=torch.float64, device=rows.home)
    rows.max_norm = float(torch.stack(_gathered(norm, rows)).max())


def _agree(problem: ValueError | None, rows) -> None:
    """Raises in every process what went wrong in one."""
    if not hasattr(rows, "home"):
        rows.home = torch.device("cpu")
    words = (str(problem) if problem else "").encode()[:WORDS].ljust(WORDS, b"\0")
    heard = _gathered(torch.frombuffer(bytearray(words), dtype=torch.uint8).to(rows.home), rows)
    if problem is not None:
        raise problem
    for rank, each in enumerate(heard):
        if said := bytes(each.cpu().tolist()).rstrip(b"\0").decode(errors="replace"):
            raise ValueError(f"process {rank} has a part that cannot be used: {said}")


def check_alike(rows, x: Tensor, *others) -> None:
    """ValueError in every process unless all ask the same: queries bit by bit, and what else belongs to the question."""
    digest = hashlib.sha256(repr((tuple(x.shape), str(x.dtype))).encode())
    for one in (x, *others):
        digest.update(one.detach().cpu().double().numpy().tobytes() if isinstance(one, Tensor) else repr(one).encode())
    found = _gathered(torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).to(rows.home), rows)
    if any(not torch.equal(each, found[0]) for each in found):
        raise ValueError("x differs between processes, or what is asked of it: every process has to ask the same")


def nearest_of_all(squared: Tensor, index: Tensor, rows, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of all rows from those of each process, (m, k) each; ties go to the lower row number."""
    short = k - squared.shape[1]
    if short:
        squared = torch.cat([squared, squared.new_full((len(squared), short), torch.inf)], 1)
        index = torch.cat([index, index.new_zeros((len(index), short))], 1)
    home = squared.device
    squared = torch.cat(_gathered(squared.to(rows.home), rows), 1).to(home)
    index = torch.cat(_gathered((index + rows.first).to(rows.home), rows), 1).to(home)
    order = squared.argsort(dim=1, stable=True)[:, :k]  # parts come in the order of their rows
    return squared.gather(1, order), index.gather(1, order)


def moments_of_all(log_sum: Tensor, mean: Tensor, gradients: bool, rows) -> tuple[Tensor, Tensor]:
    """log of the sum of all processes' sums, (m,), and the mean over all rows, (m, d), in float64.

    Raises:
        ValueError: for queries that ask for gradients, which do not go through other processes.
    """
    if gradients and torch.is_grad_enabled():
        raise ValueError("x asks for gradients: rows that are spread over processes answer under torch.no_grad() only")
    home = mean.device
    sums = torch.stack(_gathered(log_sum.double().to(rows.home), rows))  # (processes, m)
    total = torch.logsumexp(sums, 0)
    share = torch.exp(sums[dist.get_rank(rows.group)] - total)
    whole = share[:, None] * mean.double().to(rows.home)
    dist.all_reduce(whole, group=rows.group)
    return total.to(home), whole.to(home)
