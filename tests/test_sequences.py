"""The encoder of sequences: padding, positions, gradients and determinism."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from asgml_core.models import build_model
from asgml_core.sequences import SequenceEncoder, _positions


def encoder(steps: int = 9, inputs: int = 5, width: int = 2, seed: int = 0) -> SequenceEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SequenceEncoder(steps, inputs, width)


def padded(normal, lengths=(9, 4, 1, 0), steps=9, inputs=5):
    x = normal(len(lengths), steps, inputs)
    return x * (torch.arange(steps) < torch.tensor(lengths)[:, None])[:, :, None]


def test_it_has_the_size_it_names(normal):
    net = encoder()
    assert net.features == 16
    assert net(normal(4, 9, 5)).shape == (4, 16)


def test_positions_are_sines_and_cosines():
    found = _positions(7, 8)
    for step in range(7):
        for i in range(4):
            angle = step / 10_000 ** (2 * i / 8)
            assert float(found[step, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(found[step, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-6)
    assert "positions" not in encoder().state_dict()  # they follow from the sizes


def test_padding_changes_nothing(normal):
    """The same steps in a longer sequence give the same features."""
    short, long = encoder(steps=4), encoder(steps=9)
    long.load_state_dict(short.state_dict())
    x = normal(3, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(
            long(torch.cat([x, torch.zeros(3, 5, 5)], 1)), short(x), rtol=1e-5, atol=1e-6
        )


def test_an_item_is_encoded_alike_alone_and_beside_others(normal):
    net, x = encoder(), padded(normal)
    with torch.no_grad():
        together = net(x)
        for i in range(len(x)):
            torch.testing.assert_close(net(x[i : i + 1])[0], together[i], rtol=1e-5, atol=1e-6)


def test_an_item_without_steps_has_features_zero(normal):
    net, x = encoder(), padded(normal)
    features = net(x)
    assert bool((features[3] == 0).all())
    features.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters())


def test_the_order_of_the_steps_matters(normal):
    net, x = encoder(), normal(2, 9, 5)
    with torch.no_grad():
        assert not torch.allclose(net(x), net(x.flip(1)), atol=1e-3)


def test_it_is_torch_s_own_layer_where_nothing_is_padding(normal):
    """The blocks are torch's TransformerEncoderLayer with the norm first and no dropout."""
    net, x = encoder(), normal(3, 9, 5)
    z = net.embed(x) + net.positions
    for block in net.blocks:
        theirs = nn.TransformerEncoderLayer(
            16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        ).train()
        pairs = {
            theirs.self_attn.in_proj_weight: block.query_key_value.weight,
            theirs.self_attn.in_proj_bias: block.query_key_value.bias,
            theirs.self_attn.out_proj.weight: block.joined.weight,
            theirs.self_attn.out_proj.bias: block.joined.bias,
            theirs.linear1.weight: block.layers[0].weight,
            theirs.linear1.bias: block.layers[0].bias,
            theirs.linear2.weight: block.layers[2].weight,
            theirs.linear2.bias: block.layers[2].bias,
        }
        with torch.no_grad():
            for target, value in pairs.items():
                target.copy_(value)
        z = theirs(z)
    torch.testing.assert_close(net(x), net.norm(z).mean(1), rtol=1e-5, atol=1e-6)


def test_every_parameter_gets_a_gradient_in_every_step(normal):
    model = build_model({"audio": (9, 5), "vision": (9, 5), "text": (9, 5)}, 3, width=1)
    outputs = model({m: padded(normal) for m in ("audio", "vision", "text")})
    (outputs.logits.sum() + sum(z.sum() for z in outputs.unimodal_logits.values())).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name


def test_build_model_gives_sequences_this_encoder_and_seeds_it():
    shapes = {"audio": (50, 74), "text": (768,)}
    model, same = (build_model(shapes, 2, width=1, seed=3) for _ in range(2))
    assert isinstance(model.encoders["audio"], SequenceEncoder)
    pairs = zip(model.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)
    before = torch.get_rng_state()
    build_model(shapes, 2, width=1, seed=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_random_in_training(normal):
    net, x = encoder().train(), padded(normal)
    assert torch.equal(net(x), net(x))
    assert torch.equal(net(x), net.eval()(x))


def test_the_width_is_checked():
    with pytest.raises(ValueError, match="width is 0"):
        SequenceEncoder(5, 3, width=0)
