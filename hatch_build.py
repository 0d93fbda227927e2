"""The README as the long description of the package: an index page does not have the files that it links to."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")


def index_page(readme: str, repository: str | None) -> str:
    """Return the README with links to files of the repository made absolute.

    While no repository is named in ``[project.urls]``, images are left out and links are replaced by their text.
    """

    def absolute(link: re.Match[str]) -> str:
        is_image, text, path = link.groups()
        if repository is None:
            return "" if is_image else text
        return f"{is_image}[{text}]({repository.rstrip('/')}/{'raw' if is_image else 'blob'}/main/{path})"

    return re.sub(r"\n{3,}", "\n\n", LINK.sub(absolute, readme))


class DescriptionHook(MetadataHookInterface):
    """Set the readme of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the readme of the package."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = index_page(readme, metadata.get("urls", {}).get("Repository"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
