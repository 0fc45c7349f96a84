"""Linear probes against autograd, ``torch.optim.Adam`` and a Newton solver written here."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.probes import (
    Probes,
    probe_gradients,
    probe_logits,
    refit_accuracies,
    stack_features,
)

CLASSES = 4
SIZES = {"audio": 7, "visual": 3, "text": 5}


def draw_features(size: int, seed: int, sizes: dict[str, int] = SIZES):
    """Return features that tell part of the label, and the labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (size,), generator=draw)
    features = {}
    for m, d in sizes.items():
        features[m] = torch.randn(size, d, generator=draw)
        features[m][:, :2] += F.one_hot(labels, CLASSES)[:, :2]
    return features, labels


def starting_layers(seed: int, sizes: dict[str, int] = SIZES) -> dict[str, nn.Linear]:
    """Return the probes of a seed as they start: steps too small to change a float32."""
    still = Probes(steps=1, learning_rate=1e-30, seed=seed)
    still.measure(*draw_features(4, 0, sizes), CLASSES)
    layers = {}
    for i, (m, d) in enumerate(sizes.items()):
        layers[m] = nn.Linear(d, CLASSES)
        with torch.no_grad():
            layers[m].weight.copy_(still.weight[i, :, :d])
            layers[m].bias.copy_(still.bias[i])
    return layers


def accuracy(layer: nn.Linear, z: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((layer(z).argmax(1) == labels).double().mean())


@pytest.mark.parametrize("modalities", [1, 2, 3, 6])
def test_the_written_gradient_is_autograd_s(modalities, normal, class_labels):
    weight = normal(modalities, CLASSES, 5, seed=1).requires_grad_()
    bias = normal(modalities, CLASSES, seed=2).requires_grad_()
    features, labels = normal(modalities, 9, 5, seed=3), class_labels(9, CLASSES, seed=4)
    logits = probe_logits(weight, bias, features)
    for m in range(modalities):
        torch.testing.assert_close(logits[m], F.linear(features[m], weight[m], bias[m]))
        F.cross_entropy(logits[m], labels).backward(retain_graph=True)
    found = probe_gradients(weight.detach(), bias.detach(), features, labels)
    torch.testing.assert_close(found[0], weight.grad, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found[1], bias.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("steps", [1, 10])
def test_measuring_is_linear_layers_with_an_adam_each(split, steps):
    """Over batches of odd and even sizes, each probe with its own feature size."""
    probes, layers = Probes(steps, split, learning_rate=0.01, seed=3), starting_layers(3)
    adams = {m: torch.optim.Adam(layer.parameters(), lr=0.01) for m, layer in layers.items()}
    for seed, size in enumerate((16, 9, 2, 33, 16)):
        features, labels = draw_features(size, seed)
        found = probes.measure(features, labels, CLASSES)
        half = size // 2 if split else size
        for i, m in enumerate(SIZES):
            z = features[m]
            for _ in range(steps):
                adams[m].zero_grad()
                F.cross_entropy(layers[m](z[:half]), labels[:half]).backward()
                adams[m].step()
            weight, bias = layers[m].weight.detach(), layers[m].bias.detach()
            torch.testing.assert_close(
                probes.weight[i, :, : SIZES[m]], weight, rtol=1e-5, atol=1e-6
            )
            torch.testing.assert_close(probes.bias[i], bias, rtol=1e-5, atol=1e-6)
            start = half if split else 0
            expected = accuracy(layers[m], z[start:], labels[start:])
            assert float(found[i]) == pytest.approx(expected, abs=1e-6)
            assert float(probes.score(features, labels)[i]) == pytest.approx(
                accuracy(layers[m], z, labels), abs=1e-6
            )
    assert int(probes.taken) == 5 * steps
    moved = probes.weight[0] - starting_layers(3)["audio"].weight.detach()
    assert float(moved.abs().max()) > 0.005


@pytest.mark.parametrize("steps", [1, 5])
def test_a_batch_is_read_before_it_is_learned_from(steps):
    """Logits of the probes as they were; then ``steps`` steps of Adam on the whole batch."""
    probes, layers = Probes(steps, learning_rate=0.01, seed=3), starting_layers(3)
    adams = {m: torch.optim.Adam(layer.parameters(), lr=0.01) for m, layer in layers.items()}
    for seed, size in enumerate((16, 9, 1, 33)):
        features, labels = draw_features(size, seed)
        found = probes.predict_then_train(features, labels, CLASSES)
        assert found.shape == (3, size, CLASSES)
        assert not found.requires_grad
        for i, m in enumerate(SIZES):
            expected = layers[m](features[m]).detach()
            torch.testing.assert_close(found[i], expected, rtol=1e-5, atol=1e-5)
            for _ in range(steps):
                adams[m].zero_grad()
                F.cross_entropy(layers[m](features[m]), labels).backward()
                adams[m].step()
            weight = layers[m].weight.detach()
            torch.testing.assert_close(
                probes.weight[i, :, : SIZES[m]], weight, rtol=1e-5, atol=1e-6
            )
    assert int(probes.taken) == 4 * steps


def test_reading_first_under_autocast_is_in_float32():
    features, labels = draw_features(12, 1)
    low = {m: z.bfloat16() for m, z in features.items()}
    inside, outside = Probes(), Probes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = inside.predict_then_train(low, labels, CLASSES)
    assert found.dtype == torch.float32
    assert torch.equal(found, outside.predict_then_train(low, labels, CLASSES))
    assert torch.equal(inside.weight, outside.weight)


def test_the_padding_of_narrow_features_changes_nothing(normal):
    """A modality's probe is the same beside a wide neighbour as alone, and its padding stays 0."""
    features, labels = draw_features(20, 1)
    together, alone = Probes(steps=20, seed=2), Probes(steps=20, seed=2)
    narrow = {"audio": SIZES["visual"], "visual": SIZES["text"]}
    wide = {"audio": SIZES["visual"], "visual": SIZES["text"], "text": 40}
    values = [features["visual"], features["text"], normal(20, 40)]
    found = together.measure(dict(zip(wide, values, strict=True)), labels, CLASSES)
    expected = alone.measure(dict(zip(narrow, values, strict=False)), labels, CLASSES)
    assert torch.equal(found[:2], expected)
    for i, d in enumerate(narrow.values()):
        torch.testing.assert_close(together.weight[i, :, :d], alone.weight[i, :, :d])
        assert bool((together.weight[i, :, d:] == 0).all())


def test_stacked_features_are_detached_float32_and_padded():
    audio = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    stacked = stack_features({"audio": audio, "visual": torch.ones(2, 1)})
    assert stacked.dtype == torch.float32
    assert not stacked.requires_grad
    assert stacked[1].tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("split", [True, False])
def test_under_autocast_a_probe_measures_in_float32(split):
    features, labels = draw_features(40, 5)
    low = {m: z.bfloat16() for m, z in features.items()}
    inside, outside = Probes(split=split), Probes(split=split)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = inside.measure(low, labels, CLASSES)
        scored = inside.score(low, labels)
    assert torch.equal(found, outside.measure(low, labels, CLASSES))
    assert torch.equal(scored, outside.score(low, labels))
    assert torch.equal(inside.weight, outside.weight)
    assert inside.weight.dtype == torch.float32


def test_a_refit_under_autocast_is_in_float32():
    (train, train_labels), (test, test_labels) = draw_features(60, 1), draw_features(400, 2)
    expected = refit_accuracies(train, train_labels, test, test_labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert refit_accuracies(train, train_labels, test, test_labels) == expected


def test_the_features_keep_their_graph_and_get_no_gradient(normal, class_labels):
    features = {"audio": normal(6, 3).requires_grad_(), "visual": normal(6, 3).requires_grad_()}
    accuracies = Probes().measure(features, class_labels(6, CLASSES), CLASSES)
    assert not accuracies.requires_grad
    sum(z.sum() for z in features.values()).backward()
    assert all(bool((z.grad == 1).all()) for z in features.values())


def test_a_probe_starts_as_a_linear_layer_would():
    weight = starting_layers(0, {"audio": 400})["audio"].weight.detach()
    assert float(weight.abs().max()) <= 400**-0.5
    assert float(weight.std()) == pytest.approx(400**-0.5 / 3**0.5, rel=0.05)


def test_the_seed_decides_and_the_global_state_does_not():
    before = torch.get_rng_state()
    first, again, other = (starting_layers(seed)["audio"].weight for seed in (1, 1, 2))
    # `starting_layers` itself makes layers, which draw from the global state.
    torch.set_rng_state(before)
    features, labels = draw_features(8, 0)
    Probes(seed=1).measure(features, labels, CLASSES)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_saved_probe_goes_on_where_it_was(tmp_path):
    batches = [draw_features(12, seed) for seed in range(4)]
    whole, first, second = Probes(seed=1), Probes(seed=1), Probes(seed=9)
    expected = [whole.measure(*batch, CLASSES) for batch in batches]
    found = [first.measure(*batch, CLASSES) for batch in batches[:2]]
    torch.save(first.state_dict(), tmp_path / "probes.pt")
    second.load_state_dict(torch.load(tmp_path / "probes.pt", weights_only=True))
    found += [second.measure(*batch, CLASSES) for batch in batches[2:]]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert list(whole.parameters()) == []


def test_impossible_probes_are_refused():
    features, labels = draw_features(1, 0)
    with pytest.raises(
        ValueError, match="a split probe needs 2 items or more, but the batch has 1"
    ):
        Probes(split=True).measure(features, labels, CLASSES)
    assert Probes(split=False).measure(features, labels, CLASSES).shape == (3,)
    with pytest.raises(RuntimeError, match="never trained; measure comes before score"):
        Probes().score(features, labels)
    with pytest.raises(ValueError, match="steps is 0"):
        Probes(steps=0)
    with pytest.raises(ValueError, match="learning_rate is 0"):
        Probes(learning_rate=0)


# ------------------------------------------------------------------------------- refitting


def newton_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, penalty: float
) -> float:
    """Solve penalised softmax regression by damped Newton steps in float64."""
    mean, deviation = train.double().mean(0), train.double().std(0)
    x, x_test = ((z.double() - mean) / deviation for z in (train, test))
    x, x_test = (torch.cat([z, torch.ones(len(z), 1).double()], 1) for z in (x, x_test))
    width, classes = x.shape[1], CLASSES
    weigh = torch.full((width, classes), penalty, dtype=torch.float64)
    weigh[-1] = 0  # the bias pays no penalty

    def loss(theta: Tensor) -> Tensor:
        entropy = F.cross_entropy(x @ theta.view(width, classes), train_labels)
        return entropy + (weigh * theta.view(width, classes).square()).sum() / 2

    theta = torch.zeros(width * classes, dtype=torch.float64)
    for _ in range(30):
        (gradient,) = torch.autograd.functional.jacobian(loss, (theta,))
        if float(gradient.norm()) < 1e-9:
            break
        hessian = torch.autograd.functional.hessian(loss, theta)
        step = torch.linalg.pinv(hessian, hermitian=True) @ gradient
        size = 1.0
        while loss(theta - size * step) > loss(theta) and size > 1e-6:
            size /= 2
        theta = theta - size * step
    assert float(gradient.norm()) < 1e-9
    predicted = (x_test @ theta.view(width, classes)).argmax(1)
    return float((predicted == test_labels).double().mean())


@pytest.mark.parametrize("penalty", [1e-3, 0.3])
def test_a_refit_finds_what_newton_finds(penalty):
    (train, labels), (test, test_labels) = draw_features(90, 1), draw_features(600, 2)
    # Unequal scales and shifts: standardising must undo them, by the training part's numbers.
    for z in (*train.values(), *test.values()):
        z.mul_(torch.logspace(-2, 2, z.shape[1])).add_(5)
    found = refit_accuracies(train, labels, test, test_labels, penalty)
    assert list(found) == list(SIZES)
    for m, accuracy_m in found.items():
        expected = newton_accuracy(train[m], labels, test[m], test_labels, penalty)
        assert accuracy_m == pytest.approx(expected, abs=1 / 600 + 1e-9), m
        assert accuracy_m > 1.2 / CLASSES


def test_a_refit_of_separable_features_is_perfect_and_leaves_them_alone():
    features, labels = draw_features(40, 3)
    clear = {
        m: z + 50 * F.one_hot(labels, z.shape[1]) for m, z in features.items() if m != "visual"
    }
    copies = {m: z.clone() for m, z in clear.items()}
    assert refit_accuracies(clear, labels, clear, labels) == {"audio": 1.0, "text": 1.0}
    assert all(torch.equal(clear[m], copies[m]) for m in clear)


def test_a_refit_works_where_gradients_are_off_and_features_are_constant():
    features, labels = draw_features(40, 3)
    features = {"audio": features["audio"], "visual": torch.full((40, 2), 3.0)}
    with torch.no_grad():
        found = refit_accuracies(features, labels, features, labels)
    commonest = float(labels.bincount().max()) / 40
    assert found["visual"] == pytest.approx(commonest)
    assert found["audio"] > commonest
