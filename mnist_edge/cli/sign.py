"""`mnist-edge sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mnist_edge.cli import options
from mnist_edge.cli.talk import Talk, emit, emit_json
from mnist_edge.errors import in_shell
from mnist_edge.recipes.fields import Setting

EPILOG = """[bold]Examples[/bold]
mnist-edge sign --key ~/.ssh/id_ed25519                  # a key in a file, or a security key
mnist-edge sign --key ~/.ssh/id_ed25519.pub              # whose other half an agent holds
mnist-edge sign --key ~/.ssh/id_ed25519 --serial 3       # after bundle number 2
mnist-edge verify --key maker.pub --not-before 3         # on the device"""


def command(
    key: Annotated[
        Path,
        options.value(
            "--key",
            "FILE",
            "Your Ed25519 key: its file, or the .pub file of one that an agent holds.",
        ),
    ],
    serial: Annotated[
        int,
        options.option(
            "serial",
            int,
            Setting(
                "Higher than that of the bundle that this one replaces.", 0, options.MOST_SERIAL
            ),
        ),
    ] = 0,
    bundle: options.BundleOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Sign a bundle with an SSH key, so that others can tell that it is yours."""
    from mnist_edge.bundle import codec
    from mnist_edge.bundle.folder import open_bundle, refuse_shipped
    from mnist_edge.bundle.manifest import SIGNATURE
    from mnist_edge.bundle.signing import sign_bundle

    talk = Talk(quiet=quiet)
    chosen = open_bundle(bundle)
    refuse_shipped(chosen.path)
    if bundle is None:
        talk.say(f"bundle: {chosen.path}")
    talk.say("ssh-keygen signs; touch the key, if it is a security key")
    signature = sign_bundle(chosen, key, serial=serial)
    path = chosen.path / SIGNATURE
    if as_json:
        emit_json(codec.dumps({"file": str(path), "signature": signature}))
    else:
        emit(str(path))
    talk.say(f"signed by {signature.fingerprint}, serial {signature.serial}")
    public = in_shell(key if key.suffix == ".pub" else f"{key}.pub")
    talk.suggest(
        f"mnist-edge verify{options.given_bundle(bundle)} --key {public}",
        to="check it, as others will",
    )
