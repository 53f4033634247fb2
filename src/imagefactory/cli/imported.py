"""The sub-command `import_base_image`: a disk that was made elsewhere becomes a base image."""

import argparse

from imagefactory.builds.adoption import Adoption
from imagefactory.builds.factory import open_factory
from imagefactory.cli.build import show_details
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.engine.command import Tools
from imagefactory.store.meta import metadata


def import_base_image(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory import_base_image IMAGE_FILE`: the image is whole when this returns."""
    with open_factory(config) as factory:
        try:
            image = Adoption(workshop=factory.workshop, tools=Tools())(options.disk)
        except OSError as error:
            msg = f'The disk "{options.disk}" cannot be imported: {error.strerror}'
            raise RequestError(msg) from error
        if options.output == "json":
            write_json(metadata(image, body=factory.body(image.id)), config)
        else:
            show_details(factory, image)
    return 0
