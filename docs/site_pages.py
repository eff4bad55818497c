"""Pages of the site that do not lie in this folder: those of the top folder, and the reference, a page a room."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the top folder, and what they are called in the site."""
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)([^)]*)\)")
FENCED = re.compile(r"(```.*?```)", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of the reference where the navigation says `reference/`."""
    for entry in config.nav or []:
        if entry.get("Reference") == "reference/":
            entry["Reference"] = [{name: f"reference/{name}.md"} for name in rooms(config)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    top = Path(config.config_file_path).parent
    for name, page in TOP.items():
        files.append(File.generated(config, page, content=(top / name).read_text(encoding="utf-8")))
    for name in rooms(config):
        module = "sphinx_x" if name == "sphinx_x" else f"sphinx_x.{name}"
        options = "\n    options: {show_submodules: false}" if name == "sphinx_x" else ""
        files.append(File.generated(config, f"reference/{name}.md", content=f"# `{module}`\n\n::: {module}{options}\n"))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Leads links, which are right in the repository, to pages of the site, or names the file where there is none."""
    source = {page_of: name for name, page_of in TOP.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = posixpath.dirname(source)

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[1]))
        inside = TOP.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if inside and files.get_file_from_path(inside) is not None:
            return f"]({posixpath.relpath(inside, posixpath.dirname(page.file.src_uri) or '.')}{found[2]})"
        if not (Path(config.config_file_path).parent / target).exists():
            raise FileNotFoundError(f"{source} links to {found[1]}, which is not there")
        return f'](# "{target} in the repository")'

    parts = FENCED.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(led, part) for part in parts)


def rooms(config: MkDocsConfig) -> list[str]:
    """The package itself, then its modules and packages by name."""
    package = Path(config.config_file_path).parent / "src" / "sphinx_x"
    found = [path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return ["sphinx_x", *sorted(name for name in found if not name.startswith("_"))]
