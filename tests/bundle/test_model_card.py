from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from factory import make_artifact, make_bundle, read_all

from mnist_edge.bundle.card import FILE, model_card, with_model_card
from mnist_edge.bundle.folder import Bundle, save_bundle
from mnist_edge.bundle.manifest import Manifest

pytestmark = pytest.mark.edge


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def front_matter(card: str) -> str:
    return card.split("---\n", 2)[1]


def of(manifest: Manifest, **fields: object) -> str:
    return model_card(replace(manifest, **fields))  # type: ignore[arg-type]


def test_the_front_matter_holds_what_a_hub_shows(bundle: Bundle) -> None:
    assert (
        front_matter(model_card(bundle.manifest))
        == """\
license: mit
library_name: onnx
pipeline_tag: image-classification
tags:
  - mnist
  - onnx
  - torchscript
metrics:
  - accuracy
model-index:
  - name: "mnist-edge-tiny"
    results:
      - task:
          type: image-classification
        dataset:
          name: "digits rendered from fonts"
          type: rendered-digits
          split: test
        metrics:
          - type: accuracy
            value: 0.9700
"""
    )


def test_mnist_is_named_as_the_hub_names_it(bundle: Bundle) -> None:
    data = replace(bundle.manifest.data, name="mnist")
    matter = front_matter(of(bundle.manifest, data=data))
    assert "\ndatasets:\n  - ylecun/mnist\n" in matter
    assert "\n          type: ylecun/mnist\n" in matter


def test_the_card_of_an_imported_net_claims_no_training_of_ours(bundle: Bundle) -> None:
    data = replace(bundle.manifest.data, name="mnist")
    training = replace(bundle.manifest.training, duration_s=0.0)
    card = of(bundle.manifest, data=data, training=training)
    assert "Trained elsewhere and imported" in card
    assert '\n  - name: "mnist-edge-compact-imported"\n' in card
    assert "datasets:" not in card
    assert "seed" not in card


def test_a_name_that_is_yaml_stays_a_name(bundle: Bundle) -> None:
    recipe = replace(bundle.manifest.own_recipe, name='x"\n---\nlicense: other # {')
    matter = front_matter(of(bundle.manifest, recipe=recipe))
    assert '\n  - name: "mnist-edge-x\\"\\n---\\nlicense: other # {"\n' in matter


def test_a_taught_nets_card_names_its_teachers_weights(bundle: Bundle) -> None:
    assert "another net" not in model_card(bundle.manifest)
    recipe = replace(bundle.manifest.own_recipe, teacher="ab" * 32)
    assert f"SHA-256\n`{'ab' * 32}`." in of(bundle.manifest, recipe=recipe)


def test_every_artifact_stands_in_the_table(bundle: Bundle) -> None:
    failed = make_artifact("onnx-int8", b"1234", bundle.manifest.artifacts[0].sha256, passed=False)
    card = model_card(bundle.with_artifacts((failed,)).manifest)
    rows = [line for line in card.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| checkpoint-float32",
        "| onnx-float32",
        "| torchscript-float32",
        "| onnx-int8",
    ]
    assert [row.split(" | ")[-1] for row in rows] == [*["equivalent |"] * 3, "differs |"]


def test_without_an_onnx_file_the_card_shows_no_onnx_runtime(bundle: Bundle) -> None:
    card = of(bundle.manifest, artifacts=bundle.manifest.artifacts[:1])
    assert "onnxruntime" not in card
    assert "library_name" not in card


def test_imported_weights_are_not_said_to_be_trained_here(bundle: Bundle) -> None:
    training = replace(bundle.manifest.training, duration_s=0.0)
    assert "Trained elsewhere" in of(bundle.manifest, training=training)
    assert "Trained by mnist-edge for 1 epoch" in model_card(bundle.manifest)


def test_the_same_model_has_the_same_card_however_long_it_took(bundle: Bundle) -> None:
    training = replace(bundle.manifest.training, duration_s=99.0)
    assert of(bundle.manifest, training=training) == model_card(bundle.manifest)


def test_the_card_is_a_file_of_the_bundle_and_follows_its_artifacts(bundle: Bundle) -> None:
    carded, contents = with_model_card(bundle)
    save_bundle(carded, contents)
    read_all(bundle.path)
    first = (bundle.path / FILE).read_text(encoding="utf-8")
    fewer = replace(
        carded, manifest=replace(carded.manifest, artifacts=carded.manifest.artifacts[:1])
    )
    carded, contents = with_model_card(fewer)
    save_bundle(carded, contents)
    again = read_all(bundle.path)
    assert (bundle.path / FILE).read_text(encoding="utf-8") == model_card(fewer.manifest) != first
    assert [extra.file for extra in again.manifest.extras].count(FILE) == 1


def test_a_readme_of_somebody_else_is_left_alone(bundle: Bundle) -> None:
    (bundle.path / FILE).write_text("mine")
    assert with_model_card(bundle) == (bundle, {})


def test_a_net_that_learned_to_be_unsure_says_from_where_on(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert "confident answer all the same" in model_card(manifest)
    unsure = of(manifest, recipe=replace(manifest.own_recipe, reject_below=0.8))
    assert "under 80%" in unsure
    assert "confident answer all the same" not in unsure
