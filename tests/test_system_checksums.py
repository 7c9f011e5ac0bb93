"""Files of checksums: whatever form they have, they are checked, or refused by name."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from system.checksums import SUMS_FILE, parse_sums
from system.errors import InputError
from system.files import check_sum, write_sums

CONTENT = b"weights"
GOOD, BAD = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(b"other").hexdigest()
FORMS = {
    "text": "{0}  depth.pth\n",
    "binary": "{0} *depth.pth\n",
    "upper case": "{1}  depth.pth\n",
    "upper case, binary": "{1} *depth.pth\n",
    "one space": "{0} depth.pth\n",
    "tab": "{0}\tdepth.pth\n",
    "no new line": "{0}  depth.pth",
    "lines of Windows": "{0}  depth.pth\r\n",
    "mark": "\ufeff{0}  depth.pth\n",
    "space behind": "{0}  depth.pth \n\n",
    "remark": "# made by hand\n{0}  depth.pth\n",
    "here": "{0}  ./depth.pth\n",
    "from above": "{0}  model/depth.pth\n",
    "from above in Windows": "{0} *model\\depth.pth\n",
    "from the root": "{0}  /home/me/model/depth.pth\n",
    "tag": "SHA256 (depth.pth) = {0}\n",
    "openssl": "SHA256(depth.pth)= {0}\n",
    "openssl 3": "SHA2-256(depth.pth)= {0}\n",
    "itself": "{2}  SHA256SUMS\n{0}  depth.pth\n",
    "subfolder": "{2}  exported/depth.pth\n{0}  depth.pth\n",
    "twice the same": "{0}  depth.pth\n{1}  ./depth.pth\n",
}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "depth.pth"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_what_it_is(form, file):
    sums = file.with_name(SUMS_FILE)
    for encoding in ("utf-8", "utf-16"):
        sums.write_bytes(FORMS[form].format(GOOD, GOOD.upper(), BAD).encode(encoding))
        check_sum(file)
        sums.write_bytes(FORMS[form].format(BAD, BAD.upper(), GOOD).encode(encoding))
        with pytest.raises(InputError, match=r"depth\.pth: damaged, it differs from its checksum"):
            check_sum(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"# nothing\n",
        bytes(100),
        b"\xff\xfe\x00",
        b"\x80",
        f"{GOOD}\n".encode(),
        f"{GOOD[:-1]}  depth.pth\n".encode(),
        f"{GOOD}0  depth.pth\n".encode(),
        f"{GOOD[:32]}  depth.pth\n".encode(),  # as long as an MD5
        f"{GOOD[:-1]}g  depth.pth\n".encode(),
        f"depth.pth  {GOOD}\n".encode(),
        f"MD5 (depth.pth) = {GOOD}\n".encode(),
        f"{GOOD}  depth.pth\n{BAD}  depth.pth\n".encode(),
        f"{GOOD}  depth.pth\n{GOOD[:20]}".encode(),
        f"{GOOD}  elsewhere/depth.pth\n".encode(),
        f"{GOOD}  SHA256SUMS\n".encode(),
        b"<html>404</html>\n",
    ],
)
def test_what_is_no_list_of_checksums_is_refused_by_name(content, file):
    sums = file.with_name(SUMS_FILE)
    sums.write_bytes(content)
    with pytest.raises(InputError) as error:
        check_sum(file)
    assert str(error.value).startswith(f"{sums}: damaged")
    assert "sha256sum *" in str(error.value)


def test_what_is_written_is_read(file):
    odd = file.with_name("* a  b#.pth")
    odd.write_bytes(b"x")
    write_sums(file.parent)
    sums = file.with_name(SUMS_FILE)
    assert parse_sums(sums.read_bytes(), sums) == {
        "depth.pth": GOOD,
        odd.name: hashlib.sha256(b"x").hexdigest(),
    }


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="this system has no sha256sum")
@pytest.mark.parametrize("words", [[], ["-b"], ["--tag"]])
def test_what_sha256sum_writes_is_read_and_the_other_way_round(words, file):
    odd = file.with_name("a\nb\\c")  # its name is written with signs for these
    odd.write_bytes(b"x")
    made = subprocess.run(
        ["sha256sum", *words, odd.name, file.name], cwd=file.parent, capture_output=True, check=True
    )
    path = file.with_name(SUMS_FILE)
    assert parse_sums(made.stdout, path) == {
        file.name: GOOD,
        odd.name: hashlib.sha256(b"x").hexdigest(),
    }
    odd.unlink()
    write_sums(file.parent)
    subprocess.run(["sha256sum", "-c", SUMS_FILE], cwd=file.parent, capture_output=True, check=True)
