"""What the engine says of an image, as a value of the model. Pure."""

from __future__ import annotations

from stackd.model.ids import ImageId
from stackd.model.observed import ObservedImage
from stackd.translate import labels as label
from stackd.translate.node import Node


def image(ref: str, document: Node) -> ObservedImage:
    """The answer of `GET /images/{name}/json`, for the reference that was asked about."""
    config = document["Config"]
    test = config["Healthcheck"].texts("Test")
    return ObservedImage(
        ref=ref,
        id=ImageId(document.text("Id")),
        volumes=tuple(sorted(config["Volumes"].names())),
        has_healthcheck=bool(test) and test[0] != "NONE",
        build=config.strings("Labels").get(label.BUILD, ""),
        digests=document.texts("RepoDigests"),
    )
