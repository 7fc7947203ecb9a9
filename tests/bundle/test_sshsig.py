"""Signature files: those of `ssh-keygen` are taken, and `ssh-keygen` takes what is taken here."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from signers import (
    Signer,
    armoured,
    needs_ssh_keygen,
    new_key,
    public_blob,
    public_line,
    ssh_signature,
    string,
)

from mnist_edge.bundle.sshsig import PublicKey, read_key, read_signature

pytestmark = pytest.mark.edge

ALICE = Signer(b"\x0a" * 32)
MESSAGE = b'{"schema": 1}\n'
GOOD = ssh_signature(ALICE, MESSAGE)
BODY = base64.b64decode("".join(GOOD.splitlines()[1:-1]))


def ssh_keygen_takes(line: str, signature: str, folder: Path, namespace: str) -> bool:
    """What OpenSSH says of a signature of MESSAGE."""
    (folder / "allowed").write_text(f"maker {line}\n")
    (folder / "signature").write_text(signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", "maker"]
    command += ["-n", namespace, "-s", str(folder / "signature")]
    return subprocess.run(command, input=MESSAGE, capture_output=True).returncode == 0


@needs_ssh_keygen
@pytest.mark.parametrize("hash_name", ["sha512", "sha256"])
def test_what_ssh_keygen_signs_is_taken(tmp_path: Path, hash_name: str) -> None:
    key = new_key(tmp_path)
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", "mnist-edge/3", "-O"]
    command += [f"hashalg={hash_name}"]
    text = subprocess.run(command, input=MESSAGE, capture_output=True, check=True).stdout.decode()
    found, namespace = read_signature(text, MESSAGE)
    assert namespace == "mnist-edge/3"
    assert found == read_key(key.with_suffix(".pub").read_text())
    listed = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, check=True)
    assert found.fingerprint == listed.stdout.decode().split()[1]
    with pytest.raises(ValueError, match="of other bytes"):
        read_signature(text, MESSAGE + b" ")


@needs_ssh_keygen
@pytest.mark.parametrize("security_key", [False, True], ids=["key", "security key"])
@pytest.mark.parametrize("hash_name", ["sha512", "sha256"])
def test_ssh_keygen_takes_what_is_taken_here(
    tmp_path: Path, security_key: bool, hash_name: str
) -> None:
    text = ssh_signature(ALICE, MESSAGE, security_key=security_key, hash_name=hash_name)
    line = public_line(ALICE, security_key=security_key)
    assert read_signature(text, MESSAGE) == (read_key(line), "mnist-edge/0")
    assert ssh_keygen_takes(line, text, tmp_path, "mnist-edge/0")
    # The judge can say no: it is another purpose, and another key.
    assert not ssh_keygen_takes(line, text, tmp_path, "file")
    assert not ssh_keygen_takes(public_line(Signer(bytes(32))), text, tmp_path, "mnist-edge/0")


def test_the_namespace_is_signed_as_well() -> None:
    changed = armoured(BODY.replace(b"mnist-edge/0", b"mnist-edge/9"))
    assert changed != GOOD
    with pytest.raises(ValueError, match="of other bytes"):
        read_signature(changed, MESSAGE)


def is_alices(text: str) -> bool:
    try:
        return read_signature(text, MESSAGE) == (read_key(public_line(ALICE)), "mnist-edge/0")
    except ValueError:
        return False


def test_every_changed_character_of_the_file_is_seen() -> None:
    assert is_alices(GOOD)
    for place, old in enumerate(GOOD[:-1]):
        changed = GOOD[:place] + ("A" if old != "A" else "B") + GOOD[place + 1 :]
        assert not is_alices(changed), place


def test_the_last_characters_of_base64_have_one_form() -> None:
    # The last character before = holds bits that belong to no byte.
    lines = GOOD.splitlines()
    assert lines[-2].endswith("=")
    place = lines[-2].rindex(lines[-2].rstrip("=")[-1])
    loose = chr(ord(lines[-2][place]) + 1)
    lines[-2] = lines[-2][:place] + loose + lines[-2][place + 1 :]
    assert base64.b64decode("".join(lines[1:-1])) == BODY
    with pytest.raises(ValueError, match="not base64 as it is written"):
        read_signature("\n".join(lines), MESSAGE)


def test_a_file_that_git_gave_other_line_ends_is_taken() -> None:
    assert read_signature(GOOD.replace("\n", "\r\n"), MESSAGE) == read_signature(GOOD, MESSAGE)


BLOB = string(public_blob(ALICE))
REST = BODY[10 + len(BLOB) :]
SIGNATURE = REST[len(string("mnist-edge/0") + string("") + string("sha512")) :]
HEAD = b"SSHSIG" + (1).to_bytes(4, "big")

BAD = {
    "empty": "",
    "no armour": base64.b64encode(BODY).decode(),
    "text before": "x\n" + GOOD,
    "text after": GOOD + "x\n",
    "twice": GOOD + GOOD,
    "a private key": GOOD.replace("SSH SIGNATURE", "OPENSSH PRIVATE KEY"),
    "no base64": GOOD.replace("U1NI", "U1*I"),
    "another magic": armoured(b"SSHSIX" + BODY[6:]),
    "version 2": armoured(b"SSHSIG" + (2).to_bytes(4, "big") + BODY[10:]),
    "no fields": armoured(HEAD),
    "cut off": armoured(BODY[:-1]),
    "longer": armoured(BODY + b"\x00"),
    "a length beyond its end": armoured(HEAD + b"\xff\xff\xff\xff" + BODY[14:]),
    "a reserved field": ssh_signature(ALICE, MESSAGE, reserved=b"x"),
    "SHA-1": ssh_signature(ALICE, MESSAGE, hash_name="sha1"),
    "an RSA key": armoured(HEAD + string(string("ssh-rsa") + string(bytes(256))) + REST),
    "a short key": armoured(HEAD + string(string("ssh-ed25519") + string(bytes(31))) + REST),
    "a key with more": armoured(HEAD + string(public_blob(ALICE) + b"\x00") + REST),
    "a signature of another kind": ssh_signature(ALICE, MESSAGE, kind="ssh-rsa"),
    "another's key": armoured(HEAD + string(public_blob(Signer(bytes(32)))) + REST),
    "a key of zeros": armoured(HEAD + string(string("ssh-ed25519") + string(bytes(32))) + REST),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_signature_of_the_message_is_refused(case: str) -> None:
    assert read_signature(GOOD, MESSAGE)
    with pytest.raises(ValueError, match=r".+"):
        read_signature(BAD[case], MESSAGE)


def test_a_key_is_read_with_its_comment_or_without() -> None:
    line = public_line(ALICE)
    assert read_key(line) == read_key(line.rsplit(" ", 3)[0]) == read_key(f" {line}\n")
    assert read_key(line) == PublicKey("ssh-ed25519", ALICE.public)
    assert read_key(public_line(ALICE, security_key=True)).application == b"ssh:"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 %%%",
        f"ssh-rsa {public_line(ALICE).split()[1]}",
        f"sk-ssh-ed25519@openssh.com {public_line(ALICE).split()[1]}",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_ed25519_key_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_key(line)
