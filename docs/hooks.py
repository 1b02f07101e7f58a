"""Takes the pages at the root of the repository into the site, and mends links between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
# Pages that lie elsewhere, by their names in the site.
FURTHER = {
    "index.md": "README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "RESULTS.md": "benchmarks/RESULTS.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_IMAGES = (".png", ".svg", ".jpg", ".webp")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere, and the images that any page shows."""
    for name, source in FURTHER.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    for source in FURTHER.values():
        for _, _, target, _ in _LINK.findall((ROOT / source).read_text(encoding="utf-8")):
            path = (ROOT / source).parent / target
            if path.suffix in _IMAGES and path.is_file() and ROOT / "docs" not in path.parents:
                files.append(File.generated(config, path.name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to the pages as the site names them; what it has not is only named."""
    source = ROOT / FURTHER.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def mended(found: re.Match[str]) -> str:
        image, text, target, place = found.groups()
        path = (source.parent / target).resolve()
        names = {(ROOT / other).resolve(): name for name, other in FURTHER.items()}
        if path.parent == ROOT / "docs":
            names[path] = path.name
        if path.suffix in _IMAGES:
            inside = path.is_relative_to(ROOT / "docs")
            names[path] = str(path.relative_to(ROOT / "docs")) if inside else path.name
        if not path.exists():
            return found[0]  # MkDocs says that it leads nowhere
        return f"{image}[{text}]({names[path]}{place or ''})" if path in names else text

    return _LINK.sub(mended, markdown)
