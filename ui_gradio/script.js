// What no component of Gradio's does: the address, the draft, following the newest text, names for screen readers, the panel.
// The server draws `#signal` ("conversation state how token") whenever the page changes; everything here starts from that.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const box = () => $("#composer textarea");
  const log = () => $("#chat .bubble-wrap");
  const here = () => new URLSearchParams(location.search).get("c");
  const draftKey = (conversation) => `portico-draft-${conversation || "new"}`;
  let shown = null, state = "", submitted = "", following = true, arrived = true, asking = false, asked = false, place = "";

  document.querySelector("meta[name=viewport]").content = "width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content";

  const live = document.createElement("div");
  live.setAttribute("role", "status");
  live.className = "portico-status";

  const skip = document.createElement("a"); // past a panel that may hold many conversations
  Object.assign(skip, { className: "portico-skip", href: "#composer", textContent: "Skip to the message" });
  skip.addEventListener("click", (event) => {
    event.preventDefault(); // the address names the conversation
    box()?.focus();
  });

  function write(text) {
    const area = box();
    if (!area || area.value === text) return;
    area.value = text;
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function keepDraft() {
    const key = draftKey(shown ?? here());
    box()?.value ? sessionStorage.setItem(key, box().value) : sessionStorage.removeItem(key);
  }

  // the message was taken: what was typed since stays
  function clearSent() {
    const area = box();
    if (area && submitted && area.value.startsWith(submitted)) write(area.value.slice(submitted.length).trimStart());
    submitted = "";
    keepDraft();
  }

  function onSignal(text) {
    const [conversation, now, how] = text.trim().split(" ");
    if (how === "sent") clearSent();
    if (conversation !== shown) {
      const before = shown;
      if (before !== null) keepDraft();
      shown = conversation;
      if (how !== "sent") write(sessionStorage.getItem(draftKey(conversation)) ?? "");
      else if (before !== null) sessionStorage.removeItem(draftKey(before)), keepDraft();
      following = true;
      const address = `?c=${conversation}`;
      // the address that one came by is put right; one that one leaves can be gone back to
      if (arrived || here() === null || here() === "new") history.replaceState(null, "", address);
      else if (here() !== conversation) history.pushState(null, "", address);
    }
    arrived = false;
    if (how === "sent") following = true;
    // one that is refused at once, since the queue is full, never was answering
    if (now === "failed" ? asked || how === "sent" || state === "answering" : state !== now && (now === "answering" || state === "answering")) {
      live.textContent = { answering: "Answering", finished: "Answer complete", stopped: "Stopped", failed: "The answer failed" }[now] ?? "";
    }
    asked = false;
    state = now;
    document.documentElement.dataset.state = now;
    tellWhatIsShown();
  }

  // Side by side (/compare) the page around this one hears what is shown here, and says what is to be shown.
  function tellWhatIsShown() {
    if (parent !== window) parent.postMessage({ portico: "shown", conversation: shown, answering: state === "answering" }, location.origin);
  }

  addEventListener("message", ({ origin, source, data }) => {
    if (origin !== location.origin || source !== parent || data?.portico !== "show") return;
    history.replaceState(null, "", `?c=${encodeURIComponent(data.conversation)}`);
    arrived = true;
    $("#reopen")?.click();
  });

  // its place in the queue is said when it moves, and that the wait is over; not each new estimate
  function tellPlace() {
    const now = $("#chat .place")?.textContent ?? "";
    const moved = now.split(",")[0] !== place.split(",")[0];
    place = now;
    if (moved && (now || state === "answering")) live.textContent = now || "Answering";
  }

  const below = (element) => element.scrollHeight - element.scrollTop - element.clientHeight;

  function follow() {
    const area = log();
    if (!area) return;
    if (!area.dataset.portico) {
      area.dataset.portico = "seen";
      area.setAttribute("aria-live", "off"); // it would read raw Markdown aloud; `live` says what matters
      area.tabIndex = 0;
      // by the time that a scroll is told, the newest text has pulled it back; a hand is told at once
      for (const hand of ["wheel", "touchmove", "keydown", "pointerdown"]) {
        area.addEventListener(hand, (event) => (following &&= event.deltaY > 0), { passive: true });
      }
      addEventListener("pointerup", () => (following ||= below(area) < 60));
      let top = area.scrollTop;
      area.addEventListener("scroll", () => {
        if (area.scrollTop < top) following = below(area) < 4;
        else if (area.scrollTop > top) following ||= below(area) < 60;
        top = area.scrollTop;
      });
    }
    if (following) area.scrollTop = area.scrollHeight;
    else area.dispatchEvent(new Event("scroll")); // Gradio asks on this event alone whether its button is wanted
  }

  // the server parts "<" from what could make it a tag (messages.py); drawn, it is text
  function joinCode() {
    document.querySelectorAll("#chat code:not([data-joined])").forEach((code) => {
      code.dataset.joined = "yes";
      code.closest("pre")?.setAttribute("tabindex", "0"); // what scrolls sideways must be reached by the keyboard, too
      const walk = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        if (walk.currentNode.data.includes("\u2060")) walk.currentNode.data = walk.currentNode.data.replaceAll("\u2060", "");
      }
    });
  }

  function name(selector, label) {
    document.querySelectorAll(selector).forEach((button) => {
      if (button.ariaLabel !== label) button.ariaLabel = button.title = label;
    });
  }

  function copy(button) {
    navigator.clipboard.writeText($("#source textarea").value).then(() => {
      live.textContent = "Copied";
      button.dataset.copied = "yes"; // its text is Svelte's
      setTimeout(() => delete button.dataset.copied, 1500);
    });
  }

  function setPanel(open) {
    document.documentElement.dataset.panel = open ? "open" : "closed";
    $("#panel-toggle")?.setAttribute("aria-expanded", String(open));
  }

  const wide = matchMedia("(min-width: 1024px)");
  const panelOpen = () => document.documentElement.dataset.panel === "open";
  setPanel(wide.matches);
  wide.addEventListener("change", () => setPanel(wide.matches));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) {
      if (panelOpen() && !wide.matches && event.target.closest("#main")) setPanel(false);
      return;
    }
    if (button.matches("#composer .submit-button")) submitted = box().value;
    if (button.matches("#panel-toggle")) setPanel(!panelOpen());
    else if (!wide.matches && button.matches("#new-chat, #delete")) setPanel(false);
    else if (button.matches("#clear")) asking = true;
    if (button.matches("#chat .option") && button.textContent === "Copy") {
      event.stopImmediatePropagation();
      copy(button);
    } else if (button.matches("#chat .option")) asked = true;
    const typing = matchMedia("(pointer: fine)").matches; // on a phone it would raise the keyboard
    if (typing && button.matches("#new-chat, #chat .option, #chat .example, #composer button")) box()?.focus({ preventScroll: true });
  }, true);

  document.addEventListener("change", (event) => {
    if (!wide.matches && event.target.closest("#conversations")) setPanel(false);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === box()) submitted = box().value;
    if (event.key === "Escape" && panelOpen() && !wide.matches) setPanel(false), $("#panel-toggle").focus();
    else if (event.key === "Escape") $("#composer .stop-button")?.click();
  }, true);

  document.addEventListener("input", (event) => event.target === box() && keepDraft(), true);
  addEventListener("popstate", () => {
    if (here() === shown) return;
    arrived = true;
    $("#reopen")?.click();
  });

  const SIGNAL = /^\w+ (answering|finished|stopped|failed|empty) (sent|shown) \w+$/;
  let signal = "";
  new MutationObserver(() => {
    if (!live.isConnected && document.body) document.body.append(live), document.body.prepend(skip);
    const text = $("#signal .prose")?.textContent.trim() ?? "";
    if (text !== signal && SIGNAL.test(text) && box()) onSignal((signal = text));
    if ($("#panel-toggle") && !$("#panel-toggle").hasAttribute("aria-expanded")) setPanel(panelOpen());
    // they repeat the message with its Markdown; what is read is the message itself
    document.querySelectorAll("#chat [data-testid][aria-label]").forEach((message) => message.removeAttribute("aria-label"));
    const examples = $("#chat .examples[role=list]"); // a list of buttons is none to a screen reader
    if (examples) examples.role = "group", examples.ariaLabel = "Examples";
    if (box() && !box().ariaLabel) box().ariaLabel = box().placeholder; // its label holds the button, too
    if (asking && $("#delete")?.checkVisibility()) { // the question may be drawn below what is seen of the panel
      asking = false;
      setTimeout(() => $("#keep").scrollIntoView({ block: "center" }), 50); // once it is laid out
      $("#delete").focus({ preventScroll: true });
    }
    name("#chat .scroll-down-button-container button", "Jump to latest");
    tellPlace();
    joinCode();
    follow();
  }).observe(document.documentElement, { childList: true, subtree: true, characterData: true });
})();
