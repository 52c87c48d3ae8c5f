"""The chat page: what is drawn, and what happens when something on it is pressed."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import gradio as gr

from core import brand
from core.errors import screen_message
from core.frontend import Context
from core.store import Conversation, Run
from core.tasks import Field
from core.types import Kind, Queued, User
from ui_gradio import fields, messages
from ui_gradio.panel import Panel

NEW = "new"
HOLD_S = 15.0  # proxies on the way close a stream that is silent for longer
EMPTY = Conversation("", "")
MAX_PAGES = 10_000
Update = dict[Any, Any]


class Page:
    """One Blocks for everybody; whose page it is comes with each request.

    What a person does is a short event that draws the conversation and sets `view`; that starts `follow`, the one stream,
    which shows a running answer as it grows and ends when `view` has moved on. (Gradio's own `cancels` is no use for this: it
    reaches the server after what comes next has begun, and ends that.) A browser that comes back starts with `load`.
    """

    def __init__(self, context: Context) -> None:
        self._service, self._user_of = context.service, context.user_of
        self._task = next(iter(context.service.tasks.values()))
        self._chat = next(field for field in self._task.inputs if field.kind is Kind.CHAT)
        self._panel = Panel(self._settings)
        self._views: OrderedDict[str, str] = OrderedDict()  # what each page shows now, by Gradio's session hash

    def build(self) -> gr.Blocks:
        with gr.Blocks(title=brand.NAME, analytics_enabled=False, fill_height=True, fill_width=True) as blocks:
            self._draw_panel()
            self._draw_chat()
            self._wire(blocks)
        return blocks

    def _draw_panel(self) -> None:
        with gr.Column(elem_id="panel", scale=0):
            self.new = gr.Button("New chat", elem_id="new-chat")
            self.conversations = gr.Radio(label="Conversations", choices=[], elem_id="conversations", visible=False)
            with gr.Column(elem_id="fields"):
                self._panel.draw(first=len(self._task.inputs) - 1)  # beside the message
            self.clear = gr.Button("Clear", elem_id="clear", interactive=False)
            with gr.Column(visible=False, elem_id="confirm") as self.confirm:
                gr.Markdown("Delete this conversation with all its answers?")
                with gr.Row():
                    self.delete = gr.Button("Delete", elem_id="delete", variant="stop", size="sm")
                    self.keep = gr.Button("Keep", elem_id="keep", size="sm")

    def _draw_chat(self) -> None:
        with gr.Column(elem_id="main"):
            with gr.Row(elem_id="bar"):
                gr.Button("Settings", elem_id="panel-toggle", size="sm")
                gr.Markdown(messages.literal(self._service.model.name), elem_id="model")
            self.chat = gr.Chatbot(
                label="Conversation", show_label=False, container=False, elem_id="chat", height=None, scale=1, layout="bubble",
                autoscroll=False, buttons=[], feedback_options=None, latex_delimiters=messages.DELIMITERS, allow_tags=False,
                placeholder=self._welcome(), examples=[{"text": text} for text in self._task.examples] or None,
            )  # fmt: skip
            self.notice = gr.Markdown(visible=False, elem_id="notice")
            self.composer = fields.component(self._chat)
        # for script.js, and unseen: what is shown ("conversation state how token"), the last answer as it was written, which
        # Copy copies, and a button that it presses when the address has changed
        self.signal = gr.Markdown(elem_id="signal")
        self.source = gr.Textbox(elem_id="source", label="Source", container=False)
        self.reopen = gr.Button("Reload", elem_id="reopen")
        self.view = gr.State("")

    def _welcome(self) -> str:
        logo = '<img src="/static/favicon.svg" alt="" width="44" height="44">'
        return f"{logo}\n\n# {brand.NAME}\n\n{messages.literal(self._service.model.name)}"

    def _wire(self, blocks: gr.Blocks) -> None:
        quiet: dict[str, Any] = {
            "show_progress": "hidden", "show_progress_on": self.signal, "api_visibility": "private", "concurrency_limit": None,
            "preprocess": False,  # what is given is checked by the Fields, whose sentences are ours
        }  # fmt: skip
        self.view.change(self.follow, None, [self.chat, *self._drawn()], **quiet)
        drawn = [self.chat, self.view, *self._drawn()]
        opened, answered = [*drawn, *self._panel.components], [*drawn, *self._panel.choices]
        blocks.load(self.load, None, opened, **quiet)
        blocks.load(self.hold, None, self.signal, **quiet)
        self.reopen.click(self.load, None, opened, trigger_mode="multiple", **quiet)  # the last address counts
        self.new.click(self.start_anew, None, drawn, **quiet)
        self.conversations.input(self.open, self.conversations, opened, **quiet)
        self.composer.submit(self.send, [self.composer, *self._panel.components], answered, **quiet)
        self.chat.example_select(self.example, self._panel.components, answered, **quiet)
        self.chat.option_select(self.again, self._panel.components, answered, **quiet)
        self.composer.stop(self.stop, None, self.notice, **quiet)
        self.clear.click(lambda: gr.update(visible=True), None, self.confirm, **quiet)
        self.keep.click(lambda: gr.update(visible=False), None, self.confirm, **quiet)
        self.delete.click(self.delete_conversation, None, [*drawn, self.confirm], **quiet)

    def _drawn(self) -> list[Any]:
        return [self.composer, self.notice, self.signal, self.source, self.conversations, self.clear]

    # What a person does. Each of these runs in a worker thread and ends at once.

    def load(self, request: gr.Request) -> Update:
        """Open what the address names, or what was used last; what is shown already is drawn anew, its settings as they are."""
        wanted = request.request.query_params.get("c", "")
        show = self._draw if wanted and wanted == self._shown(request) else self._opened
        return self._guarded(request, lambda user: show(request, self._find(user, wanted)), keep=False)

    def open(self, request: gr.Request, chosen: str) -> Update:
        return self._guarded(request, lambda user: self._opened(request, self._find(user, chosen)), keep=False)

    def start_anew(self, request: gr.Request) -> Update:
        return self._guarded(request, lambda user: self._draw(request, EMPTY))

    def send(self, request: gr.Request, message: str, *values: Any) -> Update:
        def start(user: User) -> Update:
            asked = {self._chat.name: message, **self._panel.values(values)}
            run = self._service.start(user, self._task.name, asked, self._shown(request))
            return self._draw(request, self._service.conversation(user, run.conversation_id), sent=True)

        return self._guarded(request, start, values)

    def example(self, request: gr.Request, example: gr.SelectData, *values: Any) -> Update:
        return self.send(request, example.value["text"], *values)

    def again(self, request: gr.Request, option: gr.SelectData, *values: Any) -> Update:
        """Answer the last question once more, with the settings as they are now."""

        if option.value == messages.COPY:  # the browser's own affair
            return {self.signal: gr.skip()}

        def start(user: User) -> Update:
            run = self._service.answer_again(user, str(option.value), self._panel.values(values))
            return self._draw(request, self._service.conversation(user, run.conversation_id))

        return self._guarded(request, start, values)

    def stop(self, request: gr.Request) -> Any:
        user = self._user(request)
        try:
            if run := self._service.conversation(user, self._shown(request)).live_run:
                self._service.cancel(user, run.id)
        except Exception as error:
            return _notice(screen_message(error))
        return gr.skip()

    def delete_conversation(self, request: gr.Request) -> Update:
        def delete(user: User) -> Update:
            self._service.delete_conversation(user, self._shown(request))
            return self._draw(request, EMPTY)

        return self._guarded(request, delete) | {self.confirm: gr.update(visible=False)}

    async def hold(self) -> AsyncIterator[Any]:
        """Keep the page's one stream of events open for as long as the page is.

        Gradio's client closes it when nothing is pending, and what a person does at that very moment is lost, its button dead
        until the page is loaded anew.
        """
        while True:
            yield gr.skip()
            await asyncio.sleep(HOLD_S)

    async def follow(self, request: gr.Request) -> AsyncIterator[Update]:
        """Show the running answer of the conversation in `view` as it grows, until it ends or the page turns away."""
        user, view, shown = self._user(request), self._view(request), self._shown(request)
        try:
            conversation = await asyncio.to_thread(self._service.conversation, user, shown) if shown else EMPTY
            if run := conversation.live_run:
                before = [message for earlier in conversation.runs[:-1] for message in self._messages(earlier)]
                async with self._service.watch(user, run.id, after=len(run.text)) as events:
                    async for grown, waiting in messages.growing(run, events):
                        if self._view(request) != view:
                            break
                        if grown is not run:
                            run = grown
                            yield {self.chat: [*before, *self._messages(run, waiting)]}
            if shown and self._view(request) == view:
                conversation_now = await asyncio.to_thread(self._service.conversation, user, shown)
                drawn = await asyncio.to_thread(self._draw, request, conversation_now, fresh=False)
                if not conversation.live_run:  # it ended before it was followed; a sentence from the event before stays
                    del drawn[self.notice]
                yield drawn
            else:
                yield {self.signal: gr.skip()}  # a stream that gives nothing would empty what it may draw
        except Exception as error:  # the running answer is no longer followed, but one can go on
            ready = gr.update(submit_btn="Send message", stop_btn=False)
            signal = f"{shown or NEW} failed shown {uuid.uuid4().hex[:8]}"
            yield {self.notice: _notice(screen_message(error)), self.composer: ready, self.signal: signal}

    # What is drawn.

    def _guarded(
        self, request: gr.Request, act: Callable[[User], Update], values: tuple[Any, ...] = (), keep: bool = True
    ) -> Update:
        """What `act` draws; if it is refused, what was there (nothing, if not `keep`) with the reason above the composer.

        `values` are those of the panel, if `act` was given them: what was chosen of them may be gone.
        """
        user, shown = self._user(request), self._shown(request)
        try:
            return act(user)
        except Exception as error:
            told = {self.notice: _notice(screen_message(error))}
            told |= self._panel.chosen(values) if values else {}
        conversation = EMPTY
        if keep and shown:
            with suppress(Exception):  # what was there may be what is refused
                conversation = self._service.conversation(user, shown)
        with suppress(Exception):  # the sentence is more than a second error would be
            return self._draw(request, conversation) | told
        return told

    def _find(self, user: User, wanted: str) -> Conversation:
        if wanted == NEW:
            return EMPTY
        return self._service.conversation(user, wanted) if wanted else self._service.last_conversation(user) or EMPTY

    def _opened(self, request: gr.Request, conversation: Conversation) -> Update:
        """The conversation, and beside it the settings of its last answer."""
        used = conversation.runs[-1].values if conversation.runs else None
        return self._draw(request, conversation) | self._panel.show(used)

    def _draw(self, request: gr.Request, conversation: Conversation, sent: bool = False, fresh: bool = True) -> Update:
        """Everything that shows `conversation`; `fresh` makes it the page's view, which ends what was followed before."""
        runs, live = conversation.runs, conversation.live_run is not None
        choices = [(each.title, each.id) for each in self._service.conversations(self._user(request))]
        state = "answering" if live else "empty" if not runs else "stopped" if runs[-1].reason == "cancelled" else runs[-1].status
        token = uuid.uuid4().hex[:8]
        drawn = {
            self.chat: [message for run in runs for message in self._messages(run, last=run is runs[-1])],
            self.composer: gr.update(submit_btn=False if live else "Send message", stop_btn="Stop" if live else False),
            self.notice: _notice(""),
            self.signal: f"{conversation.id or NEW} {state} {'sent' if sent else 'shown'} {token}",
            self.source: runs[-1].text if runs and not live else "",
            self.conversations: gr.update(choices=choices, value=conversation.id or None, visible=bool(choices)),
            self.clear: gr.update(interactive=bool(runs)),
        }
        return drawn | ({self.view: self._turn_to(request, f"{conversation.id} {token}")} if fresh else {})

    def _view(self, request: gr.Request) -> str:
        return self._views.get(request.session_hash or "", "")

    def _shown(self, request: gr.Request) -> str:
        """The id of the conversation that the page shows, "" for none."""
        return self._view(request).split(" ")[0]

    def _turn_to(self, request: gr.Request, view: str) -> str:
        self._views[request.session_hash or ""] = view
        self._views.move_to_end(request.session_hash or "")
        if len(self._views) > MAX_PAGES:
            self._views.popitem(last=False)
        return view

    def _messages(self, run: Run, waiting: Queued | None = None, last: bool = False) -> list[dict[str, Any]]:
        return messages.of(run, str(run.values[self._chat.name]), waiting, last)

    def _user(self, request: gr.Request) -> User:
        return self._user_of(request.request.scope)

    def _settings(self) -> list[Field]:
        """All but the message, as they are now: which choices there are may change while the server runs."""
        return [field for field in self._service.tasks[self._task.name].fields if field.name != self._chat.name]


def _notice(text: str) -> Any:
    return gr.update(value=messages.literal(text), visible=bool(text))
