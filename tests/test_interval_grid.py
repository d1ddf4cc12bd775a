"""Training on with other timesteps: the grid, what a job changes and what it does not, processes, bad input."""

from dataclasses import replace

import pytest
import torch

from separations.interval_study import Experiment, Job, continued, interval_job, interval_pairs, run_jobs
from separations.interval_study.jobs import epoch_updates, run_job
from separations.training import recipe_data, recipes, untrained

SMALL = replace(
    recipes.named("mnist-memorizing"), name="small", n=12, n_held_out=40, depth=1, width=48, heads=2, patch=14, steps=6,
    warmup=0, batch=8, prediction="eps", times=("Uniform", {}),
)  # fmt: skip
SIGNALS = replace(SMALL, data_name="heartbeats", unet={"width": 8, "factors": [1, 2], "heads": 2}, n_held_out=200)


def experiment(tmp_path, recipe=SMALL, **changes):
    return Experiment(
        recipe, **({"folder": str(tmp_path), "m": 12, "steps": 3, "draws": 16, "quality": False} | changes)
    )


def test_the_grid_has_45_pairs_and_each_is_an_interval():
    pairs = interval_pairs()
    assert len(pairs) == len(set(pairs)) == 45 and all(100 <= low < high <= 1000 for low, high in pairs)
    assert {(low + high) / 2 for low, high in pairs} == set(range(150, 951, 50))
    assert interval_pairs(500) == [(500, 1000)]


def test_no_epoch_leaves_the_model_as_it_was_and_an_epoch_has_its_updates(tmp_path):
    setting, images = experiment(tmp_path), recipe_data(SMALL)
    untouched, losses = run_job(setting, Job("none", epochs=0))
    assert losses == [] and untouched["low"] is None
    model, _ = recipes.trained(SMALL, folder=tmp_path)
    before = [p.clone() for p in model.parameters()]
    records = list(continued(model, SMALL, images.train, Job("u", epochs=3, batch=5)))
    assert [r.step for r in records] == [3, 6, 9] and epoch_updates(12, 5) == 3
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))  # a copy was trained


def test_the_interval_decides_which_times_are_drawn(tmp_path):
    """Training on late times alone must lower the loss there, not elsewhere; and the other way round."""
    recipe, images = replace(SMALL, lr=1e-3, steps=30), recipe_data(SMALL)
    model, _ = recipes.trained(recipe, folder=tmp_path)
    from separations.training import denoising_terms

    def loss(net, t):
        g = torch.Generator().manual_seed(0)
        x0 = images.train.repeat(20, 1, 1, 1)
        with torch.no_grad():
            return float(denoising_terms(net, x0, t, weight="eps", generator=g).mean())

    change = {}
    for name, (low, high) in {"early": (100, 200), "late": (800, 900)}.items():
        *_, last = continued(model, recipe, images.train, interval_job(low, high, epochs=60, lr=2e-3, batch=12))
        change[name] = [loss(last.ema, t) / loss(model, t) for t in (0.15, 0.85)]
    assert change["early"][0] < change["late"][0] and change["late"][1] < change["early"][1]


def test_rows_do_not_depend_on_the_processes_nor_on_the_other_jobs(tmp_path):
    setting = experiment(tmp_path, quality=True, extractor="pixels", keep=5, keep_models=("min-SNR",))
    jobs = [
        interval_job(100, 300, epochs=2),
        Job("min-SNR", epochs=1, weight=("MinSNR", {"gamma": 5.0})),
        Job("as it was", epochs=0),
    ]
    here = list(run_jobs(setting, jobs))
    apart = list(
        run_jobs(replace(setting, folder=None), jobs, workers=2)
    )  # the model trained again, in a folder of its own
    assert [tuple(o) for o in here] == [tuple(o) for o in apart] and tuple(here[1]) == tuple(run_job(setting, jobs[1]))
    assert all(torch.equal(a.samples, b.samples) and a.samples.shape == (5, 1, 28, 28) for a, b in zip(here, apart))
    assert [o.model is None for o in apart] == [True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(here[1].model.parameters(), apart[1].model.parameters()))
    rows, losses = zip(*here)
    assert len({tuple(row) for row in rows}) == 1  # a table
    assert rows[0]["ratio_low"] <= rows[0]["ratio"] <= rows[0]["ratio_high"]
    assert [len(part) for part in losses] == [2, 1, 0] and rows[0]["kernel"] != rows[2]["kernel"]


def test_a_job_leaves_the_settings_of_its_process_alone(tmp_path):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(2), torch.set_float32_matmul_precision("highest")
        going = run_jobs(experiment(tmp_path, tf32=True), [Job("a", epochs=0), Job("b", epochs=0)])
        next(going)  # between two jobs too
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (2, "highest")
        with pytest.raises(FloatingPointError):
            run_job(experiment(tmp_path), Job("too fast", epochs=40, lr=1e6))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before[0]), torch.set_float32_matmul_precision(before[1])


def test_signals_with_a_unet_and_its_checkpoint(tmp_path):
    row, losses = run_job(experiment(tmp_path, SIGNALS, quality=True), interval_job(500, 900, epochs=1))
    assert row["nearest"] <= row["distance"] and len(losses) == 1
    assert len(list(tmp_path.glob("small-*.safetensors"))) == 1  # the pretrained model was kept, and is read again
    again, facts = recipes.trained(SIGNALS, folder=tmp_path)
    assert facts["recipe"]["unet"]["width"] == 8 and again.event_shape == (140,)
    images = recipe_data(SIGNALS)
    assert float(images.to_images(images.train).max()) > 1.5  # a signal is not cut


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Job("x", epochs=-1), "epochs = -1"),
        (lambda: Job("x", lr=0.0), "lr = 0.0"),
        (lambda: Job("x", batch=0), "batch = 0"),
        (lambda: Job("x", times=("Nothing", {})), "Nothing"),
        (lambda: interval_job(300, 200), "low = 300, high = 200"),
        (lambda: interval_job(300, 1200), "high = 1200"),
        (lambda: interval_job(100, 200, coverage=1.0), "coverage = 1.0"),
        (lambda: interval_pairs(0), "step = 0"),
        (lambda: Experiment(SMALL, m=0), "m = 0"),
        (lambda: list(run_jobs(Experiment(SMALL), [])), "jobs is empty"),
        (lambda: list(run_jobs(Experiment(SMALL), [Job("x")], workers=0)), "workers = 0"),
        (lambda: untrained(replace(SMALL, unet={"width": 8}), (1, 28, 28)), "signals are needed"),
        (lambda: untrained(SIGNALS, (141,)), "length = 141"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_an_error_in_a_process_names_its_job(tmp_path):
    jobs = [Job("fine", epochs=0), Job("too fast", epochs=40, lr=1e6)]
    with pytest.raises(RuntimeError, match="'too fast'"):
        list(run_jobs(experiment(tmp_path), jobs, workers=2))
