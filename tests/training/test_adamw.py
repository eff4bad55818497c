"""AdamW with bfloat16 moments: torch's own sums where nothing is rounded, and rounding that is fair and repeats."""

import copy

import pytest
import torch

from sphinx_x.training import optim
from sphinx_x.training.optim import AdamW, round_by_chance_


def parameters(seed: int = 0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 5), (11,), (3, 2, 2))]


def run(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], first: int, last: int) -> None:
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("piece", [1 << 20, 4])
def test_with_float32_moments_it_is_torchs_own(piece, monkeypatch):
    monkeypatch.setattr(optim, "PIECE", piece)
    mine, theirs = parameters(), parameters()
    settings = {"betas": (0.9, 0.95), "weight_decay": 0.1, "eps": 1e-8}
    groups = [[{"params": w[:2], "lr": 3e-2}, {"params": w[2:], "lr": 1e-3}] for w in (mine, theirs)]
    run(AdamW(groups[0], **settings, moments=torch.float32), mine, 0, 50)
    run(torch.optim.AdamW(groups[1], **settings), theirs, 0, 50)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_gradients_of_another_type_and_a_factor_are_taken_as_they_are():
    (one, *_), (other, *_) = parameters(), parameters()
    gradient = torch.randn(one.shape).bfloat16()
    AdamW([one], lr=0.1, moments=torch.float32).update(one, gradient, scale=0.25)
    other.grad = gradient.float() * 0.25
    torch.optim.AdamW([other], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def regression(optimizer: type, steps: int = 150, **settings) -> float:
    """Loss of a small network on noisy data after training."""
    torch.manual_seed(1)
    inputs = torch.randn(256, 16)
    targets = torch.sin(inputs @ torch.randn(16, 4)) + 0.3 * torch.randn(256, 4)
    model = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.Tanh(), torch.nn.Linear(24, 4))
    own = optimizer(model.parameters(), lr=1e-2, betas=(0.9, 0.999), weight_decay=0.0, **settings)
    for _ in range(steps):
        own.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        own.step()
    return torch.nn.functional.mse_loss(model(inputs), targets).item()


def test_bfloat16_moments_reach_the_same_loss():
    exact = regression(torch.optim.AdamW)
    assert regression(AdamW, moments=torch.bfloat16) == pytest.approx(exact, rel=0.03)


def test_a_second_moment_too_slow_for_bfloat16_is_followed(monkeypatch):
    """With beta2 0.999 a step changes it by a thousandth: rounded to nearest it would stand still for ever."""
    weight = torch.nn.Parameter(torch.zeros(256))
    optimizer = AdamW([weight], lr=0.0, betas=(0.9, 0.999))
    for _ in range(500):
        weight.grad = torch.ones(256)
        optimizer.step()
    truth = 1 - 0.999**500
    assert optimizer.state[weight]["exp_avg_sq"].float().mean().item() == pytest.approx(truth, rel=1e-2)
    monkeypatch.setattr(optim, "round_by_chance_", lambda values, _: values)
    other = AdamW([weight], lr=0.0, betas=(0.9, 0.999))
    for _ in range(500):
        other.step()
    assert other.state[weight]["exp_avg_sq"].float().mean().item() < 0.8 * truth


def test_rounding_is_fair_and_keeps_what_is_exact():
    generator = torch.Generator().manual_seed(3)
    values = torch.tensor([1.0, -1.0, 0.0, 1.001, -3.3333, 1e-30, 7e8, float("inf")])
    chances = torch.randint(-(1 << 15), 1 << 15, (20000, len(values)), generator=generator, dtype=torch.int16)
    rounded = round_by_chance_(values.repeat(20000, 1), chances)
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert torch.equal(rounded[:, [0, 1, 2, 7]], values[[0, 1, 2, 7]].expand(20000, 4))
    # a step of bfloat16 is 2**-7 of a value at most: the mean of 20,000 is that much finer
    assert torch.allclose(rounded.double().mean(0)[:7], values[:7].double(), rtol=4 * 2**-8 / 20000**0.5)
    assert all(len(rounded[:, k].unique()) == 2 for k in (3, 4, 5, 6))


def test_both_moments_of_both_halves_get_chances_of_their_own():
    """Equal gradients everywhere: if two numbers shared their chances, they would stay equal."""
    weight = torch.nn.Parameter(torch.zeros(1001))
    optimizer = AdamW([weight], lr=0.0)
    weight.grad = torch.full((1001,), 0.37)
    for _ in range(3):
        optimizer.step()
    mean, square = (optimizer.state[weight][name].float() for name in optim.MOMENTS)
    up = torch.stack([mean > mean.mean(), square > square.mean()]).float()
    assert 0.2 < up[0].mean() < 0.8 and 0.2 < up[1].mean() < 0.8
    assert abs(torch.corrcoef(up)[0, 1]) < 0.15
    assert abs(torch.corrcoef(torch.stack([up[0, :-1], up[0, 1:]]))[0, 1]) < 0.15


def test_resumed_is_bit_equal(tmp_path):
    straight, stopped = parameters(), parameters()
    run(AdamW(straight, lr=1e-2, seed=5), straight, 0, 20)
    first = AdamW(stopped, lr=1e-2, seed=5)
    run(first, stopped, 0, 9)
    torch.save([first.state_dict(), stopped], tmp_path / "state")
    state, weights = torch.load(tmp_path / "state", weights_only=True)
    second = AdamW(weights, lr=0.5, seed=5)
    second.load_state_dict(copy.deepcopy(state))
    assert second.state[weights[0]]["exp_avg"].dtype == torch.bfloat16 and second.param_groups[0]["lr"] == 1e-2
    run(second, weights, 9, 20)
    assert all(torch.equal(one, other) for one, other in zip(straight, weights, strict=True))
    other = parameters()
    run(AdamW(other, lr=1e-2, seed=6), other, 0, 20)
    assert not torch.equal(straight[0], other[0])


def test_a_state_of_something_else_is_refused():
    weights = parameters()
    optimizer = AdamW(weights, lr=1e-2)
    run(optimizer, weights, 0, 1)
    with pytest.raises(ValueError, match="other groups"):
        AdamW(parameters()[:2]).load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="moments are not"):
        AdamW(parameters(), moments=torch.float32).load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="bfloat16 or float32"):
        AdamW(parameters(), moments=torch.float16)


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_updates_its_shard(rank):
    """Shards are updated as rows of the whole; copies of one shard round alike, other shards in their own way."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard
    from torch.testing._internal.distributed.fake_pg import FakeStore

    start, slope = torch.randn(6, 5), torch.full((6, 5), 0.37)
    exact, alone = (torch.nn.Parameter(start.clone()) for _ in range(2))
    AdamW([exact], moments=torch.float32).update(exact, slope)
    single = AdamW([alone])
    single.update(alone, slope)
    dist.init_process_group("fake", rank=rank, world_size=2, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (2,))
        rows, found = slice(3 * rank, 3 * rank + 3), []
        for placement, part in ((Shard(0), rows), (Replicate(), slice(None))):
            local = (DTensor.from_local(x[part].clone(), mesh, [placement], run_check=False) for x in (start, slope))
            weight, gradient = next(local), next(local)
            optimizer = AdamW([weight])
            optimizer.update(weight, gradient)
            torch.testing.assert_close(weight.to_local(), exact[part].detach())
            found.append(optimizer.state[weight]["exp_avg"].to_local())
    finally:
        dist.destroy_process_group()
    assert found[0].dtype == torch.bfloat16 and found[0].shape == (3, 5)
    assert torch.equal(found[1][:3], found[0]) == (rank == 0)
