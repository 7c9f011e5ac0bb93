"""A checkout of a PyTorch Monodepth2 at work, for ``benchmarks/reference.py``.

PYTHON peer.py CHECKOUT DATA DRIVE HEIGHT WIDTH BATCH FRAMES

runs in an interpreter that has what the checkout needs, which this project is no part of. It
answers each line of its input, ``WORK COUNT``, with the seconds on the clock and of all cores that
so many times took, or with what failed; as JSON. ``predict`` and ``train`` need the checkout's
package ``networks``; ``item`` and ``step`` its ``datasets``, ``options`` and ``trainer`` as
published, and frames 0 to 3 FRAMES - 1 of both cameras of a drive, of which every third is an item.
"""

import importlib
import json
import sys
import tempfile
import time

CHECKOUT, DATA, DRIVE = sys.argv[1:4]
HEIGHT, WIDTH, BATCH, FRAMES = map(int, sys.argv[4:8])
SOURCES = [0, -1, 1, "s"]


def depth_networks() -> tuple:
    """Encoder and decoder of depth."""
    networks = importlib.import_module("networks")
    encoder = networks.ResnetEncoder(18, False)
    return encoder, networks.DepthDecoder(encoder.num_ch_enc, scales=range(4))


def predict() -> object:
    """Disparity of one image."""
    torch = importlib.import_module("torch")
    encoder, depth = (network.eval() for network in depth_networks())
    image = torch.rand(1, 3, HEIGHT, WIDTH)

    def run() -> None:
        with torch.no_grad():
            depth(encoder(image))

    return run


def train() -> object:
    """Forward, backward and Adam of the networks of depth."""
    torch = importlib.import_module("torch")
    encoder, depth = (network.train() for network in depth_networks())
    adam = torch.optim.Adam([*encoder.parameters(), *depth.parameters()], 1e-4)
    batch = torch.rand(BATCH, 3, HEIGHT, WIDTH)

    def run() -> None:
        adam.zero_grad()
        sum(value.mean() for value in depth(encoder(batch)).values()).backward()
        adam.step()

    return run


def dataset(is_train: bool) -> object:
    """Items of the drive's left camera, augmented if to train."""
    kind = importlib.import_module("datasets").KITTIRAWDataset
    lines = [f"{DRIVE} {frame} l" for frame in range(1, 3 * FRAMES, 3)]
    return kind(DATA, lines, HEIGHT, WIDTH, SOURCES, 4, is_train=is_train, img_ext=".jpg")


def item() -> object:
    """All items of the drive, one after the other."""
    items = dataset(is_train=True)
    return lambda: [items[index] for index in range(FRAMES)]


def step() -> object:
    """Forward, backward and Adam of all, as its trainer does it."""
    collate = importlib.import_module("torch.utils.data").dataloader.default_collate
    sys.argv[1:] = ["--data_path", DATA, "--log_dir", tempfile.mkdtemp(), "--model_name", "peer"]
    sys.argv += ["--frame_ids", "0", "-1", "1", "--use_stereo", "--batch_size", str(BATCH)]
    sys.argv += ["--height", str(HEIGHT), "--width", str(WIDTH), "--num_workers", "0"]
    sys.argv += ["--weights_init", "scratch", "--no_cuda"]
    options = importlib.import_module("options").MonodepthOptions().parse()
    trainer = importlib.import_module("trainer").Trainer(options)
    items = dataset(is_train=False)
    batch = collate([items[index % FRAMES] for index in range(BATCH)])
    trainer.set_train()

    def run() -> None:
        _, losses = trainer.process_batch(dict(batch))
        trainer.model_optimizer.zero_grad()
        losses["loss"].backward()
        trainer.model_optimizer.step()

    return run


WORK = {"predict": predict, "train": train, "item": item, "step": step}


def main() -> None:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the checkout prints, too
    sys.path[0] = CHECKOUT  # in the place of this file's folder
    ready = {}
    for line in sys.stdin:
        name, count = line.split()
        try:
            if name not in ready:
                ready[name] = WORK[name]()
            wall, processor = time.perf_counter(), time.process_time()
            for _ in range(int(count)):
                ready[name]()
            answer = [time.perf_counter() - wall, time.process_time() - processor]
        except (Exception, SystemExit) as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
