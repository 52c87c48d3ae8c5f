from __future__ import annotations

import pytest

from core import brand


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2, 1.4.3)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", [brand.LIGHT, brand.DARK], ids=["light", "dark"])
def test_text_can_be_read_on_everything_it_stands_on(palette: brand.Palette) -> None:
    for ground in (palette.background, palette.surface, palette.bubble):
        assert contrast(palette.text, ground) >= 7
        assert contrast(palette.muted, ground) >= 4.5
    assert contrast(palette.on_accent, palette.accent) >= 4.5
    assert contrast(palette.on_accent, palette.accent_hover) >= 4.5
    assert contrast(palette.accent, palette.background) >= 4.5
    assert contrast(palette.danger, palette.background) >= 4.5


def test_the_variables_hold_both_palettes() -> None:
    css = brand.css_variables()
    assert brand.LIGHT.accent in css
    assert css.index("prefers-color-scheme:dark") < css.index(brand.DARK.accent)
    assert "--on-accent:" in css
