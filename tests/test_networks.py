import numpy as np
import paddle
import pytest

import layers
from datasets.conventions import STEREO
from networks.decoders import DepthDecoder
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from networks.resnet_encoder import ResnetEncoder
from tests.blank import blank_networks
from weight_files.names import published_names

MONO_STEREO = Architecture(source_ids=(-1, 1, STEREO))


def images(*shape):
    return paddle.to_tensor(np.random.default_rng(0).random(shape, np.float32))


@pytest.fixture
def blank():
    """For what does not look at values."""
    with blank_networks():
        yield


@pytest.mark.parametrize("num_layers", [18, 34, 50])
def test_encoder_strides_and_channels(blank, num_layers):
    encoder = ResnetEncoder(num_layers, num_images=2)
    encoder.eval()
    with paddle.no_grad():
        features = encoder(images(1, 6, 64, 96))
    assert [f.shape[1] for f in features] == list(encoder.num_channels)
    assert [list(f.shape[2:]) for f in features] == [[64 >> i, 96 >> i] for i in range(1, 6)]


@pytest.mark.parametrize("num_layers", [101, 152])
def test_deep_encoders_have_bottleneck_channels(blank, num_layers):
    assert ResnetEncoder(num_layers).num_channels == (64, 256, 512, 1024, 2048)


def test_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="num_layers 20"):
        ResnetEncoder(20)


def test_encoder_normalises_its_input():
    # An image of the mean colour becomes zero, and a convolution without bias keeps zero.
    encoder = ResnetEncoder(18)
    encoder.eval()
    x = paddle.full([1, 3, 32, 32], 0.45)
    bias = encoder.resnet.bn1.bias
    with paddle.no_grad():
        first = encoder(x)[0]
    expected = np.maximum(bias.numpy(), 0)[:, None, None]
    np.testing.assert_allclose(
        first[0].numpy(), np.broadcast_to(expected, first[0].shape), atol=1e-5
    )


def test_decoder_outputs_sigmoids_at_each_scale():
    encoder = ResnetEncoder(18)
    decoder = DepthDecoder(encoder.num_channels, (0, 2))
    outputs = decoder(encoder(images(2, 3, 64, 64)))
    assert [list(o.shape) for o in outputs] == [[2, 1, 64, 64], [2, 1, 16, 16]]
    assert all(float(o.min()) > 0 and float(o.max()) < 1 for o in outputs)


def bfloat16(array):
    return paddle.to_tensor(array).astype("bfloat16").astype("float32").numpy()


def test_disparity_has_finer_steps_than_half_precision():
    """Also where the features are in bfloat16, as automatic casts make them on GPUs."""
    paddle.seed(0)
    decoder = DepthDecoder([4, 4, 4, 4, 4], (0,))
    decoder.start_outputs_at(0.03)
    features = [3 * paddle.randn([1, 4, 32 >> level, 48 >> level]) for level in range(5)]
    exact = decoder(features)[0].numpy()
    decoder.upconv_0_1.register_forward_post_hook(lambda layer, given, x: x.astype("bfloat16"))
    (disparity,) = decoder(features)
    assert disparity.dtype == paddle.float32
    got, logit = disparity.numpy(), np.log(exact / (1 - exact))

    def far(values):
        return np.abs(values / exact - 1).max()

    in_half, of_half_logits = bfloat16(exact), 1 / (1 + np.exp(-bfloat16(logit)))
    assert far(in_half) > 3e-3
    assert far(of_half_logits) > 6e-3
    assert far(got) < 2e-3
    assert len(np.unique(got)) > 20 * max(map(len, map(np.unique, (in_half, of_half_logits))))


def test_outputs_can_be_started_at_a_value():
    paddle.seed(0)
    encoder = ResnetEncoder(18)
    decoder = DepthDecoder(encoder.num_channels, (0, 1, 2, 3))
    decoder.start_outputs_at(0.03)
    outputs = decoder(encoder(images(1, 3, 64, 64)))
    assert [float(o.mean()) for o in outputs] == pytest.approx([0.03] * 4, rel=0.6)


@pytest.mark.parametrize(
    ("architecture", "modules"),
    [
        (Architecture(source_ids=(STEREO,)), {"encoder", "depth"}),
        (MONO_STEREO, {"encoder", "depth", "pose_encoder", "pose"}),
        (Architecture(pose_model_type="posecnn"), {"encoder", "depth", "pose"}),
        (Architecture(pose_model_type="shared"), {"encoder", "depth", "pose"}),
        (
            Architecture(predictive_mask=True),
            {"encoder", "depth", "pose_encoder", "pose", "predictive_mask"},
        ),
    ],
)
def test_modules_and_motions(blank, architecture, modules):
    model = Monodepth(architecture)
    assert {name for name, _ in model.named_children()} == modules
    sources = images(2, len(architecture.source_ids), 3, 64, 64)
    prediction = model(images(2, 3, 64, 64), sources)
    assert len(prediction.motions) == len(architecture.temporal_ids)
    for motion, source in zip(prediction.motions, architecture.temporal_ids):
        assert list(motion.axisangle.shape) == [2, 3]
        assert motion.invert == (source < 0)
    if architecture.predictive_mask:
        assert [m.shape[1] for m in prediction.masks] == [2] * 4


@pytest.mark.parametrize("kind", ["separate_resnet", "shared", "posecnn"])
def test_all_frames_at_once_give_one_motion_per_source(blank, kind):
    model = Monodepth(Architecture(pose_model_type=kind, pose_model_input="all"))
    motions = model(images(1, 3, 64, 64), images(1, 2, 3, 64, 64)).motions
    assert [motion.invert for motion in motions] == [False, False]


@pytest.mark.parametrize("kind", ["separate_resnet", "shared", "posecnn"])
@pytest.mark.parametrize("sources", [(-1,), (-2, -1, 1), (-1, 1, STEREO, 2, 3)])
def test_any_number_of_frames_can_be_seen_at_once(blank, kind, sources):
    temporal = [source for source in sources if source != STEREO]
    model = Monodepth(Architecture(18, (0,), sources, kind, "all"))
    motions = model(images(1, 3, 64, 64), images(1, len(sources), 3, 64, 64)).motions
    assert [list(motion.translation.shape) for motion in motions] == [[1, 3]] * len(temporal)


def test_pose_pairs_are_in_temporal_order():
    # Swapping target and the one source asks for the opposite motion: same pair, other direction.
    target, source = images(1, 3, 64, 64), images(1, 3, 64, 64) * 0.5
    backward, forward = (Architecture(source_ids=(i,)) for i in (-1, 1))
    model = Monodepth(backward)
    model.eval()
    other = Monodepth(forward)
    other.set_state_dict(model.state_dict())
    other.eval()
    to_earlier = model(target, source.unsqueeze(1)).motions[0].source_T_target()[0].numpy()
    to_later = other(source, target.unsqueeze(1)).motions[0].source_T_target()[0].numpy()
    np.testing.assert_allclose(to_earlier @ to_later, np.eye(4), atol=1e-5)


@pytest.mark.parametrize(
    "architecture",
    [
        MONO_STEREO,
        Architecture(num_layers=50, predictive_mask=True),
        Architecture(pose_model_type="posecnn", scales=(0, 2)),
    ],
)
def test_name_table_is_one_to_one(blank, architecture):
    names = Monodepth(architecture).state_dict()
    table = published_names(names, architecture)
    assert set(table) == set(names)
    assert len(set(table.values())) == len(table)


def test_name_table_knows_published_names(blank):
    table = published_names(Monodepth(MONO_STEREO).state_dict(), MONO_STEREO)
    expected = {
        "encoder.resnet.bn1._mean": ("encoder", "encoder.bn1.running_mean"),
        "encoder.resnet.layer2.0.downsample.1._variance": (
            "encoder",
            "encoder.layer2.0.downsample.1.running_var",
        ),
        "depth.upconv_4_0.conv.weight": ("depth", "decoder.0.conv.conv.weight"),
        "depth.upconv_0_1.conv.bias": ("depth", "decoder.9.conv.conv.bias"),
        "depth.output_3.conv.bias": ("depth", "decoder.13.conv.bias"),
        "pose.squeeze.weight": ("pose", "net.0.weight"),
        "pose.pose_2.bias": ("pose", "net.3.bias"),
        "pose_encoder.resnet.conv1.weight": ("pose_encoder", "encoder.conv1.weight"),
    }
    assert {name: table[name] for name in expected} == expected


def test_an_untrained_midas_starts_finite():
    paddle.seed(0)
    network = MidasSmall()
    with paddle.no_grad():
        assert np.isfinite(network(paddle.rand([1, 3, 64, 64])).numpy()).all()


def test_what_is_exported_on_a_gpu_is_what_every_exporter_knows(monkeypatch):
    decoder = DepthDecoder([4, 4, 8, 8, 8], scales=(0,))
    features = [paddle.rand([1, n, 32 >> i, 64 >> i]) for i, n in enumerate([4, 4, 8, 8, 8])]
    decoder.eval()
    (expected,) = decoder(features)
    monkeypatch.setattr(layers, "device_kind", lambda: "gpu")
    monkeypatch.setitem(layers.FORMS, "gpu", None)
    np.testing.assert_array_equal(decoder(features)[0].numpy(), expected.numpy())
    decoder.train()
    with pytest.raises(AttributeError):
        decoder(features)
