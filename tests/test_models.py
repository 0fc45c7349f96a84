"""Encoders, heads and the late-fusion network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from asgml_core.models import (
    HEADS,
    MLP,
    ClipEncoder,
    ConcatLinear,
    ConcatMLP,
    Gated,
    LateFusion,
    ResNet18,
    Sum,
    build_model,
)

SHAPES = {"audio": (1, 16, 12), "visual": (2, 3, 16, 16), "text": (7,)}
SIZES = {"audio": 5, "visual": 3, "text": 4}
every_head = pytest.mark.parametrize("head", HEADS)


def small_model(shapes=SHAPES, **options) -> LateFusion:
    return build_model(shapes, 4, **{"width": 2, "stem": "small", **options})


def draw_inputs(normal, shapes=SHAPES, size=3):
    return {m: normal(size, *shape, seed=i) for i, (m, shape) in enumerate(shapes.items())}


# -------------------------------------------------------------------------------- ResNet18


@pytest.fixture(scope="module")
def pair() -> tuple[ResNet18, nn.Module]:
    """Our ResNet18 and torchvision's with its classifier removed, with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours, theirs = ResNet18(), resnet18(weights=None)
    theirs.fc = nn.Identity()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_resnet18_has_torchvision_s_names_and_shapes(pair):
    ours, theirs = (net.state_dict() for net in pair)
    assert list(ours) == list(theirs)
    assert all(ours[name].shape == theirs[name].shape for name in ours)
    assert pair[0].features == 512


@pytest.mark.parametrize("training", [True, False])
def test_resnet18_has_torchvision_s_features(pair, normal, training):
    ours, theirs = (net.train(training) for net in pair)
    x = normal(3, 3, 65, 50)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_resnet18_starts_as_torchvision_s_does():
    """Convolutions Kaiming normal by their outputs, batch norms 1 and 0."""
    net = ResNet18(channels=1)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            spread = float(layer.weight.detach().std())
            assert spread == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), name
            assert layer.bias is None
        if isinstance(layer, nn.BatchNorm2d):
            assert bool((layer.weight == 1).all()), name
            assert bool((layer.bias == 0).all()), name


@pytest.mark.parametrize(("stem", "shrink"), [("imagenet", 32), ("small", 8)])
def test_a_stem_shrinks_the_picture_by_so_much(stem, shrink, normal):
    net, seen = ResNet18(channels=2, width=3, stem=stem).eval(), []
    net.layer4.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    features = net(normal(1, 2, 64, 96))
    assert features.shape == (1, 24) == (1, net.features)
    assert seen == [(1, 24, 64 // shrink, 96 // shrink)]


def test_an_mlp_has_the_size_it_names(normal):
    assert MLP(6, width=2)(normal(4, 6)).shape == (4, 16)
    assert MLP(6, width=2).features == 16


# ------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("frames", [1, 3])
def test_each_frame_is_encoded_and_the_features_averaged(frames, normal):
    encoder = ClipEncoder(frames, 2, "each", width=2, stem="small").eval()
    x = normal(4, frames, 2, 16, 16)
    with torch.no_grad():
        expected = sum(encoder.net(x[:, f]) for f in range(frames)) / frames
        torch.testing.assert_close(encoder(x), expected, rtol=1e-5, atol=1e-6)


def test_frames_as_channels_are_one_picture(normal):
    encoder = ClipEncoder(3, 2, "channels", width=2, stem="small").eval()
    x = normal(4, 3, 2, 16, 16)
    picture = torch.cat([x[:, 0], x[:, 1], x[:, 2]], 1)
    assert encoder.net.conv1.in_channels == 6
    with torch.no_grad():
        assert torch.equal(encoder(x), encoder.net(picture))


# ------------------------------------------------------------------------------------ heads


def draw_features(normal):
    return {m: normal(6, d, seed=i) for i, (m, d) in enumerate(SIZES.items())}


def test_the_split_of_one_linear_sums_to_the_fused_logits(normal):
    head, features = ConcatLinear(SIZES, 4), draw_features(normal)
    logits, unimodal = head(features)
    torch.testing.assert_close(sum(unimodal.values()), logits)
    start = 0
    for m, z in features.items():
        columns = head.joint.weight[:, start : start + SIZES[m]]
        torch.testing.assert_close(unimodal[m], z @ columns.T + head.joint.bias / 3)
        start += SIZES[m]


def test_the_sum_head_adds_logits_with_their_own_full_bias(normal):
    head, features = Sum(SIZES, 4), draw_features(normal)
    logits, unimodal = head(features)
    torch.testing.assert_close(sum(unimodal.values()), logits)
    for m, z in features.items():
        layer = head.unimodal[m]
        torch.testing.assert_close(unimodal[m], z @ layer.weight.T + layer.bias)


def test_the_study_s_head_has_two_linear_maps_and_nothing_between(normal):
    head, features = ConcatMLP(SIZES, 4), draw_features(normal)
    logits, unimodal = head(features)
    first, second = head.joint
    assert first.weight.shape == (5, 12)
    joint = torch.cat(list(features.values()), 1) @ first.weight.T + first.bias
    torch.testing.assert_close(logits, joint @ second.weight.T + second.bias)
    for m, z in features.items():
        layer = head.unimodal[m]
        torch.testing.assert_close(unimodal[m], z @ layer.weight.T + layer.bias)


def test_the_gated_head_sums_gated_values_and_has_two_linear_maps_after(normal):
    """Each gate and value looks at its own modality; nothing but the gates is not linear."""
    head, features = Gated(SIZES, 4), draw_features(normal)
    logits, unimodal = head(features)
    total = 0.0
    for m, z in features.items():
        gate = z @ head.gates[m].weight.T + head.gates[m].bias
        value = z @ head.values[m].weight.T + head.values[m].bias
        total = total + value / (1 + (-gate).exp())
        layer = head.unimodal[m]
        torch.testing.assert_close(unimodal[m], z @ layer.weight.T + layer.bias)
    first, second = head.joint
    assert first.weight.shape == (5, 5)  # the largest of the feature sizes
    joint = total @ first.weight.T + first.bias
    torch.testing.assert_close(logits, joint @ second.weight.T + second.bias)
    assert (
        sum(p.numel() for p in head.parameters())
        == sum(2 * 5 * (d + 1) + 4 * (d + 1) for d in SIZES.values()) + 5 * 6 + 4 * 6
    )


@every_head
def test_a_head_knows_what_makes_its_unimodal_logits(head, normal):
    module, features = HEADS[head](SIZES, 4), draw_features(normal)
    parameters = module.unimodal_parameters()
    assert list(parameters) == list(SIZES)
    for m, logits in module(features)[1].items():
        module.zero_grad()
        logits.sum().backward(retain_graph=True)
        reached = {id(p) for p in module.parameters() if p.grad is not None}
        assert {id(p) for p in parameters[m]} == reached


@every_head
def test_a_head_takes_features_by_name_and_not_by_place(head, normal):
    """With equal sizes a swap would be silent: no shape gives it away."""
    module = HEADS[head](dict.fromkeys(SIZES, 4), 4)
    features = {m: normal(6, 4, seed=i) for i, m in enumerate(SIZES)}
    logits, unimodal = module(features)
    turned, by_name = module(dict(reversed(features.items())))
    torch.testing.assert_close(turned, logits)
    for m in SIZES:
        torch.testing.assert_close(by_name[m], unimodal[m])


# ---------------------------------------------------------------------------- the network


@every_head
def test_the_network_s_outputs(head, normal):
    model, inputs = small_model(head=head), draw_inputs(normal)
    outputs = model(inputs)
    assert outputs.logits.shape == (3, 4)
    assert list(outputs.unimodal_logits) == list(outputs.features) == list(SHAPES)
    assert all(z.shape == (3, 16) for z in outputs.features.values())
    assert all(o.shape == (3, 4) for o in outputs.unimodal_logits.values())
    torch.testing.assert_close(outputs.fuse(outputs.features), outputs.logits)
    silent = {**outputs.features, "audio": torch.zeros(3, 16)}
    torch.testing.assert_close(outputs.fuse(silent), model.fuse(silent).logits)
    assert not torch.equal(outputs.fuse(silent), outputs.logits)


@every_head
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_the_groups_are_disjoint_and_complete(head, modalities):
    model = small_model(dict(list(SHAPES.items())[:modalities]), head=head)
    groups = model.groups()
    assert list(groups) == [*list(SHAPES)[:modalities], "fusion"]
    grouped = [id(p) for parameters in groups.values() for p in parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}
    for m in list(SHAPES)[:modalities]:
        assert {id(p) for p in groups[m]} == {id(p) for p in model.encoders[m].parameters()}
    assert all(isinstance(parameters, list) for parameters in groups.values())


def equal_states(a: nn.Module, b: nn.Module) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@every_head
@pytest.mark.parametrize("init", ["study", "official"])
def test_the_seed_decides_and_the_global_state_does_not(head, init):
    models = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            before = torch.get_rng_state()
            models.append(small_model(head=head, init=init, seed=7))
            assert torch.equal(before, torch.get_rng_state())
    assert equal_states(*models)
    other = small_model(head=head, init=init, seed=8)
    for m in SHAPES:
        assert not equal_states(other.encoders[m], models[0].encoders[m])
    assert not equal_states(other.head, models[0].head)


def test_an_encoder_starts_equal_alone_and_beside_others():
    together = small_model(seed=3)
    for m, shape in SHAPES.items():
        assert equal_states(small_model({m: shape}, seed=3).encoders[m], together.encoders[m])
    turned = small_model(dict(reversed(SHAPES.items())), seed=3, head="sum")
    assert all(equal_states(turned.encoders[m], together.encoders[m]) for m in SHAPES)


def test_two_modalities_of_one_shape_start_differently():
    model = small_model({"left": (7,), "right": (7,)})
    assert not equal_states(model.encoders["left"], model.encoders["right"])


def test_the_official_init_is_xavier_with_no_bias():
    shapes = {"audio": (5,), "visual": (6,)}
    head = build_model(
        shapes, 100, head="concat_linear", width=16, init="official"
    ).head.joint.requires_grad_(False)
    assert bool((head.bias == 0).all())
    assert float(head.weight.std()) == pytest.approx((2 / (256 + 100)) ** 0.5, rel=0.05)
    assert bool((head.weight.abs() > 256**-0.5).any())  # torch's default stays below
    study = build_model(shapes, 100, head="concat_linear", width=16).head.joint.requires_grad_(
        False
    )
    assert float(study.weight.abs().max()) <= 256**-0.5
    assert bool((study.bias != 0).any())


def test_the_encoder_follows_the_shape():
    encoders = small_model().encoders
    kinds = {m: type(encoder) for m, encoder in encoders.items()}
    assert kinds == {"audio": ResNet18, "visual": ClipEncoder, "text": MLP}
    assert encoders["audio"].conv1.in_channels == 1
    assert encoders["visual"].mode == "each"
    assert small_model(frames="channels").encoders["visual"].net.conv1.in_channels == 6


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4, 5)], ids=str)
def test_an_item_of_another_rank_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"lips has items of shape \("):
        small_model({"audio": (3,), "lips": shape})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "concat"}, "head is 'concat'"),
        ({"init": "xavier"}, "init is 'xavier'"),
        ({"stem": "large"}, "stem is 'large'"),
        ({"frames": "all"}, "frames is 'all'"),
        ({"width": 0}, "width is 0"),
        ({"width": 1.5}, "width is 1.5"),
    ],
    ids=str,
)
@pytest.mark.parametrize("shapes", [SHAPES, {"text": (7,)}], ids=["clips", "vectors"])
def test_an_option_outside_its_range_is_refused(options, message, shapes):
    """Also where no encoder of these shapes would have used it: a typo is never silent."""
    with pytest.raises(ValueError, match=message):
        small_model(shapes, **options)


@pytest.mark.parametrize("classes", [1, 0, -2, 2.5])
def test_fewer_than_two_classes_are_refused(classes):
    with pytest.raises(ValueError, match=f"classes is {classes}"):
        build_model(SHAPES, classes, width=2)
