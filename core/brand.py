"""Design tokens: the one place where Portico's look is decided. Every frontend and page takes them from here.

Contrast (WCAG 2.2): text and muted text reach 4.5:1 on `background` and `surface`, `on_accent` on `accent`; a test computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "Portico"
TAGLINE = "One model, one front door, every frontend"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as #rrggbb. `surface` lies on `background` (composer, code); `bubble` holds what the person said."""

    background: str
    surface: str
    bubble: str
    border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    danger: str


LIGHT = Palette(
    background="#ffffff", surface="#f6f4f1", bubble="#f8e9e1", border="#e4dfd8", text="#1d1a17", muted="#655e56",
    accent="#a8441f", accent_hover="#8c3718", on_accent="#ffffff", danger="#b3261e",
)  # fmt: skip
DARK = Palette(
    background="#161412", surface="#211e1b", bubble="#3a271e", border="#3b3631", text="#f2eee9", muted="#aaa198",
    accent="#ee8a61", accent_hover="#f4a27f", on_accent="#231009", danger="#f2b8b5",
)  # fmt: skip

FONT = "Inter"
FONT_FILE = "inter.woff2"  # in portal/static: the Latin subset, variable weight, served by us
FONT_STACK = ("Inter", "ui-sans-serif", "system-ui", "sans-serif")
MONO_STACK = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
FONT_PX = 16  # iOS zooms into an input below 16 px
SMALL_PX = 13
RADIUS_PX = 12
BUBBLE_RADIUS_PX = 18
COMPOSER_RADIUS_PX = 26
COLUMN_PX = 760  # the width of the column that is read
TARGET_PX = 32  # the least side of what is pressed (WCAG 2.5.8 asks for 24)
MOTION_MS = 160

# Three columns under a pediment, drawn in the current text colour and the accent.
LOGO_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="{size}" height="{size}" aria-hidden="true" '
    'fill="{color}"><path d="M12 2 22 8v2H2V8z"/><path d="M4 12h3v7H4zm6.5 0h3v7h-3zM17 12h3v7h-3zM2 20h20v2H2z"/></svg>'
)


def logo(color: str = "currentColor", size: int = 24) -> str:
    """The logo as inline SVG."""
    return LOGO_SVG.format(color=color, size=size)


def css_variables() -> str:
    """The tokens as CSS custom properties, light and dark by the system's setting."""

    def block(palette: Palette) -> str:
        return "".join(f"--{name.replace('_', '-')}:{getattr(palette, name)};" for name in Palette.__slots__)

    sizes = (
        f"--font:{','.join(FONT_STACK)};--mono:{','.join(MONO_STACK)};--radius:{RADIUS_PX}px;--bubble-radius:{BUBBLE_RADIUS_PX}px;"
        f"--composer-radius:{COMPOSER_RADIUS_PX}px;--column:{COLUMN_PX}px;--target:{TARGET_PX}px;--motion:{MOTION_MS}ms;"
    )
    return f":root{{color-scheme:light dark;{sizes}{block(LIGHT)}}}@media (prefers-color-scheme:dark){{:root{{{block(DARK)}}}}}"
