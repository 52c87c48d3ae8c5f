"""The chat page. Streamlit runs `main` at every touch, so what lasts is kept by the service, the URL and the session state."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import brand
from core.errors import screen_message
from core.service import InferenceService
from core.store import Conversation, Run
from core.tasks import choices
from core.types import Delta, Kind, Queued, Started, User
from core.waiting import place
from ui_streamlit import fields, frontend
from ui_streamlit.answer import Answer, plain

HERE = Path(__file__).parent
LOGO = f':root{{--logo:url("data:image/svg+xml,{quote(brand.logo())}")}}'
STYLE = f"<style>{brand.css_variables()}{LOGO}{(HERE / 'style.css').read_text()}</style>"
SCRIPT = f"<script>{(HERE / 'page.js').read_text()}</script>"
NEW = "new"
KEPT = "kept"  # in the session state: how often a conversation was kept after all
COMPOSER, NOTICE, OPENED, THREAD = "composer", "notice", "opened", "thread"  # in the session state


def main() -> None:
    st.set_page_config(page_title=brand.NAME, page_icon="/static/favicon.svg")
    st.html(STYLE)
    with st.container(key="script"):
        st.html(SCRIPT, unsafe_allow_javascript=True)
    user = signed_in(st.user.to_dict())
    if user is None:
        st.error("You are not signed in. Reload the page to sign in.", icon=None)
        st.stop()
    Page(frontend.context.service, user).draw()


def signed_in(who: dict[str, Any]) -> User | None:
    """Who asks, from what Streamlit took of the guard's headers when the page connected."""
    if not who.get("id"):
        return None
    quota = who.get("quota")
    return User(
        id=unquote(who["id"]), name=unquote(who.get("name") or ""), role=who.get("role") or "guest",
        quota=int(quota) if quota else None,
    )  # fmt: skip


def told(action: Callable[..., None]) -> Callable[..., bool]:
    """A callback that says above the composer what went wrong, and returns whether nothing did.

    One that raises would take the page with it.
    """

    @wraps(action)
    def safely(*args: Any) -> bool:
        try:
            action(*args)
        except Exception as error:
            st.session_state[NOTICE] = screen_message(error)
            return False
        return True

    return safely


class Page:
    """The page for one user, drawn once. Its callbacks run at the next touch, before the page is drawn again."""

    def __init__(self, service: InferenceService, user: User) -> None:
        self.service, self.user = service, user
        self.task = next(iter(service.tasks.values()))
        self.chat = next(field for field in self.task.inputs if field.kind is Kind.CHAT)
        self.settings = [field for field in self.task.fields if field is not self.chat]
        self.conversation = Conversation("", "")

    def draw(self) -> None:
        try:
            self.conversation = self.find()
        except Exception as error:
            st.session_state.setdefault(NOTICE, screen_message(error))
        self.fill_settings()
        self.composer()  # first, so that it is there whatever fails below
        with st.sidebar:
            self.side_panel()
        with self.thread():
            for run in self.conversation.runs:
                self.turn(run)
            if not self.conversation.runs:
                self.welcome()
            if live := self.conversation.live_run:
                self.watch(live)

    def thread(self) -> DeltaGenerator:
        """Where the conversation is drawn.

        What a container held before stays on the screen until this run of the page ends, which is when the answer ends. So
        a conversation that only grew keeps its container; any other is drawn in a second one, and the first is emptied.
        """
        runs = tuple(run.id for run in self.conversation.runs)
        side, shown = st.session_state.get(THREAD, (0, ()))
        if runs[: len(shown)] != shown or bool(runs) != bool(shown):
            side = 1 - side
        st.session_state[THREAD] = side, runs
        slots = st.empty(), st.empty()
        return slots[side].container()

    def find(self) -> Conversation:
        """The conversation that the URL names, else the one that was used last."""
        wanted = st.query_params.get("c", "")
        if wanted == NEW:
            return Conversation("", "")
        found = self.service.conversation(self.user, wanted) if wanted else self.service.last_conversation(self.user)
        if not wanted:
            go(found.id if found else NEW)
        return found or Conversation("", "")

    def fill_settings(self) -> None:
        """Another conversation goes on with its own settings, its system prompt above all."""
        missing = [field for field in self.settings if fields.key(field) not in st.session_state]
        another = st.session_state.get(OPENED) != self.conversation.id
        runs = self.conversation.runs
        fields.fill(self.settings if another else missing, runs[-1].values if runs else {})
        fields.keep_to_what_there_is(self.settings)
        st.session_state[OPENED] = self.conversation.id

    def side_panel(self) -> None:
        st.html(f'<div class="portico-name"><i class="portico-logo"></i>{brand.NAME}</div>')
        st.button("New chat", key="new-chat", icon=":material/edit_square:", on_click=go, args=(NEW,), width="stretch")
        st.subheader("Conversations", anchor=False)
        with st.container(key="conversations", gap=None):
            conversations = self.service.conversations(self.user)
            if not conversations:
                st.caption("None yet")
            for each in conversations:
                current = each.id == self.conversation.id
                st.button(
                    plain(each.title), key=f"open-{each.id}", on_click=go, args=(each.id,), wrap=False, width="stretch",
                    type="secondary" if current else "tertiary",
                )  # fmt: skip
        st.subheader("Settings", anchor=False)
        for field in self.settings:
            fields.draw(field)
        # By another key it is another popover, and that one is closed: Streamlit has no other way to close one.
        key = f"clear-{self.conversation.id}-{st.session_state.setdefault(KEPT, 0)}"
        with st.popover("Clear", key=key, icon=":material/delete:", width="stretch", disabled=not self.conversation.id):
            st.write("Delete this conversation with all its answers?")
            with st.container(horizontal=True):
                st.button("Delete", key="clear-confirmed", type="primary", on_click=self.clear)
                st.button("Keep", key="clear-not", on_click=self.keep)

    def composer(self) -> None:
        # All three are in Streamlit's bottom container. The notice has its place there even when it is empty, so that the
        # input never moves: it would lose its draft and the focus.
        place = st.bottom.empty()
        if notice := st.session_state.pop(NOTICE, ""):
            place.error(plain(notice))
        st.chat_input(f"Message {brand.NAME}…", key=COMPOSER, on_submit=self.send)
        if live := self.conversation.live_run:
            st.bottom.button("Stop", key="stop", shortcut="Esc", on_click=self.stop, args=(live.id,))

    def welcome(self) -> None:
        with st.container(key="welcome", horizontal_alignment="center"):
            model = html.escape(self.service.model.name)
            st.html(f'<div><i class="portico-logo"></i></div><h1>{brand.NAME}</h1><p>{model}</p>')
            with st.container(key="examples", horizontal=True, horizontal_alignment="center"):
                for index, example in enumerate(self.task.examples):
                    st.button(plain(example), key=f"example-{index}", on_click=self.ask, args=(example,), wrap=True)

    def turn(self, run: Run) -> None:
        with st.container(key=f"asked-{run.id}"), st.chat_message("user", width="content"):
            st.text(str(run.values[self.chat.name]))
        if run.live:
            return
        with st.container(key=f"answer-{run.id}"), st.chat_message("assistant"):
            if run.text:
                Answer().show(run.text)
            if run.error:
                st.error(plain(run.error))
            self.below(run)

    def below(self, run: Run) -> None:
        with st.container(key=f"below-{run.id}", horizontal=True, vertical_alignment="center", gap="small"):
            if run.text:
                st.html(
                    f'<button class="portico-copy" aria-label="Copy" data-text="{html.escape(run.text)}"></button>',
                    width="content",
                )
            place = st.empty()
            if run is self.conversation.runs[-1]:
                failed = run.status == "failed"
                label, key, kind = ("Retry", "retry", "secondary") if failed else ("Regenerate", "again", "tertiary")
                place.button(
                    label, key=f"{key}-{run.id}", icon=":material/refresh:", type=kind, on_click=self.again, args=(run.id,)
                )
            if run.figures:
                # page.js reads out how the answer ended by the container's name
                how = "stopped" if run.reason == "cancelled" else "ended"
                with st.container(key=f"{how}-{run.id}"):
                    st.caption(plain(run.figures))

    def watch(self, live: Run) -> None:
        """Show the running answer until it ends; a touch of the page cuts this short, and its rerun takes it up again."""
        with st.container(key=f"answer-{live.id}"), st.chat_message("assistant"):
            answer, text = Answer(), live.text
            answer.show(text) if text else answer.wait()
            with self.service.watch(self.user, live.id, after=len(text)) as events:
                for event in events:
                    st.session_state.get(OPENED)  # gives Streamlit its turn to stop this run of the page, at idle ticks too
                    match event:
                        case Delta(more) if more:
                            text += more
                            answer.show(text)
                        case Queued() if not text:
                            answer.wait(place(event))
                        case Started() if not text:
                            answer.wait()
        st.rerun()

    def values(self) -> dict[str, Any]:
        """What stands in the fields, fit for the task as it is now; raises ChoiceGone."""
        shown = {field.name: st.session_state.get(fields.key(field), field.default) for field in self.settings}
        return choices.current(shown, {field.name: field for field in self.service.tasks[self.task.name].fields})

    def send(self) -> None:
        message = st.session_state[COMPOSER]
        if not self.ask(message):
            st.session_state[COMPOSER] = message  # what was not taken goes back into the composer

    @told
    def ask(self, message: str) -> None:
        values = {**self.values(), self.chat.name: message}
        run = self.service.start(self.user, self.task.name, values, self.conversation.id)
        st.session_state[OPENED] = run.conversation_id  # its settings are those on the screen
        go(run.conversation_id)

    @told
    def again(self, run_id: str) -> None:
        self.service.answer_again(self.user, run_id, self.values())

    @told
    def stop(self, run_id: str) -> None:
        self.service.cancel(self.user, run_id)

    def keep(self) -> None:
        st.session_state[KEPT] += 1

    @told
    def clear(self) -> None:
        self.service.delete_conversation(self.user, self.conversation.id)
        go(NEW)


def go(conversation: str) -> None:
    """Make the URL name `conversation`, which the next run of the page opens."""
    st.query_params["c"] = conversation
