// What Streamlit has no means for: a live region that stays in the document, a way past the side panel, a name for the side panel's button, the clipboard.
if (!window.portico) {
  window.portico = true;
  // Streamlit's own keeps the page out of a phone's edges, and style.css has nothing to keep clear of there.
  document.querySelector("meta[name=viewport]")?.setAttribute("content", "width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content");
  const status = document.createElement("div");
  status.className = "portico-status";
  status.setAttribute("role", "status");
  document.body.append(status);
  const skip = document.createElement("a"); // past a side panel that may hold many conversations
  Object.assign(skip, { className: "portico-skip", href: "#composer", textContent: "Skip to the message" });
  skip.addEventListener("click", (event) => {
    event.preventDefault(); // the address names the conversation
    document.querySelector("[data-testid=stChatInputTextArea]")?.focus();
  });
  document.body.prepend(skip);
  let answering = false;
  let place = "";
  // A run's place in the queue is said when it moves, and that the wait is over; not each new estimate.
  const tellPlace = () => {
    const now = [...document.querySelectorAll(".portico-place")].at(-1)?.textContent ?? "";
    const moved = now.split(",")[0] !== place.split(",")[0];
    place = now;
    const [last] = [...document.querySelectorAll('[class*="st-key-answer-"]')].slice(-1);
    const over = last?.querySelector('[class*="st-key-below-"]');
    if (moved && (now || (answering && !over))) status.textContent = now || "Answering";
  };
  new MutationObserver(() => {
    document.querySelector(".st-key-composer")?.setAttribute("id", "composer");
    document.querySelector("[data-testid=stExpandSidebarButton]:not([aria-label=Settings])")?.setAttribute("aria-label", "Settings");
    document.querySelectorAll(".stMarkdown code").forEach((code) => { // answer.py put it there; drawn, it is text
      const walk = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        if (walk.currentNode.data.includes("\u2060")) walk.currentNode.data = walk.currentNode.data.replaceAll("\u2060", "");
      }
    });
    // what scrolls sideways must be reached by the keyboard, too
    document.querySelectorAll('[class*="st-key-answer-"] :is(pre, table):not([tabindex])').forEach((wide) => (wide.tabIndex = 0));
    keepDraft();
    const now = document.querySelector(".st-key-stop") !== null;
    if (now !== answering) {
      answering = now;
      const [last] = [...document.querySelectorAll('[class*="st-key-answer-"]')].slice(-1);
      const how = !last ? "" : last.querySelector("[role=alert]") ? "The answer failed" : last.querySelector('[class*="st-key-stopped-"]') ? "Stopped" : "Answer complete";
      status.textContent = now ? "Answering" : how;
    }
    tellPlace(); // last: where both came at once, the place says more
    tellWhatIsShown();
  }).observe(document.body, { childList: true, subtree: true });

  // Side by side (/compare) the page around this one hears what is shown here, and says what is to be shown.
  let told = "";
  const tellWhatIsShown = () => {
    const conversation = new URLSearchParams(location.search).get("c");
    const [last] = [...document.querySelectorAll('[class*="st-key-asked-"]')].slice(-1); // its class names the run
    const now = `${conversation} ${last?.className} ${answering}`;
    if (parent === window || !conversation || now === told) return;
    told = now;
    parent.postMessage({ portico: "shown", conversation, answering }, location.origin);
  };
  addEventListener("message", ({ origin, source, data }) => {
    if (origin !== location.origin || source !== parent || data?.portico !== "show") return;
    told = "";
    history.replaceState(null, "", `?c=${encodeURIComponent(data.conversation)}`);
    dispatchEvent(new PopStateEvent("popstate")); // at it Streamlit runs the page anew, whatever the address was before
  });

  // What was typed and not sent outlives a reload, for each conversation.
  let drafted = null;
  const key = () => `portico-draft-streamlit-${new URLSearchParams(location.search).get("c") ?? "new"}`;
  function keepDraft() {
    const area = document.querySelector("[data-testid=stChatInputTextArea]");
    if (!area || area.disabled) return;
    if (drafted === null && !area.value && sessionStorage.getItem(key())) {
      // React takes a value only by the element's own setter
      Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, sessionStorage.getItem(key()));
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    drafted = area.value;
    drafted ? sessionStorage.setItem(key(), drafted) : sessionStorage.removeItem(key());
  }
  document.addEventListener("input", keepDraft, true);

  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.body.appendChild(document.createElement("textarea")); // over plain http there is no clipboard
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  document.addEventListener("click", (event) => {
    // On a narrow screen the side panel lies over the conversation that was chosen in it.
    if (innerWidth < 768 && event.target.closest(".st-key-new-chat button, .st-key-conversations button")) {
      document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
    }
    const button = event.target.closest(".portico-copy");
    if (!button) return;
    copy(button.dataset.text).then(() => {
      button.classList.add("portico-copied");
      status.textContent = "Copied";
      setTimeout(() => button.classList.remove("portico-copied"), 2000);
    });
  });
}
