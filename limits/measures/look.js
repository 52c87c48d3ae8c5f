// What the scripts of the measures share. Each of them is put into the page behind this.

/** The document and every open shadow root in it. */
const roots = (root = document) => [
  root, ...[...root.querySelectorAll("*")].filter((each) => each.shadowRoot).flatMap((each) => roots(each.shadowRoot)),
];
const all = (selector) => roots().flatMap((root) => [...root.querySelectorAll(selector)]);
const parent = (node) => node.parentElement ?? node.getRootNode().host ?? null;

/** Whether an eye can see it: a box, and neither hidden nor wholly transparent. */
const shown = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
};

/** Whether it is for screen readers alone: an ancestor, or it, is cut down to a point. */
const unseen = (element) => {
  for (let box = element; box; box = parent(box)) {
    const style = getComputedStyle(box), { width, height } = box.getBoundingClientRect();
    if (style.clipPath.startsWith("inset(50%") || style.clip.startsWith("rect(0px, 0px")) return true;
    if ((width <= 2 || height <= 2) && style.overflowX !== "visible" && style.display !== "inline") return true;
  }
  return false;
};

/** Whether it lies beside the window where no scrolling leads, as a panel that is put away does. */
const away = (element) => {
  const { left, right } = element.getBoundingClientRect();
  if (right <= 0) return true;
  for (let box = left >= innerWidth ? element : null; box; box = parent(box)) if (getComputedStyle(box).position === "fixed") return true;
  return false;
};

/** The text nodes that an eye can read, as [node, its element]. */
const texts = (within) => {
  const found = [];
  for (const root of within ? [within] : roots()) {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const element = parent(walk.currentNode);
      if (!walk.currentNode.data.trim() || element.closest("script, style, noscript, template, textarea, option, title")) continue;
      if (shown(element) && !unseen(element) && !away(element)) found.push([walk.currentNode, element]);
    }
  }
  return found;
};

const short = (text) => { const one = text.trim().replace(/\s+/g, " "); return one.length > 40 ? `${one.slice(0, 40)}…` : one; };

/** An element in a reader's words: button#send.round “Send”. Classes that a compiler made say nothing. */
const named = (element) => {
  const classes = [...element.classList].filter((each) => !/^(svelte-|st-emotion-|e[a-z0-9]{6,}\d)/.test(each)).slice(0, 2);
  const text = short(element.ariaLabel || element.innerText || element.placeholder || "");
  return [element.localName + (element.id ? `#${element.id}` : ""), ...classes].join(".") + (text ? ` “${text}”` : "");
};
