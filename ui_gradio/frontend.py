"""Gradio as one of Portico's frontends: what is configured, closed and themed before the page is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import brand
from core.frontend import Context, Mounted
from ui_gradio.ownership import Ownership

if TYPE_CHECKING:
    from gradio.themes import Base

HERE = Path(__file__).parent
MAX_UPLOAD = "1mb"  # nothing is uploaded yet, and the route is closed; were it open, this would bound it
MAX_EVENTS = 2_000  # at once; each open page holds one or two, and with Gradio's own 40 the 41st page stood still

# Gradio's theme variables by the token they take
THEME = {
    "background": "body_background_fill background_fill_primary block_background_fill panel_background_fill",
    "surface": "background_fill_secondary input_background_fill code_background_fill button_secondary_background_fill "
    "checkbox_background_color table_odd_background_fill",
    "bubble": "color_accent_soft button_secondary_background_fill_hover checkbox_label_background_fill_selected",
    "border": "border_color_primary input_border_color button_secondary_border_color checkbox_border_color table_border_color",
    "text": "body_text_color block_label_text_color block_title_text_color button_secondary_text_color "
    "button_secondary_text_color_hover checkbox_label_text_color checkbox_label_text_color_selected",
    "muted": "body_text_color_subdued block_info_text_color input_placeholder_color",
    "accent": "border_color_accent button_primary_background_fill input_border_color_focus slider_color loader_color "
    "link_text_color checkbox_background_color_selected checkbox_border_color_selected",
    "accent_hover": "button_primary_background_fill_hover link_text_color_hover",
    "on_accent": "button_primary_text_color button_primary_text_color_hover",
    "danger": "button_cancel_text_color button_cancel_border_color error_text_color error_border_color",
}


class GradioFrontend:
    name = "gradio"
    title = "Gradio"

    def load(self) -> None:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        import gradio  # noqa: F401

    def mount(self, context: Context) -> Mounted:
        self.load()
        import gradio as gr
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        from ui_gradio.page import Page

        closed: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
        host = FastAPI(**closed)
        host.add_middleware(CORSMiddleware)  # allows no origin; without one on its host Gradio brings its own, which allows many
        blocks = Page(context).build()
        blocks.has_launched = True  # else Gradio skips its own check of which server files a client may name
        blocks._queue.max_thread_count = MAX_EVENTS
        gr.mount_gradio_app(
            host, blocks, path="/", root_path=context.path, app_kwargs=closed, theme=theme(), head=head(),
            footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False, mcp_server=False,
            enable_monitoring=False, max_file_size=MAX_UPLOAD,
        )  # fmt: skip
        return Mounted(Ownership(host), host.router.lifespan_context(host))


def theme() -> Base:
    """Portico's tokens as a Gradio theme, light and dark."""
    from gradio.themes import Base
    from gradio.themes.utils import sizes

    values: dict[str, str] = {}
    for token, names in THEME.items():
        for name in names.split():
            values[name] = getattr(brand.LIGHT, token)
            values[f"{name}_dark"] = getattr(brand.DARK, token)
    rounded = "block_radius input_radius button_large_radius button_medium_radius button_small_radius"
    values |= dict.fromkeys(rounded.split(), f"{brand.RADIUS_PX}px")
    values |= dict.fromkeys(["block_border_width", "block_border_width_dark"], "0px")
    values |= dict.fromkeys(["block_shadow", "block_shadow_dark"], "none")
    values |= dict.fromkeys(["input_text_size", "chatbot_text_size"], f"{brand.FONT_PX}px")
    base = Base(font=list(brand.FONT_STACK), font_mono=list(brand.MONO_STACK), text_size=sizes.text_lg)
    return base.set(**values, block_info_text_size=f"{brand.SMALL_PX}px")


def css() -> str:
    """The tokens as CSS variables, the font, and the rules for what the theme does not reach."""
    source = f"url(/static/{brand.FONT_FILE}) format('woff2')"
    font = f"@font-face{{font-family:{brand.FONT};src:{source};font-weight:100 900;font-display:swap}}"
    return brand.css_variables() + font + (HERE / "style.css").read_text()


def head() -> str:
    """Favicon, styles and script. The styles go here because Gradio puts its own class before every rule of its `css`."""
    script = (HERE / "script.js").read_text()
    return f'<link rel="icon" href="/static/favicon.svg"><style>{css()}</style><script>{script}</script>'
