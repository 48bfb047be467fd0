"""Reads the project's Markdown: code blocks with their directives, inline code, headings and links."""

import pathlib
import re
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]

_DIRECTIVE = re.compile(r"<!--\s*(not run|test|fails)\s*(?::\s*(.*?))?\s*-->")


@dataclass(frozen=True)
class Block:
    """A fenced code block. `directive` is the HTML comment right above it: (kind, text), or None."""

    page: str
    line: int
    language: str
    text: str
    directive: tuple[str, str] | None

    @property
    def place(self):
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    name: str
    blocks: list[Block]
    prose: list[tuple[int, str]]  # lines outside of blocks

    def inline_code(self):
        """(place, code). Code may go on in the next line of its paragraph."""
        paragraph = []
        for number, line in [*self.prose, (0, "")]:
            if line.strip():
                paragraph.append((number, line))
                continue
            text = "\n".join(line for _, line in paragraph)
            for match in re.finditer(r"`([^`]+)`", text):
                number = paragraph[text.count("\n", 0, match.start())][0]
                yield f"{self.name}:{number}", match[1].replace("\n", " ")
            paragraph = []

    def links(self):
        for number, line in self.prose:
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                yield f"{self.name}:{number}", target

    def anchors(self):
        """The anchors that GitHub gives the headings."""
        seen = {}
        for _, line in self.prose:
            if match := re.match(r"#{1,6} (.*)", line):
                slug = re.sub(r"[^\w\- ]", "", match[1].strip().lower().replace("`", "")).replace(" ", "-")
                count = seen.get(slug, 0)
                seen[slug] = count + 1
                yield f"{slug}-{count}" if count else slug


def read_page(path):
    name = str(path.relative_to(ROOT))
    blocks, prose, fence, directive = [], [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        opening = re.match(r"\s*```(\w*)\s*$", line)
        if fence is None and opening:
            fence = (number, opening[1], [])
        elif fence is not None and re.match(r"\s*```\s*$", line):
            start, language, lines = fence
            blocks.append(Block(name, start, language, "\n".join(lines) + "\n", directive))
            fence = directive = None
        elif fence is not None:
            fence[2].append(line)
        else:
            prose.append((number, line))
            if match := _DIRECTIVE.fullmatch(line.strip()):
                directive = (match[1], match[2] or "")
            elif line.strip():
                directive = None
    assert fence is None, f"{name}:{fence[0]}: expected a closing fence, found none"
    return Page(name, blocks, prose)


def user_pages():
    """README.md first, since later pages use what its commands make."""
    return [read_page(ROOT / "README.md")] + [read_page(path) for path in sorted((ROOT / "docs").glob("*.md"))]


def all_pages():
    return user_pages() + [read_page(ROOT / "CONTRIBUTING.md")]
