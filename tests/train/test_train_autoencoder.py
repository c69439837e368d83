"""Training: what is lowered is what was trained, and every objective does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from places import ROOT

torch = pytest.importorskip("torch", reason="training needs latrans[train]")

from latrans.engine import reference, select
from latrans.errors import ConfigError
from latrans.models.autoencoder import Autoencoder
from latrans.train import loss, networks
from latrans.train.autoencoder import Terms, train_autoencoder
from latrans.train.data import PatchSource
from latrans.train.lower import lower
from latrans.train.progress import progress_bar
from latrans.train.recipe import AutoencoderRecipe, Objective, Recipe, Training, load_recipe

MNIST = ROOT.parent / "shared/data/mnist"
DENSE = AutoencoderRecipe("dense", latents=4, hidden=(24,), sample_shape=(8, 8))
CONV = AutoencoderRecipe("conv2d", latents=3, hidden=(8,), strides=(2, 2), latent_scale=8)
TRACK = AutoencoderRecipe("conv1d", latents=2, hidden=(6,), strides=(2, 2), kernel=3)
QUICK = Training(steps=200, batch=32, learning_rate=1e-2, patch=16, threads=1)


def recipe(network, training=QUICK, **objective):
    track = network.family == "conv1d"
    return Recipe(
        "tiny", 1, "track" if track else "plane", "t" if track else "nyx",
        autoencoder=network, objective=Objective(**(objective or {"mse": 1.0})), training=training,
    )  # fmt: skip


@pytest.fixture(scope="module")
def blobs():
    """Small pictures with few degrees of freedom: a bright spot anywhere."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:8, :8]
    at = rng.uniform(1, 7, (600, 2, 1, 1))
    spread = rng.uniform(1, 5, (600, 1, 1))
    spot = np.exp(-((rows - at[:, 0]) ** 2 + (columns - at[:, 1]) ** 2) / spread)
    return PatchSource(np.rint(255 * spot).astype(np.uint8), "nyx")


@pytest.fixture(scope="module")
def waves():
    """Smooth pictures of 12 bits."""
    rows, columns = np.mgrid[:120, :100]
    picture = np.sin(rows / 7) + np.cos(columns / 5 + rows / 11)
    return PatchSource(np.rint(1000 * picture + 30000).astype(np.uint16), "yx")


def reconstruct(autoencoder, planes):
    engine = select("reference")
    statistics = autoencoder.statistics(planes)
    latents = autoencoder.analyse(engine, planes, statistics)
    return latents, autoencoder.synthesise(engine, latents, planes.shape[1:], statistics)


def scattered(network):
    """The network with weights and biases as a long training might leave them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(torch.exp(torch.randn(len(p), *(1,) * (p.ndim - 1))))
            p.add_(0.05 * torch.randn_like(p))
    return network


@pytest.mark.parametrize("shape", [DENSE, CONV, TRACK, replace(DENSE, latent_dtype="int16")])
def test_lowered_programs_compute_what_the_network_does(shape):
    network = scattered(networks.AutoencoderNetwork(shape)).double().eval()
    lowered = lower(network)
    grid, rng = network.input_grid, np.random.default_rng(0)
    size = {"dense": (64,), "conv2d": (1, 21, 18), "conv1d": (1, 1, 37)}[shape.family]
    x = rng.integers(grid.lo, grid.hi + 1, (50, *size))
    latents = reference.run(lowered.analysis, x)
    with torch.no_grad():
        z = network.quantise_latents(network.analyse(torch.from_numpy(x / 2.0**grid.bits)))
        y = network.synthesise(z)
    assert np.array_equal((z * 2.0**network.latent_grid.bits).numpy(), latents)
    expected = (y * 2.0**network.output_grid.bits).numpy()
    found = reference.run(lowered.synthesis, latents)
    assert np.array_equal(expected, found)
    assert len(np.unique(found)) > 20


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_accumulators_stay_proven_whatever_the_weights(size):
    network = networks.AutoencoderNetwork(AutoencoderRecipe("dense", 40, sample_shape=(28, 28)))
    for p in network.parameters():
        p.data = torch.randn_like(p) * size
    lower(network)


def test_dense_training_beats_principal_components(blobs):
    x = blobs.take(range(600)).astype(np.int32)
    centred = (x - x.mean(0)).reshape(600, -1) / 255
    spread = np.linalg.svd(centred, compute_uv=False)
    principal = (spread[4:] ** 2).sum() / centred.size
    training = replace(QUICK, steps=800)
    _, y = reconstruct(train_autoencoder(recipe(DENSE, training), blobs, progress=False), x)
    assert (((y - x) / 255) ** 2).mean() < 0.7 * principal


def test_principal_components_are_a_starting_point(blobs):
    shape = replace(DENSE, hidden=(), init="pca")
    training = replace(QUICK, steps=1, learning_rate=1e-6)
    x = blobs.take(range(600)).astype(np.int32)
    latents, y = reconstruct(train_autoencoder(recipe(shape, training), blobs, progress=False), x)
    centred = (x - x.mean(0)).reshape(600, -1) / 255
    spread = np.linalg.svd(centred, compute_uv=False)
    principal = (spread[4:] ** 2).sum() / centred.size
    assert (((y - x) / 255) ** 2).mean() < 1.05 * principal
    assert (np.abs(latents).max(0) < 127).all()
    assert (latents.std(0) > 8).all()


@pytest.mark.parametrize("network", [CONV, TRACK])
def test_conv_training_paints_the_data(network, waves):
    source = waves
    if network is TRACK:
        time = np.arange(20000)
        wave = 5000 * np.sin(time / 9) + 2000 * np.sin(time / 31)
        source = PatchSource(np.rint(wave).astype(np.int32), "t", "track")
    trained = train_autoencoder(recipe(network), source, progress=False)
    planes = source.take([0]).astype(np.int32)
    _, y = reconstruct(trained, planes)
    assert y.shape == planes.shape
    assert ((y - planes) ** 2.0).mean() < 0.2 * planes.var()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_conv_training_takes_any_numbers(dtype):
    values = np.random.default_rng(0).normal(100, 20, (40, 40)).astype(dtype)
    if dtype is np.float32:
        values[3, 4:9] = np.nan
    quick = replace(QUICK, steps=2)
    assert isinstance(
        train_autoencoder(recipe(CONV, quick), PatchSource(values), progress=False), Autoencoder
    )


def test_same_seed_same_programs(blobs):
    quick = recipe(DENSE, replace(QUICK, steps=20))
    a, b, c = (
        train_autoencoder(quick, blobs, seed=seed, progress=False).to_tensors("a")[0]
        for seed in (5, 5, 6)
    )
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not all(np.array_equal(a[k], c[k]) for k in a)


def test_training_leaves_torch_as_it_was(blobs):
    torch.manual_seed(3)
    expected = torch.rand(1)
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    train_autoencoder(recipe(DENSE, replace(QUICK, steps=2)), blobs, progress=False)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_training_stops_early_and_keeps_the_best(blobs, monkeypatch):
    counted = []
    forward = Terms.forward

    def count(self, batch):
        counted.append(self.training)
        return forward(self, batch)

    monkeypatch.setattr(Terms, "forward", count)
    training = replace(QUICK, steps=400, learning_rate=1e-12, patience=2)
    train_autoencoder(recipe(DENSE, training), blobs, progress=False)
    assert sum(counted) < 200


def parts(trained, source):
    """Every term's own measure of a trained autoencoder, from its integers."""
    x = source.take(range(600)).astype(np.int32)
    z, y = reconstruct(trained, x)
    real = torch.from_numpy(z / DENSE.latent_scale)
    entropy = sum(
        -(p * np.log2(p)).sum() for p in (np.unique(c, return_counts=True)[1] / len(c) for c in z.T)
    )
    weights = [w for k, w in trained.to_tensors("")[0].items() if "weight" in k]
    shifts = [s for k, s in trained.to_tensors("")[0].items() if "shift" in k]
    sizes = [
        np.abs(w / 2.0 ** (s[:, None].astype(float) - 8)).mean()
        for w, s in zip(weights, shifts, strict=True)
    ]
    target, found = torch.from_numpy(x / 255), torch.from_numpy(y / 255)
    rng = np.random.default_rng(0)
    noisy = np.clip(np.rint(x + 51 * rng.normal(size=x.shape)), 0, 255).astype(np.int32)
    _, cleaned = reconstruct(trained, noisy)
    return {
        "mse": ((y - x) ** 2.0).mean(),
        "bce": loss.bce(found, target).item(),
        "rate": entropy,
        "residual": np.abs(y - x).mean(),
        "sparse": loss.sparse(real, 0.1).item(),
        "variational": loss.variational(real, torch.zeros_like(real)).item(),
        "l1": np.mean(sizes),
        "l2": np.mean(sizes),
        "noise": ((cleaned - x) ** 2.0).mean(),
    }


@pytest.mark.parametrize(
    ("term", "objective"),
    [
        ("mse", {"mse": 1.0}),
        ("bce", {"bce": 1.0}),
        ("rate", {"mse": 1.0, "rate": 0.5}),
        ("residual", {"residual": 1.0}),
        ("sparse", {"mse": 1.0, "sparse": 0.1}),
        ("variational", {"mse": 1.0, "variational": 0.1}),
        ("l1", {"mse": 1.0, "l1": 1e-3}),
        ("l2", {"mse": 1.0, "l2": 1e-2}),
        ("noise", {"mse": 1.0, "noise": 0.2, "corruption": 0.05}),
    ],
)
def test_every_term_lowers_what_it_weighs(term, objective, blobs, plain):
    if term in ("mse", "bce", "residual"):
        # A target of its own: measured against networks that were not trained.
        start = recipe(DENSE, replace(QUICK, steps=1, learning_rate=1e-9), **objective)
        before = parts(train_autoencoder(start, blobs, progress=False), blobs)[term]
    else:
        before = plain[term]
    trained = train_autoencoder(recipe(DENSE, **objective), blobs, progress=False)
    assert parts(trained, blobs)[term] < 0.9 * before


@pytest.fixture(scope="module")
def plain(blobs):
    return parts(train_autoencoder(recipe(DENSE), blobs, progress=False), blobs)


def test_dropout_silences_units_in_training_only(blobs):
    network = networks.AutoencoderNetwork(replace(DENSE, dropout=0.5))
    x = torch.rand(4, 64)
    assert not torch.equal(network.features(x), network.features(x))
    network.eval()
    assert torch.equal(network.features(x), network.features(x))
    shape = replace(DENSE, dropout=0.2)
    train_autoencoder(recipe(shape, replace(QUICK, steps=3)), blobs, progress=False)


def test_densities_are_densities():
    values = torch.arange(-3000.0, 3001)
    mass = loss.logistic_mass(values, torch.tensor(0.3), torch.tensor(2.0))
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)
    assert (mass >= 0).all()
    rate = loss.ResidualRate(0, 255)
    grid = torch.arange(256.0)
    for mean in (-3.0, 0.0, 100.3, 255.0):
        bits = torch.stack([rate(v, torch.tensor(mean)) for v in grid])
        assert (2**-bits).sum().item() == pytest.approx(1, abs=1e-4)


def test_latent_rate_is_near_the_entropy():
    rng = np.random.default_rng(0)
    z = np.rint(rng.logistic([[3.0, -1.0]], [[4.0, 0.7]], (20000, 2)))
    rate = loss.LatentRate(2)
    rate.start(torch.from_numpy(z).float())
    entropy = sum(
        -(p * np.log2(p)).sum() for p in (np.unique(c, return_counts=True)[1] / len(c) for c in z.T)
    )
    found = rate(torch.from_numpy(z).float()).item() / len(z)
    assert entropy * 0.99 < found < entropy * 1.03


@pytest.mark.parametrize(
    ("source", "network", "complaint"),
    [
        (np.zeros((9, 8, 7), np.uint8), DENSE, "takes uint8 samples of 8 x 8"),
        (np.zeros((9, 8, 8), np.uint16), DENSE, "the data has uint16"),
        (np.zeros((9, 8, 8), np.uint8), None, "no autoencoder section"),
    ],
)
def test_data_that_does_not_fit_is_refused(source, network, complaint):
    made = replace(recipe(DENSE), autoencoder=network)
    with pytest.raises(ConfigError, match=complaint):
        train_autoencoder(made, PatchSource(source, "nyx"), progress=False)


def test_progress_is_silent_away_from_terminals(capsys):
    with progress_bar("work", 10) as report:
        report(5, loss=0.5, bits=1.25)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist beside the repository")
def test_linear_digits_autoencoder_is_within_a_fifth_of_principal_components():
    made = load_recipe("mnist-784-128")
    made = replace(made, training=replace(made.training, steps=150))
    trained = train_autoencoder(made, PatchSource(MNIST / "train_10k.npz", "nyx"), progress=False)
    with np.load(MNIST / "test_5k.npz") as file:
        x = file["data"][:2000].astype(np.int32)
    latents, y = reconstruct(trained, x)
    assert np.abs(latents).max() <= 127
    assert (((y - x) / 255) ** 2).mean() < 1.2 * 0.00347
