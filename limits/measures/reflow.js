// The faults of a narrow page, a sentence each (WCAG 1.4.10). Tables and code may scroll sideways in a box of their own.
() => {
  const TWO_DIMENSIONAL = "table, pre, code, math, svg, .katex, [role=tablist], [role=toolbar], [role=grid]";
  const CELL = "td, th, button, summary, [role=button], [role=tab]";
  const html = document.documentElement, faults = [];
  const styles = new Map();
  const style = (element) => styles.get(element) ?? (styles.set(element, getComputedStyle(element)), styles.get(element));
  const scrolls = (overflow) => overflow === "auto" || overflow === "scroll";
  const cuts = (overflow) => overflow === "hidden" || overflow === "clip";
  const viewport = style(html).overflowX === "visible" ? style(document.body) : style(html);

  const wide = document.scrollingElement.scrollWidth - html.clientWidth;
  if (wide > 0 && !cuts(viewport.overflowX)) faults.push(`The page scrolls sideways by ${wide} px.`);

  for (const element of all("*")) {
    if (element === html || element === document.body || element.closest("textarea, input, select")) continue;
    const over = element.scrollWidth - element.clientWidth;
    if (over <= 1 || !scrolls(style(element).overflowX) || !shown(element)) continue;
    const flowing = texts(element).find(([, where]) => !where.closest(TWO_DIMENSIONAL));
    if (flowing) faults.push(`${named(element)} scrolls sideways by ${over} px, with text that could wrap.`);
  }

  /** The box that cuts `line`, a rectangle of text in `element`, in two; null if none does or one can scroll to the rest. */
  const cutter = (element, line) => {
    let x = true, y = true, leaves = style(element).position;
    const outside = (low, high, from, to) => (low < from - 2 && high > from + 2) || (high > to + 2 && low < to - 2);
    for (let box = element; box && box !== html && (x || y); box = parent(box)) {
      const now = style(box);
      if (box !== element && leaves === "absolute" && now.position === "static" && now.transform === "none") continue;
      if (box !== element) leaves = now.position;
      if (now.display !== "inline" && now.display !== "contents" && box !== document.body) {
        const edge = box.getBoundingClientRect();
        const left = edge.left + box.clientLeft, top = edge.top + box.clientTop;
        if (x && cuts(now.overflowX) && outside(line.left, line.right, left, left + box.clientWidth)) return box;
        const seen = Math.min(line.bottom, top + box.clientHeight) - Math.max(line.top, top);
        if (y && cuts(now.overflowY) && seen > 2 && seen < line.height * 0.6) return box;
        x &&= !scrolls(now.overflowX);
        y &&= !scrolls(now.overflowY);
      }
      if (now.position === "fixed") break;
    }
    return x && cuts(viewport.overflowX) && outside(line.left, line.right, 0, html.clientWidth) ? html : null;
  };
  const cut = new Map();
  for (const [node, element] of texts()) {
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const line of range.getClientRects()) {
      const box = cutter(element, line);
      if (box && !cut.has(box)) cut.set(box, node.data);
    }
  }
  for (const [box, text] of cut) faults.push(`${box === html ? "The window" : named(box)} cuts off the text “${short(text)}”.`);

  for (const cell of all(CELL).filter(shown)) {
    const broken = texts(cell).flatMap(([node]) => [...node.data.matchAll(/[\p{L}\p{N}]{2,}/gu)].map((word) => {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const tops = [...range.getClientRects()].map((line) => line.top);
      return Math.max(...tops) - Math.min(...tops) > 4 ? word[0] : "";
    })).find(Boolean);
    if (broken) faults.push(`${cell.localName} breaks the word “${short(broken)}”.`);
  }
  return faults;
}
